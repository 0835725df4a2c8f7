"""One run: sets the world up, lets things go wrong, waits until everything is back, counts."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tools.soaking.broker import NAME, PASSWORD, Broker, free_port
from tools.soaking.camera import Camera
from tools.soaking.clock import Clock
from tools.soaking.disk import Disk
from tools.soaking.faults import FAULTS, World
from tools.soaking.reader import STALE_S, Reader, delivered
from tools.soaking.report import Outcome, Report, Totals
from tools.soaking.schedule import Planned, last, planned
from tools.soaking.service import Supervised
from tools.soaking.slope import slope

START_S = 60.0
PATIENCE_S = 30.0
"""Longest wait for the first pose after a fault."""
CALM_S = 1.0
"""From a recovery to the next fault."""
DRAIN_S = 20.0
WARM = 0.2
"""Of the measured life: not counted for the slopes, it still loads and compiles."""
TAKEN_S = 0.7
"""A broker that stands still can hold poses that were handed over until the service notices: 0.3 s, and scheduling; on
a busy machine as much more as its threads had to wait for a processor."""
CLOCK_GRACE_S = 1.0
"""After a jump a message of before may still be on its way."""

SETTINGS = """
device = "board"
camera = "soak"
[source]
uri = "http://127.0.0.1:{camera}/"
kind = "stream"
stall_s = 2.0
backoff_max_s = 2.0
[track]
memory_s = 0.4
[sink.mqtt]
broker = "mqtts://127.0.0.1:{broker}"
username = "{name}"
password_file = "{folder}/password"
ca_file = "{authority}"
spool = "{spool}"
expiry_s = {expiry}
health_every_s = 1.0
[sink.jsonl]
path = "{lines}/poses.jsonl"
[metrics]
listen = "127.0.0.1:{metrics}"
[control]
per_minute = 6000
"""
SIDE_MB = 64


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _world(folder: Path, rng: random.Random, how: str) -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        broker = Broker(folder / "broker")
        stack.callback(broker.kill)
        camera = Camera(rng)
        stack.callback(camera.stop)
        clock = Clock(folder)
        running: list[Supervised] = []
        disk = Disk(folder / "disk", lambda: running[0].pid if running else None, how)
        stack.callback(disk.close)
        side = Disk(folder / "side", lambda: running[0].pid if running else None, how, SIDE_MB)
        stack.callback(side.close)
        lines, metrics = side.folder / "lines", free_port()
        lines.mkdir()
        password = folder / "password"
        password.touch(0o600)
        password.write_text(PASSWORD + "\n")
        text = SETTINGS.format(
            camera=camera.port, broker=broker.tls, name=NAME, folder=folder, spool=disk.folder,
            authority=broker.certificates.authority, expiry=int(STALE_S),
            lines=lines, metrics=metrics,
        )  # fmt: skip
        settings = folder / "edgepose.toml"
        settings.write_text(text)
        service = Supervised(settings, folder, clock.env)
        running.append(service)
        stack.callback(service.stop)
        yield World(broker, camera, service, disk, clock, settings, text, side, metrics, rng)


class Soak:
    """One run of `minutes`, all faults of `names` at least once."""

    def __init__(self, names: Sequence[str], minutes: float, seed: int, keep: bool, disk: str) -> None:
        self._names, self._total_s, self._keep, self._seed, self._disk = names, 60 * minutes, keep, seed, disk
        self._rng = random.Random(seed)  # noqa: S311 (no secret)
        self._began_t = time.monotonic()
        self._offsets: tuple[tuple[float, float], ...] = ((0.0, float("inf")),)
        self._outcomes: list[Outcome] = []

    def __call__(self) -> Report:
        """Run it."""
        folder = Path(tempfile.mkdtemp(prefix="edgepose-soak-"))
        folder.chmod(0o755)
        try:
            with _world(folder, self._rng, self._disk) as world:
                report = self._run(world, folder)
        except BaseException:
            say(f"soak: everything is left in {folder}")
            raise
        if self._keep or not report.met:
            say(f"soak: logs are in {folder}")
        else:
            shutil.rmtree(folder)
        return report

    def _known_offsets(self) -> tuple[float, ...]:
        now = time.monotonic()
        return tuple(offset for offset, until_t in self._offsets if now < until_t)

    def _run(self, world: World, folder: Path) -> Report:
        names = [name for name in self._names if len(FAULTS[name].offsets_s) == 1 or world.clock.there]
        left_out = [name for name in self._names if name not in names]
        reader = world.reader = Reader(world.broker.plain, "edgepose/board/soak", self._known_offsets)
        try:
            say(f"soak: seed {self._seed}; disk by {world.disk.how}; starting the service")
            if reader.good_since(self._began_t, START_S) is None:
                raise RuntimeError(f"no pose within {START_S:g} s of the start; see {folder}/service.log")
            time.sleep(2 * CALM_S)
            for fault in self._planned(names):
                self._suffer(fault, world, reader)
            measured_t = time.monotonic()  # what comes now is calm, and has more open than a fault leaves
            while time.monotonic() - self._began_t < self._total_s:
                time.sleep(0.5)
            self._drain(world, reader, people_back=True)
            with reader.changed:
                keeps_to, unreported = max(reader.order, default=0), len(reader.seen - reader.told)
            for fault in last(names, self._total_s, self._rng):
                self._suffer(fault, world, reader)
            self._drain(world, reader, people_back=False)
            code = world.service.stop()
            time.sleep(CALM_S)
        finally:
            reader.close()
        if code:
            world.service.unplanned.append(f"after SIGTERM it ended with {code}")
        return self._report(world, reader, keeps_to, unreported, measured_t, left_out)

    def _planned(self, names: Sequence[str]) -> Iterator[Planned]:
        """Every fault once, then as many as fit; each costs its length and about four seconds."""
        for number, round_ in enumerate(planned(names, self._total_s, self._rng)):
            for fault in round_:
                if number and time.monotonic() - self._began_t + fault.seconds + 4 > self._total_s:
                    return
                yield fault
            if not round_:
                return

    def _suffer(self, fault: Planned, world: World, reader: Reader) -> None:
        """One fault, from its beginning to the first good pose after its end."""
        row = FAULTS[fault.name]
        reloads = len(world.service.reloads)
        self._offsets = tuple((offset, float("inf")) for offset in row.offsets_s)
        began_t = time.monotonic()
        with reader.changed:
            reader.worst_gap, stale, before = (0.0, 0.0), len(reader.stale), reader.backwards
        waited = world.service.waited_s()
        row.begins(world)
        until_t = time.monotonic() + TAKEN_S
        time.sleep(fault.seconds)
        if fault.name == "broker-frozen":
            now = world.service.waited_s()
            reader.frozen = began_t, until_t + max((now[one] - waited.get(one, 0.0) for one in now), default=0.0)
        self._see(world, fault.name, row.during)
        row.ends(world)
        ended_t = time.monotonic()
        back_t = reader.good_since(ended_t, PATIENCE_S)
        self._see(world, fault.name, row.after)
        until_t = time.monotonic() + CLOCK_GRACE_S
        self._offsets = tuple((offset, until_t if offset else float("inf")) for offset in row.offsets_s)
        time.sleep(CALM_S)
        if fault.name == "settings-broken":
            self._check_reloads(world, reloads)
        with reader.changed:
            outcome = Outcome(
                fault.name,
                began_t - self._began_t,
                ended_t - self._began_t,
                None if back_t is None else back_t - ended_t,
                reader.worst_gap[0],
                len(reader.stale) - stale,
                reader.backwards - before,
            )
        self._outcomes.append(outcome)
        say(f"soak: {outcome.line()}")

    @staticmethod
    def _see(world: World, name: str, wrong: Callable[[World], str]) -> None:
        """Wait until nothing is wrong any more; what stays is told at the end."""
        until_t = time.monotonic() + PATIENCE_S
        while (what := wrong(world)) and time.monotonic() < until_t:
            time.sleep(0.2)
        if what:
            world.service.unplanned.append(f"{name}: {what}")

    def _check_reloads(self, world: World, before: int) -> None:
        """A broken file is refused, the good one is read."""
        told = world.service.reloads[before:]
        if len(told) != 2 or "refused" not in told[0] or "refused" in told[1]:
            world.service.unplanned.append(f"told of settings read again: {told}")

    def _drain(self, world: World, reader: Reader, people_back: bool) -> None:
        """Nobody comes any more; wait until the spool is empty and nothing more arrives."""
        world.camera.people = False
        until_t = time.monotonic() + DRAIN_S
        time.sleep(2 * CALM_S)
        count, calm_t = -1, time.monotonic()
        while time.monotonic() < until_t and (time.monotonic() - calm_t < CALM_S or reader.waiting):
            time.sleep(0.1)
            if len(reader.order) != count:
                count, calm_t = len(reader.order), time.monotonic()
        world.camera.people = people_back

    # ------------------------------------------------------------------------------------------------- counting

    def _report(
        self, world: World, reader: Reader, keeps_to: int, unreported: int, measured_t: float, left_out: list[str]
    ) -> Report:
        kept, highest = _spool(world.disk.folder)
        first = min(reader.order, default=0)
        counted = delivered(reader.order, first, keeps_to, frozenset(world.may_jump))
        apart = delivered(reader.order, keeps_to + 1, max(highest, keeps_to))
        lives = [sample.life for sample in world.service.samples]
        longest = max(set(lives), key=lives.count, default=0)
        samples = [sample for sample in world.service.samples if sample.life == longest and sample.t < measured_t]
        samples = samples[round(WARM * len(samples)) :]
        hours = [sample.t / 3600 for sample in samples]
        killed = sum(FAULTS[outcome.name].kills for outcome in self._outcomes)
        totals = Totals(
            seconds=time.monotonic() - self._began_t,
            frames=world.camera.frames,
            poses=reader.poses,
            stale=len(reader.stale),
            held=len(reader.held),
            backwards=reader.backwards,
            oldest_held_s=max((pose.age_s for pose in reader.held), default=0.0),
            stale_poses=[pose._replace(t=pose.t - self._began_t) for pose in reader.stale],
            events=counted,
            apart=apart,
            left_in_spool=kept,
            spool_dropped=int(reader.health.get("spool", {}).get("dropped", 0)),
            unreported=unreported,
            lives=world.service.lives,
            killed=killed,
            reloads=len(world.service.reloads),
            memory=slope(hours, [sample.rss_bytes / 2**20 for sample in samples]),
            files=slope(hours, [sample.files for sample in samples]),
            rss_mib=samples[-1].rss_bytes / 2**20 if samples else 0.0,
            open_files=samples[-1].files if samples else 0,
            measured_s=samples[-1].t - samples[0].t if samples else 0.0,
        )
        return Report(
            seed=self._seed,
            disk=world.disk.how,
            clock="a preloaded library" if world.clock.there else "",
            left_out=left_out,
            outcomes=self._outcomes,
            totals=totals,
            wrong=[*world.service.unplanned, *reader.wrong],
        )


def _spool(folder: Path) -> tuple[int, int]:
    """Events left in the spool, and the highest number it ever gave, by its own file."""
    kept = highest = 0
    for path in folder.glob("events-*.db"):
        with contextlib.closing(sqlite3.connect(path)) as db:
            kept += db.execute("SELECT count(*) FROM item").fetchone()[0]
            row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'item'").fetchone()
            highest = max(highest, row[0] if row else 0)
    return kept, highest
