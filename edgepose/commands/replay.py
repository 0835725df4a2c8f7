"""`edgepose replay`: a recording through tracker, filters and sinks."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepose.commands.flags import add_settings, read_settings
from edgepose.core.errors import ConfigError

if TYPE_CHECKING:
    from edgepose.core.config import Config
    from edgepose.pipeline import Pipeline
    from edgepose.pipeline.publish import Watch

log = logging.getLogger("edgepose")

HELP = "Feed a recording through tracker, filters and sinks, at any speed."
EXAMPLES = """  edgepose run --source picamera2 --record day.epr            make one; with --jsonl ... too, if you like
  edgepose replay day.epr --jsonl day.jsonl --speed 0         the same lines, as fast as it can
  edgepose replay day.epr --broker mqtt://localhost           to a broker, as fast as it happened
  edgepose replay day.epr --smooth.preset strong --overlay strong.mp4 --from 60 --to 90
  edgepose replay day.epr --decode --decode.min_joint_score 0.4   raw heads anew (sink.record.heads)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument("file", metavar="FILE", help="a recording, made with --record")
    group = parser.add_argument_group("what is played")
    group.add_argument(
        "--speed", type=_speed, default=1.0, metavar="X", help="1 as it happened, 2 twice as fast, 0 as fast as it can"
    )
    add_window(group)
    add_settings(parser)


def add_window(group: argparse._ArgumentGroup, until_type: Callable[[str], object] | None = None) -> None:
    """Flags that say which part of a recording, and what of it.

    until_type  what --to may be besides a time; it may come more than once then, and all of it is kept
    """
    group.add_argument("--from", dest="from_s", type=seconds, default=0.0, metavar="S", help="start there, seconds")
    group.add_argument(
        "--to", "--until", dest="to_s", metavar="S", help="end there, seconds",
        **({"type": seconds, "default": float("inf")} if until_type is None else _several(until_type)),
    )  # fmt: skip
    group.add_argument(
        "--decode", action="store_true", help="decode the raw heads anew, by the [decode] settings in force now"
    )
    group.add_argument(
        "--as_recorded", action="store_true", help="with the [track] and [smooth] settings that were in force then"
    )


def run(args: argparse.Namespace) -> int:
    """Play it."""
    from contextlib import ExitStack

    import msgspec

    from edgepose.commands.progress import FrameProgress
    from edgepose.core import config
    from edgepose.pipeline.replay.play import Plan, Replay, named_by
    from edgepose.service.signals import stops
    from edgepose.sink import open_sinks, require_delivered
    from edgepose.sink.apart import inputs_of, outputs_of, require_apart
    from edgepose.wire.recording import read

    cfg = read_settings(args)
    plan = Plan(args.speed, args.from_s, args.to_s, args.decode, args.as_recorded)
    with ExitStack() as opened:
        recording = opened.enter_context(read(Path(args.file)))
        check_window(plan.from_s, plan.to_s)
        first = next(iter(recording), None)
        if first is not None:
            cfg = named_by(cfg, first.session)
        cfg = msgspec.structs.replace(cfg, sink=msgspec.structs.replace(cfg.sink, record=config.Record()))
        require_apart(outputs_of(cfg), [("FILE", args.file), *inputs_of(cfg)])
        sinks = [opened.enter_context(sink) for sink in open_sinks(cfg, live=False)]
        replay = Replay(recording, cfg, sinks, plan)
        progress = FrameProgress(recording.frames() if plan.whole else None, live=False)
        with stops(replay.stop):
            try:
                replay.run(progress.saw, around=partial(_served, cfg))
            finally:
                progress.finish({})
                if recording.warning:
                    log.warning("%s", recording.warning)
    if not replay.stopped:
        require_delivered(sinks)
    return 0


def _several(type_: Callable[[str], object]) -> dict[str, Any]:
    return {"type": type_, "action": "append", "default": []}


@contextmanager
def _served(cfg: Config, pipeline: Pipeline) -> Iterator[Watch]:
    """Status, presence, health and metrics as they were; commands are for what can still change."""
    from msgspec.structs import replace

    from edgepose.service.run import Service

    with Service(replace(cfg, control=replace(cfg.control, on=False)), pipeline) as service:
        yield service.saw


def check_window(from_s: float, to_s: float) -> None:
    """Raise ConfigError where nothing can lie within."""
    if to_s < from_s:
        raise ConfigError(f"--until {to_s:g} is before --from {from_s:g}; swap them")


def _speed(text: str) -> float:
    number = seconds(text)
    if 0 < number < 1e-3:
        raise argparse.ArgumentTypeError(f"{text} is slower than a thousandth; 0 is as fast as it can")
    return number


def seconds(text: str) -> float:
    """A place in a recording; argparse's error where it is none."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number from 0 up")
    return number
