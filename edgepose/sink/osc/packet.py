"""OSC 1.0: messages of int, float and string, and bundles small enough for one packet."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

MOST_BYTES = 1400
"""Of a bundle; VMC's receivers take 1500."""
NOW = b"#bundle\0" + struct.pack(">Q", 1)
Argument = float | int | str


def _text(text: str) -> bytes:
    content = text.encode("utf-8") + b"\0"
    return content + b"\0" * (-len(content) % 4)


def message(address: str, *arguments: Argument) -> bytes:
    """One message."""
    tags, content = ",", b""
    for argument in arguments:
        if isinstance(argument, str):
            tags, content = tags + "s", content + _text(argument)
        elif isinstance(argument, int):
            tags, content = tags + "i", content + struct.pack(">i", argument)
        else:
            tags, content = tags + "f", content + struct.pack(">f", argument)
    return _text(address) + _text(tags) + content


def bundles(messages: Iterable[bytes]) -> Iterator[bytes]:
    """Messages together, to be done at once; as few packets as hold them."""
    packet = NOW
    for each in messages:
        if len(packet) + 4 + len(each) > MOST_BYTES and packet != NOW:
            yield packet
            packet = NOW
        packet += struct.pack(">i", len(each)) + each
    if packet != NOW:
        yield packet
