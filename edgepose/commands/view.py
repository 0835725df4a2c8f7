"""`edgepose view`: see it live in a browser, or a recording with a timeline."""

from __future__ import annotations

import argparse
import logging
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from edgepose.commands.flags import add_settings, read_settings
from edgepose.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgepose.core.config import Config
    from edgepose.lab.view.hub import Hub
    from edgepose.lab.view.reel import Reel
    from edgepose.lab.view.serve import Picture
    from edgepose.lab.view.server import Server

log = logging.getLogger("edgepose")

HELP = "Look at poses in a browser: live from a broker or a source, or a recording."
EXAMPLES = """  edgepose view --broker mqtt://homeassistant.local      every camera of a broker
  edgepose view --source /dev/video0                      a camera of this machine, without a broker
  edgepose view day.epr                                   a recording: scrub, step, speed
  edgepose view before.epr after.epr                      two, with one clock
  edgepose view --broker mqtt://localhost --listen 0.0.0.0:8000    for a phone, with a QR code

the address holds a secret; who has it sees the poses"""
MOST_FILES = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument("files", nargs="*", metavar="FILE", help="a recording, made with --record; two are compared")
    parser.add_argument(
        "--listen", default="127.0.0.1:0", metavar="HOST:PORT",
        help="where the page is served; default: this machine alone, a free port",
    )  # fmt: skip
    parser.add_argument("--open", action="store_true", help="open it in the browser of this machine")
    parser.add_argument(
        "--as_recorded", action="store_true", help="recordings with the [track] and [smooth] settings of then"
    )
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from edgepose.lab.view.hub import Hub
    from edgepose.lab.view.serve import no_picture, picture_route, routes
    from edgepose.lab.view.server import Server

    cfg = read_settings(args)
    hub, stopped = Hub(), threading.Event()
    with ExitStack() as opened:
        picture: Picture = no_picture
        reels = []
        kind = _kind(args, cfg)
        if kind == "files":
            reels = [opened.enter_context(reel) for reel in _reels(args, cfg)]
        elif kind == "broker":
            from edgepose.lab.view.broker import BrokerFeed

            picture = opened.enter_context(BrokerFeed(cfg, hub)).picture
        else:
            picture = opened.enter_context(_Source(cfg, hub, stopped)).picture
        server = opened.enter_context(Server(args.listen, routes(hub, reels), {"picture": picture_route(hub, picture)}))
        opened.callback(hub.close)
        _announce(server, args.open)
        return _wait(stopped)


def _kind(args: argparse.Namespace, cfg: Config) -> str:
    """What is looked at: files go before a source that was typed, that before a broker, that before a set source."""
    if len(args.files) > MOST_FILES:
        raise ConfigError(f"{len(args.files)} recordings were given; {MOST_FILES} can be compared at a time")
    if args.files:
        return "files"
    if cfg.sink.mqtt.broker and getattr(args, "source.uri", None) is None:
        return "broker"
    if cfg.source.uri:
        return "source"
    raise ConfigError("nothing to look at; add --broker mqtt://HOST, --source X or a recording")


def _reels(args: argparse.Namespace, cfg: Config) -> list[Reel]:
    from edgepose.lab.view.reel import Reel
    from edgepose.pipeline.replay.play import Plan

    return [Reel(Path(file), cfg, Plan(as_recorded=args.as_recorded)) for file in args.files]


class _Source:
    """A source in a thread of its own; a context manager."""

    def __init__(self, cfg: Config, hub: Hub, stopped: threading.Event) -> None:
        from edgepose.lab.view.local import HubSink, looking

        self._cfg, self._stopped = looking(cfg), stopped
        self._sink = HubSink(hub, cfg.device_name, cfg.camera)
        self.picture = self._sink.picture
        self._stop = stopped.set
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="edgepose-view-source", daemon=True)

    def _run(self) -> None:
        from edgepose.lab.view.local import run_source

        def ready(stop: Callable[[], None]) -> None:
            self._stop = stop
            self._ready.set()

        try:
            run_source(self._cfg, self._sink, ready)
            if not self._stopped.is_set():
                log.info("the source has ended; the page stays until Ctrl-C")
        except BaseException as error:  # noqa: BLE001 (raised again in the thread that waits)
            self._error = error
            self._stopped.set()
        self._ready.set()

    def __enter__(self) -> _Source:
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: object) -> None:
        self._stop()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error


def _announce(server: Server, browse: bool) -> None:
    from edgepose.lab.output import say
    from edgepose.lab.view.server import is_loopback, reached_at

    host = str(server.server_address[0])
    if is_loopback(host):
        say(f"{server.url}\nopen it in a browser of this machine; Ctrl-C ends")
    else:
        from edgepose.lab.view import qr

        url = server.url_at(reached_at(host))
        try:
            shown = f"\n{qr.shown(url)}"
        except ValueError:  # longer than a code holds: it is typed
            shown = ""
        say(f"{url}\n{shown}\nwho has this address sees the poses, unencrypted; Ctrl-C ends")
    if browse:
        import webbrowser

        webbrowser.open(server.url)


def _wait(stopped: threading.Event) -> int:
    from edgepose.service.signals import stops

    with stops(stopped.set):
        while not stopped.wait(0.2):
            pass
    return 0
