"""Who entered and who left: each told once the disk has it, in order, until the broker has it."""

from __future__ import annotations

import bisect
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from edgepose import wire
from edgepose.core.poses import Poses
from edgepose.sink.mqtt.lanes import MessageProperties, Outgoing
from edgepose.sink.mqtt.numbering import SUFFIX, Bound
from edgepose.sink.mqtt.spool import Item, Spool
from edgepose.wire.messages import EVENT, NUMBERING, renumbered

log = logging.getLogger("edgepose.sink.mqtt.sink")

IN_FLIGHT = 4
WINDOW = 64
"""Read ahead from the spool."""
GRACE_S = 2.0
"""An acknowledged event is sent once more if the connection ends that soon: mosquitto answers first and saves then."""
INCOMING = 1024
"""May wait for a disk that hangs."""


class _Seen(NamedTuple):
    """An event that has no number yet."""

    type: Literal["entered", "left", "rule"]
    id: int
    poses: Poses
    captured_wall: float
    told: Any = None
    """What a rule says, with the fields of meaning.Event."""


class EventsLane:
    """One thread of its own talks to the disk, so that neither the pipeline nor live poses ever wait for it.

    Takes the spool over, and closes it.
    """

    def __init__(
        self, spool: Spool, topic: str, run: str, device: str, camera: str, retry_s: float, nudge: Callable[[], None]
    ) -> None:
        self.sent = self.refused = 0
        self._spool, self._topic = spool, topic
        self._names = run, device, camera
        self._retry_s, self._nudge = retry_s, nudge
        self._changed = threading.Condition()
        self._incoming: deque[_Seen] = deque()
        self._overrun = 0
        self._window: list[Item] = []
        self._acked: deque[tuple[float, Item]] = deque()
        self._done: list[int] = []
        self._held: set[int] = set()
        self._read = 0
        self._openings = spool.openings
        self._more, self._busy, self._closing = True, False, False
        self._proven, self._blocked_t = False, 0.0
        self._bound, self._bound_topic, self._bound_t = Bound(run), f"{topic.rpartition('/')[0]}/{SUFFIX}", 0.0
        self._raise_to = 0
        self._thread = threading.Thread(target=self._keep, name="edgepose-events", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> dict[str, int]:
        """The spool's kept, dropped, failed; and sent and refused ones."""
        counts = self._spool.counts
        return {
            "kept": max(0, counts["kept"] + len(self._incoming) - len(self._acked) - len(self._done)),
            "dropped": counts["dropped"] + self._overrun,
            "failed": counts["failed"],
            "sent": self.sent,
            "refused": self.refused,
        }

    @property
    def trouble(self) -> str:
        """Why the disk takes nothing now."""
        return self._spool.trouble

    def add(self, poses: Poses, told: Sequence[Any] = ()) -> None:
        """Note who entered and left, or what rules say instead; never waits."""
        if not poses.entered and not poses.left and not told:
            return
        now_wall = time.time()
        captured_wall = now_wall - poses.age_s(time.monotonic(), now_wall)
        with self._changed:
            if told:
                self._incoming.extend(_Seen("rule", one.id, poses, captured_wall, one) for one in told)
            else:
                self._incoming.extend(_Seen("entered", id_, poses, captured_wall) for id_ in poses.entered)
                self._incoming.extend(_Seen("left", id_, poses, captured_wall) for id_ in poses.left)
            while len(self._incoming) > INCOMING:
                self._incoming.popleft()
                self._overrun += 1
                if self._overrun == 1:
                    log.warning("%s: takes nothing; the oldest events go, and are counted", self._spool.path)
            self._changed.notify_all()

    def close(self, timeout_s: float) -> None:
        """Bring to the disk what is known so far, and let go of it."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            log.error("%s: hangs; %d events may be lost", self._spool.path, len(self._incoming))

    # --------------------------------------------------------------------------------------- the thread of the disk

    def _keep(self) -> None:
        closing = False
        while not closing:
            with self._changed:
                self._busy = False
                self._changed.wait_for(self._has_work, 1.0)
                self._busy = True
                closing = self._closing and not self._incoming
                seen = self._incoming.popleft() if self._incoming else None
                done, self._done = self._done, []
            try:
                self._forget(done)
                self._spool.recover()
                self._renumber()
                if seen is not None:
                    self._put(seen)
                self._refill()
            except Exception as error:  # noqa: BLE001 (a bug here must not end the events: tell, go on)
                log.error("events: unexpected %r; going on", error)
        waiting = self._spool.counts["kept"]
        if waiting and self._spool.on_disk:
            log.info("%s: %d events wait for the next start", self._spool.path, waiting)
        self._spool.close()

    def _has_work(self) -> bool:
        hungry = self._more and len(self._window) < WINDOW // 2
        return bool(self._incoming or self._done or self._closing or hungry or self._raise_to)

    def _renumber(self) -> None:
        """Go on above what the broker knows; nothing is on its way meanwhile."""
        with self._changed:
            wanted = self._raise_to
        if wanted > self._spool.next:
            log.warning("events: the broker knows of higher numbers than the disk; going on with %d", wanted)
            with self._changed:
                self._window, self._held = [], set()
            self._spool.raise_to(wanted, renumbered)
        with self._changed:
            self._raise_to = 0
        self._nudge()

    def _put(self, seen: _Seen) -> None:
        dropped = self._spool.counts["dropped"]
        self._spool.put(self._topic, lambda number: wire.encode_event(self._event(seen, number)))
        self._more = True
        if self._spool.counts["dropped"] > dropped:
            oldest = self._spool.oldest
            with self._changed:
                self._held.difference_update(item.number for item in self._window if item.number < oldest)
                self._window = [item for item in self._window if item.number >= oldest]

    def _event(self, seen: _Seen, number: int) -> wire.Event:
        if seen.type == "rule":
            age_s = time.time() - seen.captured_wall
            return wire.event_of_rule(seen.told, seen.poses, number, *self._names, seen.captured_wall, age_s)
        return wire.event_of(seen.poses, seen.type, seen.id, number, *self._names, seen.captured_wall)

    def _forget(self, done: list[int]) -> None:
        if done:
            self._spool.done(*done)
            self._held.difference_update(done)

    def _refill(self) -> None:
        """Read on; from the start, past what is held here, where the spool has found its file again."""
        if self._openings != self._spool.openings:
            self._openings, self._read, self._more = self._spool.openings, 0, True
        room = WINDOW - len(self._window)
        if not self._more or room <= 0:
            return
        items = self._spool.pending(room + (len(self._held) if not self._read else 0), self._read)
        fresh = [item for item in items if item.number not in self._held][:room]
        self._more = len(items) >= room
        if items:
            self._read = fresh[-1].number if len(fresh) == room else items[-1].number
        if not fresh:
            return
        with self._changed:
            self._held.update(item.number for item in fresh)
            self._window = sorted([*self._window, *fresh])
        self._nudge()

    # ------------------------------------------------------------------------------------- the thread of the sender

    @property
    def most(self) -> int:
        """One until the broker took one, so that what it does not take stays in order."""
        return IN_FLIGHT if self._proven else 1

    def connected(self) -> None:
        """Whether the broker takes events, and which numbers it knows, has to be proven anew."""
        self._proven, self._blocked_t, self._bound_t = False, 0.0, 0.0
        self._bound.connected()

    @property
    def wants(self) -> str:
        """The topic on which the broker keeps what numbers there were; to be subscribed to."""
        return self._bound_topic

    def subscribed(self, denied: str) -> None:
        """The broker's answer to that."""
        if denied:
            self._bound.refused()
        else:
            self._bound.subscribed(time.monotonic())

    def heard(self, payload: bytes, retained: bool) -> str:
        """A message on that topic; the run of another edgepose of our name, if it is from one."""
        wanted, other = self._bound.heard(payload, retained, self._spool.lineage, self._spool.next)
        if wanted:
            with self._changed:
                self._raise_to = max(self._raise_to, wanted)
                self._changed.notify_all()
        return other

    def take(self, now_t: float) -> Outgoing | None:
        """The oldest that is not on its way; the bound goes before what it bounds."""
        with self._changed:
            self._believe(now_t - GRACE_S)
            if not self._bound.settled(now_t) or self._raise_to:
                return None
            if now_t >= self._bound_t and (bound := self._bound.message(self._spool.lineage, self._spool.next)):
                return Outgoing(self._bound_topic, bound, 1, True, MessageProperties(schema=NUMBERING))
            if now_t < self._blocked_t or not self._window:
                return None
            item = self._window.pop(0)
            if self._more and len(self._window) < WINDOW // 2:
                self._changed.notify_all()
        return Outgoing(item.topic, item.payload, 1, False, MessageProperties(schema=EVENT), item)

    def handed(self, out: Outgoing, now_t: float, written: bool) -> None:
        """Nothing is sure yet."""

    def acknowledged(self, out: Outgoing, denied: str, told: bool) -> None:  # noqa: ARG002 (every lane is told so)
        """Forget it only if the broker has it."""
        if out.key is None:
            self._bound_t = time.monotonic() + self._retry_s if denied else 0.0
            if denied:
                self._bound.again()
            return
        self._proven = not denied
        if denied:
            self.refused += 1
            self._blocked_t = time.monotonic() + self._retry_s
            with self._changed:
                bisect.insort(self._window, out.key)
            return
        self.sent += 1
        with self._changed:
            self._acked.append((time.monotonic(), out.key))

    def give_up(self, out: Outgoing) -> None:
        """Forget it, so that it does not hold back the others."""
        if out.key is None:
            return
        self.refused += 1
        with self._changed:
            self._done.append(out.key.number)
            self._changed.notify_all()

    def left(self) -> None:
        """The connection ended as it should: nothing that was acknowledged is in doubt."""
        with self._changed:
            self._believe(float("inf"))

    def lost(self, outs: Sequence[Outgoing]) -> None:
        """They are sent again, in their old order; so are those acknowledged just before: the broker may have died."""
        with self._changed:
            self._believe(time.monotonic() - GRACE_S)
            for item in [out.key for out in outs if out.key is not None] + [item for _, item in self._acked]:
                bisect.insort(self._window, item)
            self._acked.clear()

    def _believe(self, until_t: float) -> None:
        """Forget for good what was acknowledged before."""
        before = len(self._done)
        while self._acked and self._acked[0][0] <= until_t:
            self._done.append(self._acked.popleft()[1].number)
        if len(self._done) > before:
            self._changed.notify_all()

    def pending(self, now_t: float) -> bool:
        """Something could go out now."""
        with self._changed:
            waiting = self._incoming or self._busy or self._window or self._more
            return bool(waiting) and now_t >= self._blocked_t
