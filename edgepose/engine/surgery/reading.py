"""The bytes of a .tflite file as editable records."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from edgepose.engine.flatbuffer import FlatBuffer, Table
from edgepose.engine.flatfile import IDENTIFIER, read_graph
from edgepose.engine.surgery.parts import KINDS, PARTS, VECTORS, Buffer, FieldLayout, Model, Operator, Raw


def read_model(content: bytes, where: str) -> Model:
    """Take a model file apart; what lies behind its FlatBuffer is taken into the records.

    content  the file's bytes
    where    path for messages

    Raises:
        ModelError: damaged, or with parts that would be lost; one line.
    """
    read_graph(content, where)
    file = Reader(content, where)
    model: Model = file.part("Model", file.root(IDENTIFIER), "model")
    for number, graph in enumerate(model.graphs):
        for place, operator in enumerate(graph.operators):
            _fetch_options(file, operator, f"graphs[{number}] operators[{place}]")
    for number, buffer in enumerate(model.buffers):
        _fetch_data(file, buffer, f"buffers[{number}]")
    return model


class Reader(FlatBuffer):
    """Reads tables into records."""

    def __init__(self, content: bytes, where: str) -> None:
        super().__init__(content, where)
        self.content = content

    def part(self, name: str, table: Table, at: str) -> Any:
        """The record of class `name` for `table`."""
        kind = PARTS[name]
        found = fields(kind)
        if any(table.fields[len(found) :]):
            self.fail(f"{at} has a part that this edgepose does not know and would lose")
        values: dict[str, Any] = {}
        before: FieldLayout = FieldLayout("scalar")
        for number, entry in enumerate(found):
            lies: FieldLayout = entry.metadata["lies"]
            if lies.how == "union":
                kind_number = values[found[number - 1].name]
                values[entry.name] = self._union(before.of, kind_number, table, number, f"{at} {entry.name}")
            else:
                values[entry.name] = self._value(lies, table, number, f"{at} {entry.name}")
            before = lies
        return kind(**values)

    def _value(self, lies: FieldLayout, table: Table, number: int, at: str) -> Any:
        if lies.how in ("scalar", "kind"):
            return self.uint(table, number, lies.size, lies.default)
        if lies.how in ("vector", "text"):
            return self._bytes(lies.size, table, number, at)
        if lies.how == "table":
            child = self.child(table, number, at)
            return None if child is None else self.part(lies.of, child, at)
        if lies.how == "tables":
            return [self.part(lies.of, row, name) for name, row in self.tables(table, number, at)]
        return None

    def _bytes(self, item: int, table: Table, number: int, at: str) -> bytes | None:
        found = self.vector(table, number, item, at)
        return None if found is None else self.content[found[0] : found[0] + found[1] * item]

    def _union(self, union: str, kind: int, table: Table, number: int, at: str) -> Raw | None:
        child = self.child(table, number, at) if kind else None
        if child is None:
            return None
        if kind > KINDS[union]:
            self.fail(f"{at} is of kind {kind}, which this edgepose does not know and would lose")
        vectors = {}
        for place, item in enumerate(VECTORS[union].get(kind, ())):
            found = self._bytes(item, child, place, at) if item else None
            if found is not None:
                vectors[place] = (item, found)
        return Raw(child.fields, self.content[child.start : child.start + child.size], child.start % 8, vectors)


def _fetch_options(file: Reader, operator: Operator, at: str) -> None:
    start, size = operator.custom_start, operator.custom_size
    if start > 1:  # the format uses 1 as a place holder
        operator.custom_options = file.content[file.span(start, size, at) : start + size]
    operator.custom_start = operator.custom_size = 0


def _fetch_data(file: Reader, buffer: Buffer, at: str) -> None:
    start, size = buffer.start, buffer.size
    if start > 1:
        buffer.data = file.content[file.span(start, size, at) : start + size]
    buffer.start = buffer.size = 0
