"""A .tflite file is taken apart, edited and put together again, and says then exactly what it should."""

from __future__ import annotations

import contextlib
import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepose.core.errors import ModelError
from edgepose.engine.flatbuffer import FlatBuffer
from edgepose.engine.flatfile import IDENTIFIER, read_graph
from edgepose.engine.surgery import parts
from edgepose.engine.surgery.flexbuffer import read_map
from edgepose.engine.surgery.intake import find_intake
from edgepose.engine.surgery.names import NAMES, NUMBERS
from edgepose.engine.surgery.net import Cut, Net
from edgepose.engine.surgery.reading import read_model
from edgepose.engine.surgery.writing import write_model
from edgepose.engine.zoo import shipped_dir
from samples import tiny_models
from samples.shared import FOLDER
from tests.helpers.tiny_graphs import Tiny, contents, posenet

FILES = [*sorted(shipped_dir().glob("*.tflite")), *sorted((FOLDER / "models").glob("*.tflite"))]


def constants(content: bytes) -> list[tuple[int, int]]:
    """Start and length of each constant and of each operator's custom options."""
    file = FlatBuffer(content, "test")
    model = file.root(IDENTIFIER)
    found = [file.vector(row, 0, 1, at) for at, row in file.tables(model, 4, "buffers")]
    for at, graph in file.tables(model, 2, "graphs"):
        found += [file.vector(row, 5, 1, name) for name, row in file.tables(graph, 3, f"{at} operators")]
    return [place for place in found if place and place[1]]


# ------------------------------------------------------------------------------------------------ there and back


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_taken_apart_and_put_together_says_the_same(path: Path) -> None:
    content = path.read_bytes()
    made = write_model(read_model(content, path.name))
    assert contents(made) == contents(content)
    assert read_graph(made, path.name) == read_graph(content, path.name)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_constants_and_custom_options_start_at_multiples_of_16(path: Path) -> None:
    content = path.read_bytes()
    made = write_model(read_model(content, path.name))
    assert {start % 16 for start, _ in constants(made)} == {0}
    assert [size for _, size in constants(made)] == [size for _, size in constants(content)]


def test_the_same_model_always_gives_the_same_bytes() -> None:
    content = posenet()
    made = write_model(read_model(content, "a"))
    assert write_model(read_model(content, "b")) == made
    assert write_model(read_model(made, "c")) == made
    assert len(made) % 16 == 0


def test_every_kind_of_part_survives() -> None:
    """One of each record and vector the schema has, numbers at the ends of their ranges."""
    schema: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")
    tiny = Tiny()
    source = tiny.tensor((1, 4, 4, 3), "float32")
    constant = tiny.tensor((2, 2), "float32", data=np.array([5, 6], np.float32))
    out = tiny.tensor((1, 4, 4, 3), "float32")
    tiny.op("STABLEHLO_PAD", [source, constant], [out])
    op = tiny.graph.operators[0]
    op.builtinOptions2Type, op.builtinOptions2 = (
        schema.BuiltinOptions2.StablehloPadOptions,
        schema.StablehloPadOptionsT(),
    )
    op.builtinOptions2.edgePaddingLow = np.array([-(2**63), 2**63 - 1], np.int64)
    op.builtinOptions2.interiorPadding = np.array([1], np.int64)
    op.mutatingVariableInputs, op.intermediates = np.array([True, False]), np.array([-1, 1], np.int32)
    tensor = tiny.graph.tensors[constant]
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.min, tensor.quantization.max = np.array([-1.5], np.float32), np.array([2.5], np.float32)
    tensor.quantization.scale, tensor.quantization.zeroPoint = np.array([0.5], np.float32), np.array([-3], np.int64)
    tensor.quantization.detailsType = schema.QuantizationDetails.CustomQuantization
    tensor.quantization.details = schema.CustomQuantizationT()
    tensor.quantization.details.custom = np.arange(5, dtype=np.uint8)
    tensor.sparsity = schema.SparsityParametersT()
    tensor.sparsity.traversalOrder, tensor.sparsity.blockMap = np.array([0, 1], np.int32), np.array([1], np.int32)
    dimension = schema.DimensionMetadataT()
    dimension.format, dimension.denseSize = schema.DimensionType.SPARSE_CSR, 2
    dimension.arraySegmentsType, dimension.arrayIndicesType = 2, 3  # of uint16, of uint8
    dimension.arraySegments, dimension.arrayIndices = schema.Uint16VectorT(), schema.Uint8VectorT()
    dimension.arraySegments.values = np.array([0, 65535, 7], np.uint16)
    dimension.arrayIndices.values = np.array([255], np.uint8)
    tensor.sparsity.dimMetadata = [dimension]
    tiny.graph.tensors[source].shapeSignature = np.array([-1, 4, 4, 3], np.int32)
    note = schema.MetadataT()
    note.name, note.buffer = "min_runtime_version", 1
    tiny.model.metadata = [note]
    signature, entry = schema.SignatureDefT(), schema.TensorMapT()
    entry.name, entry.tensorIndex = "x", source
    signature.inputs, signature.outputs, signature.signatureKey, signature.subgraphIndex = [entry], [], "run", 0
    tiny.model.signatureDefs = [signature]
    content = tiny.file([source], [out])
    assert contents(write_model(read_model(content, "all"))) == contents(content)


