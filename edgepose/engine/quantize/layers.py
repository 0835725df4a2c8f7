"""What an int8 model lost against the float one it was made of, tensor by tensor, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgepose.engine.quantize.int8 import CONVOLUTIONS
from edgepose.engine.quantize.tape import Tape, Values
from edgepose.engine.surgery.net import Net, Value

Cause = Literal[
    "wrong input range", "wrong calibration range", "saturated logits", "shared scale", "outlier channel",
    "per-tensor weights",
]  # fmt: skip
ADVICE: dict[Cause, str] = {
    "wrong input range": "quantise anew with the numbers that the model was trained on: see input.range",
    "wrong calibration range": "calibrate anew with pictures like those of its use, twenty or more",
    "saturated logits": "calibrate its head anew, or take the logits' known range of -8..8",
    "shared scale": "split the head so that its columns have a scale each, or normalise coordinates to 0..1",
    "outlier channel": "balance the layer's channels, or keep it in int16 or float",
    "per-tensor weights": "quantise anew with a scale for each output channel",
}
CLIPPED = 0.02
"""Share of a tensor's real values beyond what its int8 reaches, from which it counts as clipped."""
UNUSED = 8.0
"""How many times wider than the values a range may be."""
APART = 20.0
"""How many times wider one channel may be than the median one."""
VANISHED = 2.0
"""Steps below which a channel says nothing."""
ENDS = 0.02
"""Share of an int8 head at its first or last level."""
LOST = 0.1
"""Relative error of a tensor from which a cause is looked for."""


class Layer(NamedTuple):
    """One tensor of both models."""

    name: str
    operator: str
    is_head: bool
    loss: float
    """Root of the mean square of its error over its spread."""
    added: float
    """How much of that its inputs had not yet."""


class Finding(NamedTuple):
    """Something that broke, and why."""

    cause: Cause
    tensor: str
    detail: str
    weight: float
    """How bad, to sort by."""

    @property
    def advice(self) -> str:
        """What to do."""
        return ADVICE[self.cause]


def compare(exact: Tape, coarse: Tape, pictures: Sequence[NDArray[np.float32]]) -> tuple[list[Layer], list[Finding]]:
    """Losses of all tensors that both models have by name, in order, and what explains them, worst first."""
    pairs = _pairs(exact.net, coarse.net)
    real: dict[int, list[Values]] = {twin: [] for _, twin in pairs}
    made: dict[int, list[Values]] = {twin: [] for _, twin in pairs}
    for picture in pictures:
        want, got = exact.play(picture), coarse.play(picture)
        for index, twin in pairs:
            real[twin].append(want[index])
            made[twin].append(got[twin])
    losses = {twin: _loss(np.stack(real[twin]), np.stack(made[twin])) for _, twin in pairs}
    layers, findings = [], []
    heads = [coarse.net.same_values(index) for index in coarse.net.outputs]
    for _, twin in pairs:
        value, op = coarse.net.values[twin], coarse.net.maker.get(twin)
        before = max((losses.get(coarse.net.same_values(index), 0.0) for index in op.inputs), default=0.0) if op else 0
        added = max(0.0, losses[twin] - before)
        layers.append(Layer(value.name, op.name if op else "INPUT", twin in heads, losses[twin], added))
        findings += _explained(coarse.net, value, np.stack(real[twin]), losses[twin], twin in heads)
    return layers, sorted([*findings, *_weights(coarse.net)], key=lambda found: -found.weight)


def findings_alone(coarse: Tape, pictures: Sequence[NDArray[np.float32]]) -> list[Finding]:
    """What can be said of an int8 model without its float one."""
    heads = {coarse.net.same_values(index) for index in coarse.net.outputs}
    values: dict[int, list[Values]] = {index: [] for index in heads}
    for picture in pictures:
        got = coarse.play(picture)
        for index in heads:
            values[index].append(got[index])
    findings = []
    for index in sorted(heads):
        seen, value = np.stack(values[index]), coarse.net.values[index]
        findings += [*_shared(value, seen), *_at_ends(value, seen)] if value.is_byte else []
    return sorted([*findings, *_weights(coarse.net)], key=lambda found: -found.weight)


def _pairs(exact: Net, coarse: Net) -> list[tuple[int, int]]:
    """Tensors of both: inputs, heads, and those of one name and shape, in the order they are made."""
    first = (exact.picture.index, coarse.picture.index)
    heads = {
        coarse.same_values(twin): exact.same_values(index)
        for index, twin in zip(exact.outputs, coarse.outputs, strict=False)
        if exact.values[index].shape == coarse.values[twin].shape
    }
    by_name = {(value.name, value.shape): value.index for value in exact.values if value.index in exact.maker}
    pairs = [first]
    for op in coarse.ops:
        for twin in op.outputs:
            value = coarse.values[twin]
            index = heads.get(twin, by_name.get((value.name, value.shape)))
            if index is not None and value.is_byte:
                pairs.append((index, twin))
    return pairs


