"""What a recording's file is made of: eight bytes that say so, then chunks, each with its length and checksum.

offset  size
     0     4  "EPCH"
     4     1  kind: 1 session, 2 frames; others are skipped
     5     1  flags: 1 the payload is deflated (zlib)
     6     2  0
     8     4  S, bytes of the payload as it lies in the file
    12     4  bytes of it when inflated
    16     4  session: the checksum of the session's payload, inflated; what frames belong to
    20     4  frames in it
    24     4  CRC-32 of the 24 bytes before and of the payload as it lies in the file
    28     S  payload
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

MAGIC = b"\x89EPR\r\n\x1a\n"
SYNC = b"EPCH"
HEAD = struct.Struct("<4sBBHIIIII")
SESSION, FRAMES = 1, 2
DEFLATED = 1
MOST_BYTES = 1 << 26
"""Of a payload, inflated; a chunk that claims more is none."""


class Head(NamedTuple):
    """The first 28 bytes of a chunk."""

    sync: bytes
    kind: int
    flags: int
    zero: int
    stored: int
    plain: int
    session: int
    frames: int
    crc: int

    @property
    def size(self) -> int:
        """Bytes of the whole chunk."""
        return HEAD.size + self.stored

    @property
    def plausible(self) -> bool:
        """Whether it can be one at all."""
        return self.sync == SYNC and self.stored <= MOST_BYTES and self.plain <= MOST_BYTES


def head_of(data: bytes) -> Head | None:
    """None: no chunk starts with these bytes."""
    if len(data) < HEAD.size:
        return None
    head = Head(*HEAD.unpack_from(data))
    return head if head.plausible else None


def chunk(kind: int, payload: bytes, session: int, frames: int, level: int) -> bytes:
    """A whole chunk; level is zlib's, 0 leaves the payload as it is."""
    stored = zlib.compress(payload, level) if level else payload
    if len(stored) >= len(payload):
        stored, level = payload, 0
    head = HEAD.pack(
        SYNC, kind, DEFLATED if level else 0, 0, len(stored), len(payload), session, frames, 0
    )[:-4]  # fmt: skip
    return head + struct.pack("<I", zlib.crc32(stored, zlib.crc32(head))) + stored


def payload_of(head: Head, data: bytes) -> bytes | None:
    """The inflated payload of the whole chunk `data`; None: it is damaged."""
    if len(data) != head.size:
        return None
    stored = data[HEAD.size :]
    if zlib.crc32(stored, zlib.crc32(data[: HEAD.size - 4])) != head.crc:
        return None
    if not head.flags & DEFLATED:
        return stored if len(stored) == head.plain else None
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(stored, head.plain + 1)
    except zlib.error:
        return None
    return plain if len(plain) == head.plain else None


def session_id(payload: bytes) -> int:
    """By which frames name the session they belong to."""
    return zlib.crc32(payload)
