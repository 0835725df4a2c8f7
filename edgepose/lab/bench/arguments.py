"""Flags of `edgepose bench`, beside those of the settings; imports nothing heavy."""

from __future__ import annotations

import argparse

EXAMPLES = """  edgepose bench                                   a camera over a photograph, a broker of its own
  edgepose bench --source picamera2 --report board.html --json board.json
  edgepose bench --source walk.mp4 --model light   a recording: as fast as it goes, then as a camera would bring it
  edgepose bench --tune --source /dev/video0       find and keep the best engine.threads, with the camera running"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    group = parser.add_argument_group("the benchmark")
    group.add_argument(
        "--seconds", type=seconds, default=10.0, metavar="S", help="length of each measurement; default %(default)s"
    )
    group.add_argument("--json", metavar="FILE", help="everything measured, for a table of boards; - is stdout")
    group.add_argument(
        "--report", metavar="FILE.html", help="the same as one page, to look at or to attach to a report"
    )
    group.add_argument(
        "--tune",
        action="store_true",
        help="try 1 to all cores as engine.threads while the source runs, and keep the best for this board",
    )


def seconds(text: str) -> float:
    """A duration that can be measured in."""
    value = float(text)
    if not 0.5 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"{text} is not between 0.5 and 86400")
    return value