def _loss(real: Values, made: Values) -> float:
    spread = float(real.std())
    error = float(np.sqrt(np.mean((real - made) ** 2, dtype=np.float64)))
    return error / spread if spread > 1e-6 else 0.0 if error < 1e-6 else 1.0


def reach(value: Value) -> tuple[float, float]:
    """Real values of an integer tensor's first and last level."""
    limits = np.iinfo(value.dtype)
    return (int(limits.min) - value.zero_point) * value.scale, (int(limits.max) - value.zero_point) * value.scale


def _explained(net: Net, value: Value, real: Values, loss: float, head: bool) -> list[Finding]:
    """Why one tensor cannot hold what the float model has there."""
    if not value.is_byte:
        return []
    low, high = reach(value)
    step = value.scale
    clipped = float(np.mean((real < low - step) | (real > high + step)))
    used = float(real.max() - real.min())
    width = high - low
    fits = f"holds {low:.3g}..{high:.3g}, the float model has {real.min():.3g}..{real.max():.3g}"
    wide = used > 1e-6 and width / used > UNUSED
    if value.index == net.picture.index:
        return [Finding("wrong input range", value.name, fits, 100.0)] if clipped > CLIPPED or wide else []
    if clipped > CLIPPED:
        cause: Cause = "saturated logits" if _feeds_sigmoid(net, value) or head else "wrong calibration range"
        return [Finding(cause, value.name, f"{fits}: {clipped:.0%} clipped", 10 * clipped + loss)]
    if wide and used / step < 32:
        if any(op.name == "CONCATENATION" for op in net.readers.get(value.index, [])):
            return [Finding("shared scale", value.name, f"{fits}: it is joined to tensors that reach further", loss)]
        return [Finding("wrong calibration range", value.name, f"{fits}: {used / step:.0f} steps in use", loss)]
    if head:
        return _shared(value, real)
    return _outlier(value, real, loss) if loss > LOST else []


def _feeds_sigmoid(net: Net, value: Value) -> bool:
    return any(op.name in ("LOGISTIC", "SOFTMAX") for op in net.readers.get(value.index, []))


def _channel_widths(real: Values) -> NDArray[np.float64]:
    """(C,) what each channel spans; of rows of anchors the shorter axis is the channels'."""
    shape = real.shape[1:]
    axis = len(shape) if len(shape) != 3 or shape[2] <= shape[1] else 2
    rows = np.moveaxis(real, axis, -1).reshape(-1, real.shape[axis])
    widths: NDArray[np.float64] = (rows.max(axis=0) - rows.min(axis=0)).astype(np.float64)
    return widths


def _shared(value: Value, real: Values) -> list[Finding]:
    """Columns of a head that share a step which is coarser than what they say."""
    widths = _channel_widths(real)
    small = widths < VANISHED * value.scale
    if not small.any() or small.all() or widths.max() < APART * value.scale:
        return []
    detail = f"a step of {value.scale:.3g} for all: {int(small.sum())} of {len(widths)} columns span less than two"
    return [Finding("shared scale", value.name, detail, 20.0)]


def _outlier(value: Value, real: Values, loss: float) -> list[Finding]:
    widths = _channel_widths(real)
    median = float(np.median(widths[widths > 0])) if (widths > 0).any() else 0.0
    if not median or widths.max() / median < APART:
        return []
    detail = f"channel {int(widths.argmax())} spans {widths.max():.3g}, the median channel {median:.3g}"
    return [Finding("outlier channel", value.name, detail, loss)]


def _at_ends(value: Value, made: Values) -> list[Finding]:
    """A head that often is at the last of its levels; at the lowest it may mean nobody."""
    _, high = reach(value)
    share = float(np.mean(made >= high - value.scale / 2))
    detail = f"{share:.0%} of it is at its greatest value, {high:.3g}"
    return [Finding("saturated logits", value.name, detail, 10 * share)] if share > ENDS else []


def _weights(net: Net) -> list[Finding]:
    """Convolutions whose channels share a scale that is too coarse for most of them."""
    findings = []
    for op in net.ops:
        weights = net.value(op.input(1))
        if op.name not in CONVOLUTIONS or not weights.is_byte or weights.constant is None:
            continue
        axis = CONVOLUTIONS[op.name]
        most = np.abs(
            np.moveaxis(weights.numbers().reshape(weights.shape).astype(np.float64) - weights.zero_point, axis, 0)
        )
        widths = most.reshape(weights.shape[axis], -1).max(axis=1)
        if len(widths) > 1 and np.median(widths) < 127 / APART:
            detail = f"one scale for {len(widths)} channels, half of them use {np.median(widths):.0f} of 127 levels"
            findings.append(Finding("per-tensor weights", weights.name, detail, 5.0))
    return findings
