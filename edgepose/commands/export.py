"""`edgepose export`: a recording as COCO json, CSV or OpenPose-style json."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from edgepose.commands.flags import add_settings, read_settings
from edgepose.commands.replay import add_window, check_window

log = logging.getLogger("edgepose")

HELP = "Turn a recording into COCO json, CSV or OpenPose-style json."
EXAMPLES = """  edgepose export day.epr --to csv day.csv             a row for each person and joint
  edgepose export day.epr --to coco day.json           images, annotations and joints in one file
  edgepose export day.epr --to coco-results r.json     what COCOeval takes
  edgepose export day.epr --to openpose json/          a file a frame, joints in the order of BODY_25
  edgepose export day.epr --to csv raw.csv --track.mode off    as the model found them

People have been followed and smoothed, by the settings in force, as `edgepose replay` does it."""
KINDS = ("coco", "coco-results", "csv", "openpose")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument("file", metavar="FILE", help="a recording, made with --record")
    parser.add_argument("out", metavar="OUT", help="file to write; for openpose a folder")
    group = parser.add_argument_group("what is written")
    group.add_argument("--to", dest="kind", choices=KINDS, required=True, help="what the file is for")
    add_window(group)
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    """Write it."""
    from edgepose.commands.progress import FrameProgress
    from edgepose.pipeline.replay.play import Plan, Replay
    from edgepose.sink.apart import require_apart
    from edgepose.sink.export import FORMATS
    from edgepose.wire.recording import read

    cfg = read_settings(args)
    check_window(args.from_s, args.to_s)
    require_apart([("OUT", args.out)], [("FILE", args.file)])
    plan = Plan(0.0, args.from_s, args.to_s, args.decode, args.as_recorded)
    with read(Path(args.file)) as recording:
        sink = FORMATS[args.kind](Path(args.out))
        progress = FrameProgress(recording.frames() if plan.whole else None, live=False)
        replay = Replay(recording, cfg, [sink], plan)
        try:
            replay.run(progress.saw)
            sink.close()
        except BaseException:
            sink.abandon()
            raise
        progress.finish({})
        if recording.warning:
            log.warning("%s", recording.warning)
        log.info("wrote %s", args.out)
    return 0
