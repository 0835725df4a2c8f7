"""Everything for an MQTT broker, below one root: poses, events, kept topics, numbers of the moment, commands.

A thread of ours owns the connection. The pipeline never waits for a live broker and never hears of its faults: they
are counted, and logged once per change. What is promised for which topic is in its lane; poses are encoded right
before sending, so that `age_ms` is true.

Live, a pose ten times a second goes with QoS 1 even where the rest goes with 0. The answer proves that the broker
lives, and on MQTT 5 that it lets us publish; while one is late nothing more is sent, so a frozen broker collects
few old poses. MQTT 3.1.1 has no way to say "you may not": it drops what comes and nobody can know.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import secrets
import socket
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

from edgepose import wire
from edgepose.core import places
from edgepose.core.config import Mqtt
from edgepose.core.poses import Frame, Poses
from edgepose.sink.base import Handler, OnSent, Reply, Sink, untold
from edgepose.sink.mqtt.connection import Connection, Received, Settled, connect
from edgepose.sink.mqtt.events import EventsLane
from edgepose.sink.mqtt.inbox import Inbox
from edgepose.sink.mqtt.lanes import AnswerLane, KeptLane, Lane, MessageProperties, NowLane, Outgoing, PosesLane
from edgepose.sink.mqtt.reasons import ConnectionDown
from edgepose.sink.mqtt.spool import Spool
from edgepose.sink.mqtt.state import Backoff, Changes, Outbox, Timing
from edgepose.sink.mqtt.target import target

__all__ = ["Handler", "MqttSink", "Reply", "Timing"]

log = logging.getLogger("edgepose.sink.mqtt.sink")

TOO_NEW = ("version", "hung up", "frozen")
"""What brokers do that know no MQTT 5: the honest ones say so, others hang up or choke on the first packet."""
JSON, BINARY = "application/json", "application/octet-stream"


class _Sent(NamedTuple):
    """What was handed over and is not settled yet."""

    lane: Lane | None
    """None: a subscription."""
    out: Outgoing
    since: float
    told: bool = False
    """The kernel had it at once."""


class MqttSink(Sink):
    """Publishes until closed, whatever the broker does.

    live  the newest poses win over old ones, and events wait on disk; else every pose is delivered, with QoS 1,
          write() waits for room, and events wait in memory: a recording can be played again
    """

    waits = False
    tells_later = True

    def __init__(
        self,
        settings: Mqtt,
        device: str,
        camera: str,
        *,
        live: bool = True,
        timing: Timing | None = None,
        on_sent: OnSent = untold,
    ) -> None:
        """Raises ConfigError; a broker that is away is no error."""
        self._target = target(settings, device, camera)
        self._versions = self._target.versions
        self._live, self._timing = live, timing or Timing()
        self.run = secrets.token_hex(4)
        """Identifies this run in events, status and health."""
        self._names = device, camera
        self._backoff = Backoff(*self._timing.backoff_s)
        self._changes = Changes(log)
        self._refused = self._connections = self._garbled = 0
        self.subscribed = 0
        """Subscriptions the broker has granted on this connection."""
        self._closed = threading.Event()
        self._deadline = float("inf")
        self._wake, self._wake_far = socket.socketpair()
        self._wake_far.setblocking(False)

        self._outbox = Outbox(2, None) if live else Outbox(64, self._timing.patience_s)
        self._poses = _poses_lane(
            settings, device, camera, self.root, self._outbox, live, self._timing.probe_s, on_sent
        )
        self._kept, self._now, self._answers = (
            KeptLane(self._timing.retry_s),
            NowLane(settings.expiry_s),
            AnswerLane(),
        )
        self._inbox = Inbox(self.root, self._answers, self._nudge)
        self._kept.put(f"{self.root}/availability", b"online", owed=False)
        self._lanes: list[Lane] = [self._kept, self._answers, self._poses, self._now]
        self._events: EventsLane | None = None
        if settings.events:
            try:
                spool = _spool(settings, device, camera, self.root, live)
            except BaseException:
                self._let_go()
                raise
            self._events = EventsLane(
                spool, f"{self.root}/events", self.run, device, camera, self._timing.retry_s, self._nudge
            )
            self._lanes.insert(2, self._events)
        self._thread = threading.Thread(target=self._run, name="edgepose-mqtt", daemon=True)
        self._thread.start()

    @property
    def root(self) -> str:
        """Of all topics, without a slash at the end."""
        return self._target.root

    @property
    def counts(self) -> dict[str, int]:
        """Of poses: sent, dropped (old ones for new ones), refused (logins too); reconnects; garbled messages to us."""
        return {
            "sent": self._poses.sent,
            "dropped": self._outbox.dropped,
            "refused": self._refused + self._poses.refused,
            "reconnects": max(0, self._connections - 1),
            "garbled": self._garbled,
        }

    @property
    def undelivered(self) -> int:
        """As Sink: poses dropped or refused."""
        return self._outbox.dropped + self._poses.refused

    @property
    def spool_counts(self) -> dict[str, int]:
        """Of events: kept (waiting), dropped, failed (the disk did not take them), sent, refused; empty without."""
        return self._events.counts if self._events else {}

    @property
    def troubles(self) -> list[str]:
        """What does not work as set, though poses flow."""
        trouble = self._events.trouble if self._events else ""
        return [f"events wait in memory: {trouble}"] if trouble else []

    def write(self, poses: Poses, frame: Frame) -> None:  # noqa: ARG002 (every sink gets the frame)
        """Queue `poses` and who entered and left; live, without waiting. Raises only after close()."""
        self._check_open()
        if self._events:
            self._events.add(poses)
        was_stuck = self._outbox.stuck
        self._outbox.put(poses)
        if self._outbox.stuck and not was_stuck:
            text = f"took nothing for {self._timing.patience_s:g} s; dropping old poses for new ones"
            self._tell("stuck", logging.WARNING, text, "queue")
        self._nudge()

    def write_meaning(self, meaning: Any, poses: Poses) -> None:
        """Queue what rules say of poses: events in order, how they stand as the newest."""
        self._check_open()
        if meaning.events and self._events:
            self._events.add(poses, meaning.events)
        if meaning.rules is not None:
            now_wall = time.time()
            age_s = poses.age_s(time.monotonic(), now_wall)
            told = wire.meaning_of(meaning.rules, poses, self.run, *self._names, now_wall - age_s, age_s)
            self._kept.put(f"{self.root}/meaning", wire.encode_struct(told))
        self._nudge()

    def publish_kept(self, suffix: str, payload: bytes, *, absolute: bool = False) -> None:
        """Publish below the root, retained: the latest of each topic, again after each reconnect; from any thread.

        absolute  `suffix` is the whole topic
        An empty payload clears the topic at the broker, and forgets it here.
        """
        self._check_open()
        self._kept.put(self._topic(suffix, absolute), payload)
        self._nudge()

    def publish_now(self, suffix: str, payload: bytes, *, absolute: bool = False) -> None:
        """Publish below the root, not retained, with QoS 0: the newest of each topic, or nothing; from any thread."""
        self._check_open()
        self._now.put(self._topic(suffix, absolute), payload)
        self._nudge()

    def subscribe(self, suffix: str, handler: Handler, *, absolute: bool = False) -> None:
        """Call `handler` with each message published from now on; + and # are wildcards. Survives reconnects.

        Retained ones are left out: a command that is kept would come again with each connection.
        """
        self._check_open()
        self._inbox.add(self._topic(suffix, absolute), handler)
        self._nudge()

    def close(self) -> None:
        """Send what is left, for a limited time, and say offline."""
        if self._closed.is_set():
            return
        self._deadline = time.monotonic() + (self._timing.close_s if self._live else self._timing.drain_s)
        self._closed.set()
        self._nudge()
        self._thread.join(self._deadline - time.monotonic() + 2 * self._timing.close_s)
        if self._events:
            self._events.close(2 * self._timing.answer_s)
        left = self._outbox.drop_all()
        if left:
            self._tell("closed", logging.WARNING, f"{left} poses did not reach it before the end", "queue")

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise ValueError("MqttSink is closed")

    def _topic(self, suffix: str, absolute: bool) -> str:
        return suffix if absolute else f"{self.root}/{suffix}"

    def _let_go(self) -> None:
        self._wake.close()
        self._wake_far.close()

    def _nudge(self) -> None:
        with contextlib.suppress(OSError):  # full: it will wake anyway; closed: it has ended
            self._wake_far.send(b"!")

    def _tell(self, state: str, level: int, text: str, subject: str = "broker") -> None:
        self._changes.tell(subject, state, level, f"{self._target.url}: {text}")

    # ---------------------------------------------------------------------------------------- the thread from here on

    def _run(self) -> None:
        with self._wake, self._wake_far:
            while not self._over():
                try:
                    self._serve()
                    return
                except ConnectionDown as down:
                    self._refused += down.kind == "refused"
                    if not self._over():
                        self._tell(down.kind, logging.WARNING, f"{down}; trying again")
                except Exception as error:  # noqa: BLE001 (a bug here must not end publishing: tell, connect anew)
                    self._tell(f"bug {error!r}", logging.ERROR, f"unexpected {error!r}; connecting anew")
                self._pause(self._backoff.next_s())

    def _over(self, unsettled: int = 0) -> bool:
        """Closed, and nothing left to do or no time left to do it."""
        if not self._closed.is_set():
            return False
        now_t = time.monotonic()
        return now_t > self._deadline or not (unsettled or any(lane.pending(now_t) for lane in self._lanes))

    def _pause(self, pause_s: float) -> None:
        if not self._closed.wait(pause_s):
            return
        time.sleep(max(0.0, min(pause_s, 0.2, self._deadline - time.monotonic())))

    def _connect(self) -> Connection:
        """Connect with the best version of MQTT that the broker speaks.

        Where 5 worked once it stays; 3.1.1 never does, for a broker that hung may speak 5 the next time.
        """
        *better, last = self._versions
        for version in better:
            try:
                connection = self._open(version)
            except ConnectionDown as down:
                if down.kind not in TOO_NEW:
                    raise
            else:
                self._versions = (version,)
                return connection
        try:
            return self._open(last)
        except ConnectionDown as down:
            if down.kind == "version":
                self._versions = self._target.versions
            raise

    def _open(self, version: str) -> Connection:
        return connect(self._target, version, self._timing.answer_s, self._wake, self._over)

    def _serve(self) -> None:
        """Connect and send until closed; ConnectionDown when the connection ends."""
        connection = self._connect()
        self._connections += 1
        self._tell(
            "connected",
            logging.INFO,
            f"connected, MQTT {connection.version}; publishing {self.root}/poses{self._unsure(connection)}",
        )
        unsettled: dict[int, _Sent] = {}
        subscribed = unreadable = 0
        turns: deque[Lane] = deque(self._lanes)
        connected_t = progress_t = kept_t = time.monotonic()
        try:
            for lane in self._lanes:
                lane.connected()
            if self._events:
                mid = connection.subscribe(self._events.wants, kept=True)
                asked = Outgoing(self._events.wants, b"", 1, False, MessageProperties())
                unsettled[mid] = _Sent(None, asked, connected_t)
            while not self._over(len(unsettled)):
                if not unsettled:
                    progress_t = time.monotonic()
                subscribed = self._subscribe(connection, unsettled, subscribed)
                self._fill(connection, unsettled, turns)
                for settled in connection.turn(0.25, self._wake):
                    self._settle(unsettled.pop(settled.mid), settled)
                    progress_t = time.monotonic()
                for message in connection.received():
                    self._hear(message)
                if time.monotonic() - progress_t > self._timing.stall_s:
                    raise ConnectionDown("frozen", "does not answer any more")
                if not connection.limits.retain and time.monotonic() - kept_t > self._timing.again_s:
                    kept_t = time.monotonic()
                    self._kept.connected()
                if connection.unreadable > unreadable:
                    self._garbled += connection.unreadable - unreadable
                    unreadable = connection.unreadable
                    self._tell("garbled", logging.WARNING, "hands on messages that are not MQTT; left out", "garbled")
            self._say_goodbye(connection)
            connection.leave(self._wake, self._timing.close_s / 2)
            if self._events:
                self._events.left()
        finally:
            if time.monotonic() - connected_t > self._timing.healthy_s:
                self._backoff.reset()
            connection.close()
            self.subscribed = 0
            for lane in self._lanes:
                lane.lost([sent.out for sent in unsettled.values() if sent.lane is lane])

    def _say_goodbye(self, connection: Connection) -> None:
        """A camera stays known, and offline; of a recording that is over nothing is left behind."""
        plain = MessageProperties(content="")
        last = [Outgoing(f"{self.root}/availability", b"offline", 1, self._live, plain)]
        if not self._live:  # descriptions first: their entities would complain of empty messages
            topics = sorted(self._kept.topics, key=lambda topic: topic.startswith(f"{self.root}/"))
            last += [Outgoing(topic, b"", 1, True, plain) for topic in topics]
        waiting = {connection.publish(out) for out in last}
        until_t = time.monotonic() + self._timing.close_s
        while waiting and time.monotonic() < until_t:  # an answer nobody reads resets the connection, and so the will
            waiting -= {settled.mid for settled in connection.turn(0.1, self._wake)}

    def _unsure(self, connection: Connection) -> str:
        """What this connection cannot promise."""
        limits, says = connection.limits, []
        if limits.qos < 1:
            says.append(f"it has no QoS 1{': events may be lost' if self._events else ''}")
        if not limits.retain:
            says.append(f"it keeps no messages: status and the like come again every {self._timing.again_s:g} s")
        if connection.will is None:
            says.append("it takes no last will: nobody is told when this ends")
        if connection.version != "5":
            says.append(f"it cannot tell whether that is allowed{'; if not, events are lost' if self._events else ''}")
        return f" ({'; '.join(says)})" if says else ""

    def _subscribe(self, connection: Connection, unsettled: dict[int, _Sent], subscribed: int) -> int:
        """Ask for what was not asked for on this connection; how many subscriptions there are now."""
        wanted = self._inbox.patterns if connection.limits.wildcards else self._inbox.topics
        for pattern in wanted[subscribed:]:
            mid = connection.subscribe(pattern)
            unsettled[mid] = _Sent(None, Outgoing(pattern, b"", 1, False, MessageProperties()), time.monotonic())
        return len(wanted)

    def _hear(self, message: Received) -> None:
        """Give what came in to whoever wants it."""
        if self._events is None or message.topic != self._events.wants:
            self._inbox.take(message)
        elif other := self._events.heard(message.payload, message.retained):
            text = (
                f"another edgepose (run {other[:40]}) publishes as {self.root} too, and readers mix the two; give each "
                "board a name of its own: `device` in its settings, or its host name"
            )
            self._tell(other, logging.ERROR, text, "twin")

    def _fill(self, connection: Connection, unsettled: dict[int, _Sent], turns: deque[Lane]) -> None:
        """Hand over what the broker can take now; the lanes take turns, so that none keeps the others waiting."""
        idle = 0
        while len(unsettled) < connection.limits.in_flight and idle < len(turns):
            now_t = time.monotonic()
            if self._live and any(now_t - sent.since > self._timing.hold_s for sent in unsettled.values()):
                return
            lane = turns[0]
            turns.rotate(-1)
            busy = sum(sent.lane is lane for sent in unsettled.values()) >= lane.most
            out = None if busy else lane.take(now_t)
            if out is None:
                idle += 1
                continue
            idle = 0
            if excess := connection.excess(out):
                self._give_up(lane, out, f"{excess} bytes, and it takes {connection.limits.packet_bytes}")
                continue
            mid = connection.publish(out)
            unsettled[mid] = _Sent(lane, out, now_t, told=connection.written)
            lane.handed(out, time.monotonic(), connection.written)

    def _settle(self, sent: _Sent, settled: Settled) -> None:
        """Tell the lane; tell when the broker's mind about a topic changed."""
        lane, out, denied = sent.lane, sent.out, settled.denied
        if lane is None and self._events and out.topic == self._events.wants:
            self._events.subscribed(denied)
            return
        if lane is None:
            if denied:
                text = f"does not let us subscribe to {out.topic}: {denied}; change its access rules"
                self._tell("denied", logging.ERROR, text, f"+{out.topic}")
            self.subscribed += not denied
            return
        if settled.hopeless:
            self._give_up(lane, out, f"{denied} ({len(out.payload)} bytes)")
            return
        if denied:
            kept = "; they are kept, and tried again" if isinstance(lane, EventsLane) and out.key else ""
            level = logging.ERROR if isinstance(lane, EventsLane) and out.key else logging.WARNING
            text = f"does not let us publish {self._shown(lane, out)}: {denied}; change its access rules{kept}"
            self._tell("denied", level, text, self._shown(lane, out))
        elif out.qos and lane is not self._answers:
            self._tell("allowed", logging.DEBUG, f"takes {out.topic}", out.topic)
        if lane is self._poses and self._outbox.stuck:
            self._tell("flowing", logging.INFO, "takes poses again", "queue")
        lane.acknowledged(out, denied, sent.told)

    def _give_up(self, lane: Lane, out: Outgoing, why: str) -> None:
        """Drop what the broker will never take; told once for each topic, whatever it takes in between."""
        shorter = '; sink.mqtt.format = "binary" makes poses a fifth' if out.properties.content == JSON else ""
        hint = shorter if lane is self._poses else ""
        shown = self._shown(lane, out)
        text = f"never takes some of {shown}: {why}; dropped, and counted{hint}"
        self._tell("never", logging.WARNING, text, f"{shown} never")
        lane.give_up(out)

    def _shown(self, lane: Lane, out: Outgoing) -> str:
        """A topic as it is told; where answers go is for whoever asked to choose, so that is never told."""
        return "answers" if lane is self._answers else out.topic


