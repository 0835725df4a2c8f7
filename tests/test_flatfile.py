"""The reader of .tflite files tells what a file holds and refuses every damaged one in one line."""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepose.core.errors import ModelError
from edgepose.engine.flatfile import Graph, Tensor, read_graph
from edgepose.engine.runtime import NEGATE
from edgepose.engine.zoo import shipped_dir
from samples import tiny_models
from samples.shared import shared

WHERE = "some/model.tflite"
ONE_LINE = re.compile(rf"{re.escape(WHERE)}: .+; .+")


def refuse(content: bytes) -> str:
    """The message with which `content` is refused: one line that names the file and a next step."""
    with pytest.raises(ModelError) as caught:
        read_graph(content, WHERE)
    message = str(caught.value)
    assert ONE_LINE.fullmatch(message), message
    return message


def graph_or_refusal(content: bytes) -> Graph | None:
    try:
        return read_graph(content, WHERE)
    except ModelError as caught:
        message = str(caught)
    assert ONE_LINE.fullmatch(message), message
    return None


# ------------------------------------------------------------------------------------------------ what a file says


def test_a_file_of_one_operator_is_read_as_it_was_written() -> None:
    x, y = (Tensor(name, (1, 4), "float32", 1.0, 0, 0) for name in "xy")
    assert read_graph(NEGATE, WHERE) == Graph(inputs=(x,), outputs=(y,), ops=(59,))


@pytest.mark.parametrize("dtype", tiny_models.QUANTISED)
def test_inputs_outputs_and_their_quantisation_are_told(dtype: str) -> None:
    graph = read_graph(tiny_models.build(dtype), WHERE)
    scale, zero, head_scale, head_zero = tiny_models.QUANTISED[dtype]
    (picture,) = graph.inputs
    assert (picture.name, picture.shape, picture.dtype) == ("picture", (1, 16, 16, 3), dtype)
    assert picture.scale == pytest.approx(scale)
    assert picture.zero_point == zero
    assert [head.shape for head in graph.outputs] == [(1, 8, 8, 3), (1, 8, 8, 6)]
    assert {(round(head.scale, 6), head.zero_point) for head in graph.outputs} == {(head_scale, head_zero)}
    assert graph.ops == (3, 3)
    assert graph.custom_ops == ()


def test_an_edge_tpu_build_is_recognised_by_its_operator() -> None:
    graph = read_graph(tiny_models.build(custom_op="edgetpu-custom-op"), WHERE)
    assert graph.is_edgetpu
    assert graph.custom_ops == ("edgetpu-custom-op",)
    assert not read_graph(tiny_models.build(), WHERE).is_edgetpu


