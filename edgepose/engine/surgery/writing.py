"""Editable records as the bytes of a .tflite file: the same records always give the same bytes.

Written front to back: a table, then what it points to, so each offset leads forward as the format asks.
"""

from __future__ import annotations

import struct
from dataclasses import fields
from typing import Any

from edgepose.engine.flatfile import IDENTIFIER
from edgepose.engine.surgery.parts import FieldLayout, Model, Raw

LETTERS = {1: "B", 2: "H", 4: "I", 8: "Q"}


def write_model(model: Model) -> bytes:
    """The file of a model; constants and custom options start at multiples of 16."""
    out = Writer()
    out.grow(bytes(4) + IDENTIFIER)
    out.point(0, out.part(model))
    out.align(ALIGN_END)
    return bytes(out.content)


ALIGN_END = 16
"""The file's length is a multiple of it, as that of all FlatBuffers with such vectors."""


class Writer:
    """A growing file."""

    def __init__(self) -> None:
        self.content = bytearray()
        self._vtables: dict[bytes, int] = {}
        """Where each was written; tables with the same layout share one."""

    def grow(self, content: bytes) -> int:
        """Append; returns where."""
        self.content += content
        return len(self.content) - len(content)

    def align(self, to: int, lead: int = 0) -> None:
        """Pad so that what comes `lead` bytes from here starts at a multiple of `to`."""
        self.content += bytes(-(len(self.content) + lead) % to)

    def point(self, at: int, target: int) -> None:
        """Write the offset from `at` to `target`."""
        struct.pack_into("<I", self.content, at, target - at)

    def part(self, record: Any) -> int:
        """Write a record with all it holds; returns where its table starts."""
        layout: list[int] = []
        body = bytearray(4)
        later: list[tuple[int, FieldLayout, Any]] = []
        for entry in sorted(_present(record), key=lambda row: -_width(row[1])):
            number, lies, value = entry
            width = _width(lies)
            body += bytes(-len(body) % width)
            layout += [0] * (number + 1 - len(layout))
            layout[number] = len(body)
            if lies.how in ("scalar", "kind"):
                body += struct.pack("<" + LETTERS[width], value)
            else:
                later.append((len(body), lies, value))
                body += bytes(4)
        start = self._table(tuple(layout), bytes(body), 0)
        for place, lies, value in sorted(later, key=lambda row: row[0]):
            self.point(start + place, self._target(lies, value))
        return start

    def _table(self, layout: tuple[int, ...], body: bytes, start: int) -> int:
        """Write a table's own bytes where they begin at `start` modulo 8; returns where."""
        vtable = struct.pack(f"<{len(layout) + 2}H", 4 + 2 * len(layout), len(body), *layout)
        if vtable not in self._vtables:
            self.align(2)
            self._vtables[vtable] = self.grow(vtable)
        self.align(8, -start)
        at = self.grow(body)
        struct.pack_into("<i", self.content, at, at - self._vtables[vtable])
        return at

    def _target(self, lies: FieldLayout, value: Any) -> int:
        if lies.how == "table":
            return self.part(value)
        if lies.how == "union":
            return self._raw(value)
        if lies.how == "tables":
            return self._rows(value)
        return self._items(lies.size, value, lies.align, lies.how == "text")

    def _items(self, item: int, content: bytes, align: int = 0, text: bool = False) -> int:
        self.align(max(4, item, align), 4)
        return self.grow(struct.pack("<I", len(content) // item) + content + bytes(text))

    def _rows(self, rows: list[Any]) -> int:
        self.align(4)
        at = self.grow(struct.pack("<I", len(rows)) + bytes(4 * len(rows)))
        for index, row in enumerate(rows):
            self.point(at + 4 + 4 * index, self.part(row))
        return at

    def _raw(self, raw: Raw) -> int:
        start = self._table(raw.fields, raw.content, raw.start)
        for number, (item, content) in raw.vectors.items():
            # a byte vector may be a string: the zero behind it does no harm
            self.point(start + raw.fields[number], self._items(item, content, text=item == 1))
        return start


def _present(record: Any) -> list[tuple[int, FieldLayout, Any]]:
    """Number, layout and value of each field that differs from an absent one."""
    rows = []
    for number, entry in enumerate(fields(record)):
        lies: FieldLayout = entry.metadata["lies"]
        value = getattr(record, entry.name)
        left_out = value == lies.default if lies.how in ("scalar", "kind") else value is None or value == []
        if not left_out:
            rows.append((number, lies, value))
    return rows


def _width(lies: FieldLayout) -> int:
    return lies.size if lies.how in ("scalar", "kind") else 4
