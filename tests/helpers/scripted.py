"""A broker for tests that says what it is told to, byte for byte, and keeps what it hears."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

CONNACK = b"\x20\x03\x00\x00\x00"
"""Of MQTT 5: come in, and nothing more to say."""
CONNECT, PUBLISH, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 8, 12, 14

Answers = Callable[[int, bytes], bytes]
"""Gets the kind of a packet and what follows its length; what to send back."""


def packet(kind: int, content: bytes, flags: int = 0) -> bytes:
    """One of MQTT."""
    length, left = b"", len(content)
    while True:
        left, seven = left >> 7, left & 127
        length += bytes([seven | (128 if left else 0)])
        if not left:
            return bytes([kind << 4 | flags]) + length + content


def text(value: str | bytes) -> bytes:
    """As MQTT writes strings."""
    raw = value if isinstance(value, bytes) else value.encode()
    return len(raw).to_bytes(2, "big") + raw


def publish(topic: str, payload: bytes, *, qos: int = 0, number: int = 1, properties: bytes = b"") -> bytes:
    """A message of MQTT 5."""
    head = text(topic) + (number.to_bytes(2, "big") if qos else b"")
    return packet(PUBLISH, head + bytes([len(properties)]) + properties + payload, qos << 1)


def topic_of(content: bytes) -> str:
    """Of a PUBLISH that came in."""
    return content[2 : 2 + int.from_bytes(content[:2], "big")].decode()


class Scripted:
    """Takes connections on `port`; `answers` says what each packet gets."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.heard: list[tuple[int, bytes]] = []
        self.connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"mqtt://127.0.0.1:{self.port}"

    def __enter__(self) -> Scripted:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for connection in self.connections:
            connection.close()

    def kinds(self) -> list[int]:
        return [kind for kind, _ in list(self.heard)]

    def send(self, data: bytes) -> None:
        """To the newest connection."""
        self.connections[-1].sendall(data)

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections.append(connection)
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection.makefile("rb") as stream:
            while head := stream.read(1):
                length, shift = 0, 0
                while True:
                    byte = stream.read(1)[0]
                    length, shift = length | (byte & 127) << shift, shift + 7
                    if not byte & 128:
                        break
                content = stream.read(length)
                self.heard.append((head[0] >> 4, content))
                if answer := self._answers(head[0] >> 4, content):
                    connection.sendall(answer)
