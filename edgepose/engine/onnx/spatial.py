"""What moves over a picture: convolutions, pooling, resizing. All of it channels last."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from edgepose.engine.onnx.build import NHWC, Array, Builder, Scale, Shape, Value, sized
from edgepose.engine.onnx.network import Node

SAME, VALID = 0, 1
LOWEST = float(np.finfo(np.float32).min)
Pads = tuple[tuple[int, int], tuple[int, int]]
"""Rows before and after, columns before and after."""


class UnsupportedError(Exception):
    """Why a node cannot be converted."""


def need(fine: bool, what: str) -> None:
    """Refuse a node unless something holds."""
    if not fine:
        raise UnsupportedError(what)


def constant(value: Value | None, what: str) -> Array:
    """The numbers of a constant input, in real values."""
    if value is None or value.constant is None:
        raise UnsupportedError(f"its {what} is computed while it runs")
    return value.constant if value.scale is None else real(value)


def real(value: Value) -> Array:
    """Real values of a quantised constant."""
    if value.constant is None or value.scale is None:
        raise UnsupportedError("it has no scale")
    shape = [1] * value.constant.ndim
    if len(value.scale.scale) > 1:
        shape[value.scale.axis] = -1
    scale, zero = (np.array(row, np.float32).reshape(shape) for row in (value.scale.scale, value.scale.zero))
    return ((value.constant.astype(np.float32) - zero) * scale).astype(np.float32)


def picture(value: Value | None) -> Value:
    """An input that must be (batch, channels, height, width)."""
    if value is None or len(value.shape) != 4:
        raise UnsupportedError(f"its input is {list(value.shape) if value else None}, not a picture of 4 axes")
    return value


def pair(node: Node, name: str) -> tuple[int, int]:
    """An attribute of two numbers, 1 by default."""
    found = node.get(name, None) or [1, 1]
    need(len(found) == 2, f"its {name} is {found}")
    return int(found[0]), int(found[1])


def pads_of(node: Node, size: Sequence[int], kernel: Sequence[int], stride: Sequence[int]) -> Pads:
    """Padding before and after each axis. kernel: with its holes."""
    auto = node.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        whole = [max((math.ceil(n / s) - 1) * s + k - n, 0) for n, k, s in zip(size, kernel, stride, strict=True)]
        halves = [((n + (auto == "SAME_LOWER")) // 2) for n in whole]
        return (halves[0], whole[0] - halves[0]), (halves[1], whole[1] - halves[1])
    pads = [0, 0, 0, 0] if auto == "VALID" else [int(n) for n in node.get("pads", None) or [0, 0, 0, 0]]
    need(len(pads) == 4, f"its pads are {pads}")
    return (pads[0], pads[2]), (pads[1], pads[3])


def is_same(pads: Pads, size: Sequence[int], kernel: Sequence[int], stride: Sequence[int]) -> bool:
    """Whether TFLite's SAME pads like this."""
    for (before, after), n, k, s in zip(pads, size, kernel, stride, strict=True):
        whole = max((math.ceil(n / s) - 1) * s + k - n, 0)
        if (before, after) != (whole // 2, whole - whole // 2):
            return False
    return True


def padded(b: Builder, tensor: int, pads: Pads, fill: float = 0.0) -> int:
    """A picture, channels last, with a border."""
    need(min(pads[0] + pads[1]) >= 0, f"its pads are {pads}")
    shape = b.tensors[tensor].shape
    rows = [(0, 0), *pads, (0, 0)]
    bigger = tuple(n + sum(row) for n, row in zip(shape, rows, strict=True))
    border = b.const(np.array(rows, np.int32))
    if fill:
        return b.step("PADV2", [tensor, border, b.const(np.array(fill, np.float32))], bigger, 43)
    return b.step("PAD", [tensor, border], bigger, 22)


def ready(b: Builder, tensor: int, pads: Pads, kernel: Sequence[int], stride: Sequence[int],
          fill: float = 0.0) -> tuple[int, int, Shape]:  # fmt: skip
    """A picture padded where TFLite's own padding differs; that padding; height and width of what comes out."""
    size = b.tensors[tensor].shape[1:3]
    out = tuple((n + sum(p) - k) // s + 1 for n, p, k, s in zip(size, pads, kernel, stride, strict=True))
    need(min(out) > 0, f"nothing is left of {list(size)}")
    if not any(pads[0] + pads[1]):
        return tensor, VALID, out
    if is_same(pads, size, kernel, stride):
        return tensor, SAME, out
    return padded(b, tensor, pads, fill), VALID, out


# ------------------------------------------------------------------------------------------------ convolution


def weights(b: Builder, value: Value | None, order: Sequence[int], depthwise: bool = False) -> tuple[int, Scale | None]:
    """Weights in TFLite's order of axes, quantised as they came where that is symmetric."""
    numbers, scale = constant(value, "weight"), value.scale if value else None
    if scale is None or value is None or value.constant is None or any(scale.zero) or value.constant.dtype != np.int8:
        return b.const(numbers.transpose(order)), None
    axis = 3 if depthwise else 0
    return b.const(value.constant.transpose(order), replace(scale, axis=axis)), scale


def bias_of(b: Builder, value: Value | None, count: int) -> int:
    """A bias, zeros where there is none; quantised ones as real values, the pass that fuses makes integers of them."""
    numbers = np.zeros(count, np.float32) if value is None else constant(value, "bias")
    return b.const(numbers.astype(np.float32).reshape(count))


def real_weights(b: Builder, tensor: int, scale: Scale | None) -> int:
    """Weights as a float step reads them."""
    if scale is None:
        return tensor
    return b.step("DEQUANTIZE", [tensor], b.tensors[tensor].shape, 38, dtype="float32", version=2)


def conv(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """Conv: whole, grouped or depthwise."""
    source, weight = picture(ins[0]), ins[1]
    if weight is None or len(weight.shape) != 4:
        raise UnsupportedError("its weight has not 4 axes")
    many, _, *kernel = weight.shape
    stride, hole, groups = pair(node, "strides"), pair(node, "dilations"), int(node.get("group", 1))
    need(groups > 0 and weight.shape[1] * groups == source.shape[1] and not many % groups, "its channels do not fit")
    wide = [(k - 1) * d + 1 for k, d in zip(kernel, hole, strict=True)]
    tensor = b.as_perm(source, NHWC)
    pads = pads_of(node, b.tensors[tensor].shape[1:3], wide, stride)
    tensor, how, out = ready(b, tensor, pads, wide, stride)
    depthwise = groups > 1 and weight.shape[1] == 1
    filters, scale = weights(b, weight, (1, 2, 3, 0) if depthwise else (0, 2, 3, 1), depthwise)
    inputs = [tensor, real_weights(b, filters, scale), bias_of(b, ins[2] if len(ins) > 2 else None, many)]
    shape = (source.shape[0], *out, many)
    options = [(0, "b", how), (1, "i", stride[1]), (2, "i", stride[0])]
    if depthwise:
        options += [(3, "i", many // groups), (5, "i", hole[1]), (6, "i", hole[0])]
        made = b.step("DEPTHWISE_CONV_2D", inputs, shape, 2, *options, version=2)
    else:
        options += [(4, "i", hole[1]), (5, "i", hole[0])]
        made = b.step("CONV_2D", inputs, shape, 1, *options, version=1 if groups == 1 else 6)
    return [pictured(shape, made)]


def pictured(stored: Shape, tensor: int) -> Value:
    """What is stored channels last, as ONNX sees it."""
    n, h, w, c = stored
    return Value((n, c, h, w), NHWC, tensor)


def conv_transpose(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """ConvTranspose: computed whole, its border cut off; groups one by one."""
    source = picture(ins[0])
    weight = constant(ins[1], "weight")
    need(weight.ndim == 4, "its weight has not 4 axes")
    groups, stride = int(node.get("group", 1)), pair(node, "strides")
    need(pair(node, "dilations") == (1, 1), "it has dilations")
    need(node.get("auto_pad", "NOTSET") in ("NOTSET", "VALID"), f"its auto_pad is {node.get('auto_pad', '')}")
    need(groups > 0 and weight.shape[0] == source.shape[1] and not weight.shape[0] % groups, "its channels do not fit")
    tensor, extra = b.as_perm(source, NHWC), node.get("output_padding", None) or [0, 0]
    n, *size, _ = b.tensors[tensor].shape
    full = [(m - 1) * s + k for m, s, k in zip(size, stride, weight.shape[2:], strict=True)]
    pads = pads_of(node, size, weight.shape[2:], stride)
    out = [f - sum(p) + e for f, p, e in zip(full, pads, extra, strict=True)]
    need(not node.get("output_shape", None) or list(node.get("output_shape", []))[-2:] == out, "its output_shape")
    parts = [_spread(b, tensor, weight, stride, full, group, groups) for group in range(groups)]
    many = weight.shape[1] * groups
    made = parts[0] if groups == 1 else b.step("CONCATENATION", parts, (n, *full, many), 10, (0, "i", 3))
    starts = [p[0] for p in pads]
    over = [max(0, start + o - f) for start, o, f in zip(starts, out, full, strict=True)]
    if any(over):
        made = padded(b, made, ((0, over[0]), (0, over[1])))
    if any(starts) or list(b.tensors[made].shape[1:3]) != out:
        begin, length = ([0, *starts, 0], [n, *out, many])
        made = b.step("SLICE", [made, *(b.const(np.array(row, np.int32)) for row in (begin, length))],
                      tuple(length), 48)  # fmt: skip
    if len(ins) > 2 and ins[2] is not None:
        made = b.step("ADD", [made, bias_of(b, ins[2], many)], (n, *out, many), 11)
    return [pictured((n, *out, many), made)]


def _spread(b: Builder, tensor: int, weight: Array, stride: Sequence[int], full: Sequence[int], group: int,
            groups: int) -> int:  # fmt: skip
    n, h, w, channels = b.tensors[tensor].shape
    each = channels // groups
    if groups > 1:
        begin, length = [0, 0, 0, group * each], [n, h, w, each]
        tensor = b.step("SLICE", [tensor, *(b.const(np.array(row, np.int32)) for row in (begin, length))],
                        tuple(length), 48)  # fmt: skip
    part = weight[group * each : (group + 1) * each].transpose(1, 2, 3, 0)
    shape = (n, *full, part.shape[0])
    options = [(0, "b", VALID), (1, "i", stride[1]), (2, "i", stride[0])]
    inputs = [b.const(np.array(shape, np.int32)), b.const(part), tensor]
    return b.step("TRANSPOSE_CONV", inputs, tuple(shape), 49, *options, dtype="float32")


# ------------------------------------------------------------------------------------------------ pooling


def _pool(b: Builder, node: Node, ins: list[Value | None], op: str) -> list[Value]:
    source, kernel, stride = picture(ins[0]), pair(node, "kernel_shape"), pair(node, "strides")
    need(pair(node, "dilations") == (1, 1), "it has dilations")
    need(len(node.outputs) == 1, "its places are asked for too")
    tensor = b.as_perm(source, NHWC)
    size = b.tensors[tensor].shape[1:3]
    pads = pads_of(node, size, kernel, stride)
    if node.get("ceil_mode", 0):
        pads = _rounded_up(pads, size, kernel, stride)
    counted = not any(pads[0] + pads[1]) or is_same(pads, size, kernel, stride)
    mean = op == "AVERAGE_POOL_2D"
    need(not (mean and node.get("ceil_mode", 0) and not counted), "it rounds sizes up (ceil_mode)")
    if mean and node.get("count_include_pad", 0) and any(pads[0] + pads[1]):
        tensor, pads = padded(b, tensor, pads), ((0, 0), (0, 0))
        counted = True
    before = pads
    tensor, how, out = ready(b, tensor, pads, kernel, stride, 0.0 if mean else LOWEST)
    shape = (source.shape[0], *out, source.shape[1])
    options = [(0, "b", how), (1, "i", stride[1]), (2, "i", stride[0]), (3, "i", kernel[1]), (4, "i", kernel[0])]
    made = b.step(op, [tensor], shape, 5, *options)
    if mean and not counted:  # the border counts for nothing
        share = [_share(*row) for row in zip(size, before, kernel, stride, out, strict=True)]
        made = b.step("MUL", [made, b.const((share[0][:, None] * share[1])[None, :, :, None])], shape, 21)
    return [pictured(shape, made)]


def _rounded_up(pads: Pads, size: Sequence[int], kernel: Sequence[int], stride: Sequence[int]) -> Pads:
    rows = []
    for (before, after), n, k, s in zip(pads, size, kernel, stride, strict=True):
        out = math.ceil((n + before + after - k) / s) + 1
        out -= (out - 1) * s >= n + before  # the last window starts in the border: torch and ONNX drop it
        rows.append((before, max(after, (out - 1) * s + k - n - before)))
    return rows[0], rows[1]


def _share(size: int, pads: tuple[int, int], kernel: int, stride: int, out: int) -> Array:
    starts = np.arange(*sized((out,))) * stride - pads[0]
    inside = np.minimum(starts + kernel, size) - np.maximum(starts, 0)
    return (kernel / inside).astype(np.float32)


def max_pool(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """MaxPool."""
    return _pool(b, node, ins, "MAX_POOL_2D")


def average_pool(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """AveragePool."""
    return _pool(b, node, ins, "AVERAGE_POOL_2D")


# ------------------------------------------------------------------------------------------------ resizing


def resize(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """Resize and Upsample: nearest or bilinear, height and width."""
    source = picture(ins[0])
    mode = node.get("mode", "nearest")
    need(mode in ("nearest", "linear", "bilinear"), f"its mode is {mode}")
    need(not node.get("antialias", 0), "it smooths (antialias)")
    out, scales = _sizes(node, source, ins)
    need(out[:2] == list(source.shape[:2]), "it resizes batch or channels")
    tensor = b.as_perm(source, NHWC)
    shape = (source.shape[0], out[2], out[3], source.shape[1])
    if shape == b.tensors[tensor].shape:
        return [pictured(shape, tensor)]
    where = node.get("coordinate_transformation_mode", "half_pixel" if node.op == "Resize" else "asymmetric")
    size = b.const(np.array(out[2:], np.int32))
    if mode == "nearest":
        return [pictured(shape, _nearest(b, node, tensor, shape, scales[2:], where, size))]
    corners, half = where == "align_corners", where in ("half_pixel", "pytorch_half_pixel")
    need(corners or half or where == "asymmetric", f"its coordinate_transformation_mode is {where}")
    exact = all(abs(s * n - o) < 1e-3 for s, n, o in zip(scales, source.shape, out, strict=True))
    need(corners or exact, "its scales give no whole size")
    options = [(2, "?", corners), (3, "?", half)]
    return [pictured(shape, b.step("RESIZE_BILINEAR", [tensor, size], shape, 15, *options, version=3))]


def _sizes(node: Node, source: Value, ins: list[Value | None]) -> tuple[list[int], list[float]]:
    """The new shape, and how many times larger each axis becomes."""
    if len(ins) > 3 and ins[3] is not None:
        out = [int(n) for n in constant(ins[3], "size")]
        if node.get("axes", None):
            row = list(source.shape)
            for axis, n in zip(node.get("axes", []), out, strict=True):
                row[axis] = n
            out = row
        need(node.get("keep_aspect_ratio_policy", "stretch") == "stretch", "it keeps the aspect ratio")
        need(len(out) == 4, f"its sizes are {out}")
        return out, [o / n for o, n in zip(out, source.shape, strict=True)]
    given = ins[2] if len(ins) > 2 else ins[1] if len(ins) > 1 else None
    numbers = node.get("scales", None) if given is None else constant(given, "scale").ravel().tolist()
    if numbers and node.get("axes", None):
        by_axis = dict(zip(node.get("axes", []), numbers, strict=True))
        numbers = [by_axis.get(axis, 1.0) for axis in range(4)]
    if numbers is None or len(numbers) != 4 or min(numbers) <= 0:
        raise UnsupportedError(f"its scales are {numbers}")
    return [math.floor(n * s) for n, s in zip(source.shape, numbers, strict=True)], list(numbers)


ROUND: dict[str, Callable[[Array], Array]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
}


def _nearest(b: Builder, node: Node, tensor: int, shape: Shape, scales: Sequence[float], where: str, size: int) -> int:
    """By TFLite's own operator where that takes the same pixels, else by picking rows and columns."""
    need(where in ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"), f"its mode is {where}")
    rounding = node.get("nearest_mode", "round_prefer_floor") if node.op == "Resize" else "floor"
    need(rounding in ROUND, f"its nearest_mode is {rounding}")
    old = b.tensors[tensor].shape
    picks = []
    for axis, scale in zip((1, 2), scales, strict=True):
        n, out = old[axis], shape[axis]
        x = np.arange(*sized((out,)))
        if where == "align_corners":
            place = x * ((n - 1) / max(1, out - 1))
        else:
            place = x / scale if where == "asymmetric" else (x + 0.5) / scale - 0.5
        picks.append(np.clip(ROUND[rounding](place), 0, n - 1).astype(np.int32))
    plainly = [np.minimum(np.arange(o) * n // o, n - 1) for n, o in zip(old[1:3], shape[1:3], strict=True)]
    if all(np.array_equal(pick, row) for pick, row in zip(picks, plainly, strict=True)):
        return b.step("RESIZE_NEAREST_NEIGHBOR", [tensor, size], shape, 74)
    for axis, pick in zip((1, 2), picks, strict=True):
        now = b.tensors[tensor].shape
        row = (*now[:axis], len(pick), *now[axis + 1 :])
        tensor = b.step("GATHER", [tensor, b.const(pick)], row, 23, (0, "i", axis))
    return tensor