def _poses_lane(
    settings: Mqtt, device: str, camera: str, root: str, outbox: Outbox, live: bool, probe_s: float, on_sent: OnSent
) -> PosesLane:
    """Poses as `settings` want them."""

    def as_json(poses: Poses, now_t: float) -> bytes:
        return wire.encode(poses, device, camera, now_t, time.time())

    def as_binary(poses: Poses, now_t: float) -> bytes:
        return wire.binary.encode(poses, now_t, time.time())

    encode, content = {"json": (as_json, JSON), "binary": (as_binary, BINARY)}[settings.format]
    properties = MessageProperties(wire.SCHEMA, content, settings.expiry_s)
    qos = settings.qos if live else 1
    stale_s = settings.expiry_s if live else None
    return PosesLane(outbox, encode, f"{root}/poses", properties, qos, probe_s, stale_s, on_sent)


def _spool(settings: Mqtt, device: str, camera: str, root: str, live: bool) -> Spool:
    """Where events wait: one file for each device, camera and root; none for a recording."""
    max_bytes = int(settings.spool_mb * 1e6)
    if not live:
        return Spool(None, max_bytes)
    names = re.sub(r"[^A-Za-z0-9.-]+", "-", f"{device}-{camera}")[:80]
    unique = hashlib.sha256("\0".join((device, camera, root)).encode()).hexdigest()[:8]
    folder = Path(settings.spool) if settings.spool else places.state()
    return Spool(folder / f"events-{names}-{unique}.db", max_bytes)
