"""`edgepose export`: a recording as other programs' files."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from edgepose.commands.flags import add_settings, read_settings
from edgepose.commands.replay import add_window, check_window, seconds
from edgepose.core.errors import ConfigError

log = logging.getLogger("edgepose")

HELP = "Turn a recording into COCO json, CSV, OpenPose-style json, BVH, glTF, TRC, C3D or MOT."
EXAMPLES = """  edgepose export day.epr day.csv                      a row for each person and joint
  edgepose export day.epr day.json                     COCO: images, annotations and joints in one file
  edgepose export day.epr json/                        OpenPose: a file a frame, joints in the order of BODY_25
  edgepose export day.epr r.json --format coco-results what COCOeval takes
  edgepose export day.epr day.trc --lift.kind auto     markers in metres, lifted from one camera; .c3d the same
  edgepose export day.epr rigs/ --format bvh --lift.kind auto    a file for each person, for animators
  edgepose export day.epr mot/ --format mot --lift.kind auto     joint angles for OpenSim, a file for each person
  edgepose export day.epr day.glb --lift.kind auto     everybody's rig in one glTF, for Blender, three.js, engines
  edgepose export day.epr part.csv --from 60 --to 90   a part, seconds from the start
  edgepose export day.epr raw.csv --track.mode off     as the model found them

People have been followed and smoothed, by the settings in force, as `edgepose replay` does it."""
KINDS = ("coco", "coco-results", "csv", "openpose", "bvh", "mot", "trc", "c3d", "gltf")
BY_NAME = {".csv": "csv", ".json": "coco", "": "openpose", ".trc": "trc", ".c3d": "c3d", ".glb": "gltf"}
"""Ending of OUT -> what it is for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument("file", metavar="FILE", help="a recording, made with --record")
    parser.add_argument("out", metavar="OUT", help="file to write; for openpose, bvh and mot a folder")
    group = parser.add_argument_group("what is written")
    group.add_argument("--format", dest="kind", choices=KINDS, help="what the file is for; default: by its ending")
    add_window(group, _kind_or_seconds)
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    """Write it."""
    from edgepose.commands.progress import FrameProgress
    from edgepose.pipeline.replay.play import Plan, Replay
    from edgepose.sink.apart import require_apart
    from edgepose.sink.export import FORMATS
    from edgepose.wire.recording import read

    cfg = read_settings(args)
    kind = asked_kind(args)
    check_window(args.from_s, args.to_s)
    require_apart([("OUT", args.out)], [("FILE", args.file)])
    plan = Plan(0.0, args.from_s, args.to_s, args.decode, args.as_recorded)
    with read(Path(args.file)) as recording:
        sink = FORMATS[kind](Path(args.out))
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


def _kind_or_seconds(text: str) -> float | str:
    """Where --to ends; or, as it used to be called, the format."""
    return text if text in KINDS else seconds(text)


def asked_kind(args: argparse.Namespace) -> str:
    """The format by --format, by --to, or by the ending of OUT; --to is a time afterwards.

    Raises:
        ConfigError: nothing says which.
    """
    old = next((each for each in args.to_s if isinstance(each, str)), None)
    times = [each for each in args.to_s if not isinstance(each, str)]
    args.to_s = times[-1] if times else float("inf")
    out = Path(args.out)
    kind: str | None = args.kind or old or BY_NAME.get("" if out.is_dir() else out.suffix.lower())
    if kind is None:
        raise ConfigError(f"OUT {out}: {out.suffix} says no format; give --format, one of {', '.join(KINDS)}")
    return kind
