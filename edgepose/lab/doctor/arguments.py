"""Flags of `edgepose doctor`, beside those of the settings; imports nothing heavy."""

from __future__ import annotations

import argparse

EXAMPLES = """  edgepose doctor                                  this board, with ./edgepose.toml if there is one
  edgepose doctor --source picamera2 --broker mqtts://broker.local
                                                   judged by what you are about to run
  edgepose doctor --only power --only cameras      some of the page
  edgepose doctor --json                           for a fleet; the exit code says the same: 0, 1 or 2"""

GROUPS = ("settings", "board", "power", "software", "models", "cameras", "broker")
"""Parts of the page, in its order."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    asked = parser.add_argument_group("the doctor")
    asked.add_argument("--json", action="store_true", help="everything as JSON, with keys that stay")
    asked.add_argument(
        "--only",
        action="append",
        default=[],
        choices=GROUPS,
        metavar="GROUP",
        help=f"look at this part only; may be given several times: {', '.join(GROUPS)}",
    )
