"""Float .tflite -> int8 .tflite: calibrated ranges, a scale for each output channel of the weights, corrected biases.

Weights in int8 are a little off, and what is off the same way everywhere adds up from layer to layer: each bias takes
up what its layer's weights lost on the mean input of each channel (Nagel et al. 2019, section 4.2, in closed form).
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core.errors import ConfigError, ModelError
from edgepose.engine.quantize.idle import without_idle
from edgepose.engine.quantize.tape import Tape
from edgepose.engine.surgery import parts
from edgepose.engine.surgery.net import Net, Op, copied
from edgepose.engine.surgery.reading import read_model
from edgepose.engine.surgery.writing import write_model

Ends = dict[int, tuple[float, float]]
"""Tensor -> least and greatest real value that its int8 must reach."""
LEAST_WIDTH = 0.05
"""Of a range: a tensor that is always 0 still needs a step."""
SHARES = (1.0, 0.95, 0.8)
"""Shares of the calibration pictures that ranges hold wholly: each is tried."""
JUDGES = 8
"""Pictures that the tries are compared on."""
LOGITS = (-8.0, 8.0)
"""What goes into a sigmoid: its end is 0.0003 from 0 or 1 there; a wider range only makes the steps coarser."""
INSTALL = 'pip install "edgepose[quantize]"'
CONVOLUTIONS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}
"""Operator -> axis of the weights that counts its output channels."""


class Seen:
    """What the calibration pictures showed of a float model."""

    def __init__(self, tape: Tape, pictures: Iterable[NDArray[np.float32]]) -> None:
        """Run it on pictures (H, W, 3) of real input values."""
        self.tape = tape
        self.ends: dict[int, list[tuple[float, float]]] = {index: [] for index in tape.computed}
        self.sums: dict[int, NDArray[np.float64]] = {}
        self.pictures = 0
        for picture in pictures:
            self.pictures += 1
            for index, value in tape.play(picture).items():
                if not np.isfinite(value).all():
                    name = tape.net.values[index].name
                    raise ModelError(
                        f"{tape.net.where}: tensor {name!r} is not finite on a picture: nothing to measure"
                    )
                self.ends[index].append((float(value.min()), float(value.max())))
                mean = value.reshape(-1, value.shape[-1]).mean(axis=0, dtype=np.float64) if value.ndim else value
                self.sums[index] = self.sums.get(index, np.zeros(1)) + mean

    def ranges(self, span: tuple[float, float], share: float = 1.0) -> Ends:
        """The range of every tensor; `span` is the known one of the input.

        share  of the pictures whose ends are wholly within it: an odd one makes all others' steps coarse
        """
        made = {}
        for index, ends in self.ends.items():
            lows, highs = np.array(ends).T
            low, high = min(0.0, float(np.quantile(lows, 1 - share))), max(0.0, float(np.quantile(highs, share)))
            made[index] = (low, high if high - low >= LEAST_WIDTH else low + LEAST_WIDTH)
        for op in self.tape.net.ops:
            if op.name == "LOGISTIC":
                low, high = made[op.input(0)]
                made[op.input(0)] = max(low, LOGITS[0]), min(high, LOGITS[1])
        return made | {self.tape.net.picture.index: (min(span), max(span))}

    def mean(self, index: int) -> NDArray[np.float64]:
        """(C,) mean of each channel."""
        return self.sums[index] / self.pictures


def make_int8(content: bytes, where: str, pictures: Sequence[NDArray[np.float32]], span: tuple[float, float]) -> bytes:
    """The int8 model: of several ways to take ranges the one whose heads lose least.

    pictures  (H, W, 3) real input values, some 20 or more
    span      real values of byte 0 and of byte 255 at the input

    Raises:
        ModelError: it is int8 already, damaged, or has operators that cannot be int8.
        ConfigError: the quantiser is not installed.
    """
    content, _ = without_idle(content, where)
    tape = Tape(content, where)
    if tape.net.picture.dtype != "float32" or any(op.name == "QUANTIZE" for op in tape.net.ops):
        raise ModelError(f"{where}: is quantised already; `edgepose models checkup` says how well")
    seen = Seen(tape, pictures)
    if not seen.pictures:
        raise ModelError(f"{where}: no picture to calibrate with")
    named, best = _named_codes(content, where), (np.inf, b"")
    for share in SHARES:
        made = _quantised(named, where, _by_name(tape.net, seen.ranges(span, share)))
        made = corrected(tape.net, made, where, seen)
        best = min(best, (_lost_at_heads(tape, Tape(made, where), pictures[:JUDGES]), made))
    return best[1]


def _lost_at_heads(exact: Tape, coarse: Tape, pictures: Sequence[NDArray[np.float32]]) -> float:
    """Greatest share of a head's variance, over all pictures, that the int8 model has not."""
    error = np.zeros((len(exact.net.outputs), 2))
    for picture in pictures:
        want, got = exact.play(picture), coarse.play(picture)
        for row, index, twin in zip(error, exact.net.outputs, coarse.net.outputs, strict=True):
            row += float(np.square(want[index] - got[twin]).mean()), float(want[index].var())
    return float((error[:, 0] / np.maximum(error[:, 1], 1e-12)).max())


