"""TFLite's file format as editable records: each class is a table of schema.fbs version 3, each field in its order.

How a field lies in a file is told once, in its metadata, and `reading` and `writing` follow it. That is enough to take
any .tflite apart and put it together again without the generated classes of TensorFlow or LiteRT: those ignore what
they do not know, follow hostile offsets, forget the alignment of constants, and do not come with tflite-runtime.
"""

# ruff: noqa: RUF009 - each default is a dataclass field, made by a function that says how it lies

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

ALIGNMENT = 16
"""Bytes; what the schema asks of constants and custom options, so that kernels may map them in place."""


class FieldLayout(NamedTuple):
    """How one field lies in a table."""

    how: Literal["scalar", "vector", "text", "table", "tables", "kind", "union", "unused"]
    size: int = 0
    """Bytes of a scalar or of one item of a vector."""
    default: int = 0
    """Value of a scalar that is left out."""
    of: str = ""
    """Class of a table, of each of several, or of what a union's vectors are looked up by."""
    align: int = 0
    """Bytes to which a vector's items are aligned; 0: to one item."""


def _part(lies: FieldLayout, default: Any = None, make: Any = None) -> Any:
    meta = {"lies": lies}
    return field(default_factory=make, metadata=meta) if make else field(default=default, metadata=meta)


def scalar(size: int, default: int = 0) -> Any:
    """An integer of `size` bytes."""
    return _part(FieldLayout("scalar", size, default), default)


def vector(size: int, align: int = 0) -> Any:
    """Items of `size` bytes each, kept as the bytes they are; None where absent."""
    return _part(FieldLayout("vector", size, align=align))


def text() -> Any:
    """A string, kept as bytes; None where absent."""
    return _part(FieldLayout("text", 1))


def table(of: str) -> Any:
    """Another record, or None."""
    return _part(FieldLayout("table", of=of))


def tables(of: str) -> Any:
    """A list of records."""
    return _part(FieldLayout("tables", of=of), make=list)


def union() -> Any:
    """A record of one of several classes, told by the field before it; None where absent."""
    return _part(FieldLayout("union"))


def unused(size: int) -> Any:
    """A field with nothing in it that must survive: it is read past and not written."""
    return _part(FieldLayout("unused", size))


class Raw(NamedTuple):
    """A table of a class that is only carried along: its own bytes, and the vectors it points to."""

    fields: tuple[int, ...]
    """Byte offset of each field; 0 is absent."""
    content: bytes
    """The table's own bytes; pointers in it are written anew."""
    start: int
    """Where it lay, modulo 8: its numbers stay aligned."""
    vectors: dict[int, tuple[int, bytes]]
    """Field -> bytes of one item, items."""


VECTORS: dict[str, dict[int, tuple[int, ...]]] = {
    "options": {
        3: (0, 4, 4), 8: (0, 0, 0, 0, 0, 1), 17: (4,), 30: (4,), 111: (1, 1), 115: (4,),
    },
    "options2": {
        2: (8,), 3: (8, 8, 8), 4: (8, 8, 8, 8, 1, 0, 0, 8, 0, 0, 8, 0, 0, 8, 0, 0, 4), 5: (1, 0, 1, 0, 4, 1),
        6: (8,), 7: (0, 8, 8, 8), 9: (8,), 10: (8, 8, 8), 12: (8, 8, 8, 8, 4), 13: (8, 8, 8, 8, 8), 16: (8, 8, 8, 0, 8),
        17: (8,), 21: (1, 0, 1), 23: (4,),
    },
    "details": {1: (1,), 2: (0, 0, 0, 4)},
    "indices": {1: (4,), 2: (2,), 3: (1,)},
}  # fmt: skip
"""Union -> its kind -> bytes of one item of each field that is a vector or string; 0: a number. Others have none."""

KINDS = {"options": 126, "options2": 23, "details": 2, "indices": 3}
"""Union -> the largest kind known. A file with a newer one is refused: its pointers would be copied as numbers."""

SUBGRAPHS: dict[str, frozenset[int]] = {
    "options": frozenset({16, 92, 93, 103}),
    "options2": frozenset({6, 7, 13, 14, 15, 21, 23}),
}
"""Kinds of options that name other graphs of the model by number."""


@dataclass(slots=True, eq=False)
class Code:
    """Which operator a number in `Operator.code` means."""

    short: int = scalar(1)
    custom: bytes | None = text()
    version: int = scalar(4, 1)
    builtin: int = scalar(4)


