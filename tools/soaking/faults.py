"""Everything that goes wrong, one row each: what begins it, what ends it, and how long it lasts."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import sqlite3
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tools.soaking.broker import PASSWORD, Broker
from tools.soaking.camera import Camera
from tools.soaking.clock import Clock
from tools.soaking.disk import Disk
from tools.soaking.hostile import COMMANDS, FLOOD
from tools.soaking.reader import Reader
from tools.soaking.service import Supervised

HOUR_S = 3600
EMPTY_S = 15.0
"""Longest wait until nobody is there and the spool is empty."""
LIMITS = {"few": "max_qos 0\nretain_available false\n", "small": "max_packet_size 700\n"}
"""What a broker of another make, or of another owner, does not do."""


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
    side: Disk
    """Of the JSON lines."""
    metrics: int
    """Port of the numbers for Prometheus."""
    rng: random.Random
    reader: Reader | None = None
    held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    """What somebody else has meanwhile."""
    since: int = 0
    """Lines of the log, or bytes of the file of lines, when it was looked at."""
    newest: int = 0
    """Number of an event, likewise."""
    may_jump: set[int] = field(default_factory=set)
    """Numbers of events above which a new spool was begun."""

    @property
    def lines(self) -> Path:
        """Of JSON, on the side disk."""
        return self.side.folder / "lines" / "poses.jsonl"

    @property
    def there(self) -> Reader:
        """The reader of this run."""
        if self.reader is None:
            raise RuntimeError("nobody reads yet")
        return self.reader

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

    def empty(self) -> None:
        """Nobody is there, and all events have arrived."""
        self.camera.people = False
        until_t, calm_t, count = time.monotonic() + EMPTY_S, time.monotonic(), -1
        while time.monotonic() < until_t:
            if len(self.there.order) != count or self.there.waiting:
                calm_t, count = time.monotonic(), len(self.there.order)
            if time.monotonic() - calm_t > 2.5:  # two healths, of one second each
                return
            time.sleep(0.1)

    def limit_broker(self, limits: str) -> None:
        """It comes back and can do less, or all again; nothing is on its way, for without QoS 1 that would be lost."""
        self.empty()
        self.since = len(self.service.told)
        self.broker.restart(limits)
        self.there.wait_connected(EMPTY_S)
        self.camera.people = True
        self._note_events()

    def _note_events(self) -> None:
        self.newest = max(self.there.order, default=0)

    def _note_new_spool(self) -> None:
        self._note_events()
        self.may_jump.add(self.newest)

    def fill_side(self) -> None:
        """No more JSON lines."""
        self.side.fill()

    def side_fails(self) -> str:
        """The lines are in trouble, and poses go on."""
        if not any("jsonl" in trouble for trouble in self.there.troubles):
            return f"status tells no trouble of the JSON lines: {self.there.troubles}"
        return self.poses_flow()

    def side_works(self) -> str:
        """The file grows, and nothing is in trouble."""
        size = self.lines.stat().st_size if self.lines.exists() else 0
        before, self.since = self.since, size
        if self.there.troubles:
            return f"status still tells: {self.there.troubles}"
        return "" if size > before > 0 else "the JSON lines do not grow"

    def poses_flow(self) -> str:
        """A pose came just now."""
        back_t = self.there.good_since(time.monotonic(), 0.5)
        return "no pose comes meanwhile" if back_t is None else ""

    def connected_once(self) -> str:
        """The broker was reached, and not anew for ever; events come whatever it cannot do."""
        times = sum("connected, MQTT" in line for line in self.service.told[self.since :])
        if times != 1:
            return f"connected {times} times to a broker that can do less"
        return "" if max(self.there.order, default=0) > self.newest else "no event comes through it"

    def events_flow(self) -> str:
        """An event came since."""
        return "" if max(self.there.order, default=0) > self.newest else "no event comes any more"

    def damage_spool(self) -> None:
        """While the service is dead: one byte of the file that keeps events is another."""
        for path in self.disk.folder.glob("events-*.db"):
            with path.open("r+b") as file:
                at = self.rng.choice((self.rng.randrange(100), self.rng.randrange(path.stat().st_size)))
                file.seek(at)
                (byte,) = file.read(1)
                file.seek(at)
                file.write(bytes([byte ^ self.rng.randrange(1, 256)]))
        self._note_new_spool()
        self.service.release()
        self.camera.people = True

    def kill_empty(self) -> None:
        """Killed while nothing waits, so that nothing can be lost."""
        self.empty()
        self.service.kill(hold=True)

    def forget_clock(self) -> None:
        """A board without a battery and with a root that forgets: no spool, and a clock that is behind."""
        self.kill_empty()
        for path in self.disk.folder.glob("events-*"):
            path.unlink()
        self.clock.jump(-HOUR_S)
        self._note_new_spool()
        self.service.release()
        self.camera.people = True

    def start_early(self) -> None:
        """Before folder, port, camera and the spool's lock are there for it."""
        self.kill_empty()
        self.camera.stop()
        self.lines.parent.rename(self.side.folder / "away")
        self.held = contextlib.ExitStack()
        port = self.held.enter_context(socket.socket())
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port.bind(("127.0.0.1", self.metrics))
        port.listen(1)
        for path in self.disk.folder.glob("events-*.db"):
            spool = self.held.enter_context(contextlib.closing(sqlite3.connect(path)))
            spool.execute("BEGIN EXCLUSIVE")
        self.service.release()

    def is_early(self) -> str:
        """It runs, and says what it waits for."""
        told = " ".join(self.there.troubles)
        missing = [word for word in ("jsonl", "metrics", "another process") if word not in told]
        return f"status does not tell of {', '.join(missing)}: {told!r}" if missing else ""

    def come_late(self) -> None:
        """All of it comes."""
        self.held.close()
        (self.side.folder / "away").rename(self.lines.parent)
        self._note_new_spool()
        self.since = 0
        self.camera.start()
        self.camera.people = True

    def all_came(self) -> str:
        """Lines, numbers and events are there."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=1) as response:
                response.read()
        except OSError as error:
            return f"no metrics: {error}"
        return self.events_flow() or self.side_works()

    def stall_broker(self) -> None:
        """It takes connections and says nothing, when the service starts."""
        self.kill_empty()
        self.broker.send(signal.SIGSTOP)
        self.service.release()
        self.camera.people = True

    def wake_broker(self) -> None:
        """Whatever it was taken for, its next life is asked anew what it speaks."""
        self.broker.send(signal.SIGCONT)
        self.there.good_since(time.monotonic(), EMPTY_S)
        self.since = len(self.service.told)
        self.broker.restart()

    def speaks_5(self) -> str:
        """The version is not pinned by how the first try ended."""
        told = [line for line in self.service.told[self.since :] if "connected, MQTT" in line]
        return "" if told and "MQTT 5" in told[-1] else f"it does not speak MQTT 5: {told}"

    def command(self) -> None:
        """Malformed commands of every kind, then many at once."""
        self.there.answers.clear()
        for suffix, payload in COMMANDS:
            self.there.publish(f"control/{suffix}", payload)
        for _ in range(FLOOD):
            self.there.publish("control/status", b"{}")

    def answered(self) -> str:
        """Malformed ones are refused one by one, and somebody is still listened to."""
        self.there.publish("control/status", b'{"id": "soak"}')
        time.sleep(0.2)
        answers = list(self.there.answers)
        if any(answer.error.startswith("unexpected") for answer in answers):
            return "an answer tells of something unexpected"
        if not any(not answer.ok for answer in answers):
            return "nothing malformed is refused"
        return self.poses_flow() or (
            "" if any(a.id == "soak" and a.ok for a in answers) else "a good one has no answer"
        )

    def stop_service(self, number: signal.Signals) -> None:
        """SIGSTOP, SIGCONT."""
        if self.service.pid is not None:
            os.kill(self.service.pid, number)


def nothing(_: World) -> str:
    """All is well."""
    return ""


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
    during: Callable[[World], str] = nothing
    """What is wrong while it lasts; it lasts until nothing is, or PATIENCE_S longer."""
    after: Callable[[World], str] = nothing
    """What is still wrong after it."""
    long: bool = False
    """In runs of LONG_RUN_S and more only, or where it is asked for by name."""
    offsets_s: tuple[float, ...] = (0.0,)
    """How far the service's clock may be ahead meanwhile."""


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
        offsets_s=(0.0, HOUR_S),
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
    "service-stopped": Fault(
        "SIGSTOP, SIGCONT of the service",
        lambda w: w.stop_service(signal.SIGSTOP),
        lambda w: w.stop_service(signal.SIGCONT),
        (2.2, 10.0),
    ),
    "commands-hostile": Fault(
        "malformed commands, then a thousand at once",
        World.command,
        lambda _: None,
        (0.3, 2.0),
        during=World.answered,
    ),
    "side-disk-full": Fault(
        "the disk of the JSON lines is full; poses and events go on",
        World.fill_side,
        lambda w: w.side.free(),
        (3.0, 10.0),
        during=World.side_fails,
        after=World.side_works,
        long=True,
    ),
    "broker-limited": Fault(
        "the broker comes back without QoS 1 and without kept messages",
        lambda w: w.limit_broker(LIMITS["few"]),
        lambda w: w.limit_broker(""),
        (3.0, 8.0),
        during=lambda w: w.connected_once() or w.poses_flow(),
        after=World.events_flow,
        long=True,
    ),
    "broker-small": Fault(
        "the broker comes back and takes no message as large as a pose",
        lambda w: w.limit_broker(LIMITS["small"]),
        lambda w: w.limit_broker(""),
        (3.0, 8.0),
        during=World.connected_once,
        after=World.events_flow,
        long=True,
    ),
    "broker-stalled": Fault(
        "the service starts while the broker takes connections and says nothing",
        World.stall_broker,
        World.wake_broker,
        (6.0, 12.0),
        kills=True,
        after=World.speaks_5,
        long=True,
    ),
    "spool-damaged": Fault(
        "a byte of the spool is another after a SIGKILL",
        World.kill_empty,
        World.damage_spool,
        (0.5, 1.0),
        kills=True,
        after=World.events_flow,
        long=True,
    ),
    "clock-behind": Fault(
        "started with an empty disk and a clock an hour behind, which is then put right",
        World.forget_clock,
        lambda w: w.clock.jump(0),
        (6.0, 8.0),
        kills=True,
        during=World.events_flow,
        after=World.events_flow,
        long=True,
        offsets_s=(0.0, -HOUR_S),
    ),
    "started-early": Fault(
        "started before its camera, the folder of its lines, its port and the spool's lock are there",
        World.start_early,
        World.come_late,
        (4.0, 8.0),
        kills=True,
        during=World.is_early,
        after=World.all_came,
        long=True,
    ),
    "broker-forgets": Fault(
        "as broker-holding, and it has lost its state",
        World.lose_reader,
        lambda w: w.kill_holder(forget=True),
        (2.5, 6.0),
        forgets=True,
    ),
}
