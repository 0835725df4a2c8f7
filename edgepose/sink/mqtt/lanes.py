"""What waits to be published, one lane for each kind of promise. No broker and no disk in here.

Any thread puts something into a lane; the sender's thread takes it out, and tells what became of it.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from edgepose.core.poses import Poses
from edgepose.sink.base import OnSent, untold
from edgepose.sink.mqtt.state import Outbox
from edgepose.wire.messages import ANSWER

JPEG = b"\xff\xd8"
"""Such a file starts with it."""


class MessageProperties(NamedTuple):
    """What MQTT 5 tells about a message; earlier versions leave it away."""

    schema: str = ""
    content: str = "application/json"
    expiry_s: int | None = None
    """The broker forgets it after that long."""
    correlation: bytes | None = None
    """Given back to who asked."""


class Outgoing(NamedTuple):
    """A message to hand over now."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: MessageProperties
    key: Any = None
    """By which its lane knows it again."""


class Lane(Protocol):
    """Where messages of one kind wait. Called by the sender's thread only."""

    @property
    def most(self) -> int:
        """Messages of it that may be unanswered at a time."""

    def connected(self) -> None:
        """A new connection is there."""

    def take(self, now_t: float) -> Outgoing | None:
        """What to hand over next; None: nothing for now."""

    def handed(self, out: Outgoing, now_t: float, written: bool) -> None:
        """It was handed over; `written`: to the kernel already."""

    def acknowledged(self, out: Outgoing, denied: str, told: bool) -> None:
        """The broker took it, or `denied` says why not; told: `handed` said written."""

    def give_up(self, out: Outgoing) -> None:
        """The broker never will take it: it is too large, or not as it wants it."""

    def lost(self, outs: Sequence[Outgoing]) -> None:
        """The connection ended before these were settled; in the order they were taken."""

    def pending(self, now_t: float) -> bool:
        """There is something that should go out before the end."""


class _Quiet:
    """A lane's answers where nothing needs to be done."""

    def connected(self) -> None:
        pass

    def handed(self, out: Outgoing, now_t: float, written: bool) -> None:
        pass

    def acknowledged(self, out: Outgoing, denied: str, told: bool) -> None:
        pass

    def give_up(self, out: Outgoing) -> None:
        pass

    def lost(self, outs: Sequence[Outgoing]) -> None:
        pass


class PosesLane(_Quiet):
    """Poses of every frame: live the newest wins, and none older than `stale_s` goes out."""

    most = 1 << 16

    def __init__(
        self,
        outbox: Outbox,
        encode: Callable[[Poses, float], bytes],
        topic: str,
        properties: MessageProperties,
        qos: int,
        probe_s: float,
        stale_s: float | None,
        on_sent: OnSent = untold,
    ) -> None:
        self.outbox, self._on_sent = outbox, on_sent
        self.sent = self.refused = 0
        self._encode, self._topic, self._traits = encode, topic, properties
        self._qos, self._probe_s, self._stale_s = qos, probe_s, stale_s
        self._allowed, self._probe_t = False, float("-inf")
        self._newest: Poses | None = None

    def connected(self) -> None:
        """Whether the broker lets us publish has to be proven anew."""
        self._allowed = False

    def take(self, now_t: float) -> Outgoing | None:
        """Encode the oldest that waits; with QoS 1 where an answer is due."""
        if self._stale_s is not None:
            self.outbox.expire(now_t - self._stale_s)
        poses = self._fresh(now_t)
        if poses is None:
            return None
        qos = self._qos
        if not self._allowed or now_t - self._probe_t >= self._probe_s:
            qos, self._probe_t = 1, now_t
        return Outgoing(self._topic, self._encode(poses, now_t), qos, False, self._expiring(poses, now_t), poses)

    def _fresh(self, now_t: float) -> Poses | None:
        """The oldest that waits; live, the oldest seen lately enough: the whole board may have stood still."""
        while (poses := self.outbox.take()) is not None:
            if self._stale_s is None or _seen_s(poses, now_t) <= self._stale_s:
                return poses
            self.outbox.give_up([poses])
        return None

    def _expiring(self, poses: Poses, now_t: float) -> MessageProperties:
        """Expiry counts from when they were seen."""
        if self._stale_s is None:
            return self._traits
        return self._traits._replace(expiry_s=max(1, math.ceil(self._stale_s - _seen_s(poses, now_t))))

    def handed(self, out: Outgoing, now_t: float, written: bool) -> None:
        """Tell when it went out."""
        self._newest = out.key
        if written:
            self._on_sent(out.key, now_t)

    def acknowledged(self, out: Outgoing, denied: str, told: bool) -> None:
        """Count it."""
        if not told:
            self._on_sent(out.key, time.monotonic())
        if out.qos:
            self._allowed = not denied
        self.refused += bool(denied)
        self.sent += not denied
        self.outbox.went_out()

    def give_up(self, out: Outgoing) -> None:  # noqa: ARG002 (every lane is told so)
        """Count it."""
        self.refused += 1
        self.outbox.went_out()

    def lost(self, outs: Sequence[Outgoing]) -> None:
        """They wait again; live only the newest, for a reader may have had it, and must not see older ones after."""
        if self._stale_s is not None:
            kept = outs[-1:] if outs and outs[-1].key is self._newest else ()
            self.outbox.give_up(out.key for out in outs[: len(outs) - len(kept)])
            outs = kept
        self.outbox.put_back(out.key for out in outs)

    def pending(self, now_t: float) -> bool:  # noqa: ARG002 (every lane is asked so)
        """Some wait."""
        return len(self.outbox) > 0


