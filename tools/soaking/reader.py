"""Who counts: two plain MQTT clients that share nothing with the service but the published messages.

Poses are read as a robot would, live; events as a log would, in a session that the broker keeps while we are away.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgepose import wire
from tools.soaking.broker import READER, READER_PASSWORD

STALE_S = 2.0
"""A pose older than this when it arrives is stale: sink.mqtt.expiry_s of the run. So is one that was captured before
one that is here already. Counted apart is what nobody can call back: a pose that was fresh when a broker took it that
then stood still."""
SAME_S = 0.005
"""Two readings of two clocks agree to this."""
JUMP = 1_000_000
"""Numbers of events rise by one; they step by more than this where the spool says that it does not know the last."""


class Pose(NamedTuple):
    """One message on `poses`."""

    t: float
    """Monotonic seconds of its arrival."""
    age_s: float
    """From capture to arrival."""
    sent_age_s: float
    """From capture to when the service handed it over, as it says."""
    people: int


class Ledger:
    """What came, message by message; no network in here."""

    def __init__(self, offsets: Callable[[], tuple[float, ...]]) -> None:
        """`offsets`: how far the service's clock may be ahead right now, seconds."""
        self._offsets = offsets
        self.poses = 0
        self.backwards = 0
        """Poses of a frame older than one that was here already."""
        self.stale: list[Pose] = []
        self.held: list[Pose] = []
        """Old ones that the broker had taken fresh, right before it stood still."""
        self.frozen = (0.0, 0.0)
        """Monotonic seconds: poses handed over in between may be in a broker that stands still."""
        self.latest: Pose | None = None
        self.worst_gap: tuple[float, float] = (0.0, 0.0)
        """Longest time without a pose that is not stale, seconds, and when it ended."""
        self._good_t = 0.0
        self._captured_t = float("-inf")
        self.numbers: Counter[int] = Counter()
        """Of events: how often each came."""
        self.order: list[int] = []
        """Of events, as they came."""
        self.told: set[tuple[str, str, int]] = set()
        """Events: run, type, id."""
        self.seen: set[tuple[str, str, int]] = set()
        """The same as `poses` tell it in `entered` and `left`."""
        self.run = ""
        """Of the service, by its status."""
        self.troubles: list[str] = []
        """Of the service, by its status."""
        self.answers: list[wire.Answer] = []
        self.health: dict[str, Any] = {}
        self.wrong: list[str] = []
        """Messages that cannot be read."""

    def pose(self, payload: bytes, t: float, wall: float) -> None:
        """One message on `poses`."""
        message = wire.decode(payload)
        captured = wall_of(message.captured)
        age_s = min((wall - captured + offset for offset in self._offsets()), key=abs)
        pose = Pose(t, age_s, (message.age_ms or 0.0) / 1e3, len(message.people))
        self.poses += 1
        self.seen |= {(self.run, "entered", id_) for id_ in message.entered}
        self.seen |= {(self.run, "left", id_) for id_ in message.left}
        late = t - age_s < self._captured_t - SAME_S
        self.backwards += late
        self._captured_t = max(self._captured_t, t - age_s)
        if late or age_s > STALE_S:
            handed_t = t - age_s + pose.sent_age_s
            taken = not late and pose.sent_age_s < STALE_S and self.frozen[0] - SAME_S < handed_t < self.frozen[1]
            (self.held if taken else self.stale).append(pose)
            return
        if self._good_t:
            self.worst_gap = max(self.worst_gap, (t - self._good_t, t))
        self._good_t = t
        self.latest = pose

    def event(self, payload: bytes, _t: float, _wall: float) -> None:
        """One message on `events`."""
        event = wire.decode_event(payload)
        self.numbers[event.number] += 1
        self.order.append(event.number)
        self.told.add((event.run, event.type, event.id))

    def status(self, payload: bytes, _t: float, _wall: float) -> None:
        """One message on `status`."""
        status = wire.decode_struct(wire.Status, payload)
        self.run, self.troubles = status.run, status.troubles

    def answer(self, payload: bytes, _t: float, _wall: float) -> None:
        """One message on `control/answer`."""
        self.answers.append(wire.decode_struct(wire.Answer, payload))

    @property
    def waiting(self) -> int:
        """Events that the service still has, by its health."""
        return int(self.health.get("spool", {}).get("kept", 0))

    def news(self, payload: bytes, _t: float, _wall: float) -> None:
        """One message on `health`."""
        health = wire.decode_struct(wire.Health, payload)
        self.health = {"counts": health.counts, "spool": health.spool, "run": health.run}


