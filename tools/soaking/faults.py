"""Everything that goes wrong, one row each: what begins it, what ends it, and how long it lasts."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tools.soaking.broker import PASSWORD, Broker
from tools.soaking.camera import Camera
from tools.soaking.clock import Clock
from tools.soaking.disk import Disk
from tools.soaking.reader import Reader
from tools.soaking.service import Supervised

HOUR_S = 3600


@dataclass
class World:
    """All that a fault can get at."""

    broker: Broker
    camera: Camera
    service: Supervised
    disk: Disk
    clock: Clock
    settings: Path
    good_settings: str
    reader: Reader | None = None

    def break_settings(self) -> None:
        """A file that would not start, read at once."""
        self.settings.write_text(self.good_settings + "\n[smooth]\nmin_cutof_hz = = 3\n")
        self.service.hangup()

    def mend_settings(self) -> None:
        """The good file, read at once."""
        self.settings.write_text(self.good_settings)
        self.service.hangup()

    def use_certificate(self, name: str, at_once: bool) -> None:
        """By a restart of the broker, or as a renewal goes: by SIGHUP."""
        self.broker.certificates.use(name)
        if at_once:
            self.broker.restart()
        else:
            self.broker.reload()

    def expect_password(self, word: str, at_once: bool) -> None:
        """By a restart of the broker, or by SIGHUP."""
        self.broker.set_password(word)
        if at_once:
            self.broker.restart()
        else:
            self.broker.reload()

    def set_camera(self, mode: str) -> None:
        """Well, silent or corrupt."""
        self.camera.mode = mode  # type: ignore[assignment]

    def cut_power(self) -> None:
        """While the broker is away: of what waits, only what is on disk is left. Then both come back."""
        self.service.kill(hold=True)
        self.broker.start()
        self.service.release()

    def lose_reader(self) -> None:
        """From now on the broker alone has the events it acknowledges."""
        if self.reader is not None:
            self.reader.leave()

    def kill_holder(self, forget: bool) -> None:
        """The broker that holds them is killed, and comes back with what it had on disk, or without."""
        self.broker.kill()
        if forget:
            self.broker.forget()
        self.broker.start()
        if self.reader is not None:
            self.reader.come_back()

    def fill_disk(self) -> None:
        """And the broker is away, so that events have nowhere to go."""
        self.disk.fill()
        self.broker.kill()

    def free_disk(self) -> None:
        """Broker first: what waits in memory goes out, then there is room again."""
        self.broker.start()
        self.disk.free()


class Fault(NamedTuple):
    """One way to fail."""

    says: str
    begins: Callable[[World], None]
    ends: Callable[[World], None]
    seconds: tuple[float, float]
    """How long it lasts: in a short run, at most in a long one."""
    kills: bool = False
    """The service dies of it: done early, so that a long life is left to measure."""
    forgets: bool = False
    """The broker loses what it has acknowledged: done last, counted apart."""


FAULTS: dict[str, Fault] = {
    "broker-killed": Fault(
        "SIGKILL of the broker, started again", lambda w: w.broker.kill(), lambda w: w.broker.start(), (2.0, 12.0)
    ),
    "broker-holding": Fault(
        "SIGKILL of the broker while it holds events for a reader who is away",
        World.lose_reader,
        lambda w: w.kill_holder(forget=False),
        (2.0, 8.0),
    ),
    "broker-frozen": Fault(
        "SIGSTOP, SIGCONT of the broker",
        lambda w: w.broker.send(signal.SIGSTOP),
        lambda w: w.broker.send(signal.SIGCONT),
        (5.0, 15.0),
    ),
    "certificate-expired": Fault(
        "its certificate ran out, then is renewed (SIGHUP)",
        lambda w: w.use_certificate("expired", at_once=True),
        lambda w: w.use_certificate("good", at_once=False),
        (2.0, 8.0),
    ),
    "wrong-password": Fault(
        "it expects another password, then the right one (SIGHUP)",
        lambda w: w.expect_password("another", at_once=True),
        lambda w: w.expect_password(PASSWORD, at_once=False),
        (2.0, 8.0),
    ),
    "camera-gone": Fault(
        "connection reset, port closed", lambda w: w.camera.stop(), lambda w: w.camera.start(), (2.0, 10.0)
    ),
    "camera-silent": Fault(
        "connected, no frame comes",
        lambda w: w.set_camera("silent"),
        lambda w: w.set_camera("well"),
        (2.5, 10.0),
    ),
    "frames-corrupt": Fault(
        "JPEGs cut off, with flipped bytes, or noise",
        lambda w: w.set_camera("corrupt"),
        lambda w: w.set_camera("well"),
        (2.0, 8.0),
    ),
    "disk-full": Fault(
        "the spool's disk is full while the broker is killed", World.fill_disk, World.free_disk, (2.5, 10.0)
    ),
    "clock-jumps": Fault(
        "wall clock an hour ahead, then back",
        lambda w: w.clock.jump(HOUR_S),
        lambda w: w.clock.jump(0),
        (1.5, 8.0),
    ),
    "settings-broken": Fault(
        "SIGHUP with a file that would not start, then the good one",
        World.break_settings,
        World.mend_settings,
        (1.0, 4.0),
    ),
    "service-killed": Fault(
        "SIGKILL of the service, started again as by systemd",
        lambda w: w.service.kill(hold=True),
        lambda w: w.service.release(),
        (2.0, 2.0),
        kills=True,
    ),
    "power-cut": Fault(
        "the broker is killed, a while later the service, events on disk only",
        lambda w: w.broker.kill(),
        World.cut_power,
        (2.5, 6.0),
        kills=True,
    ),
    "broker-forgets": Fault(
        "as broker-holding, and it has lost its state",
        World.lose_reader,
        lambda w: w.kill_holder(forget=True),
        (2.5, 6.0),
        forgets=True,
    ),
}
