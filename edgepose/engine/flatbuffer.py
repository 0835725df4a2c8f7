"""Reads a FlatBuffer without trusting one byte of it.

Tables whose first word points back at a vtable, which gives the place of each field by number; vectors and strings are
a count and then their items; every pointer is an offset. Each is checked before it is followed, nothing is recursive,
and the number of tables and the bytes looked at are capped: a hostile file costs little more time than a sound one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from edgepose.core.errors import ModelError
from edgepose.engine import formats

NEXT_STEP = "the file is damaged or not a TFLite model, fetch it again"
MAX_TABLES = 1 << 15
"""Tables in one file; a pose network has some 1000 to 5000."""


class Table(NamedTuple):
    """A checked table: its fields lie inside it, and it inside the file."""

    start: int
    size: int
    fields: tuple[int, ...]
    """Field number -> byte offset from start; 0 is absent."""


class FlatBuffer:
    """Bounds-checked access to a FlatBuffer."""

    def __init__(self, content: bytes, where: str) -> None:
        self._content = content
        self._where = where
        self._tables = 0
        self._vtables: dict[int, tuple[int, tuple[int, ...]]] = {}
        """Those checked so far, by place; most tables share one."""
        self._budget = 4 * len(content) + (1 << 16)
        """Bytes that may still be looked at; more means that pieces overlap."""

    def fail(self, what: str) -> NoReturn:
        """Refuse the file."""
        raise ModelError(f"{self._where}: {what}; {NEXT_STEP}")

    def root(self, identifier: bytes) -> Table:
        """The outermost table of a file marked `identifier`."""
        content = self._content
        if not content:
            self.fail("is empty")
        formats.check(content, self._where)
        if len(content) < 8 or content[4:8] != identifier:
            self.fail(f"has no {identifier.decode()} mark at byte 4")
        return self.table(self._u32(0), "model")

    def span(self, start: int, size: int, what: str) -> int:
        """`start`, after checking that `size` bytes from there lie in the file and are paid for."""
        if start < 0 or size < 0 or start + size > len(self._content):
            self.fail(f"{what} points outside the file")
        self._budget -= size
        if self._budget < 0:
            self.fail(f"{what} overlaps what was already read")
        return start

    def _u32(self, at: int) -> int:
        return int.from_bytes(self._content[at : at + 4], "little")

    def table(self, start: int, what: str) -> Table:
        """The table at `start`; `what` names it in messages."""
        self._tables += 1
        if self._tables > MAX_TABLES:
            self.fail(f"has more than {MAX_TABLES} parts")
        self.span(start, 4, what)
        (back,) = struct.unpack_from("<i", self._content, start)
        found = self._vtables.get(start - back)
        if found is None:
            found = self._vtables[start - back] = self._vtable(start - back, what)
        size, fields = found
        self.span(start, size, what)
        return Table(start, size, fields)

    def _vtable(self, start: int, what: str) -> tuple[int, tuple[int, ...]]:
        """Size of the tables that share a vtable, and the offsets of their fields."""
        self.span(start, 4, what)
        vtable_size, size = struct.unpack_from("<HH", self._content, start)
        if vtable_size < 4 or vtable_size % 2 or size < 4:
            self.fail(f"{what} has a damaged header")
        self.span(start, vtable_size, what)
        fields = struct.unpack_from(f"<{vtable_size // 2 - 2}H", self._content, start + 4)
        if any(offset and not 4 <= offset < size for offset in fields):
            self.fail(f"{what} has a field outside itself")
        return size, fields

    def _field(self, table: Table, number: int, size: int) -> int:
        """Position of a field, or 0 where it is absent."""
        offset = table.fields[number] if number < len(table.fields) else 0
        if offset and offset + size > table.size:
            self.fail("a part has a field that ends outside it")
        return table.start + offset if offset else 0

    def uint(self, table: Table, number: int, size: int, default: int) -> int:
        """An unsigned number of `size` bytes."""
        at = self._field(table, number, size)
        return int.from_bytes(self._content[at : at + size], "little") if at else default

    def sint(self, table: Table, number: int, size: int, default: int) -> int:
        """A signed number of `size` bytes."""
        at = self._field(table, number, size)
        return int.from_bytes(self._content[at : at + size], "little", signed=True) if at else default

    def _target(self, table: Table, number: int) -> int:
        """Where the pointer in a field leads, or 0 where it is absent."""
        at = self._field(table, number, 4)
        return at + self._u32(at) if at else 0

    def child(self, table: Table, number: int, what: str) -> Table | None:
        """The table a field points at; None where it is absent."""
        at = self._target(table, number)
        return self.table(at, what) if at else None

    def vector(self, table: Table, number: int, item: int, what: str, *, walk: bool = True) -> tuple[int, int] | None:
        """Start and count of a vector's items of `item` bytes; None where it is absent.

        With walk=False only its ends are checked: constant data may be large and is not read.
        """
        at = self._target(table, number)
        if not at:
            return None
        count = self._u32(self.span(at, 4, what))
        if at + 4 + count * item > len(self._content):
            self.fail(f"{what} points outside the file")
        return self.span(at + 4, count * item if walk else 0, what), count

    def array(self, table: Table, number: int, dtype: str, what: str) -> NDArray[Any]:
        """A vector of numbers; empty where it is absent."""
        kind = np.dtype(dtype)
        found = self.vector(table, number, kind.itemsize, what)
        if found is None:
            return np.zeros(0, kind)
        return np.frombuffer(self._content, kind, found[1], found[0])

    def ints(self, table: Table, number: int, what: str) -> tuple[int, ...]:
        """A vector of int32."""
        found = self.vector(table, number, 4, what)
        return struct.unpack_from(f"<{found[1]}i", self._content, found[0]) if found else ()

    def text(self, table: Table, number: int, what: str) -> str:
        """A string; empty where it is absent, bytes that are no UTF-8 replaced."""
        found = self.vector(table, number, 1, what)
        if found is None:
            return ""
        start, count = found
        return self._content[start : start + count].decode("utf-8", "replace")

    def item(self, table: Table, number: int, index: int, what: str) -> Table:
        """One table of a vector."""
        found = self.vector(table, number, 4, what, walk=False)
        if found is None or not 0 <= index < found[1]:
            self.fail(f"{what} has no [{index}]")
        at = found[0] + 4 * index
        return self.table(at + self._u32(at), what)

    def tables(self, table: Table, number: int, what: str) -> Iterator[tuple[str, Table]]:
        """The tables of a vector, each with its name for messages."""
        found = self.vector(table, number, 4, what)
        if found is None:
            return
        start, count = found
        if count > MAX_TABLES:
            self.fail(f"has {count} {what}")
        for index in range(count):
            at = start + 4 * index
            name = f"{what}[{index}]"
            yield name, self.table(at + self._u32(at), name)
