"""ONNX in: each operator against onnxruntime, the reader against damaged bytes, the command against real networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepose.commands.cli import main
from edgepose.core.errors import ModelError
from edgepose.engine.onnx import convert
from edgepose.engine.onnx.judge import judge
from edgepose.engine.onnx.network import read_file, read_network
from edgepose.engine.runtime import load_runtime
from samples.shared import shared

onnx = pytest.importorskip("onnx", reason="needs the onnx package, which makes the graphs")
h = pytest.importorskip("onnx.helper")
RNG = np.random.default_rng(7)
X = (1, 8, 12, 10)


def w(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.standard_normal(shape).astype(np.float32) * np.float32(0.3)


def i(*numbers: int) -> np.ndarray[Any, Any]:
    return np.array(numbers, np.int64)


def graph(
    nodes: list[Any], inputs: dict[str, Any], outputs: list[str], constants: dict[str, Any], opset: int = 17
) -> bytes:
    infos = [h.make_tensor_value_info(name, 1, shape) for name, shape in inputs.items()]
    ends = [h.make_tensor_value_info(name, 1, None) for name in outputs]
    weights = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    made = h.make_model(h.make_graph(nodes, "g", infos, ends, weights), opset_imports=[h.make_opsetid("", opset)])
    made.ir_version = 8
    return made.SerializeToString()  # type: ignore[no-any-return]


def of(
    op: str, *constants: Any, shape: tuple[int, ...] = X, opset: int = 17, outputs: int = 1, **attributes: Any
) -> bytes:
    """A graph of one node; a constant None is left out."""
    names = ["" if value is None else f"c{place}" for place, value in enumerate(constants)]
    kept = {name: value for name, value in zip(names, constants, strict=True) if name}
    ends = [f"y{place}" for place in range(outputs)]
    return graph([h.make_node(op, ["x", *names], ends, name="it", **attributes)], {"x": shape}, ends, kept, opset)


CASES: dict[str, bytes] = {
    "conv with a border": of("Conv", w(6, 8, 3, 3), w(6), pads=[1, 1, 1, 1]),
    "conv as torch strides it": of("Conv", w(6, 8, 3, 3), w(6), pads=[1, 1, 1, 1], strides=[2, 2]),
    "conv as TFLite strides it": of("Conv", w(6, 8, 3, 3), w(6), pads=[0, 0, 1, 1], strides=[2, 2]),
    "conv without bias": of("Conv", w(6, 8, 1, 1)),
    "conv with holes": of("Conv", w(6, 8, 3, 3), w(6), pads=[2, 2, 2, 2], dilations=[2, 2]),
    "conv in groups": of("Conv", w(6, 4, 3, 3), w(6), group=2),
    "conv of each channel": of("Conv", w(8, 1, 3, 3), w(8), group=8, pads=[1, 1, 1, 1]),
    "conv of each channel, twice": of("Conv", w(16, 1, 3, 3), w(16), group=8),
    "conv, SAME_LOWER": of("Conv", w(4, 8, 2, 2), auto_pad="SAME_LOWER"),
    "deconvolution": of("ConvTranspose", w(8, 5, 4, 4), w(5), strides=[2, 2], pads=[1, 1, 1, 1]),
    "deconvolution with more": of(
        "ConvTranspose", w(8, 5, 3, 3), w(5), strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]
    ),
    "deconvolution beyond": of("ConvTranspose", w(8, 5, 2, 2), strides=[2, 2], output_padding=[1, 1]),
    "deconvolution of each channel": of("ConvTranspose", w(8, 1, 4, 4), group=8, strides=[2, 2], pads=[1, 1, 1, 1]),
    "max pool": of("MaxPool", kernel_shape=[2, 2], strides=[2, 2]),
    "max pool with a border": of("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "max pool rounded up": of("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, shape=(1, 8, 12, 9)),
    "average pool": of("AveragePool", kernel_shape=[2, 2], strides=[2, 2]),
    "average pool, border left out": of("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "average pool, border counted": of("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    "global average": of("GlobalAveragePool"),
    "nearest, twice": of(
        "Resize",
        None,
        np.array([1, 1, 2, 2], np.float32),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    ),
    "nearest, torch": of(
        "Resize",
        None,
        None,
        i(1, 8, 18, 30),
        mode="nearest",
        coordinate_transformation_mode="half_pixel",
        nearest_mode="round_prefer_floor",
    ),
    "linear, half pixel": of(
        "Resize", None, np.array([1, 1, 2, 2], np.float32), mode="linear", coordinate_transformation_mode="half_pixel"
    ),
    "linear, corners": of(
        "Resize", None, None, i(1, 8, 24, 20), mode="linear", coordinate_transformation_mode="align_corners"
    ),
    "linear, asymmetric": of(
        "Resize", None, np.array([1, 1, 2, 2], np.float32), mode="linear", coordinate_transformation_mode="asymmetric"
    ),
    "upsample": of("Upsample", np.array([1, 1, 2, 2], np.float32), mode="nearest", opset=9),
    **{
        op: of(op)
        for op in (
            "Relu",
            "Sigmoid",
            "Tanh",
            "HardSigmoid",
            "HardSwish",
            "Exp",
            "Neg",
            "Abs",
            "Sqrt",
            "Erf",
            "LeakyRelu",
            "Elu",
            "Softplus",
            "Softmax",
            "Identity",
            "Flatten",
            "Floor",
        )
    },
    "Gelu": of("Gelu", opset=20),
    "Gelu, rough": of("Gelu", opset=20, approximate="tanh"),
    "relu 6": of("Clip", np.array(0, np.float32), np.array(6, np.float32)),
    "clip": of("Clip", np.array(0.2, np.float32), np.array(0.7, np.float32)),
    "clip of old": of("Clip", min=0.1, max=0.5, opset=7),
    "prelu": of("PRelu", w(8, 1, 1)),
    "add of channels": of("Add", w(1, 8, 1, 1)),
    "sub": of("Sub", w(12, 10)),
    "mul": of("Mul", np.array(3, np.float32)),
    "div": of("Div", np.abs(w(8, 1, 1)) + 1),
    "square": of("Pow", np.array(2, np.float32)),
    "power": of("Pow", np.array(1.7, np.float32)),
    "softmax of channels": of("Softmax", axis=1),
    "mean": of("ReduceMean", axes=[2, 3], keepdims=0),
    "mean of the last": of("ReduceMean", axes=[-1]),
    "max of channels": of("ReduceMax", axes=[1], keepdims=0),
    "sum, axes given": of("ReduceSum", i(1), keepdims=1),
    "slice": of("Slice", i(1, 2), i(7, 2**62), i(1, 3)),
    "every second": of("Slice", i(0), i(2**62), i(2), i(2)),
    "backwards": of("Slice", i(-1), i(-(2**63) + 1), i(1), i(-1)),
    "split": of("Split", i(3, 5), axis=1, outputs=2),
    "gather one": of("Gather", np.array(3, np.int64), axis=1),
    "gather": of("Gather", i(0, -1, 2), axis=1),
    "reshape, channels first": of("Reshape", i(1, 8, -1)),
    "reshape across": of("Reshape", i(0, 40, 24)),
    "transpose": of("Transpose", perm=[0, 3, 1, 2]),
    "squeeze": of("Squeeze", i(0)),
    "unsqueeze": of("Unsqueeze", i(0, 3)),
    "pad": of("Pad", i(0, 0, 1, 2, 0, 0, 3, 0), np.array(0.5, np.float32)),
    "pad, reflected": of("Pad", i(0, 0, 1, 2, 0, 0, 3, 0), mode="reflect"),
    "batch norm": of("BatchNormalization", w(8), w(8), w(8), np.abs(w(8)) + 1),
    "instance norm": of("InstanceNormalization", w(8), w(8)),
    "layer norm": of("LayerNormalization", w(10), w(10), axis=-1),
    "matrix": of("MatMul", w(10, 6)),
    "gemm": of("Gemm", w(5, 8), w(5), shape=(1, 8), transB=1),
    "gemm, scaled": of("Gemm", w(8, 5), w(5), shape=(2, 8), alpha=0.5, beta=2.0),
    "depth to space": of("DepthToSpace", blocksize=2),
    "depth to space, CRD": of("DepthToSpace", blocksize=2, mode="CRD"),
    "space to depth": of("SpaceToDepth", blocksize=2),
    "expand": of("Expand", i(1, 8, 12, 10), shape=(1, 8, 1, 10)),
}


def both(content: bytes, shape: tuple[int, ...] = ()) -> tuple[Any, Any]:
    pytest.importorskip("onnxruntime", reason="needs onnxruntime, which judges")
    made = convert(read_network(content, "g.onnx"), "g.onnx", shape)
    return made, judge(content, made, load_runtime("auto"), [], "g.onnx")


@pytest.mark.parametrize("name", CASES)
def test_an_operator_computes_what_onnxruntime_computes(name: str) -> None:
    _, verdict = both(CASES[name])
    assert not verdict.bad, verdict.off


@pytest.mark.parametrize("name", ["Flatten", "mean", "softmax of channels", "reshape across", "layer norm", "matrix",
                                  "split", "transpose", "sub", "gather one", "depth to space", "squeeze"])  # fmt: skip
def test_the_same_behind_a_convolution_which_stores_channels_last(name: str) -> None:
    model = onnx.load_from_string(CASES[name])
    nodes = [h.make_node("Conv", ["x", "cw"], ["mid"]), *model.graph.node]
    nodes[1].input[0] = "mid"
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    ends = [one.name for one in model.graph.output]
    _, verdict = both(graph(nodes, {"x": X}, ends, {**constants, "cw": w(8, 8, 1, 1)}))
    assert not verdict.bad, verdict.off


def yolo_like() -> bytes:
    """A stem with norms, a branch, an upsampled sum, and heads flattened and joined as YOLO exports do."""
    nodes = [
        h.make_node("Conv", ["x", "w0"], ["a"], pads=[1, 1, 1, 1], strides=[2, 2]),
        h.make_node("BatchNormalization", ["a", "s", "t", "m", "v"], ["b"]),
        h.make_node("Sigmoid", ["b"], ["bs"]),
        h.make_node("Mul", ["b", "bs"], ["c"]),
        h.make_node("MaxPool", ["c"], ["d"], kernel_shape=[2, 2], strides=[2, 2]),
        h.make_node("Resize", ["d", "", "twice"], ["u"], mode="nearest", nearest_mode="floor",
                    coordinate_transformation_mode="asymmetric"),
        h.make_node("Concat", ["u", "c"], ["e"], axis=1),
        h.make_node("Conv", ["e", "w1"], ["p"]),
        h.make_node("Conv", ["d", "w2"], ["q"]),
        h.make_node("Shape", ["p"], ["ps"]),
        h.make_node("Slice", ["ps", "zero", "two"], ["front"]),
        h.make_node("Concat", ["front", "rest"], ["to"], axis=0),
        h.make_node("Reshape", ["p", "to"], ["pf"]),
        h.make_node("Reshape", ["q", "to"], ["qf"]),
        h.make_node("Concat", ["pf", "qf"], ["y"], axis=2),
    ]  # fmt: skip
    constants = {"w0": w(8, 3, 3, 3), "s": w(8), "t": w(8), "m": w(8), "v": np.abs(w(8)) + 1, "w1": w(7, 16, 1, 1),
                 "w2": w(7, 8, 1, 1), "twice": np.array([1, 1, 2, 2], np.float32), "zero": i(0), "two": i(2),
                 "rest": i(-1)}  # fmt: skip
    return graph(nodes, {"x": ("n", 3, 32, 48)}, ["y"], constants)


def test_heads_flattened_as_yolo_does_need_one_transpose_at_the_end() -> None:
    made, verdict = both(yolo_like())
    assert not verdict.bad, verdict.off
    assert made.transposes == 1
    assert made.inputs[0].said == "x 1x3x32x48 as 1x32x48x3"


# ------------------------------------------------------------------------------------------------ what cannot be


def test_every_node_that_cannot_be_converted_is_named_at_once() -> None:
    nodes = [
        h.make_node("NonMaxSuppression", ["x", "x"], ["a"], name="keep"),
        h.make_node("Relu", ["a"], ["b"], name="later"),
        h.make_node("Einsum", ["x", "x"], ["c"], name="sum", equation="bchw,bchw->bc"),
    ]
    with pytest.raises(ModelError, match=r"2 of its nodes.*NonMaxSuppression 'keep'.*Einsum 'sum'") as said:
        convert(read_network(graph(nodes, {"x": X}, ["b", "c"], {}), "g.onnx"), "g.onnx")
    assert "later" not in str(said.value)


def test_a_circle_is_named() -> None:
    nodes = [h.make_node("Add", ["x", "b"], ["a"], name="one"), h.make_node("Relu", ["a"], ["b"], name="two")]
    with pytest.raises(ModelError, match="in a circle: Add 'one', Relu 'two'"):
        read_network(graph(nodes, {"x": X}, ["b"], {}), "g.onnx")


def test_an_unknown_version_of_operators_is_refused() -> None:
    with pytest.raises(ModelError, match=r"opset\) 99"):
        read_network(of("Relu", opset=99), "g.onnx")


def test_sizes_left_open_are_asked_for_and_the_batch_is_one() -> None:
    content = of("Relu", shape=("n", 3, "h", "w"))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="--shape 1,3,256,256"):
        convert(read_network(content, "g.onnx"), "g.onnx")
    assert convert(read_network(content, "g.onnx"), "g.onnx", (1, 3, 8, 6)).inputs[0].shape == (1, 3, 8, 6)


def test_weights_in_a_file_that_is_not_there_are_missed_by_name(tmp_path: Path) -> None:
    model = onnx.load_from_string(of("Conv", w(6, 8, 3, 3)))
    path = tmp_path / "g.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    _, network = read_file(path)
    assert network.constants["c0"].shape == (6, 8, 3, 3)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelError, match=r"weights\.bin.*put that file there"):
        read_file(path)


@pytest.mark.parametrize("place", ["/etc/passwd", "../../secret"])
def test_weights_are_not_read_from_elsewhere(place: str, tmp_path: Path) -> None:
    model = onnx.load_from_string(of("Conv", w(6, 8, 3, 3)))
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], place)
    model.graph.initializer[0].ClearField("raw_data")
    (tmp_path / "g.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="not beside the model"):
        read_file(tmp_path / "g.onnx")


def test_a_file_of_2_gigabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(1 << 31)
    with pytest.raises(ModelError, match="at most 2147483647"):
        read_file(path)


def test_a_file_cut_short_or_changed_is_refused_or_converted_but_never_crashes() -> None:
    content, refused = yolo_like(), 0
    rng = np.random.default_rng(3)
    for trial in range(300):
        broken = bytearray(content)
        if trial % 3 == 0:
            del broken[int(rng.integers(len(broken))) :]
        for _ in range(int(rng.integers(1, 5))):
            if broken:
                broken[int(rng.integers(len(broken)))] = int(rng.integers(256))
        try:
            convert(read_network(bytes(broken), "g.onnx"), "g.onnx")
        except ModelError:
            refused += 1
    assert refused > 100


# ------------------------------------------------------------------------------------------------ quantised


def quantised() -> bytes:
    """A convolution, a sum and a product of matrices between QuantizeLinear and DequantizeLinear."""
    constants: dict[str, Any] = {
        "s": np.float32(1 / 128), "z": np.uint8(128), "s1": np.float32(1 / 40), "z1": np.uint8(120),
        "kw": RNG.integers(-127, 128, (6, 3, 3, 3)).astype(np.int8), "ks": np.full(6, 0.004, np.float32),
        "kz": np.zeros(6, np.int8), "bias": w(6),
    }  # fmt: skip
    nodes = [
        h.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        h.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        h.make_node("DequantizeLinear", ["kw", "ks", "kz"], ["kd"], axis=0),
        h.make_node("Conv", ["xd", "kd", "bias"], ["a"], pads=[1, 1, 1, 1]),
        h.make_node("Relu", ["a"], ["ar"]),
        h.make_node("QuantizeLinear", ["ar", "s1", "z1"], ["aq"]),
        h.make_node("DequantizeLinear", ["aq", "s1", "z1"], ["ad"]),
        h.make_node("MaxPool", ["ad"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
        h.make_node("QuantizeLinear", ["m", "s1", "z1"], ["mq"]),
        h.make_node("DequantizeLinear", ["mq", "s1", "z1"], ["md"]),
        h.make_node("Add", ["md", "md"], ["sum"]),
        h.make_node("QuantizeLinear", ["sum", "s1", "z1"], ["sq"]),
        h.make_node("DequantizeLinear", ["sq", "s1", "z1"], ["sd"]),
        h.make_node("Concat", ["sd", "md"], ["c"], axis=1),
        h.make_node("QuantizeLinear", ["c", "s1", "z1"], ["cq"]),
        h.make_node("DequantizeLinear", ["cq", "s1", "z1"], ["y"]),
    ]
    return graph(nodes, {"x": (1, 3, 8, 8)}, ["y"], constants)


def test_a_quantised_graph_stays_quantised() -> None:
    from edgepose.engine.flatfile import read_graph
    from edgepose.engine.surgery import name_of

    made, verdict = both(quantised())
    assert not verdict.bad, verdict.off
    ops = [name_of(op) for op in read_graph(made.content, "g").ops]
    assert ops == ["QUANTIZE", "CONV_2D", "MAX_POOL_2D", "ADD", "CONCATENATION", "DEQUANTIZE"]


# ------------------------------------------------------------------------------------------------ the command


@pytest.mark.parametrize("name", ["mp_hand_landmark_lite", "mp_palm_detection_lite"])
def test_a_real_network_converts_without_a_transpose(name: str, tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("onnxruntime")
    source, out = shared(f"models/onnx/{name}.onnx"), tmp_path / "made.tflite"
    assert main(["models", "convert", str(source), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "0 of them transposes" in said
    assert "checked against onnxruntime" in said
    assert out.stat().st_size > 3_000_000


# ------------------------------------------------------------------------------------------------ ONNX out, and run


def test_our_own_network_runs_on_onnxruntime_and_its_heads_are_compared(capsys: Any) -> None:
    pytest.importorskip("onnxruntime")
    from edgepose.core import config
    from edgepose.engine import open_engine

    asked = config.Engine(
        model="movenet_lightning_192", delegate="onnxruntime", delegate_options="provider=cpu", on_failure="error"
    )
    with open_engine(asked) as engine:
        heads = engine.run(engine.input.tensor)
        assert engine.ran_on == "onnxruntime"
        assert {role: head.dtype.name for role, head in heads.items()} == dict.fromkeys(heads, "int8")


def test_a_provider_that_is_not_there_is_told_and_never_a_silent_cpu() -> None:
    runtime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in runtime.get_available_providers():
        pytest.skip("CUDA is here")
    from edgepose.core import config
    from edgepose.core.errors import ConfigError
    from edgepose.engine import open_engine

    asked = config.Engine(model="movenet_lightning_192", delegate="onnxruntime", on_failure="error")
    with pytest.raises(ConfigError, match="has no provider cuda, it has cpu"):
        open_engine(asked)


def test_what_no_network_has_is_refused_before_it_costs_memory() -> None:
    huge = graph(
        [h.make_node("Expand", ["x", "c0"], ["y0"], name="it")], {"x": X}, ["y0"], {"c0": i(1 << 20, 8, 12, 10)}
    )
    with pytest.raises(ModelError, match="more than any network has"):
        convert(read_network(huge, "a.onnx"), "a.onnx")


def test_an_output_without_a_name_is_refused() -> None:
    made = graph([h.make_node("Relu", ["x"], ["y0"], name="it")], {"x": X}, [""], {})
    with pytest.raises(ModelError, match="no node makes its output"):
        convert(read_network(made, "a.onnx"), "a.onnx")


def test_a_nodes_name_cannot_write_to_the_terminal() -> None:
    made = graph([h.make_node("Nonsense", ["x"], ["y0"], name="it\n\x1b[31m")], {"x": X}, ["y0"], {})
    with pytest.raises(ModelError, match="Nonsense") as refused:
        convert(read_network(made, "a.onnx"), "a.onnx")
    assert str(refused.value).isprintable()
