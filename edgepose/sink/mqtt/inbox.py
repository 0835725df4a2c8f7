"""What comes from the broker: who wants which topic, and how answers go back."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

from edgepose.core.errors import one_line
from edgepose.sink.base import Handler, Reply
from edgepose.sink.mqtt.connection import Received, matches
from edgepose.sink.mqtt.lanes import AnswerLane
from edgepose.wire.commands import COMMANDS

log = logging.getLogger("edgepose.sink.mqtt.sink")

ANSWER_SUFFIX = "control/answer"
"""Where answers go that are not wanted elsewhere."""


MOST_CHARS = 512
"""Of a response topic, and bytes of what comes back with the answer: both are kept until it is sent."""


class Inbox:
    """Handlers by topic. Any thread adds, the sender's thread hands out."""

    def __init__(self, root: str, answers: AnswerLane, nudge: Callable[[], None]) -> None:
        self._root, self._answers, self._nudge = root, answers, nudge
        self._handlers: tuple[tuple[str, Handler], ...] = ()

    @property
    def patterns(self) -> list[str]:
        """What to subscribe to, in the order it was added."""
        return [pattern for pattern, _ in self._handlers]

    @property
    def topics(self) -> list[str]:
        """The same for a broker without wildcards: each command by its name, as far as that is known."""
        return [topic for pattern in self.patterns for topic in _expanded(pattern)]

    def add(self, pattern: str, handler: Handler) -> None:
        """Call `handler` with what is published on `pattern`."""
        self._handlers = (*self._handlers, (pattern, handler))

    def take(self, message: Received) -> None:
        """Give it to whoever wants it; what goes wrong there is told and ends there."""
        if message.retained or message.topic == f"{self._root}/{ANSWER_SUFFIX}":
            return
        suffix = message.topic.removeprefix(f"{self._root}/")
        for pattern, handler in self._handlers:
            if not matches(pattern, message.topic):
                continue
            try:
                handler(message.payload, suffix, self._reply_to(message))
            except Exception as error:  # noqa: BLE001 (somebody else's bug must not end publishing)
                log.error("%s: unexpected %r; going on", one_line(message.topic), error)

    def _reply_to(self, message: Received) -> Reply:
        topic, correlation = message.response_topic, message.correlation
        unfit = len(topic) > MOST_CHARS or re.search(r"[+#\0]", topic)
        if not topic or unfit or topic.startswith((f"{self._root}/", "$")):
            topic = f"{self._root}/{ANSWER_SUFFIX}"  # none given, or one that would make us talk to ourselves
        if correlation is not None and len(correlation) > MOST_CHARS:
            correlation = None

        def reply(payload: bytes) -> None:
            self._answers.put(topic, payload, correlation)
            self._nudge()

        return reply


def _expanded(pattern: str) -> list[str]:
    levels = pattern.split("/")
    if levels[-2:] == ["control", "+"]:
        return [f"{pattern[:-1]}{name}" for name in COMMANDS]
    return [pattern]
