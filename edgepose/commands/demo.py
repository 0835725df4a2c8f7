"""`edgepose demo`: that everything works, shown."""

from __future__ import annotations

import argparse
from pathlib import Path

from edgepose.commands.flags import add_settings, read_settings

HELP = "Show that everything works: real pictures through a real broker, checked on the way back."
EXAMPLES = """  edgepose demo                                    two photographs, a broker of its own
  edgepose demo --source /dev/video0               your camera instead
  edgepose demo --broker mqtt://localhost:1883     your broker instead"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument("--seconds", type=float, default=8.0, help="how long to watch; default %(default)s")
    parser.add_argument("--picture", default="edgepose-demo.jpg", help="where the annotated picture goes")
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    """Show it; 0 only if correct poses came back."""
    from edgepose.lab.demo.show import show
    from edgepose.sink.apart import inputs_of, require_apart

    cfg = read_settings(args)
    require_apart([("--picture", args.picture)], inputs_of(cfg))
    return show(cfg, args.seconds, Path(args.picture))