SHIPPED = sorted(shipped_dir().glob("*.tflite"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_model_is_sound(path: Path) -> None:
    graph = read_graph(path.read_bytes(), str(path))
    assert graph.inputs[0].shape[-1] == 3
    assert graph.custom_ops == ()


STOCK = {
    "movenet_single_pose_lightning_ptq": ((1, 192, 192, 3), "uint8", 1, ()),
    "movenet_single_pose_lightning_ptq_edgetpu": ((1, 192, 192, 3), "uint8", 1, ("edgetpu-custom-op",)),
    "posenet_mobilenet_v1_075_353_481_quant_decoder": ((1, 353, 481, 3), "uint8", 4, ("PosenetDecoderOp",)),
    "posenet_mobilenet_v1_075_353_481_16_quant_decoder": ((1, 353, 481, 3), "uint8", 4, ("PosenetDecoderOp",)),
    "tfpose_mnv2_small_paf_368x432": ((1, 368, 432, 3), "float32", 1, ()),
    "hourglass_192_aic14_float": ((1, 192, 192, 3), "float32", 1, ()),
}


@pytest.mark.parametrize("name", STOCK)
def test_models_made_by_others_are_sound(name: str) -> None:
    path = shared(f"models/{name}.tflite")
    graph = read_graph(path.read_bytes(), str(path))
    (picture,) = graph.inputs
    assert (picture.shape, picture.dtype, len(graph.outputs), graph.custom_ops) == STOCK[name]


@pytest.mark.parametrize("dtype", tiny_models.QUANTISED)
def test_the_runtime_says_the_same_of_inputs_and_outputs(dtype: str) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(
        model_content=(content := tiny_models.build(dtype))
    )
    graph = read_graph(content, WHERE)
    details = interpreter.get_input_details() + interpreter.get_output_details()
    for tensor, detail in zip(graph.inputs + graph.outputs, details, strict=True):
        assert tensor.name == detail["name"]
        assert tensor.shape == tuple(detail["shape"])
        assert tensor.dtype == detail["dtype"].__name__
        if tensor.scales:
            assert (tensor.scale, tensor.zero_point) == detail["quantization"]


# ------------------------------------------------------------------------------------------------ what is refused


WRONG_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "one byte": (b"\x18", "no TFL3 mark"),
    "text": (b"this is not a model\n" * 50, "no TFL3 mark"),
    "zeros": (bytes(4096), "no TFL3 mark"),
    "wrong identifier": (NEGATE[:4] + b"TFL2" + NEGATE[8:], "no TFL3 mark"),
    "a zip": (b"PK\x03\x04" + bytes(100), "is a damaged zip archive"),
    "only the mark": (b"\x08\0\0\0TFL3", "outside the file"),
    "git-lfs pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "is a git-lfs pointer, not the model itself; run `git lfs pull`",
    ),
}


@pytest.mark.parametrize("case", WRONG_FILES)
def test_a_file_that_is_no_model_is_refused(case: str) -> None:
    content, reason = WRONG_FILES[case]
    assert reason in refuse(content)


@pytest.mark.parametrize("dtype", tiny_models.QUANTISED)
def test_a_file_cut_short_anywhere_is_refused(dtype: str) -> None:
    content = tiny_models.build(dtype)
    graph = read_graph(content, WHERE)
    read = [size for size in range(len(content)) if graph_or_refusal(content[:size]) is not None]
    assert all(content[size:].strip(b"\0") == b"" for size in read), "only padding at the end may be missing"
    assert all(read_graph(content[:size], WHERE) == graph for size in read)


