"""`edgepose run`: the service, from settings to sinks."""

from __future__ import annotations

import argparse
import gc
import logging
import signal
from typing import TYPE_CHECKING

from edgepose.commands.flags import add_settings, load_settings, read_settings

if TYPE_CHECKING:
    from edgepose.service.notify import Notify

log = logging.getLogger("edgepose")

HELP = "Take poses from a source to the sinks until it ends or Ctrl-C."
EXAMPLES = """  edgepose run photo.jpg more.jpg                   pictures, one after another; 'pics/*.jpg' as well
  edgepose run --source photo.jpg
  edgepose run --source walk.mp4 --overlay out.mp4 --jsonl poses.jsonl
  edgepose run --source picamera2 --broker mqtt://homeassistant.local --sink.mqtt.username pose \\
               --sink.mqtt.password_file /etc/edgepose/mqtt-password
  edgepose run --config edgepose.toml --engine.threads 2"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help="the same as --source; several are pictures")
    add_settings(parser)


def as_settings(args: argparse.Namespace) -> None:
    """Put sources without a flag where the settings have them."""
    typed = getattr(args, "source.uri")
    uris = ([typed] if typed is not None else []) + args.sources
    if args.sources:
        setattr(args, "source.uri", uris[0])
        setattr(args, "source.also", tuple(uris[1:]))


def run(args: argparse.Namespace) -> int:
    """Run until the source ends or somebody ends it."""
    from edgepose.service.supervised import supervised

    as_settings(args)
    with supervised() as notify:
        return run_service(args, notify)


def run_service(args: argparse.Namespace, notify: Notify) -> int:
    """The same, reported to whoever supervises it."""
    from edgepose.commands.progress import watched
    from edgepose.pipeline import build, described
    from edgepose.service.run import Service
    from edgepose.service.signals import handled, leave, stops
    from edgepose.service.watchdog import opening
    from edgepose.sink import require_delivered

    cfg = read_settings(args)
    gc.disable()  # a start makes much to look through and no garbage
    try:
        # Ctrl-C in the middle of an import would look like a library that is broken
        with handled({signal.SIGINT: leave}), opening(notify):
            pipeline = build(cfg, patient=notify.on)  # nobody is there to plug the camera in and type it again
    finally:
        gc.enable()

    def stop() -> None:
        log.info("stopping; once more to stop at once")
        service.stopping()
        pipeline.stop()

    with (
        pipeline,
        Service(cfg, pipeline, lambda: load_settings(args), notify) as service,
        stops(stop, lambda: service.reload.ask()),
    ):
        gc.freeze()  # what is here now stays: no frame waits for it to be looked through
        for engine in pipeline.estimate.engines:
            log.info("model %s", described(engine))
        watched(pipeline, service.saw)
    if not pipeline.source.live and not pipeline.stopped:
        require_delivered(pipeline.sinks, pipeline.counts.get("unrecorded", 0))
    return service.exit_code
