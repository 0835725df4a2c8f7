"""An ONNX network as a .tflite: pictures channels last, weights in TFLite's order, quantisation kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgepose.core.errors import ModelError, one_line, printable
from edgepose.engine.onnx import arithmetic, quantised, shaping, spatial, tidy
from edgepose.engine.onnx.build import LARGEST, NHWC, Builder, Perm, Shape, Value, plain
from edgepose.engine.onnx.folding import fold
from edgepose.engine.onnx.network import Network, Node
from edgepose.engine.onnx.spatial import UnsupportedError

MOST_NAMED = 20
HANDLERS: dict[str, arithmetic.Handler] = {
    **arithmetic.HANDLERS,
    "Conv": spatial.conv,
    "ConvTranspose": spatial.conv_transpose,
    "MaxPool": spatial.max_pool,
    "AveragePool": spatial.average_pool,
    "Resize": spatial.resize,
    "Upsample": spatial.resize,
    "Reshape": shaping.reshape,
    "Flatten": shaping.flatten,
    "Squeeze": shaping.squeeze,
    "Unsqueeze": shaping.unsqueeze,
    "Transpose": shaping.transpose,
    "Slice": shaping.slice_,
    "Split": shaping.split,
    "Concat": shaping.concat,
    "Gather": shaping.gather,
    "Pad": shaping.pad,
    "Expand": shaping.expand,
    "DepthToSpace": shaping.depth_to_space,
    "SpaceToDepth": shaping.space_to_depth,
    "Identity": shaping.identity,
    "Dropout": shaping.identity,
    "QuantizeLinear": quantised.quantize,
    "DequantizeLinear": quantised.dequantize,
}
"""ONNX's operator -> how it is written."""


@dataclass(frozen=True, slots=True)
class End:
    """An input or output: how ONNX has it, and how the .tflite has it."""

    name: str
    shape: Shape
    perm: Perm
    """The .tflite's axis i is ONNX's axis perm[i]."""

    @property
    def said(self) -> str:
        """For people."""
        shape = "x".join(map(str, self.shape))
        now = "x".join(str(self.shape[axis]) for axis in self.perm)
        return f"{printable(self.name)} {shape}" + ("" if self.perm == plain(len(self.perm)) else f" as {now}")


@dataclass(frozen=True, slots=True)
class Converted:
    """What came of a file."""

    content: bytes
    """The .tflite."""
    inputs: tuple[End, ...]
    outputs: tuple[End, ...]
    steps: int
    """Operators of the .tflite."""
    transposes: int
    """TRANSPOSE operators among them."""


def convert(network: Network, where: str, shape: Sequence[int] = ()) -> Converted:
    """The network as a .tflite.

    shape  of the input, in ONNX's order of axes, where the file leaves it open; (): 1 for the batch, else as it says

    Raises:
        ModelError: naming every node that cannot be converted.
    """
    b = Builder()
    inputs = {name: _input(b, name, said, shape, where) for name, said in network.inputs.items()}
    network = replace(network, constants=dict(network.constants))
    nodes = tidy.fold_norms(network)
    values = {name: _constant(array) for name, array in network.constants.items()} | inputs
    failed = _run(b, nodes, values)
    _check(failed, where)
    unmade = [name for name in network.outputs if name not in values]
    if unmade:
        raise ModelError(f"{where}: no node makes its output {printable(unmade[0])!r}; export it anew")
    outputs = {name: _output(b, values[name]) for name in network.outputs}
    ends = [value.tensor for value in outputs.values()]
    if len(set(ends)) < len(ends) or not ends:
        raise ModelError(f"{where}: has {len(ends)} outputs of which two are one; export it without the double")
    for name, value in (inputs | outputs).items():
        b.tensors[value.tensor].name = name
    quantised.fuse(b, ends)
    tidy.fuse_activations(b, ends)
    content = b.model([value.tensor for value in inputs.values()], ends)
    ops = [step.op for step in b.live(ends)]
    rows = [tuple(End(name, value.shape, value.perm) for name, value in row.items()) for row in (inputs, outputs)]
    return Converted(content, rows[0], rows[1], len(ops), ops.count("TRANSPOSE"))


def _constant(array: Any) -> Value:
    return Value(tuple(array.shape), plain(array.ndim), constant=array)


