"""Reads the options of a custom operator: a FlexBuffer map of names to numbers. Every offset is checked.

Such a buffer is read from its end: width of the root, type of the root, root. A map has its keys in a vector of their
own, at an offset told before its length, and the types of its values behind them.
Source: flatbuffers' documentation of the FlexBuffer internals.
"""

from __future__ import annotations

import struct

MAX_KEYS = 256
NULL, INT, UINT, FLOAT, INDIRECT_INT, INDIRECT_UINT, INDIRECT_FLOAT, MAP, BOOL = 0, 1, 2, 3, 6, 7, 8, 9, 26
"""Types, as they stand in the upper six bits; the lower two are log2 of the width."""

Number = int | float | bool


def read_map(content: bytes) -> dict[str, Number]:
    """The numbers of a map by name; values of other types are left out.

    Raises:
        ValueError: not a FlexBuffer map, or damaged.
    """
    try:
        return _map(content)
    except (IndexError, struct.error) as error:
        raise ValueError("points outside itself") from error


def _map(content: bytes) -> dict[str, Number]:
    if len(content) < 3 or content[-1] not in (1, 2, 4, 8) or content[-2] >> 2 != MAP:
        raise ValueError("is not a map of options")
    root = len(content) - 2 - content[-1]
    width = 1 << (content[-2] & 3)
    start = root - _uint(content, root, content[-1])
    count = _uint(content, start - width, width)
    if count > MAX_KEYS:
        raise ValueError(f"has {count} entries")
    keys = start - 3 * width
    keys -= _uint(content, keys, width)
    key_width = _uint(content, start - 2 * width, width)
    options = {}
    for index in range(count):
        at = keys + index * key_width
        name_at = at - _uint(content, at, key_width)
        if name_at < 0:
            raise ValueError("points outside itself")
        name = content[name_at : content.index(0, name_at)].decode("ascii", "replace")
        value = _value(content, start + index * width, width, content[start + count * width + index])
        if value is not None:
            options[name] = value
    return options


def _value(content: bytes, at: int, width: int, packed: int) -> Number | None:
    kind = packed >> 2
    if kind in (INDIRECT_INT, INDIRECT_UINT, INDIRECT_FLOAT):
        at, width, kind = at - _uint(content, at, width), 1 << (packed & 3), kind - INDIRECT_INT + INT
    if kind == BOOL:
        return bool(_uint(content, at, width))
    if kind == UINT:
        return _uint(content, at, width)
    if kind == INT:
        unsigned = _uint(content, at, width)
        return unsigned - (1 << 8 * width) if unsigned >> (8 * width - 1) else unsigned
    if kind == FLOAT:
        if width not in (2, 4, 8) or at < 0:
            raise ValueError("has a number of impossible width")
        (real,) = struct.unpack_from({2: "<e", 4: "<f", 8: "<d"}[width], content, at)
        return float(real)
    return None


def _uint(content: bytes, at: int, width: int) -> int:
    if at < 0 or at + width > len(content) or width not in (1, 2, 4, 8):
        raise ValueError("points outside itself")
    return int.from_bytes(content[at : at + width], "little")