@dataclass(slots=True, eq=False)
class Quantisation:
    """real = (raw - zero point) * scale, per tensor or per channel of `axis`."""

    least: bytes | None = vector(4)
    most: bytes | None = vector(4)
    scale: bytes | None = vector(4)
    zero_point: bytes | None = vector(8)
    details_kind: int = _part(FieldLayout("kind", 1, of="details"), 0)
    details: Raw | None = union()
    axis: int = scalar(4)


@dataclass(slots=True, eq=False)
class Dimension:
    """One dimension of a sparse constant."""

    format: int = scalar(1)
    dense_size: int = scalar(4)
    segments_kind: int = _part(FieldLayout("kind", 1, of="indices"), 0)
    segments: Raw | None = union()
    indices_kind: int = _part(FieldLayout("kind", 1, of="indices"), 0)
    indices: Raw | None = union()


@dataclass(slots=True, eq=False)
class Sparsity:
    """How a constant is packed."""

    traversal_order: bytes | None = vector(4)
    block_map: bytes | None = vector(4)
    dimensions: list[Dimension] = tables("Dimension")


@dataclass(slots=True, eq=False)
class Variant:
    """Type of what a variant tensor holds."""

    shape: bytes | None = vector(4)
    kind: int = scalar(1)
    has_rank: int = scalar(1)


@dataclass(slots=True, eq=False)
class Tensor:
    """One value of a graph."""

    shape: bytes | None = vector(4)
    kind: int = scalar(1)
    buffer: int = scalar(4)
    name: bytes | None = text()
    quantisation: Quantisation | None = table("Quantisation")
    is_variable: int = scalar(1)
    sparsity: Sparsity | None = table("Sparsity")
    shape_signature: bytes | None = vector(4)
    has_rank: int = scalar(1)
    variants: list[Variant] = tables("Variant")
    external: int = scalar(4)


@dataclass(slots=True, eq=False)
class Operator:
    """One step of a graph."""

    code: int = scalar(4)
    inputs: bytes | None = vector(4)
    outputs: bytes | None = vector(4)
    options_kind: int = _part(FieldLayout("kind", 1, of="options"), 0)
    options: Raw | None = union()
    custom_options: bytes | None = vector(1, ALIGNMENT)
    custom_format: int = scalar(1)
    mutated: bytes | None = vector(1)
    intermediates: bytes | None = vector(4)
    custom_start: int = scalar(8)
    custom_size: int = scalar(8)
    options2_kind: int = _part(FieldLayout("kind", 1, of="options2"), 0)
    options2: Raw | None = union()
    debug: None = unused(4)


@dataclass(slots=True, eq=False)
class Graph:
    """Tensors, and the operators between them in the order they run."""

    tensors: list[Tensor] = tables("Tensor")
    inputs: bytes | None = vector(4)
    outputs: bytes | None = vector(4)
    operators: list[Operator] = tables("Operator")
    name: bytes | None = text()
    debug: None = unused(4)


@dataclass(slots=True, eq=False)
class Buffer:
    """Bytes of a constant."""

    data: bytes | None = vector(1, ALIGNMENT)
    start: int = scalar(8)
    size: int = scalar(8)


@dataclass(slots=True, eq=False)
class Note:
    """A named buffer that belongs to no tensor."""

    name: bytes | None = text()
    buffer: int = scalar(4)


@dataclass(slots=True, eq=False)
class Named:
    """What a signature calls a tensor."""

    name: bytes | None = text()
    tensor: int = scalar(4)


@dataclass(slots=True, eq=False)
class Signature:
    """A way to call a graph by names."""

    inputs: list[Named] = tables("Named")
    outputs: list[Named] = tables("Named")
    key: bytes | None = text()
    legacy: None = unused(4)
    graph: int = scalar(4)


@dataclass(slots=True, eq=False)
class Model:
    """A whole file."""

    version: int = scalar(4)
    codes: list[Code] = tables("Code")
    graphs: list[Graph] = tables("Graph")
    description: bytes | None = text()
    buffers: list[Buffer] = tables("Buffer")
    note_buffers: bytes | None = vector(4)
    notes: list[Note] = tables("Note")
    signatures: list[Signature] = tables("Signature")


PARTS: dict[str, type[Any]] = {
    part.__name__: part
    for part in (
        Code, Quantisation, Dimension, Sparsity, Variant, Tensor, Operator, Graph, Buffer, Note, Named, Signature,
        Model,
    )
}  # fmt: skip
