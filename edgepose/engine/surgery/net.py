"""A model's first graph as something to walk along: who makes a value, who reads it, what is constant."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core.errors import ModelError
from edgepose.engine.flatfile import CUSTOM_OPCODE, DTYPES
from edgepose.engine.surgery import parts
from edgepose.engine.surgery.names import NAMES, NUMBERS
from edgepose.engine.surgery.reading import read_model

SAME_VALUES = ("QUANTIZE", "DEQUANTIZE")
"""Operators that only write the same values in another type."""
INT32 = 2
"""Its number among the types of tensors."""
DROPPED_NOTES = (b"TFLITE_METADATA",)
"""Notes that describe the outputs a cut takes away."""


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A tensor of the graph."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    """real = (raw - zero_point) * scale; 0 where it has none, or one per channel."""
    zero_point: int
    constant: bytes | None
    """Its bytes where it is a constant."""

    @property
    def is_byte(self) -> bool:
        """Whether it is quantised to one byte with one scale."""
        return self.dtype in ("uint8", "int8") and self.scale > 0

    def numbers(self) -> NDArray[Any]:
        """The values of a constant, flat; empty where it is none or of no plain type."""
        if self.constant is None or self.dtype not in ("float32", "int32", "int64", "int16", "int8", "uint8"):
            return np.zeros(0, np.float32)
        return np.frombuffer(self.constant, np.dtype(self.dtype).newbyteorder("<"))

    def real(self) -> NDArray[np.float64]:
        """The real values of a constant, flat."""
        raw = self.numbers().astype(np.float64)
        return (raw - self.zero_point) * self.scale if self.scale else raw


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """An operator of the graph."""

    name: str
    custom: bool
    inputs: tuple[int, ...]
    """Tensors; -1 is an optional one left out."""
    outputs: tuple[int, ...]
    part: parts.Operator

    def input(self, place: int) -> int:
        """The tensor it reads at a place; -1 where there is none."""
        return self.inputs[place] if place < len(self.inputs) else -1


NOTHING = Value(-1, "", (), "", 0.0, 0, None)


class Net:
    """The first graph of a model. Walking never changes it; `cut` gives a new model."""

    def __init__(self, content: bytes, where: str) -> None:
        """Read a file.

        Raises:
            ModelError: damaged, with parts that an edit would lose, or no network that looks at one picture.
        """
        self.where = where
        self.model = read_model(content, where)
        self.graph = self.model.graphs[0]
        self.values = [self._value(index, tensor) for index, tensor in enumerate(self.graph.tensors)]
        self.ops = [self._op(operator) for operator in self.graph.operators]
        self.inputs, self.outputs = ints(self.graph.inputs), ints(self.graph.outputs)
        self.maker: dict[int, Op] = {}
        """Tensor -> the operator that makes it."""
        for op in self.ops:
            for index in op.outputs:
                if index in self.maker or index in self.inputs:
                    raise ModelError(
                        f"{where}: tensor {index} is made twice, such a graph cannot be edited; export the model anew"
                    )
                self.maker[index] = op
        self.picture = self._picture()
        """The input."""
        self.readers: dict[int, list[Op]] = {}
        """Tensor -> the operators that read it."""
        for op in self.ops:
            for index in op.inputs:
                self.readers.setdefault(index, []).append(op)

    def _value(self, index: int, tensor: parts.Tensor) -> Value:
        quant = tensor.quantisation
        scale = np.frombuffer(quant.scale or b"", "<f4") if quant else np.zeros(0)
        zero = np.frombuffer(quant.zero_point or b"", "<i8") if quant else np.zeros(0)
        single = len(scale) == 1
        return Value(
            index=index,
            name=(tensor.name or b"").decode("utf-8", "replace"),
            shape=ints(tensor.shape),
            dtype=DTYPES[tensor.kind][0],
            scale=float(scale[0]) if single else 0.0,
            zero_point=int(zero[0]) if single and len(zero) else 0,
            constant=self.model.buffers[tensor.buffer].data or None,
        )

    def _op(self, operator: parts.Operator) -> Op:
        code = self.model.codes[operator.code]
        number = max(int.from_bytes(bytes([code.short]), "little", signed=True), code.builtin)
        custom = number == CUSTOM_OPCODE
        name = (code.custom or b"").decode("utf-8", "replace") if custom else op_name(number)
        return Op(name, custom, ints(operator.inputs), ints(operator.outputs), operator)

    def _picture(self) -> Value:
        if len(self.inputs) != 1:
            raise ModelError(f"{self.where}: has {len(self.inputs)} inputs, expected one picture; it is no pose model")
        first = self.values[self.inputs[0]]
        if len(first.shape) != 4 or first.shape[0] != 1 or first.shape[3] != 3 or not all(first.shape):
            raise ModelError(
                f"{self.where}: its input is {list(first.shape)}, expected [1, height, width, 3]; export it so"
            )
        return first

    def same_values(self, index: int, through: Collection[str] = SAME_VALUES) -> int:
        """The first tensor that holds what `index` holds, before operators that only copy or write it anew."""
        while index in self.maker and self.maker[index].name in through and self.maker[index].input(0) >= 0:
            index = self.maker[index].input(0)
        return index

    def value(self, index: int) -> Value:
        """A tensor; one without shape and type for -1."""
        return self.values[index] if index >= 0 else NOTHING

    def made_by(self, index: int, name: str) -> Op | None:
        """The operator that makes a tensor, if that is its name."""
        op = self.maker.get(index)
        return op if op and op.name == name else None

    def needed(self, outputs: Sequence[int], inputs: Collection[int]) -> list[int]:
        """Places of the operators that lead from `inputs` to `outputs`, in order."""
        wanted, keep = set(outputs), []
        for place in range(len(self.ops) - 1, -1, -1):
            op = self.ops[place]
            makes = [index for index in op.outputs if index not in inputs]
            if any(index in wanted for index in makes) or not op.outputs:  # one without outputs acts on something else
                keep.append(place)
                wanted.update(index for index in op.inputs if index >= 0 and index not in inputs)
        return keep[::-1]


def ints(content: bytes | None) -> tuple[int, ...]:
    """A vector of int32."""
    return tuple(int(item) for item in np.frombuffer(content or b"", "<i4"))


def packed(numbers: Sequence[int]) -> bytes:
    """A vector of int32 as bytes."""
    return np.array(numbers, "<i4").tobytes()


def op_name(number: int) -> str:
    """Name of a builtin operator."""
    return NAMES[number] if number < len(NAMES) else f"operator {number}"


class Cut:
    """A model in the making: the operators between some tensors, and nothing else of the file they come from."""

    def __init__(self, net: Net, inputs: Sequence[int]) -> None:
        self.net = net
        self.tensors = list(net.graph.tensors)
        self.buffers = list(net.model.buffers)
        self.codes = list(net.model.codes)
        self.inputs = list(inputs)
        self.added: list[parts.Operator] = []

    def reshape(self, index: int, shape: tuple[int, ...]) -> int:
        """Add an operator that gives tensor `index` another shape; returns the new tensor."""
        source = self.tensors[index]
        self.buffers.append(parts.Buffer(data=packed(shape)))
        rank, buffer = packed((len(shape),)), len(self.buffers) - 1
        constant = parts.Tensor(shape=rank, kind=INT32, buffer=buffer, name=b"edgepose/shape")
        made = parts.Tensor(
            shape=packed(shape), kind=source.kind, quantisation=source.quantisation, name=b"edgepose/reshaped"
        )
        self.tensors += [constant, made]
        number = NUMBERS["RESHAPE"]
        self.codes.append(parts.Code(short=number, builtin=number))
        new = len(self.tensors) - 1
        self.added.append(
            parts.Operator(code=len(self.codes) - 1, inputs=packed((index, new - 1)), outputs=packed((new,)))
        )
        return new

    def model(self, outputs: Sequence[int]) -> parts.Model:
        """The model that makes `outputs`; only what its operators use is left in it."""
        old = self.net.model
        made = {ints(operator.outputs)[0]: operator for operator in self.added}
        read = [ints(made[index].inputs)[0] if index in made else index for index in outputs]
        operators = [self.net.graph.operators[place] for place in self.net.needed(read, self.inputs)]
        operators += [made[index] for index in outputs if index in made]
        others = old.graphs[1:] if any(calls_graphs(operator) for operator in operators) else []
        graphs = [self._first(operators, outputs), *others]
        used_codes = sorted({operator.code for graph in graphs for operator in graph.operators})
        notes = [note for note in old.notes if note.name not in DROPPED_NOTES]
        used = {tensor.buffer for graph in graphs for tensor in graph.tensors} | {note.buffer for note in notes}
        used_buffers = sorted(index for index in used if self.buffers[index].data)
        place = {index: number for number, index in enumerate(used_buffers, 1)}  # 0 is for those without data
        code_of = {index: number for number, index in enumerate(used_codes)}
        return parts.Model(
            version=old.version,
            codes=[self.codes[index] for index in used_codes],
            graphs=[_renumbered(graph, place, code_of) for graph in graphs],
            description=old.description,
            buffers=[parts.Buffer(), *(self.buffers[index] for index in used_buffers)],
            notes=[parts.Note(note.name, place.get(note.buffer, 0)) for note in notes],
        )

    def _first(self, operators: list[parts.Operator], outputs: Sequence[int]) -> parts.Graph:
        """The first graph with only the tensors in use."""
        ends = {*self.inputs, *outputs}
        rows = [row for op in operators for row in (op.inputs, op.outputs, op.intermediates)]
        used = sorted(ends.union(*(ints(row) for row in rows)) - {-1})
        place = {index: number for number, index in enumerate(used)} | {-1: -1}

        def moved(row: bytes | None) -> bytes | None:
            return None if row is None else packed([place[index] for index in ints(row)])

        return parts.Graph(
            tensors=[self.tensors[index] for index in used],
            inputs=packed([place[index] for index in self.inputs]),
            outputs=packed([place[index] for index in outputs]),
            operators=[
                copied(op, inputs=moved(op.inputs), outputs=moved(op.outputs), intermediates=moved(op.intermediates))
                for op in operators
            ],
            name=self.net.graph.name,
        )


def calls_graphs(operator: parts.Operator) -> bool:
    """Whether an operator runs other graphs of its model."""
    return operator.options_kind in parts.SUBGRAPHS["options"] or operator.options2_kind in parts.SUBGRAPHS["options2"]


def copied(part: Any, **changes: Any) -> Any:
    """A record with some fields changed."""
    fields = {name: getattr(part, name) for name in part.__slots__}
    return type(part)(**fields | changes)


def _renumbered(graph: parts.Graph, buffer: dict[int, int], code: dict[int, int]) -> parts.Graph:
    return parts.Graph(
        tensors=[copied(tensor, buffer=buffer.get(tensor.buffer, 0)) for tensor in graph.tensors],
        inputs=graph.inputs,
        outputs=graph.outputs,
        operators=[copied(operator, code=code[operator.code]) for operator in graph.operators],
        name=graph.name,
    )
