"""What comes from the broker: who wants which topic, and how answers go back."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

from edgepose.sink.mqtt.connection import Received, matches
from edgepose.sink.mqtt.lanes import AnswerLane

log = logging.getLogger("edgepose.sink.mqtt.sink")

Reply = Callable[[bytes], None]
"""Answers a message; from any thread, also later."""
Handler = Callable[[bytes, str, Reply], None]
"""Gets the payload, the topic (below the root: without it) and how to answer. Must not block."""


ANSWER_SUFFIX = "control/answer"
"""Where answers go that are not wanted elsewhere."""


class Inbox:
    """Handlers by topic. Any thread adds, the sender's thread hands out."""

    def __init__(self, root: str, answers: AnswerLane, nudge: Callable[[], None]) -> None:
        self._root, self._answers, self._nudge = root, answers, nudge
        self._handlers: tuple[tuple[str, Handler], ...] = ()

    @property
    def patterns(self) -> list[str]:
        """What to subscribe to, in the order it was added."""
        return [pattern for pattern, _ in self._handlers]

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
                log.error("%s: unexpected %r; going on", message.topic, error)

    def _reply_to(self, message: Received) -> Reply:
        topic, correlation = message.response_topic, message.correlation
        if not topic or re.search(r"[+#\0]", topic) or topic.startswith((f"{self._root}/", "$")):
            topic = f"{self._root}/{ANSWER_SUFFIX}"  # none given, or one that would make us talk to ourselves

        def reply(payload: bytes) -> None:
            self._answers.put(topic, payload, correlation)
            self._nudge()

        return reply
