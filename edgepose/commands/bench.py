"""`edgepose bench`: how fast a configured pipeline is on this board."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from edgepose.commands.flags import add_settings, read_settings

if TYPE_CHECKING:
    from edgepose.core.config import Config

HELP = "Measure how fast a configured pipeline is on this board, from the camera to a subscriber; or tune its threads."
EXAMPLES = """  edgepose bench                                   a camera over a photograph, a broker of its own
  edgepose bench --source picamera2 --report board.html --json board.json
  edgepose bench --source walk.mp4 --model light   a recording: as fast as it goes, then as a camera would bring it
  edgepose bench --power --report power.html       what an empty room costs, somebody still, somebody who moves
  edgepose bench --tune --source /dev/video0       find and keep the best engine.threads, with the camera running"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    group = parser.add_argument_group("the benchmark")
    group.add_argument(
        "--seconds", type=_seconds, default=10.0, metavar="S", help="length of each measurement; default %(default)s"
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
    group.add_argument(
        "--power", action="store_true", help="measure what each power state costs, through a network camera of our own"
    )
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    """Measure what the settings describe, or tune its threads; 0 when that went well."""
    from edgepose.lab.bench import report
    from edgepose.lab.bench.session import benchmark, with_broker
    from edgepose.lab.output import require_folder, typed, write_text

    cfg = read_settings(args)
    for flag in ("json", "report"):
        require_folder(flag, getattr(args, flag))
    if args.tune:
        from edgepose.lab.bench.tune import tune

        with with_broker(cfg) as (measured_cfg, _):
            return tune(measured_cfg, args.seconds)
    if args.power:
        return _power(args, cfg)
    measured = benchmark(cfg, args.seconds, typed())
    report.say(measured, sys.stderr if args.json == "-" else sys.stdout)
    if args.json:
        write_text(args.json, json.dumps(report.as_json(measured), indent=1) + "\n")
    if args.report:
        from edgepose.lab.bench.page import page

        write_text(args.report, page(measured))
    return 0


def _power(args: argparse.Namespace, cfg: Config) -> int:
    from dataclasses import asdict

    from edgepose.lab.bench.power import costs, page_of, say
    from edgepose.lab.output import write_text

    measured = costs(cfg, args.seconds)
    (sys.stderr if args.json == "-" else sys.stdout).write(say(measured))
    if args.json:
        write_text(args.json, json.dumps([asdict(cost) for cost in measured], indent=1) + "\n")
    if args.report:
        write_text(args.report, page_of(measured))
    return 0


def _seconds(text: str) -> float:
    """A duration that can be measured in."""
    value = float(text)
    if not 0.5 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"{text} is not between 0.5 and 86400")
    return value
