"""A QR code of an address, for the phone: bytes, error correction L, versions 1 to 6 (ISO/IEC 18004)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.bool_]

LAYOUT = {1: (7, (19,)), 2: (10, (34,)), 3: (15, (55,)), 4: (20, (80,)), 5: (26, (108,)), 6: (18, (68, 68))}
"""Version -> error correction bytes of each block, data bytes of each block; table 9, level L."""
ALIGNED = {1: (), 2: (6, 18), 3: (6, 22), 4: (6, 26), 5: (6, 30), 6: (6, 34)}
"""Version -> rows and columns of the alignment patterns; annex E."""
LEVEL_L = 0b01
MASK = 0
"""Rows and columns whose sum is even are flipped: one of eight that readers know, and good enough for an address."""
QUIET = 4


def matrix(text: str) -> Bits:
    """(side, side) true where it is dark, without the quiet zone; raises ValueError for a text that is too long."""
    data = text.encode()
    version = next((v for v, (_, blocks) in LAYOUT.items() if len(data) + 2 <= sum(blocks)), 0)
    if not version:
        raise ValueError(f"{len(data)} bytes are too long for a QR code here")
    side = 17 + 4 * version
    dark, used = np.zeros((side, side), bool), np.zeros((side, side), bool)
    _patterns(dark, used, version)
    bits = _bits(_interleaved(_padded(data, sum(LAYOUT[version][1])), version))
    for row, column in _path(side):
        if not used[row, column]:
            dark[row, column] = next(bits, False) ^ ((row + column) % 2 == 0)
    return dark


def shown(text: str) -> str:
    """For a terminal: two rows a line, the quiet zone included, dark on light whatever its colours."""
    code = np.pad(matrix(text), QUIET)
    code = np.pad(code, ((0, code.shape[0] % 2), (0, 0)))
    lines = []
    for upper, lower in zip(code[::2], code[1::2], strict=True):
        cells = "".join(" ▄▀█"[2 * (not a) + (not b)] for a, b in zip(upper, lower, strict=True))
        lines.append(f"\033[97;40m{cells}\033[0m\n")
    return "".join(lines)


def _padded(data: bytes, size: int) -> list[int]:
    """Mode, length, the bytes, an end, and filling."""
    bits = f"0100{len(data):08b}" + "".join(f"{byte:08b}" for byte in data)
    bits += "0" * min(4, 8 * size - len(bits))
    bits += "0" * (-len(bits) % 8)
    made = [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]
    return made + [(0xEC, 0x11)[at % 2] for at in range(size - len(made))]


def _interleaved(data: Sequence[int], version: int) -> list[int]:
    count, sizes = LAYOUT[version]
    blocks, at = [], 0
    for size in sizes:
        blocks.append(list(data[at : at + size]))
        at += size
    checks = [_remainder(block, count) for block in blocks]
    mixed = [byte for column in zip(*blocks, strict=True) for byte in column]
    return mixed + [byte for column in zip(*checks, strict=True) for byte in column]


def _remainder(block: Sequence[int], count: int) -> list[int]:
    """Reed-Solomon: what is left of the block, divided by the generator of that degree."""
    divisor = [1]
    root = 1
    for _ in range(count):
        divisor = [_times(a, root) ^ b for a, b in zip([0, *divisor], [*divisor, 0], strict=True)]
        root = _times(root, 2)
    left = [0] * count
    factors = divisor[::-1][1:] if divisor[-1] == 1 else divisor[1:]
    for byte in block:
        first = byte ^ left[0]
        left = [a ^ _times(factor, first) for a, factor in zip([*left[1:], 0], factors, strict=True)]
    return left


def _times(a: int, b: int) -> int:
    """Product in GF(256) modulo x^8 + x^4 + x^3 + x^2 + 1."""
    made = 0
    for bit in range(7, -1, -1):
        made = (made << 1) ^ ((made >> 7) * 0x11D)
        made ^= ((b >> bit) & 1) * a
    return made


def _bits(data: Sequence[int]) -> Iterator[bool]:
    return (bool(byte >> bit & 1) for byte in data for bit in range(7, -1, -1))


def _path(side: int) -> Iterator[tuple[int, int]]:
    """Two columns at a time from the right, up and down by turns; the timing column is left out."""
    upward = True
    for right in [*range(side - 1, 6, -2), *range(5, 0, -2)]:
        for row in range(side - 1, -1, -1) if upward else range(side):
            yield from ((row, right), (row, right - 1))
        upward = not upward


def _patterns(dark: Bits, used: Bits, version: int) -> None:
    side = len(dark)
    ring = np.array([[max(abs(x), abs(y)) not in (2, 4) for x in range(-4, 5)] for y in range(-4, 5)])
    for row, column in ((3, 3), (3, side - 4), (side - 4, 3)):
        top, left = max(row - 4, 0), max(column - 4, 0)
        bottom, right = min(row + 5, side), min(column + 5, side)
        dark[top:bottom, left:right] = ring[top - row + 4 : bottom - row + 4, left - column + 4 : right - column + 4]
        used[top:bottom, left:right] = True
    for at in range(8, side - 8):
        dark[6, at] = dark[at, 6] = at % 2 == 0
        used[6, at] = used[at, 6] = True
    places = ALIGNED[version]
    for row in places:
        for column in places:
            if not used[row, column] or (6 in (row, column) and 8 < max(row, column) < side - 8):
                dark[row - 2 : row + 3, column - 2 : column + 3] = ring[2:7, 2:7]
                used[row - 2 : row + 3, column - 2 : column + 3] = True
    _format(dark, used, side)


def _format(dark: Bits, used: Bits, side: int) -> None:
    word = LEVEL_L << 3 | MASK
    left = word << 10
    for bit in range(14, 9, -1):
        left ^= (left >> bit & 1) * 0x537 << bit - 10
    bits = (word << 10 | left) ^ 0x5412
    first = [(r, 8) for r in (0, 1, 2, 3, 4, 5, 7, 8)] + [(8, c) for c in (7, 5, 4, 3, 2, 1, 0)]
    second = [(8, side - 1 - at) for at in range(8)] + [(side - 15 + at, 8) for at in range(8, 15)]
    for places in (first, second):
        for at, place in enumerate(places):
            dark[place], used[place] = bool(bits >> at & 1), True
    dark[side - 8, 8] = used[side - 8, 8] = True
