"""Nodes whose inputs are all known are computed here: what exporters write to work out shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from edgepose.engine.onnx.build import Array
from edgepose.engine.onnx.network import DTYPES, Node

LARGEST = 1 << 24
"""Numbers in something that is computed here."""
Fold = Callable[[Node, "Sequence[Array]"], Array]


def _cast(node: Node, ins: Sequence[Array]) -> Array:
    kind = np.dtype(DTYPES[node.get("to", 1)])
    return ins[0].astype(np.float32 if kind.kind == "f" else kind)


def _constant(node: Node, _ins: Sequence[Array]) -> Array:
    for name, value in node.attributes.items():
        if name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
            return np.asarray(value, np.float32 if "float" in name else None)
    raise KeyError("value")


def _filled(node: Node, ins: Sequence[Array]) -> Array:
    value = np.asarray(node.get("value", np.zeros(1, np.float32))).ravel()[0]
    return np.full(_small(ins[0]), value)


def _small(shape: Array) -> list[int]:
    sizes = [int(n) for n in np.ravel(shape)]
    if np.prod(sizes, dtype=object) > LARGEST:
        raise ValueError("too large")
    return sizes


def _range(_node: Node, ins: Sequence[Array]) -> Array:
    start, stop, step = (row.ravel()[0] for row in ins)
    if step == 0 or (stop - start) / step > LARGEST:
        raise ValueError("too large")
    return np.arange(start, stop, step, dtype=ins[0].dtype)


def _divided(_node: Node, ins: Sequence[Array]) -> Array:
    if ins[0].dtype.kind == "f":
        return np.asarray(np.divide(*ins))
    towards_zero = np.sign(ins[0]) * np.sign(ins[1]) * (np.abs(ins[0]) // np.abs(ins[1]))
    return np.asarray(towards_zero, ins[0].dtype)


def _expanded(_node: Node, ins: Sequence[Array]) -> Array:
    shape = np.broadcast_shapes(ins[0].shape, tuple(_small(ins[1])))
    _small(np.array(shape))
    return np.array(np.broadcast_to(ins[0], shape))


def _plain(function: Callable[..., Any]) -> Fold:
    return lambda _node, ins: np.asarray(function(*ins))


FOLDS: Mapping[str, Fold] = {
    "Constant": _constant,
    "ConstantOfShape": _filled,
    "Range": _range,
    "Cast": _cast,
    "Div": _divided,
    "Expand": _expanded,
    "Concat": lambda node, ins: np.concatenate(ins, node.get("axis", 0)),
    "Gather": lambda node, ins: np.take(ins[0], ins[1].astype(np.int64), node.get("axis", 0)),
    "Transpose": lambda node, ins: ins[0].transpose(node.get("perm", None)),
    "ScatterND": lambda _node, ins: _scattered(*ins),
    "Tile": lambda _node, ins: np.tile(ins[0], ins[1]) if ins[0].size * ins[1].prod() < LARGEST else _too_large(),
    **{name: _plain(function) for name, function in dict[str, Callable[..., Any]]({
        "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Max": np.maximum, "Min": np.minimum, "Neg": np.negative,
        "Sqrt": np.sqrt, "Exp": np.exp, "Log": np.log, "Floor": np.floor, "Ceil": np.ceil, "Abs": np.abs,
        "Equal": np.equal, "Less": np.less, "Greater": np.greater, "Not": np.logical_not, "And": np.logical_and,
        "Or": np.logical_or, "Where": np.where, "Mod": np.mod, "Reciprocal": np.reciprocal, "Sin": np.sin,
        "Cos": np.cos, "Pow": lambda x, y: np.power(x, y.astype(x.dtype)),
    }).items()},
}  # fmt: skip
"""ONNX's operator -> what it gives for constants; reshaping, slicing and the like come from their handlers."""


def _scattered(data: Array, places: Array, updates: Array) -> Array:
    out = data.copy()
    out[tuple(np.moveaxis(places.astype(np.int64), -1, 0))] = updates
    return out


def _too_large() -> Array:
    raise ValueError("too large")


def fold(node: Node, ins: Sequence[Array | None]) -> Array | None:
    """What a node makes of constants; None: that is not known here."""
    known = [array for array in ins if array is not None]
    if node.op not in FOLDS or len(known) < len(ins):
        return None
    try:
        with np.errstate(all="ignore"):
            made = FOLDS[node.op](node, known)
    except (ValueError, IndexError, TypeError, KeyError, ZeroDivisionError):
        return None
    return made.astype(np.float32) if made.dtype == np.float64 else made