def _seen_s(poses: Poses, now_t: float) -> float:
    """How long ago; 0 for recorded ones, which are of another day."""
    return now_t - poses.taken_t if poses.taken_wall is None else 0.0


class KeptLane(_Quiet):
    """Retained topics: the latest of each, sent when it is put and after each connect, until the broker has it."""

    most = 3

    def __init__(self, retry_s: float) -> None:
        self._retry_s = retry_s
        self._lock = threading.Lock()
        self._latest: dict[str, bytes] = {}
        self._due: OrderedDict[str, float] = OrderedDict()
        self._put: set[str] = set()

    def put(self, topic: str, payload: bytes, *, owed: bool = True) -> None:
        """Replace what is kept on `topic`; empty clears it."""
        with self._lock:
            self._latest[topic] = payload
            self._due[topic] = 0.0
            if owed:
                self._put.add(topic)

    @property
    def topics(self) -> list[str]:
        """On which something is kept."""
        with self._lock:
            return [topic for topic, payload in self._latest.items() if payload]

    def connected(self) -> None:
        """All of it again: the broker may have lost it."""
        with self._lock:
            self._due = OrderedDict.fromkeys(self._latest, 0.0)

    def take(self, now_t: float) -> Outgoing | None:
        """The first topic that is due."""
        with self._lock:
            topic = next((topic for topic, due_t in self._due.items() if due_t <= now_t), None)
            if topic is None:
                return None
            del self._due[topic]
            payload = self._latest[topic]
            return Outgoing(
                topic, payload, 1, True, MessageProperties(content="application/json" if payload[:1] == b"{" else "")
            )

    def acknowledged(self, out: Outgoing, denied: str, told: bool) -> None:  # noqa: ARG002 (every lane is told so)
        """A denied one is tried again after a while, one that cleared its topic is forgotten."""
        with self._lock:
            if denied:
                self._due.setdefault(out.topic, time.monotonic() + self._retry_s)
            elif not out.payload and self._latest.get(out.topic) == b"":
                del self._latest[out.topic]
                self._due.pop(out.topic, None)
            self._put.discard(out.topic)

    def give_up(self, out: Outgoing) -> None:
        """Nobody waits for it; the next connection gets it again."""
        with self._lock:
            self._put.discard(out.topic)

    def lost(self, outs: Sequence[Outgoing]) -> None:
        """They are due again."""
        with self._lock:
            for out in outs:
                self._due[out.topic] = 0.0

    def pending(self, now_t: float) -> bool:
        """Something was put that nobody has seen."""
        with self._lock:
            return any(due_t <= now_t and topic in self._put for topic, due_t in self._due.items())


class NowLane(_Quiet):
    """Numbers of this moment: the newest of each topic; forgotten rather than sent late, or twice."""

    most = 2

    def __init__(self, expiry_s: int) -> None:
        self._expiry_s = expiry_s
        self._lock = threading.Lock()
        self._newest: OrderedDict[str, tuple[bytes, float]] = OrderedDict()

    def put(self, topic: str, payload: bytes) -> None:
        """Replace what waits for `topic`."""
        with self._lock:
            self._newest[topic] = payload, time.monotonic()

    def take(self, now_t: float) -> Outgoing | None:
        """The first that is not too old."""
        with self._lock:
            while self._newest:
                topic, (payload, put_t) = self._newest.popitem(last=False)
                if now_t - put_t <= self._expiry_s:
                    content = "image/jpeg" if payload.startswith(JPEG) else "application/json"
                    properties = MessageProperties(content=content, expiry_s=self._expiry_s)
                    return Outgoing(topic, payload, 0, False, properties)
            return None

    def pending(self, now_t: float) -> bool:  # noqa: ARG002 (every lane is asked so)
        """Never: it would be old."""
        return False


class AnswerLane(_Quiet):
    """Answers to commands, each one, in order; dropped when nobody can still be waiting for them."""

    most = 3
    EXPIRY_S = 30
    SIZE = 64

    def __init__(self) -> None:
        self._queue: deque[tuple[float, Outgoing]] = deque(maxlen=self.SIZE)

    def put(self, topic: str, payload: bytes, correlation: bytes | None) -> None:
        """Queue an answer."""
        now_t = time.monotonic()
        properties = MessageProperties(schema=ANSWER, expiry_s=self.EXPIRY_S, correlation=correlation)
        self._queue.append((now_t, Outgoing(topic, payload, 1, False, properties, now_t)))

    def take(self, now_t: float) -> Outgoing | None:
        """The oldest that is not too old."""
        while self._queue:
            put_t, out = self._queue.popleft()
            if now_t - put_t <= self.EXPIRY_S:
                return out
        return None

    def lost(self, outs: Sequence[Outgoing]) -> None:
        """They wait again."""
        room = self.SIZE - len(self._queue)
        self._queue.extendleft((out.key, out) for out in reversed(outs[-room:] if room else ()))

    def pending(self, now_t: float) -> bool:  # noqa: ARG002 (every lane is asked so)
        """Some wait."""
        return len(self._queue) > 0
