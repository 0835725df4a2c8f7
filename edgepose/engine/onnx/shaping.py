"""What only moves numbers: reshape, transpose, slice, split, concatenate, pad, gather. Most of it costs nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgepose.engine.onnx.build import Builder, Perm, Scale, Shape, Value, plain, sized
from edgepose.engine.onnx.network import Node
from edgepose.engine.onnx.spatial import UnsupportedError, constant, need

LARGEST = 1 << 62


def given(value: Value | None) -> Value:
    """An input that must be there."""
    if value is None:
        raise UnsupportedError("an input is missing")
    return value


def numbers(node: Node, ins: list[Value | None], name: str, place: int, default: list[int] | None = None) -> list[int]:
    """What newer versions have as an input and older ones as an attribute."""
    if len(ins) > place and ins[place] is not None:
        return [int(n) for n in constant(ins[place], name).ravel()]
    found = node.get(name, default)
    if found is None:
        raise UnsupportedError(f"its {name} is missing")
    return [int(n) for n in ([found] if isinstance(found, int) else found)]


def axes_of(axes: Sequence[int], rank: int) -> list[int]:
    """Axes counted from the front."""
    need(all(-rank <= axis < rank for axis in axes), f"its axes are {list(axes)} of {rank}")
    return [axis % rank for axis in axes]


# ------------------------------------------------------------------------------------------------ shape


def view(b: Builder, value: Value, shape: Shape) -> Value:
    """The same numbers with another shape, in the layout they have where that is possible."""
    need(math.prod(shape) == math.prod(value.shape), f"{list(value.shape)} has not the size of {list(shape)}")
    if value.constant is not None and value.scale is None:
        return Value(shape, plain(len(shape)), constant=value.constant.reshape(shape))
    perm = _carried(value, shape)
    if perm is not None:
        return Value(shape, perm, b.reshaped(value.tensor, tuple(shape[axis] for axis in perm)))
    return Value(shape, plain(len(shape)), b.reshaped(b.as_perm(value, plain(len(value.shape))), shape))


def _carried(value: Value, shape: Shape) -> Perm | None:
    """Order of the new axes in which nothing has to move; None: there is none."""
    blocks = _blocks(value.shape, shape)
    if blocks is None:
        return None
    order: list[int] = []
    stored = [axis for axis in value.perm if value.shape[axis] > 1]
    while stored:
        old, new = next(block for block in blocks if stored[0] in block[0])
        if stored[: len(old)] != old:
            return None
        order += new
        del stored[: len(old)]
    for axis in range(len(shape)):  # axes of length 1 may lie anywhere: beside the one before
        if axis not in order:
            order.insert(order.index(axis - 1) + 1 if axis - 1 in order else 0, axis)
    return tuple(order)


def _blocks(old: Shape, new: Shape) -> list[tuple[list[int], list[int]]] | None:
    """The axes longer than 1, in groups that hold the same numbers before and after."""
    left = [axis for axis, n in enumerate(old) if n > 1]
    right = [axis for axis, n in enumerate(new) if n > 1]
    found: list[tuple[list[int], list[int]]] = []
    while left and right:
        a, c = [left.pop(0)], [right.pop(0)]
        one, other = old[a[0]], new[c[0]]
        while one != other:
            side, sizes, taken = (left, old, a) if one < other else (right, new, c)
            if not side:
                return None
            taken.append(side.pop(0))
            if taken is a:
                one *= sizes[taken[-1]]
            else:
                other *= sizes[taken[-1]]
        found.append((a, c))
    return None if left or right else found


def reshape(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """Reshape."""
    source, wanted = given(ins[0]), numbers(node, ins, "shape", 1)
    keep = not node.get("allowzero", 0)
    shape = [source.shape[i] if not n and keep and i < len(source.shape) else n for i, n in enumerate(wanted)]
    rest = math.prod(n for n in shape if n >= 0)
    need(rest > 0 and shape.count(-1) <= 1 and min(shape, default=1) >= -1, f"its shape is {wanted}")
    return [view(b, source, tuple(math.prod(source.shape) // rest if n < 0 else n for n in shape))]


def flatten(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """Flatten."""
    source, axis = given(ins[0]), int(node.get("axis", 1))
    axis += len(source.shape) * (axis < 0)
    return [view(b, source, (math.prod(source.shape[:axis]), math.prod(source.shape[axis:])))]


def squeeze(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """Squeeze."""
    source = given(ins[0])
    axes = axes_of(numbers(node, ins, "axes", 1, [i for i, n in enumerate(source.shape) if n == 1]), len(source.shape))
    return [view(b, source, tuple(n for axis, n in enumerate(source.shape) if axis not in axes))]


def unsqueeze(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """Unsqueeze."""
    source, axes = given(ins[0]), numbers(node, ins, "axes", 1)
    axes = axes_of(axes, len(source.shape) + len(axes))
    rest = iter(source.shape)
    return [view(b, source, tuple(1 if i in axes else next(rest) for i in range(len(source.shape) + len(axes))))]


def identity(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """Identity, Dropout, Cast between kinds of floats."""
    return [given(ins[0])]


def transpose(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """Transpose: nothing moves, only the names of the axes."""
    source = given(ins[0])
    order = [int(axis) for axis in node.get("perm", None) or range(len(source.shape))[::-1]]
    need(sorted(order) == list(range(len(source.shape))), f"its perm is {order}")
    return [permuted(source, order)]


def permuted(source: Value, order: Sequence[int]) -> Value:
    """Axis i is what was axis order[i]."""
    shape = tuple(source.shape[axis] for axis in order)
    if source.constant is not None and source.scale is None:
        return Value(shape, plain(len(shape)), constant=source.constant.transpose(order))
    if source.constant is not None:
        scale = source.scale or Scale((1.0,), (0,))
        axis = order.index(scale.axis) if len(scale.scale) > 1 else 0
        return Value(shape, plain(len(shape)), -1, source.constant.transpose(order), replace(scale, axis=axis))
    return Value(shape, tuple(list(order).index(axis) for axis in source.perm), source.tensor)


# ------------------------------------------------------------------------------------------------ parts


def cut(b: Builder, value: Value, axis: int, start: int, stop: int, step: int = 1) -> Value:
    """Every step-th of start..stop along an axis."""
    length = len(range(start, stop, step))
    need(length > 0, "nothing is left")
    shape = (*value.shape[:axis], length, *value.shape[axis + 1 :])
    if shape == value.shape and step == 1:
        return value
    if value.constant is not None:
        picked = np.take(value.constant, list(range(start, stop, step)), axis)
        return replace(value, shape=shape, constant=picked)
    place, stored = value.place(axis), value.stored
    begin, end, by = [0] * len(stored), list(stored), [1] * len(stored)
    begin[place], end[place], by[place] = start, stop, step
    made = tuple(shape[each] for each in value.perm)
    if step == 1:
        rows = [np.array(row, np.int32) for row in (begin, made)]
        return Value(shape, value.perm, b.step("SLICE", [value.tensor, *map(b.const, rows)], made, 48))
    if step < 0:
        order = b.const(np.arange(start, stop, step).astype(np.int32))
        return Value(shape, value.perm, b.step("GATHER", [value.tensor, order], made, 23, (0, "i", place)))
    rows = [np.array(row, np.int32) for row in (begin, end, by)]
    return Value(shape, value.perm, b.step("STRIDED_SLICE", [value.tensor, *map(b.const, rows)], made, 32))


def slice_(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """Slice."""
    source = given(ins[0])
    starts, ends = numbers(node, ins, "starts", 1), numbers(node, ins, "ends", 2)
    axes = axes_of(numbers(node, ins, "axes", 3, list(range(len(starts)))), len(source.shape))
    steps = numbers(node, ins, "steps", 4, [1] * len(starts))
    need(len(starts) == len(ends) == len(axes) == len(steps) and 0 not in steps, "its bounds do not fit together")
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        bounds = slice(start, None if step < 0 and end < -LARGEST else end, step).indices(source.shape[axis])
        source = cut(b, source, axis, *bounds)
    return [source]


def split(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """Split."""
    source, many = given(ins[0]), len(node.outputs)
    (axis,) = axes_of([int(node.get("axis", 0))], len(source.shape))
    each = math.ceil(source.shape[axis] / many)
    sizes = numbers(node, ins, "split", 1, [min(each, source.shape[axis] - i * each) for i in range(many)])
    need(sum(sizes) == source.shape[axis] and len(sizes) == many, f"its parts are {sizes}")
    ends = np.cumsum(sizes).tolist()
    return [cut(b, source, axis, end - size, end) for end, size in zip(ends, sizes, strict=True)]


def concat(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """Concat, in the layout that most of its inputs have."""
    values = [given(value) for value in ins if value is None or 0 not in value.shape]
    (axis,) = axes_of([int(node.get("axis", 0))], len(values[0].shape))
    perms = [value.perm for value in values if value.constant is None] or [plain(len(values[0].shape))]
    perm = max(perms, key=perms.count)
    need(all(len(value.shape) == len(perm) for value in values), "its inputs have not the same number of axes")
    shape = list(values[0].shape)
    shape[axis] = sum(value.shape[axis] for value in values)
    stored = tuple(shape[each] for each in perm)
    tensors = [b.as_perm(value, perm) for value in values]
    made = b.step("CONCATENATION", tensors, stored, 10, (0, "i", perm.index(axis)))
    return [Value(tuple(shape), perm, made)]


def gather(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """Gather with indices that are known."""
    source, index = given(ins[0]), constant(ins[1], "index")
    (axis,) = axes_of([int(node.get("axis", 0))], len(source.shape))
    index = np.where(index < 0, index + source.shape[axis], index).astype(np.int32)
    need(bool(index.size) and int(index.min()) >= 0 and int(index.max()) < source.shape[axis], "its index is outside")
    if index.ndim == 0:
        part = cut(b, source, axis, int(index), int(index) + 1)
        return [view(b, part, (*source.shape[:axis], *source.shape[axis + 1 :]))]
    flat = index.ravel()
    shape = (*source.shape[:axis], len(flat), *source.shape[axis + 1 :])
    tensor, perm = b.at(source)
    stored = tuple(shape[each] for each in perm)
    made = b.step("GATHER", [tensor, b.const(flat)], stored, 23, (0, "i", perm.index(axis)))
    whole = (*source.shape[:axis], *index.shape, *source.shape[axis + 1 :])
    return [view(b, Value(shape, perm, made), whole)]


def pad(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """Pad with a constant, or by reflection."""
    source, pads, mode = given(ins[0]), numbers(node, ins, "pads", 1), node.get("mode", "constant")
    rank = len(source.shape)
    axes = axes_of(numbers(node, ins, "axes", 3, list(range(rank))), rank)
    need(len(pads) == 2 * len(axes), f"its pads are {pads}")
    rows = [(0, 0)] * rank
    for place, axis in enumerate(axes):
        rows[axis] = (pads[place], pads[place + len(axes)])
    need(mode in ("constant", "reflect"), f"its mode is {mode}")
    for axis, (before, after) in enumerate(rows):  # less than nothing is a cut
        source = cut(b, source, axis, max(0, -before), source.shape[axis] - max(0, -after))
    rows = [(max(0, before), max(0, after)) for before, after in rows]
    if not any(map(any, rows)):
        return [source]
    shape = tuple(n + sum(row) for n, row in zip(source.shape, rows, strict=True))
    tensor, perm = b.at(source)
    border, stored = b.const(np.array([rows[axis] for axis in perm], np.int32)), tuple(shape[axis] for axis in perm)
    if mode == "reflect":
        return [Value(shape, perm, b.step("MIRROR_PAD", [tensor, border], stored, 77, (0, "b", 0)))]
    fill = float(constant(ins[2], "value").ravel()[0]) if len(ins) > 2 and ins[2] else float(node.get("value", 0.0))
    if fill:
        value = b.const(np.array(max(fill, float(np.finfo(np.float32).min)), np.float32))
        return [Value(shape, perm, b.step("PADV2", [tensor, border, value], stored, 43))]
    return [Value(shape, perm, b.step("PAD", [tensor, border], stored, 22))]


def expand(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """Expand, as a sum with zeros."""
    source, wanted = given(ins[0]), numbers(node, ins, "shape", 1)
    rank = max(len(wanted), len(source.shape))
    source = view(b, source, (1,) * (rank - len(source.shape)) + source.shape)
    shape = np.broadcast_shapes(source.shape, tuple(wanted))
    if shape == source.shape:
        return [source]
    tensor, perm = b.at(source)
    stored = tuple(shape[axis] for axis in perm)
    return [Value(shape, perm, b.step("ADD", [tensor, b.const(np.zeros(sized(stored), np.float32))], stored, 11))]


def depth_to_space(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """DepthToSpace: 6 axes, three of which swap."""
    source, s = given(ins[0]), int(node.get("blocksize", 0))
    need(len(source.shape) == 4 and s > 0 and not source.shape[1] % (s * s), "its blocks do not fit")
    n, c, h, w = source.shape
    crd = node.get("mode", "DCR") == "CRD"
    apart = view(b, source, (n, c // s // s, s, s, h, w) if crd else (n, s, s, c // s // s, h, w))
    moved = permuted(apart, (0, 1, 4, 2, 5, 3) if crd else (0, 3, 4, 1, 5, 2))
    return [view(b, moved, (n, c // s // s, h * s, w * s))]


def space_to_depth(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """SpaceToDepth."""
    source, s = given(ins[0]), int(node.get("blocksize", 0))
    need(len(source.shape) == 4 and s > 0 and not (source.shape[2] % s or source.shape[3] % s), "its blocks do not fit")
    n, c, h, w = source.shape
    moved = permuted(view(b, source, (n, c, h // s, s, w // s, s)), (0, 3, 5, 1, 2, 4))
    return [view(b, moved, (n, c * s * s, h // s, w // s))]
