"""Flags of `edgepose eval`, beside those of the settings; imports nothing heavy."""

from __future__ import annotations

import argparse

EXAMPLES = """  edgepose eval --annotations person_keypoints.json --images images/"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