def _named_codes(content: bytes, where: str) -> bytes:
    """The same model with the operators' newer numbers: files from before 2020 have only the older, one byte long."""
    model = read_model(content, where)
    model.codes = [copied(code, builtin=max(code.short, code.builtin)) for code in model.codes]
    return write_model(model)


def _by_name(net: Net, ends: Ends) -> dict[str, tuple[float, float]]:
    names = [value.name for value in net.values]
    twice = {name for name in names if names.count(name) > 1 or not name}
    if twice:
        raise ModelError(f"{net.where}: {len(twice)} tensor names are not unique ({min(twice)!r}); export it anew")
    return {net.values[index].name: pair for index, pair in ends.items()}


def _quantised(content: bytes, where: str, ranges: Mapping[str, tuple[float, float]]) -> bytes:
    try:
        from ai_edge_quantizer import quantizer, recipe
    except ImportError as error:
        raise ConfigError(f"quantising needs ai-edge-quantizer ({error}); {INSTALL}") from None
    logging.getLogger("absl").setLevel(logging.ERROR)
    tool = quantizer.Quantizer(bytearray(content))
    tool.load_quantization_recipe(recipe.static_wi8_ai8())
    statistics = {
        name: {"min": np.full((1,) * 4, low, np.float32), "max": np.full((1,) * 4, high, np.float32)}
        for name, (low, high) in ranges.items()
    }
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            result: Any = tool.quantize(statistics, enable_progress_bar=False, enable_progress_report=False)
    except (ValueError, RuntimeError, KeyError, NotImplementedError) as error:
        raise ModelError(f"{where}: cannot be made int8: {' '.join(str(error).split())[:300]}") from None
    return write_model(read_model(bytes(result.quantized_model), where))


# ------------------------------------------------------------------------------------------------ biases


def corrected(exact: Net, made: bytes, where: str, seen: Seen) -> bytes:
    """The int8 model with biases that take up what its weights lost on average."""
    coarse = Net(made, where)
    model, graph = coarse.model, coarse.graph
    place = {value.name: value.index for value in exact.values}
    for op in coarse.ops:
        twin = exact.maker.get(place.get(coarse.value(op.outputs[0]).name, -1)) if op.outputs else None
        if op.name not in CONVOLUTIONS or twin is None or twin.name != op.name or op.input(2) < 0:
            continue
        change = _lost(exact, twin, coarse, op, seen)
        if change is None:
            continue
        tensor = graph.tensors[op.input(2)]
        bias = np.frombuffer(model.buffers[tensor.buffer].data or b"", "<i4")
        moved = np.clip(bias + np.round(change / _scales(tensor)), -(2**31), 2**31 - 1).astype("<i4")
        tensor.buffer = len(model.buffers)  # of its own: others may share the old one
        model.buffers.append(parts.Buffer(data=moved.tobytes()))
    return write_model(model)


def _lost(exact: Net, twin: Op, coarse: Net, op: Op, seen: Seen) -> NDArray[np.float64] | None:
    """(C,) what each output channel misses for the weights' rounding, in real units."""
    weights = exact.value(twin.input(1))
    raw = graph_constant(coarse, op.input(1))
    if weights.dtype != "float32" or weights.constant is None or raw is None or twin.input(0) not in seen.sums:
        return None
    axis = CONVOLUTIONS[op.name]
    shape = [1] * len(weights.shape)
    shape[axis] = -1
    real = weights.numbers().reshape(weights.shape).astype(np.float64)
    off = real - raw.reshape(weights.shape) * _scales(coarse.graph.tensors[op.input(1)]).reshape(shape)
    mean = seen.mean(twin.input(0))
    if op.name == "CONV_2D":
        return None if off.shape[3] != len(mean) else np.asarray(off.sum(axis=(1, 2)) @ mean)
    each = off.shape[3] // len(mean)
    return np.asarray(off.sum(axis=(0, 1, 2)) * np.repeat(mean, each))


def graph_constant(net: Net, index: int) -> NDArray[np.float64] | None:
    """Raw values of an int8 constant, flat."""
    value = net.value(index)
    return None if value.constant is None or value.dtype != "int8" else value.numbers().astype(np.float64)


def _scales(tensor: parts.Tensor) -> NDArray[np.float64]:
    quant = tensor.quantisation
    return np.frombuffer(quant.scale or b"", "<f4").astype(np.float64) if quant else np.ones(1)