class Reader(Ledger):
    """Two clients that fill it; look at it with `changed` held."""

    def __init__(self, port: int, root: str, offsets: Callable[[], tuple[float, ...]]) -> None:
        super().__init__(offsets)
        self._root = root
        self.changed = threading.Condition()
        self._clients = [
            self._client(
                port, "soak-poses", False, [("poses", 0), ("status", 1), ("health", 0), ("control/answer", 0)]
            ),
            self._client(port, "soak-events", True, [("events", 1)]),
        ]

    def _client(self, port: int, name: str, keeps: bool, wanted: list[tuple[str, int]]) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, name, protocol=MQTTProtocolVersion.MQTTv5)
        client.username_pw_set(READER, READER_PASSWORD)
        client.reconnect_delay_set(0.1, 0.2)  # type: ignore[arg-type]
        topics = [(f"{self._root}/{suffix}", qos) for suffix, qos in wanted]

        def connected(*_: Any) -> None:
            client.subscribe(topics)

        client.on_connect = connected
        client.on_message = self._came
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        session.SessionExpiryInterval = 3600 if keeps else 0
        client.connect("127.0.0.1", port, 60, clean_start=not keeps, properties=session)
        client.loop_start()
        return client

    def publish(self, suffix: str, payload: bytes) -> None:
        """As somebody who may."""
        self._clients[0].publish(f"{self._root}/{suffix}", payload)

    def wait_connected(self, timeout_s: float) -> None:
        """Until both are there again."""
        until_t = time.monotonic() + timeout_s
        while time.monotonic() < until_t and not all(client.is_connected() for client in self._clients):
            time.sleep(0.05)

    def leave(self) -> None:
        """The events' reader goes away; the broker keeps its session."""
        self._clients[1].disconnect()
        self._clients[1].loop_stop()

    def come_back(self) -> None:
        """And is there again."""
        self._clients[1].reconnect()
        self._clients[1].loop_start()

    def close(self) -> None:
        """Count no more."""
        for client in self._clients:
            client.disconnect()
            client.loop_stop()

    def _came(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        t, wall = time.monotonic(), time.time()
        takes: dict[str, Callable[[bytes, float, float], None]] = {
            "poses": self.pose, "events": self.event, "status": self.status, "health": self.news,
            "answer": self.answer,
        }  # fmt: skip
        suffix = message.topic.rpartition("/")[2]
        with self.changed:
            try:
                takes[suffix](bytes(message.payload), t, wall)
            except ValueError as error:
                self.wrong.append(f"{suffix}: {error}")
            self.changed.notify_all()

    def good_since(self, t: float, timeout_s: float) -> float | None:
        """When the first pose captured after `t` arrived, monotonic seconds; None: it did not in time."""
        with self.changed:
            found = self.changed.wait_for(
                lambda: self.latest is not None and self.latest.t - self.latest.age_s > t, timeout_s
            )
            return self.latest.t if found and self.latest else None


def wall_of(moment: str) -> float:
    """Seconds since 1970 of ISO 8601 in UTC."""
    return datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()


class Delivered(NamedTuple):
    """What became of events numbered above `first` - 1, up to `last`."""

    sent: int
    received: int
    lost: tuple[int, ...]
    duplicated: int
    disordered: int
    jumps: int


def delivered(order: list[int], first: int, last: int, may_jump: frozenset[int] = frozenset()) -> Delivered:
    """Count events by their numbers, which rise by one, but for those above each of `may_jump`: a new spool was begun.

    A duplicate is a number that came before; disordered is one that is lower than one before it and no duplicate.
    """
    seen: set[int] = set()
    highest = duplicated = disordered = 0
    for number in order:
        if not first <= number <= last:
            continue
        if number in seen:
            duplicated += 1
        elif number < highest:
            disordered += 1
        seen.add(number)
        highest = max(highest, number)
    lost: list[int] = []
    jumps = 0
    before = first - 1
    for number in [*sorted(seen), last + 1]:
        if before and (number - before > JUMP or before in may_jump):
            jumps += 1
        else:
            lost += range(before + 1, number)
        before = number
    return Delivered(len(seen) + len(lost), len(seen), tuple(lost), duplicated, disordered, jumps)
