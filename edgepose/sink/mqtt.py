"""Poses to an MQTT broker: `ROOT/poses` for each frame, `ROOT/availability` kept: online, or offline by last will.

A thread of ours owns the connection. The pipeline never waits for a live broker and never hears of its faults: they
are counted, and logged once per change. Encoding happens right before sending, so that `age_ms` is true.

The first pose and then one a second go with QoS 1 even where the rest goes with 0. The answer proves that the broker
lives, and on MQTT 5 that it lets us publish; while one is missing nothing more is sent, so a frozen broker collects
few old poses. MQTT 3.1.1 has no way to say "you may not": it drops the poses and nobody can know.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from dataclasses import dataclass

from edgepose import wire
from edgepose.config import Mqtt
from edgepose.poses import Frame, Poses
from edgepose.sink.base import Sink
from edgepose.sink.mqtt_link import Link, LinkDown
from edgepose.sink.mqtt_state import Backoff, Changes, Outbox
from edgepose.sink.mqtt_target import target

log = logging.getLogger("edgepose.sink.mqtt")

TOO_NEW = ("version", "hung up", "frozen")
"""What brokers do that know no MQTT 5: the honest ones say so, others hang up or choke on the first packet."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long what may take, seconds."""

    answer_s: float = 5.0
    """To connect, and for each step of it."""
    stall_s: float = 5.0
    """Messages handed over and none settled: the broker is frozen."""
    probe_s: float = 1.0
    """From one pose that asks for an answer to the next."""
    hold_s: float = 1.0
    """Live: an answer this late holds back what follows."""
    backoff_s: tuple[float, float] = (1.0, 30.0)
    """First and longest pause between attempts to connect; each is cut by up to half at random."""
    healthy_s: float = 10.0
    """A connection that lasted this long starts the pauses anew."""
    patience_s: float = 10.0
    """Not live: write() waits this long for room before it drops poses."""
    close_s: float = 1.0
    """Live: close() waits this long for the newest poses."""
    drain_s: float = 10.0
    """Not live: close() waits this long for all of them."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """A message that is not settled yet."""

    poses: Poses | None
    """None: availability."""
    qos: int
    since: float
    told: bool = False
    """`on_sent` knows of it."""


class MqttSink(Sink):
    """Publishes until closed, whatever the broker does.

    live  the newest poses win over old ones; else every one is delivered, with QoS 1, and write() waits for room
    """

    waits = False
    tells_later = True

    def __init__(self, settings: Mqtt, device: str, camera: str, *, live: bool = True, timing: Timing | None = None):
        """Raises ConfigError; a broker that is away is no error."""
        self._target = target(settings, device, camera)
        self._versions = self._target.versions
        self._device, self._camera = device, camera
        self._live, self._timing = live, timing or Timing()
        self._qos = settings.qos if live else 1
        self._outbox = Outbox(2, None) if live else Outbox(64, self._timing.patience_s)
        self._backoff = Backoff(*self._timing.backoff_s)
        self._changes = Changes(log)
        self._sent = self._refused = self._connections = 0
        self._allowed = False
        self._probe_t = float("-inf")
        self._closed = threading.Event()
        self._deadline = float("inf")
        self._wake, self._wake_far = socket.socketpair()
        self._wake_far.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="edgepose-mqtt", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> dict[str, int]:
        """sent, dropped (old ones for new ones), refused (logins and poses), reconnects."""
        return {
            "sent": self._sent,
            "dropped": self._outbox.dropped,
            "refused": self._refused,
            "reconnects": max(0, self._connections - 1),
        }

    def write(self, poses: Poses, frame: Frame) -> None:  # noqa: ARG002 (every sink gets the frame)
        """Queue `poses`; live, without waiting. Raises only after close()."""
        if self._closed.is_set():
            raise ValueError("MqttSink is closed")
        was_stuck = self._outbox.stuck
        self._outbox.put(poses)
        if self._outbox.stuck and not was_stuck:
            text = f"took nothing for {self._timing.patience_s:g} s; dropping old poses for new ones"
            self._tell("stuck", logging.WARNING, text, "queue")
        self._nudge()

    def close(self) -> None:
        """Send what is left, for a limited time, and say offline."""
        if self._closed.is_set():
            return
        self._deadline = time.monotonic() + (self._timing.close_s if self._live else self._timing.drain_s)
        self._closed.set()
        self._nudge()
        self._thread.join(self._deadline - time.monotonic() + 2 * self._timing.close_s)
        left = self._outbox.drop_all()
        if left:
            self._tell("closed", logging.WARNING, f"{left} poses did not reach it before the end", "queue")

    def _nudge(self) -> None:
        with contextlib.suppress(OSError):  # full: it will wake anyway; closed: it has ended
            self._wake_far.send(b"!")

    def _tell(self, state: str, level: int, text: str, subject: str = "broker") -> None:
        self._changes.tell(subject, state, level, f"{self._target.url}: {text}")

    # ---------------------------------------------------------------------------------------- the thread from here on

    def _run(self) -> None:
        with self._wake, self._wake_far:
            while not self._over(0):
                try:
                    self._serve()
                    return
                except LinkDown as down:
                    self._refused += down.kind == "refused"
                    if not self._over(0):
                        self._tell(down.kind, logging.WARNING, f"{down}; trying again")
                except Exception as error:  # noqa: BLE001 (a bug here must not end publishing: tell, connect anew)
                    self._tell(f"bug {error!r}", logging.ERROR, f"unexpected {error!r}; connecting anew")
                self._pause(self._backoff.next_s())

    def _over(self, unsettled: int) -> bool:
        """Closed, and nothing left to do or no time left to do it."""
        return self._closed.is_set() and (time.monotonic() > self._deadline or not (unsettled or len(self._outbox)))

    def _pause(self, pause_s: float) -> None:
        if not self._closed.wait(pause_s):
            return
        time.sleep(max(0.0, min(pause_s, 0.2, self._deadline - time.monotonic())))

    def _connect(self) -> Link:
        """Connect with the best version of MQTT that the broker speaks; what worked once is kept."""
        *better, last = self._versions
        for version in better:
            try:
                return self._open(version)
            except LinkDown as down:
                if down.kind not in TOO_NEW:
                    raise
        try:
            return self._open(last)
        except LinkDown as down:
            if down.kind == "version":
                self._versions = self._target.versions
            raise

    def _open(self, version: str) -> Link:
        link = Link(self._target, version, self._timing.answer_s)
        try:
            link.open(self._wake, lambda: self._over(0))
        except BaseException:
            link.close()
            raise
        self._versions = (version,)
        return link

    def _serve(self) -> None:
        """Connect and send until closed; LinkDown when the connection ends."""
        link = self._connect()
        self._connections += 1
        unsure = "" if link.version == "5" else " (it cannot tell whether that is allowed)"
        self._tell(
            "connected", logging.INFO, f"connected, MQTT {link.version}; publishing {self._target.root}/poses{unsure}"
        )
        unsettled: dict[int, _Sent] = {}
        self._allowed = False
        connected_t = progress_t = time.monotonic()
        try:
            unsettled[link.publish_availability(b"online")] = _Sent(None, 1, progress_t)
            while not self._over(len(unsettled)):
                if not unsettled:
                    progress_t = time.monotonic()
                self._fill(link, unsettled)
                for mid, denied in link.turn(0.25, self._wake):
                    self._settle(unsettled.pop(mid), denied)
                    progress_t = time.monotonic()
                if time.monotonic() - progress_t > self._timing.stall_s:
                    raise LinkDown("frozen", "does not answer any more")
            link.publish_availability(b"offline")
            link.leave(self._wake, self._timing.close_s / 2)
        finally:
            if time.monotonic() - connected_t > self._timing.healthy_s:
                self._backoff.reset()
            link.close()
            self._outbox.put_back(sent.poses for sent in unsettled.values() if sent.poses is not None)

    def _fill(self, link: Link, unsettled: dict[int, _Sent]) -> None:
        """Hand over what the broker can take now."""
        while len(unsettled) < link.in_flight_max:
            now = time.monotonic()
            if self._live and any(now - sent.since > self._timing.hold_s for sent in unsettled.values()):
                return
            poses = self._outbox.take()
            if poses is None:
                return
            qos = self._qos
            if not self._allowed or now - self._probe_t >= self._timing.probe_s:
                qos, self._probe_t = 1, now
            payload = wire.encode(poses, self._device, self._camera, now, time.time())
            mid = link.publish_pose(payload, qos)
            unsettled[mid] = _Sent(poses, qos, now, told=link.written)
            if link.written:
                self.on_sent(poses, time.monotonic())

    def _settle(self, sent: _Sent, denied: str) -> None:
        """Count a message; tell when the broker's mind about it changed."""
        what = "availability" if sent.poses is None else "poses"
        if denied:
            text = f"does not let us publish {self._target.root}/{what}: {denied}; change its access rules"
            self._tell("denied", logging.WARNING, text, what)
        elif sent.qos:
            self._tell("allowed", logging.DEBUG, f"takes {self._target.root}/{what}", what)
        if sent.poses is None:
            return
        if not sent.told:
            self.on_sent(sent.poses, time.monotonic())
        if sent.qos:
            self._allowed = not denied
        self._refused += bool(denied)
        self._sent += not denied
        if self._outbox.stuck:
            self._tell("flowing", logging.INFO, "takes poses again", "queue")
        self._outbox.went_out()
