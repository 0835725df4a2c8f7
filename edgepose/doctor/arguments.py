"""Flags of `edgepose doctor`, beside those of the settings; imports nothing heavy."""

from __future__ import annotations

import argparse

EXAMPLES = """  edgepose doctor                                  this board, with ./edgepose.toml if there is one"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
