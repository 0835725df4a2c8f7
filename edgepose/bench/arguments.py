"""Flags of `edgepose bench`, beside those of the settings; imports nothing heavy."""

from __future__ import annotations

import argparse

EXAMPLES = """  edgepose bench --source walk.mp4"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
