"""SIGHUP reads the settings again: what can change while running does, a file that would not start is refused whole.

Nothing is changed before everything that must open has opened; the loop goes on with the old meanwhile.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec

from edgepose.core import config
from edgepose.core.errors import EdgeposeError

if TYPE_CHECKING:
    from edgepose.core.poses import Frame, Poses
    from edgepose.estimate import Estimate
    from edgepose.pipeline import Pipeline
    from edgepose.service.run import Service

log = logging.getLogger("edgepose.service")

AT_ONCE = ("log", "service.", "smooth.", "track.")
"""Settings, or sections of them, that change with the next frame."""
REOPENED = ("engine.", "decode.", "estimate.")
"""The model is opened anew beside the old one, tried, and takes over."""
NEVER = ("track.mode",)
"""Exceptions: these need a restart, as does all that is in neither list."""
TAKES_OVER_S = 30.0
"""Longest wait for the loop to take what was read."""


def changed(before: config.Config, after: config.Config) -> list[str]:
    """Keys of the settings that differ."""
    old, new = msgspec.to_builtins(before), msgspec.to_builtins(after)
    return [setting.key for setting in config.settings() if _at(old, setting.key) != _at(new, setting.key)]


def _at(raw: Any, key: str) -> Any:
    for part in key.split("."):
        raw = raw[part]
    return raw


def is_one_of(key: str, names: tuple[str, ...]) -> bool:
    """Whether a key is listed, itself or with its section."""
    return key not in NEVER and any(key == name or (name.endswith(".") and key.startswith(name)) for name in names)


def check(cfg: config.Config) -> None:
    """See whether a restart with these settings would start, as far as that shows without opening anything.

    Raises:
        ConfigError: it would not.
    """
    from edgepose.source.detect import address, kind_of

    if cfg.source.kind == "auto":
        kind_of(cfg.source.uri)
    address(cfg.source)
    if cfg.sink.mqtt.broker:
        from edgepose.sink.mqtt.target import target

        target(cfg.sink.mqtt, cfg.device_name, cfg.camera)


class Reload:
    """A part of the service: reads the settings again when asked, in a thread of its own."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._file = service.cfg
        """As last read: a command may have changed what is in force since."""
        self._asked = threading.Semaphore(0)
        self._ended = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Wait to be asked."""
        if self._service.read is not None:
            self._thread = threading.Thread(target=self._run, name="edgepose-reload", daemon=True)
            self._thread.start()

    def saw(self, poses: Poses, frame: Frame) -> None:
        """Frames do not matter here."""

    def stop(self) -> None:
        """End, after what it is at."""
        self._ended = True
        self._asked.release()
        if self._thread is not None:
            self._thread.join(TAKES_OVER_S)

    def ask(self) -> None:
        """Read them again, soon; safe in a signal handler."""
        self._asked.release()

    def _run(self) -> None:
        while True:
            self._asked.acquire()
            while self._asked.acquire(blocking=False):
                pass  # asked twice is asked once
            if self._ended:
                return
            self.now()

    def now(self) -> bool:
        """Read and apply them; whether they were taken. Told in one line of the log."""
        notify = self._service.notify
        notify.send(RELOADING=1, MONOTONIC_USEC=time.monotonic_ns() // 1000)
        try:
            said = self._apply()
        except EdgeposeError as error:
            log.error("settings read again and refused, the old ones stay: %s", error)
            notify.send(READY=1, STATUS=f"settings refused, the old ones stay: {error}")
            return False
        log.info("settings read again: %s", said)
        notify.send(READY=1, STATUS=f"settings read again: {said}")
        return True

    def _apply(self) -> str:
        from edgepose.service.models import try_estimate

        service = self._service
        if service.read is None:
            raise EdgeposeError("there is no settings file")
        new = service.read()
        keys = changed(self._file, new)
        check(new)
        at_once = [key for key in keys if is_one_of(key, AT_ONCE)]
        reopened = [key for key in keys if is_one_of(key, REOPENED)]
        later = [key for key in keys if key not in at_once and key not in reopened]
        in_force = with_changes(service.cfg, new, [*at_once, *reopened])
        estimate = try_estimate(in_force, None) if reopened else None
        self._hand_over(in_force, keys, estimate)
        self._file = new
        parts = [f"{', '.join(at_once + reopened)} changed"] if at_once or reopened else []
        parts += [f"{', '.join(later)} need{'s' * (len(later) == 1)} a restart"] if later else []
        return "; ".join(parts) or "nothing has changed"

    def _hand_over(self, cfg: config.Config, keys: list[str], estimate: Estimate | None) -> None:
        """Let the loop's thread put it into force between two frames."""
        taken = threading.Event()

        def put(pipeline: Pipeline) -> None:
            apply(cfg, keys, pipeline, estimate)
            taken.set()

        self._service.pipeline.ask(put)
        self._service.cfg = cfg
        logging.getLogger().setLevel(cfg.log.upper())
        if not taken.wait(TAKES_OVER_S) and not self._ended:
            log.warning("settings wait for the loop, which is busy")


def apply(cfg: config.Config, keys: list[str], pipeline: Pipeline, estimate: Estimate | None) -> None:
    """Put settings into force; in the loop's thread."""
    from edgepose.pipeline.stages import Following

    if "service.max_fps" in keys:
        pipeline.max_fps = cfg.service.max_fps
    follows = any(is_one_of(key, ("smooth.", "track.", "decode.kernels")) for key in keys)
    if follows:
        before, pipeline.following = pipeline.following, Following(cfg, pipeline.source)
        if before is not None and not any(key.startswith("smooth.") for key in keys):
            pipeline.following.smooth = before.smooth  # a command's, maybe
    if estimate is not None:
        pipeline.swap(estimate)
    elif follows and pipeline.tracker is not None and pipeline.following is not None:
        tracker = pipeline.following.tracker(pipeline.estimate)
        tracker.goes_on_from(pipeline.tracker)
        pipeline.tracker = tracker
        pipeline.smoother = pipeline.following.smoother(pipeline.estimate.skeleton)


def with_changes(cfg: config.Config, new: config.Config, keys: list[str]) -> config.Config:
    """`cfg` with the values that `new` has for some keys."""
    raw, other = msgspec.to_builtins(cfg), msgspec.to_builtins(new)
    for key in keys:
        config.put(raw, key, _at(other, key))
    return config.convert(raw, config.Config, "settings")