def test_data_behind_the_flatbuffer_is_taken_into_it() -> None:
    model = read_model(posenet(), "inside")
    inside = [buffer.data or b"" for buffer in model.buffers]
    start = 4096  # behind all tables of so small a model
    for buffer, data in zip(model.buffers, inside, strict=True):
        buffer.data, buffer.start, buffer.size = None, start if data else 0, len(data)
        start += len(data)
    outside = write_model(model).ljust(4096, b"\0") + b"".join(inside)
    assert [buffer.data or b"" for buffer in read_model(outside, "outside").buffers] == inside


def test_a_part_that_would_be_lost_is_refused_not_dropped() -> None:
    model = read_model(posenet(), "x")
    assert model.graphs[0].operators[0].options is not None
    model.graphs[0].operators[0].options_kind = 127  # newer than the schema known here
    with pytest.raises(ModelError, match=r"^new: .*options is of kind 127, which this edgepose does not know.*; .*"):
        read_model(write_model(model), "new")


# ------------------------------------------------------------------------------------------------ the schema


def test_operators_have_the_names_and_numbers_of_the_schema() -> None:
    schema: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")
    theirs = {name: number for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    assert {name: theirs[name] for name in NAMES} == NUMBERS


def vectors_of(record: Any) -> tuple[int, ...]:
    """Item size of each field of a generated class that is a vector or string, 0 for a number; "table" is no number."""
    sizes: dict[int, int] = {}
    bytes_of = {"Bool": 1, "Int8": 1, "Uint8": 1, "Uint16": 2, "Int32": 4, "Uint32": 4, "Float32": 4, "Int64": 8}
    for name, method in vars(record).items():
        code = inspect.getsource(method) if inspect.isfunction(method) else ""
        offset = re.search(r"_tab\.Offset\((\d+)\)", code)
        if not offset or name.endswith(("Length", "IsNone", "AsNumpy")):
            continue
        assert "Union(" not in code, f"{name} is a table"
        assert "Indirect" not in code, f"{name} is a table"
        item = re.search(r"number_types\.(\w+?)Flags, a \+", code)
        size = bytes_of[item[1]] if item else 1 if ".String(" in code else 0
        sizes[(int(offset[1]) - 4) // 2] = size
    row = tuple(sizes.get(number, 0) for number in range(max(sizes, default=-1) + 1))
    return row[: max((number + 1 for number, size in enumerate(row) if size), default=0)]


@pytest.mark.parametrize(("union", "name"), [("options", "BuiltinOptions"), ("options2", "BuiltinOptions2")])
def test_the_vectors_in_operator_options_are_those_of_the_schema(union: str, name: str) -> None:
    schema: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")
    named = {kind: number for kind, number in vars(getattr(schema, name)).items() if not kind.startswith("__")}
    kinds = {number: kind for kind, number in named.items() if isinstance(number, int)}
    theirs = {number: vectors_of(getattr(schema, kind)) for number, kind in kinds.items() if number}
    assert {number: row for number, row in theirs.items() if row} == parts.VECTORS[union]
    assert max(theirs) == parts.KINDS[union]


@given(st.dictionaries(st.text("abcdefgh_", min_size=1, max_size=8), st.integers(-(2**60), 2**60) | st.floats(width=32)
                       | st.booleans(), max_size=8))  # fmt: skip
@settings(max_examples=50, deadline=None)
def test_operator_options_are_read_as_flatbuffers_writes_them(options: dict[str, Any]) -> None:
    flexbuffers = pytest.importorskip("flatbuffers.flexbuffers")
    assert repr(read_map(bytes(flexbuffers.Dumps(options)))) == repr(dict(sorted(options.items())))


@given(st.binary(max_size=40) | st.data())
@settings(max_examples=50, deadline=None)
def test_damaged_operator_options_are_refused(junk: Any) -> None:
    flexbuffers = pytest.importorskip("flatbuffers.flexbuffers")
    if not isinstance(junk, bytes):
        sound = bytearray(flexbuffers.Dumps({"stride": 16, "nms_radius": 10.5}))
        for _ in range(3):
            sound[junk.draw(st.integers(0, len(sound) - 1))] = junk.draw(st.integers(0, 255))
        junk = bytes(sound)
    with contextlib.suppress(ValueError):
        assert all(isinstance(value, (int, float)) for value in read_map(junk).values())


# ------------------------------------------------------------------------------------------------ cutting


def test_a_cut_keeps_what_leads_to_its_outputs_and_nothing_else() -> None:
    net = Net(posenet(decoder=b""), "x")
    heads = net.ops[-1].inputs
    made = write_model(Cut(net, net.inputs).model([heads[1]]))
    model = read_model(made, "cut")
    (graph,) = model.graphs
    assert read_graph(made, "cut").ops == (NUMBERS["CONV_2D"],)
    assert len(model.codes) == 1
    assert len(graph.tensors) == 4  # picture, weights, bias, head
    assert len(model.buffers) == 3  # none, weights, bias
    assert model.signatures == []
    assert read_graph(made, "cut").outputs[0].shape == (1, 3, 3, 34)


def test_a_tensor_made_twice_is_refused() -> None:
    tiny = Tiny()
    source, out = tiny.tensor((1, 4, 4, 3), "float32"), tiny.tensor((1, 4, 4, 3), "float32")
    tiny.op("QUANTIZE", [source], [out])
    tiny.op("QUANTIZE", [out], [source])
    with pytest.raises(ModelError, match=r"^loop: tensor 0 is made twice.*; export"):
        Net(tiny.file([source], [out]), "loop")


# ------------------------------------------------------------------------------------------------ arithmetic on bytes


def intake_of(tiny: Tiny, source: int, end: int) -> tuple[Any, Net]:
    head = tiny.conv(end, 17, (0.1, 0))
    net = Net(tiny.file([source], [head]), "x")
    return find_intake(net), net


def test_requantised_bytes_are_taken_from_the_host() -> None:
    tiny = Tiny()
    source = tiny.tensor((1, 16, 16, 3), "uint8", (1 / 128, 128))
    found, net = intake_of(tiny, source, tiny.again(source, "QUANTIZE", "int8", (1 / 128, 0)))
    assert found.dropped == ("QUANTIZE",)
    assert found.span == (-1.0, 127 / 128)
    assert net.values[found.tensor].dtype == "int8"


def test_a_float_input_that_is_quantised_at_once_becomes_bytes() -> None:
    tiny = Tiny()
    source = tiny.tensor((1, 16, 16, 3), "float32")
    found, _ = intake_of(tiny, source, tiny.again(source, "QUANTIZE", "int8", (1 / 255, -128)))
    assert found.dropped == ("QUANTIZE",)
    assert found.span == pytest.approx((0, 1), abs=1e-6)


def test_arithmetic_that_treats_channels_apart_stays() -> None:
    tiny = Tiny()
    source = tiny.tensor((1, 16, 16, 3), "uint8", (1.0, 0))
    picture = tiny.again(source, "QUANTIZE", "int8", (1.0, -128))
    mean = tiny.tensor((1, 1, 1, 3), "int8", (1.0, -128), np.array([-100, -90, -80], np.int8))
    less = tiny.tensor((1, 16, 16, 3), "int8", (1.0, -128))
    tiny.op("SUB", [picture, mean], [less])
    found, _ = intake_of(tiny, source, less)
    assert found.dropped == ()
    assert (
        "QUANTIZE SUB stay at its start: their result depends on the place in the picture or the channel" in found.said
    )


def test_a_table_that_is_no_straight_line_stays() -> None:
    tiny = Tiny()
    source = tiny.tensor((1, 16, 16, 3), "uint8", (1.0, 0))
    picture = tiny.again(source, "QUANTIZE", "int8", (1.0, -128))
    squared = tiny.tensor((1, 16, 16, 3), "int8", (2.0, -128))
    dark = tiny.tensor((1, 16, 16, 3), "int8", (0.5, -128))
    tiny.op("QUANTIZE", [picture], [dark])  # saturates in the middle
    tiny.op("QUANTIZE", [dark], [squared])
    found, _ = intake_of(tiny, source, squared)
    assert found.dropped == ()
    assert "they are not a straight line" in found.said


def test_a_picture_that_something_else_reads_too_keeps_its_arithmetic() -> None:
    tiny = Tiny()
    source = tiny.tensor((1, 16, 16, 3), "uint8", (1 / 128, 128))
    end = tiny.again(source, "QUANTIZE", "int8", (1 / 128, 0))
    again = tiny.again(source, "QUANTIZE", "int8", (1 / 64, 0))
    heads = [tiny.conv(end, 17, (0.1, 0)), tiny.conv(again, 17, (0.1, 0))]
    found = find_intake(Net(tiny.file([source], heads), "x"))
    assert (found.tensor, found.dropped, found.said) == (source, (), "")


@pytest.mark.parametrize("change", [{"batch": 2}, {"channels": 4}], ids=["batch", "channels"])
def test_a_model_that_takes_no_picture_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(ModelError, match=r"^x: its input is .*, expected \[1, height, width, 3\]; export it so$"):
        Net(tiny_models.build(**change), "x")  # type: ignore[arg-type]
