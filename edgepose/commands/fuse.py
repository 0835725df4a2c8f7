"""`edgepose fuse`: several cameras of one room become people in metres."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from edgepose.commands.flags import add_settings, given_keys, load_settings, read_settings

if TYPE_CHECKING:
    from edgepose.service.notify import Notify

log = logging.getLogger("edgepose")

HELP = "Join several calibrated cameras into one room: people in metres, with ids of the room's own."
EXAMPLES = """  edgepose fuse --calibration Calib.toml --broker mqtt://localhost
  edgepose fuse --calibration Calib.toml --broker mqtt://localhost --device hall --record hall.epr
  edgepose fuse --calibration room.qca.txt --broker mqtt://localhost --jsonl -

a camera of the calibration is called as its device, as DEVICE/CAMERA or as CAMERA of edgepose/DEVICE/CAMERA/poses;
the room is published like any device, on edgepose/NAME/room/poses; whom one camera alone sees is lifted, marked so,
and put where lift.height_m says (--lift.kind none leaves them out)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument(
        "--calibration", required=True, metavar="FILE",
        help="where the cameras stand: Pose2Sim or Anipose TOML, OpenCV YAML or JSON, Qualisys",
    )  # fmt: skip
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    """Fuse until somebody ends it."""
    from edgepose.service.supervised import supervised

    with supervised() as notify:
        return _run(args, notify)


def _run(args: argparse.Namespace, notify: Notify) -> int:
    import msgspec

    from edgepose.commands.progress import watched
    from edgepose.core.errors import ConfigError
    from edgepose.pipeline.fuse import Fused, FuseSource
    from edgepose.pipeline.fuse.opening import room_pipeline
    from edgepose.service.run import Service
    from edgepose.service.signals import stops

    cfg = read_settings(args)
    if not cfg.sink.mqtt.broker:
        raise ConfigError("sink.mqtt.broker: a room hears its cameras over a broker; add --broker mqtt://HOST")
    if cfg.camera == type(cfg)().camera:
        cfg = msgspec.structs.replace(cfg, camera="room")
    if "lift.kind" not in given_keys(args):
        cfg = msgspec.structs.replace(cfg, lift=msgspec.structs.replace(cfg.lift, kind="auto"))
    pipeline = room_pipeline(cfg, FuseSource(cfg, Path(args.calibration)), Fused())

    def stop() -> None:
        service.stopping()
        pipeline.stop()

    with pipeline, Service(cfg, pipeline, lambda: load_settings(args), notify) as service, stops(stop):
        watched(pipeline, service.saw)
    return service.exit_code
