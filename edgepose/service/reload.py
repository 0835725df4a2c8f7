"""SIGHUP reads the settings again: what can change while running does, a file that would not start is refused whole.

Nothing is changed before everything that must open has opened; the loop goes on with the old meanwhile.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from edgepose.core.errors import EdgeposeError
from edgepose.service.settings import changed, with_changes

if TYPE_CHECKING:
    from edgepose.core import config
    from edgepose.core.poses import Frame, Poses
    from edgepose.service.base import Host

log = logging.getLogger("edgepose.service")

AT_ONCE = ("log", "service.", "smooth.", "track.")
"""Settings, or sections of them, that change with the next frame."""
REOPENED = ("engine.", "decode.", "estimate.")
"""The model is opened anew beside the old one, tried, and takes over."""
NEVER = ("track.mode",)
"""Exceptions: these need a restart, as does all that is in neither list."""
JOIN_S = 30.0
"""Longest wait for what it is at, when the run has ended."""


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

    def __init__(self, service: Host) -> None:
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
            self._thread.join(JOIN_S)

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
        service = self._service
        if service.read is None:
            raise EdgeposeError("there is no settings file")
        new = service.read()
        keys = changed(self._file, new)
        check(new)
        now = [key for key in keys if is_one_of(key, (*AT_ONCE, *REOPENED))]
        later = [key for key in keys if key not in now]
        level = logging.getLogger().setLevel
        # what a command changes while a model opens stays as well: only what the file changed is put in force
        service.settings.change(lambda cfg: with_changes(cfg, new, now), lambda: level(service.cfg.log.upper()))
        self._file = new
        parts = [f"{', '.join(now)} changed"] if now else []
        parts += [f"{', '.join(later)} need{'s' * (len(later) == 1)} a restart"] if later else []
        return "; ".join(parts) or "nothing has changed"