def _input(b: Builder, name: str, said: Sequence[int | str], wanted: Sequence[int], where: str) -> Value:
    """An input; a picture with channels first is taken channels last."""
    if wanted and len(wanted) != len(said):
        raise ModelError(f"{where}: --shape has {len(wanted)} numbers, its input {printable(name)!r} {len(said)} axes")
    sizes = [0 if isinstance(size, str) else size for size in said]
    if not said or any(size and want and size != want for size, want in zip(sizes, wanted, strict=False)):
        given = "x".join(map(str, said)) or "nothing"
        raise ModelError(f"{where}: its input {printable(name)!r} is {given}, which --shape cannot change")
    shape = [size or want for size, want in zip(sizes, wanted or [1] + [0] * (len(said) - 1), strict=True)]
    if min(shape) < 1:
        raise ModelError(
            f"{where}: its input {printable(name)!r} leaves its size open ({', '.join(map(str, said))}); "
            f"say it with --shape, such as --shape 1,3,256,256"
        )
    if np.prod(shape, dtype=object) > LARGEST:
        raise ModelError(f"{where}: its input {printable(name)!r} of {shape} is larger than any picture")
    perm = NHWC if len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3) else plain(len(shape))
    return Value(tuple(shape), perm, b.tensor(tuple(shape[axis] for axis in perm)))


def _output(b: Builder, value: Value) -> Value:
    """An output; maps stay channels last, the rest is as ONNX has it."""
    maps = len(value.shape) == 4 and value.perm == NHWC and value.constant is None
    perm = NHWC if maps else plain(len(value.shape))
    return replace(value, perm=perm, tensor=b.as_perm(value, perm), constant=None)


def _run(b: Builder, nodes: Sequence[Node], values: dict[str, Value]) -> list[str]:
    """Write every node; returns what could not be written, each with its reason."""
    failed: list[str] = []
    unknown: set[str] = set()
    for node in nodes:
        ins = [values.get(name) for name in node.inputs]
        if unknown.intersection(node.inputs):
            if node.domain or (node.op not in HANDLERS and node.op not in FOLDED):
                failed.append(f"{node.said}: no such operator is known")
            unknown.update(node.outputs)
            continue
        try:
            made = _one(b, node, ins)
        except UnsupportedError as error:
            failed.append(f"{node.said}: {error}")
        except (ValueError, IndexError, TypeError, KeyError, OverflowError, ZeroDivisionError, MemoryError) as error:
            failed.append(f"{node.said}: its inputs do not fit it ({type(error).__name__}: {error})")
        else:
            values.update(zip(node.outputs, made, strict=False))
            continue
        unknown.update(node.outputs)
    return failed


FOLDED = frozenset({"Shape", "Size", "Cast", "Constant", "ConstantOfShape", "Range", "Where", "Equal"})


def _one(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    spatial.need(not node.domain, "it is of no standard set of operators")
    if node.op == "Shape":
        start, end = int(node.get("start", 0)), node.get("end", None)
        return [_constant(np.array(shaping.given(ins[0]).shape[start:end], np.int64))]
    if node.op == "Size":
        return [_constant(np.array(np.prod(shaping.given(ins[0]).shape), np.int64))]
    known = [None if value is None or value.scale else value.constant for value in ins]
    folded = fold(node, known)
    if folded is not None:
        return [_constant(folded)]
    if node.op == "Cast":
        spatial.need(node.get("to", 1) in (1, 10, 11), "it makes integers of what is computed while it runs")
        source = shaping.given(ins[0])
        spatial.need(source.tensor < 0 or b.tensors[source.tensor].dtype == "float32", "it reads integers")
        return [source]
    handler: Callable[..., list[Value]] | None = HANDLERS.get(node.op)
    if handler is None:
        raise UnsupportedError("no such operator is known")
    if node.op == "Softmax" and "axis" not in node.attributes:
        node = replace(node, attributes={**node.attributes, "axis": -1})
    if node.op == "MatMul" and all(value is not None and value.constant is not None for value in ins):
        return [_constant(np.matmul(*(spatial.constant(value, "matrix") for value in ins)))]
    return handler(b, node, ins)


def _check(failed: Sequence[str], where: str) -> None:
    if not failed:
        return
    rest = f"; and {len(failed) - MOST_NAMED} more" if len(failed) > MOST_NAMED else ""
    named = "; ".join(one_line(each) for each in failed[:MOST_NAMED])
    raise ModelError(
        f"{where}: {len(failed)} of its nodes cannot be converted: {named}{rest}; "
        "export it without them: cut behind the heads, without suppression or post-processing"
    )


def operators() -> Mapping[str, str]:
    """ONNX's operators that are known, and where they are written."""
    return {name: getattr(handler, "__module__", "") for name, handler in HANDLERS.items()}
