"""Reads protocol buffers' wire format without trusting one byte of it: keys, numbers, and spans of bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

VARINT, FIXED64, SPAN, FIXED32 = 0, 1, 2, 5
LONGEST_VARINT = 10
SIGN, WRAP = 1 << 63, 1 << 64


class DamagedError(ValueError):
    """Bytes that are no message."""


Field = tuple[int, int | memoryview]
"""Number of a field, and its value: an unsigned integer, or the bytes of whatever it is."""


def fields(message: memoryview) -> Iterator[Field]:
    """The fields of one message in order; nothing inside a span is looked at.

    Raises:
        DamagedError: a key or a length that cannot be.
    """
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == SPAN:
            size, at = _varint(message, at)
        elif kind in (FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
        else:
            raise DamagedError(f"a field of kind {kind}")
        if size > end - at or not number:
            raise DamagedError("a field that ends outside its message")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(message[at : at + LONGEST_VARINT]):
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value & (WRAP - 1), at + place + 1
    raise DamagedError("a number without end")


def signed(value: int | memoryview) -> int:
    """A field as int64."""
    if isinstance(value, memoryview):
        raise DamagedError("bytes where a number should be")
    return value - WRAP if value >= SIGN else value


def span(value: int | memoryview) -> memoryview:
    """A field as bytes."""
    if isinstance(value, int):
        raise DamagedError("a number where bytes should be")
    return value


def text(value: int | memoryview) -> str:
    """A field as a string; bytes that are no UTF-8 are replaced."""
    return bytes(span(value)).decode("utf-8", "replace")


def real(value: int | memoryview) -> float:
    """A field as float32."""
    if len(span(value)) != 4:
        raise DamagedError("a float of another size")
    return float(struct.unpack("<f", span(value))[0])


def integers(value: int | memoryview) -> list[int]:
    """One integer of a repeated field, or all of them packed."""
    if isinstance(value, int):
        return [signed(value)]
    found, at = [], 0
    while at < len(value):
        one, at = _varint(value, at)
        found.append(signed(one))
    return found


def reals(value: int | memoryview, dtype: str = "<f4") -> list[float]:
    """One float of a repeated field, or all of them packed."""
    if len(span(value)) % np.dtype(dtype).itemsize:
        raise DamagedError("floats of another size")
    return np.frombuffer(span(value), dtype).tolist()  # type: ignore[no-any-return]
