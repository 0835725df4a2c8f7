"""Int8 models: made of float ones without much loss, and what broke in one is named rightly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.commands.cli import main
from edgepose.engine.manifest import read_manifest
from edgepose.engine.quantize import Tape, compare, findings_alone
from edgepose.engine.quantize.idle import without_idle
from edgepose.engine.quantize.int8 import make_int8
from tests.helpers.tiny_graphs import Tiny

F = np.float32
RNG = np.random.default_rng(5)
PICTURES = [RNG.uniform(0, 1, (16, 16, 3)).astype(F) for _ in range(6)]
FILTERS = RNG.uniform(-1, 1, (8, 1, 1, 3)).astype(F)


def float_net(gain: NDArray[Any] | float = 1.0, sigmoid: bool = False) -> bytes:
    """A 1x1 convolution to 8 channels, each times its gain; behind it a sigmoid or nothing."""
    tiny = Tiny()
    picture = tiny.tensor((1, 16, 16, 3), "float32")
    filters = (FILTERS * np.reshape(np.broadcast_to(gain, 8), (8, 1, 1, 1))).astype(F)
    out = tiny.tensor((1, 16, 16, 8), "float32")
    bias = tiny.tensor((8,), "float32", data=np.zeros(8, F))
    tiny.op(
        "CONV_2D", [picture, tiny.tensor(filters.shape, "float32", data=filters), bias], [out], strideH=1, strideW=1
    )
    tiny.graph.tensors[out].name = "logits"
    return tiny.file([picture], [after(tiny, out, sigmoid)])


def after(tiny: Tiny, source: int, sigmoid: bool, dtype: str = "float32") -> int:
    if not sigmoid:
        return source
    out = tiny.tensor((1, 16, 16, 8), dtype, (1 / 256, -128) if dtype == "int8" else None)
    tiny.op("LOGISTIC", [source], [out])
    return out


def int8_net(
    gain: NDArray[Any] | float = 1.0,
    span: tuple[float, float] = (0.0, 1.0),
    head: tuple[float, float] = (-3.0, 3.0),
    per_tensor: bool = False,
    sigmoid: bool = False,
) -> bytes:
    """The same network, quantised by hand: input, head and weights with the ranges given."""
    tiny = Tiny()
    picture = tiny.tensor((1, 16, 16, 3), "int8", levels(*span))
    filters = FILTERS * np.reshape(np.broadcast_to(gain, 8), (8, 1, 1, 1))
    most = np.abs(filters).reshape(8, -1).max(axis=1)
    steps = (np.full(8, most.max()) if per_tensor else most) / 127
    weights = tiny.tensor(
        filters.shape, "int8", (1.0, 0), np.round(filters / steps.reshape(8, 1, 1, 1)).astype(np.int8)
    )
    bias = tiny.tensor((8,), "int32", (1.0, 0), np.zeros(8, np.int32))
    scales = steps[:1] if per_tensor else steps
    for tensor, factor in ((weights, 1.0), (bias, levels(*span)[0])):
        quant = tiny.graph.tensors[tensor].quantization
        quant.scale = (scales * factor).astype(F)
        quant.zeroPoint = np.zeros(len(scales), np.int64)
    out = tiny.tensor((1, 16, 16, 8), "int8", levels(*head))
    tiny.op("CONV_2D", [picture, weights, bias], [out], strideH=1, strideW=1)
    tiny.graph.tensors[out].name = "logits"
    return tiny.file([picture], [after(tiny, out, sigmoid, "int8")])


def levels(low: float, high: float) -> tuple[float, int]:
    scale = (high - low) / 255
    return scale, round(-128 - low / scale)


UNEVEN = np.array([1, 0.001, 0.001, 0.001, 0.001, 0.001, 1, 1])
BROKEN: dict[str, tuple[bytes, bytes, str]] = {
    "input": (float_net(), int8_net(span=(-0.1, 0.4)), "wrong input range"),
    "input far too wide": (float_net(), int8_net(span=(0.0, 255.0)), "wrong input range"),
    "head clips": (float_net(), int8_net(head=(-0.3, 0.3)), "saturated logits"),
    "logits clip": (float_net(9.0, True), int8_net(9.0, head=(-3, 3), sigmoid=True), "saturated logits"),
    "range too wide": (float_net(), int8_net(head=(-90.0, 90.0)), "wrong calibration range"),
    "columns vanish": (float_net(UNEVEN), int8_net(UNEVEN), "shared scale"),
    "one scale for weights": (
        float_net(UNEVEN), int8_net(UNEVEN, per_tensor=True), "per-tensor weights",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("exact", "broken", "cause"), BROKEN.values(), ids=BROKEN)
def test_what_broke_is_named_rightly(exact: bytes, broken: bytes, cause: str) -> None:
    _, findings = compare(Tape(exact, "float"), Tape(broken, "int8"), PICTURES)
    assert cause in [found.cause for found in findings]
    if cause not in ("per-tensor weights",):  # there the vanished columns are the first to be seen
        assert findings[0].cause == cause


def test_a_sound_int8_model_has_no_finding() -> None:
    layers, findings = compare(Tape(float_net(), "float"), Tape(int8_net(), "int8"), PICTURES)
    assert findings == []
    assert [layer.is_head for layer in layers] == [False, True]
    assert all(layer.loss < 0.03 for layer in layers)


def test_of_one_file_alone_clipped_heads_and_shared_weights_are_seen() -> None:
    found = findings_alone(Tape(int8_net(UNEVEN, head=(-0.3, 0.3), per_tensor=True), "int8"), PICTURES)
    assert {"saturated logits", "shared scale", "per-tensor weights"} == {each.cause for each in found}


def test_an_int8_model_says_what_the_float_one_says() -> None:
    pytest.importorskip("ai_edge_quantizer")
    made = make_int8(float_net(), "float", PICTURES, (0.0, 1.0))
    layers, findings = compare(Tape(float_net(), "float"), Tape(made, "int8"), PICTURES)
    assert findings == []
    assert layers[-1].is_head
    assert layers[-1].loss < 0.03


def test_an_activation_behind_another_is_taken_out_and_nothing_changes() -> None:
    tiny = Tiny()
    picture = tiny.tensor((1, 16, 16, 3), "float32")
    out = tiny.conv(picture, 4, None)
    tiny.graph.operators[-1].builtinOptions.fusedActivationFunction = 1
    again = tiny.tensor((1, 8, 8, 4), "float32")
    tiny.op("RELU", [out], [again])
    content = tiny.file([picture], [tiny.conv(again, 17, None, 1)])
    made, idle = without_idle(content, "test")
    assert idle == 1
    before, now = Tape(content, "before"), Tape(made, "after")
    for picture_ in PICTURES[:2]:
        want, got = before.play(picture_ - 0.5), now.play(picture_ - 0.5)
        np.testing.assert_array_equal(want[before.net.outputs[0]], got[now.net.outputs[0]])


# ------------------------------------------------------------------------------------------------ the commands


def heatmaps() -> bytes:
    """A network of 17 heatmaps, float."""
    tiny = Tiny()
    picture = tiny.tensor((1, 32, 32, 3), "float32")
    return tiny.file([picture], [tiny.conv(picture, 17, None, 4)])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(3):
        image = np.random.default_rng(number).integers(0, 255, (48, 64, 3)).astype(np.uint8)
        assert cv2.imwrite(str(pictures / f"{number}.png"), image)
    (tmp_path / "some.tflite").write_bytes(heatmaps())
    return tmp_path


def test_quantize_writes_a_model_that_runs_and_says_what_it_lost(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ai_edge_quantizer")
    own, pictures = place / "own", str(place / "pictures")
    assert main(["models", "quantize", str(place / "some.tflite"), "--pictures", pictures, "--to", str(own)]) == 0
    said = capsys.readouterr().out
    assert "views of people or pictures: twenty or more are needed" in said
    assert "head " in said
    assert "time " in said
    manifest = read_manifest(own / "some_int8.toml")
    assert (manifest.input.dtype, manifest.heads[0].dtype) == ("int8", "int8")
    assert main(["models", "verify", str(own / "some_int8.toml")]) == 0
    files = [str(own / "some_int8.tflite"), str(place / "some.tflite")]
    assert main(["models", "checkup", *files, "--pictures", pictures]) == 0
    assert main(["models", "checkup", files[0], "--pictures", pictures]) == 0
    capsys.readouterr()
    assert main(["models", "quantize", files[0], "--pictures", pictures, "--to", str(own), "--name", "more"]) == 78
    assert "is quantised already" in capsys.readouterr().err


def test_quantize_wants_pictures(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "quantize", str(place / "some.tflite")]) == 78
    assert "a folder of pictures is needed" in capsys.readouterr().err