def _rebuilt(change: Callable[..., None]) -> bytes:
    """The int8 model after `change(schema, model)` on its object tree."""
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    flatbuffers = pytest.importorskip("flatbuffers")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(tiny_models.build()))
    change(schema, model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _set(path: str, value: object) -> Callable[..., None]:
    """A change of one attribute: "subgraphs[0].tensors[1].shape"."""

    def change(_schema: object, model: object) -> None:
        *parents, last = re.findall(r"\w+|\[\d+\]", path)
        node = model
        for part in parents:
            node = node[int(part[1:-1])] if part[0] == "[" else getattr(node, part)  # type: ignore[index]
        setattr(node, last, value)

    return change


# tensors of the tiny model: 0 picture, 1 filter0, 2 bias0, 3 head0, 4 filter1, 5 bias1, 6 head1; buffers: 1..4
CONTRADICTIONS: dict[str, tuple[Callable[..., None], str]] = {
    "schema version": (_set("version", 2), "schema version 2, expected 3"),
    "no graph": (_set("subgraphs", []), "has no graph"),
    "input that is not there": (_set("subgraphs[0].inputs", [7]), "inputs names tensor 7 of 7"),
    "negative output": (_set("subgraphs[0].outputs", [-1]), "outputs names tensor -1 of 7"),
    "operator input that is not there": (
        _set("subgraphs[0].operators[0].inputs", [0, 1, 99]),
        "operators[0] inputs names tensor 99 of 7",
    ),
    "operator input below the optional mark": (
        _set("subgraphs[0].operators[0].inputs", [0, 1, -2]),
        "operators[0] inputs names tensor -2 of 7",
    ),
    "operator output that is not there": (
        _set("subgraphs[0].operators[1].outputs", [8]),
        "operators[1] outputs names tensor 8 of 7",
    ),
    "reads before it is made": (
        _set("subgraphs[0].operators[0].inputs", [6, 1, 2]),
        "operators[0] reads tensor 6 before it is made",
    ),
    "reads its own output": (
        _set("subgraphs[0].operators[0].inputs", [3, 1, 2]),
        "operators[0] reads tensor 3 before it is made",
    ),
    "writes to a constant": (_set("subgraphs[0].operators[0].outputs", [1]), "operators[0] writes to a constant"),
    "output nobody makes": (_set("subgraphs[0].operators[0].outputs", []), "output 'head0' is made by no operator"),
    "operator code that is not there": (
        _set("subgraphs[0].operators[0].opcodeIndex", 4),
        "operators[0] has operator code 4 of 1",
    ),
    "unknown builtin operator": (_set("operatorCodes[0].builtinCode", 70000), "operator 70000, which TFLite has not"),
    "nameless custom operator": (_set("operatorCodes[0].builtinCode", 32), "is a custom operator without a name"),
    "buffer that is not there": (_set("subgraphs[0].tensors[1].buffer", 1000), "'filter0' has buffer 1000 of 5"),
    "negative size": (_set("subgraphs[0].tensors[0].shape", [1, -16, 16, 3]), "has shape [1, -16, 16, 3]"),
    "absurd size": (_set("subgraphs[0].tensors[0].shape", [1, 1 << 20, 1 << 20, 3]), "has shape [1, 1048576, 1048576"),
    "absurd rank": (_set("subgraphs[0].tensors[0].shape", [1] * 9), "has shape of rank 9"),
    "two ranks": (_set("subgraphs[0].tensors[0].shapeSignature", [-1, 16]), "two shapes of different rank"),
    "unknown type": (_set("subgraphs[0].tensors[0].type", 99), "'picture' has type 99, which TFLite has not"),
    "weights too short": (
        _set("subgraphs[0].tensors[1].shape", [3, 3, 3, 4]),
        "constant 'filter0' [3, 3, 3, 4] has 81 bytes, expected 108",
    ),
    "weights of another type": (_set("subgraphs[0].tensors[1].type", 0), "has 81 bytes, expected 324"),
    "values in another file": (_set("subgraphs[0].tensors[1].externalBuffer", 1), "keeps its values in another file"),
    "scales for no axis": (_set("subgraphs[0].tensors[1].quantization.scale", [1.0] * 4), "has 4 scales for axis 0 of"),
    "more zero points than scales": (
        _set("subgraphs[0].tensors[1].quantization.zeroPoint", [0, 0]),
        "has 1 scales but 2 zero points",
    ),
    "scale that is no number": (_set("subgraphs[0].tensors[0].quantization.scale", [float("nan")]), "scale outside"),
    "infinite scale": (_set("subgraphs[0].tensors[0].quantization.scale", [float("inf")]), "has a scale outside"),
    "negative scale": (_set("subgraphs[0].tensors[0].quantization.scale", [-1.0]), "has a scale outside"),
    "zero point outside int8": (_set("subgraphs[0].tensors[0].quantization.zeroPoint", [128]), "outside int8"),
    "metadata buffer that is not there": (_set("metadataBuffer", [9]), "metadata buffers names buffer 9 of 5"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_file_that_contradicts_itself_is_refused(case: str) -> None:
    change, reason = CONTRADICTIONS[case]
    assert reason in refuse(_rebuilt(change))


def test_an_optional_input_may_be_left_out() -> None:
    content = _rebuilt(_set("subgraphs[0].operators[0].inputs", [0, 1, -1]))
    assert read_graph(content, WHERE) == read_graph(tiny_models.build(), WHERE)


def test_a_vtable_before_the_file_is_refused() -> None:
    root = struct.unpack_from("<I", NEGATE)[0]
    assert "points outside the file" in refuse(NEGATE[:root] + struct.pack("<i", 1 << 20) + NEGATE[root + 4 :])


def test_a_root_outside_the_file_is_refused() -> None:
    assert "model points outside the file" in refuse(b"\xff\xff\xff\xff" + NEGATE[4:])


MODEL_HEAD = (
    struct.pack("<I4s", 24, b"TFL3")
    + struct.pack("<HHHHHHH2x", 14, 16, 4, 0, 8, 0, 12)  # vtable of the model
    + struct.pack("<iIII", 16, 3, 24, 4)  # version 3, graphs behind the buffers, buffers next
    + struct.pack("<IIHHi", 1, 8, 4, 4, 4)  # one empty buffer
)
"""A model by hand up to its vector of graphs, which the tests append."""


def test_pieces_that_are_used_again_and_again_are_refused() -> None:
    """30,000 graphs at one place with 30,000 tensors at one place: 240 kB that ask for 0.9e9 steps."""
    count = 30_000
    many = struct.pack(f"<I{count}I", count, *range(4 * count + 8, 8, -4))  # each leads to the table 8 bytes behind
    graph = struct.pack("<HHH2xiI", 6, 8, 4, 8, 4)  # vtable, then the table: its tensors are what comes next
    tensor = struct.pack("<4xHHi", 4, 4, 4)
    content = MODEL_HEAD + many + graph + many + tensor
    assert "has more than 32768 parts" in refuse(content)


def test_a_name_that_a_hundred_tensors_share_is_refused() -> None:
    length = 200_000
    many = struct.pack("<I100I", 100, *range(4 * 100 + 12, 12, -4))
    one = struct.pack("<IIHHH2xiI", 1, 12, 6, 8, 4, 8, 4)  # one graph
    tensor = struct.pack("<HHHHHH", 12, 8, 0, 0, 0, 4) + struct.pack("<iI", 12, 4)
    content = MODEL_HEAD + one + many + tensor + struct.pack("<I", length) + b"x" * length
    assert "overlaps what was already read" in refuse(content)


def test_more_pieces_than_any_network_has_are_refused() -> None:
    content = MODEL_HEAD + struct.pack("<I", 10**6) + bytes(4 * 10**6)
    assert "has 1000000 graphs" in refuse(content)


# ------------------------------------------------------------------------------------------------ any damage


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_any_flipped_bytes_are_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(NEGATE)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(8, len(content) - 1))] = data.draw(st.integers(0, 255))
    graph_or_refusal(bytes(content))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_behind_the_mark_are_read_or_refused(tail: bytes) -> None:
    graph_or_refusal(b"\x08\0\0\0TFL3" + tail)


def test_every_single_flipped_bit_is_read_or_refused() -> None:
    refused = 0
    for at in range(8 * len(NEGATE)):
        content = bytearray(NEGATE)
        content[at // 8] ^= 1 << at % 8
        refused += graph_or_refusal(bytes(content)) is None
    assert refused > 8 * len(NEGATE) // 4


@pytest.mark.parametrize("dtype", tiny_models.QUANTISED)
def test_random_damage_to_a_quantised_model_is_read_or_refused(dtype: str) -> None:
    rng = random.Random(5)
    source = tiny_models.build(dtype)
    for _ in range(300):
        content = bytearray(source)
        for _ in range(rng.choice((1, 2, 8))):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        graph_or_refusal(bytes(content))


def test_a_large_model_cut_or_flipped_is_read_or_refused() -> None:
    if not SHIPPED:
        pytest.skip("no model is shipped yet")
    source, rng = SHIPPED[0].read_bytes(), random.Random(6)
    for size in (len(source) - 1, len(source) // 2, 4096, 1024, 100, 9):
        graph_or_refusal(source[:size])
    for _ in range(40):
        content = bytearray(source)
        content[rng.randrange(len(source))] ^= 1 << rng.randrange(8)
        graph_or_refusal(bytes(content))
