"""`edgepose models inspect` and `import`: families are recognised by their structure, nothing half-made is left."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgepose.commands.cli import main
from edgepose.core import places
from edgepose.core.errors import ModelError
from edgepose.engine.manifest import read_manifest
from edgepose.engine.surgery import Plan, intake, make_plan
from edgepose.engine.surgery.parts import Buffer
from edgepose.engine.surgery.reading import read_model
from edgepose.engine.surgery.writing import write_model
from edgepose.estimate.decode import DECODERS
from tests.helpers.tiny_graphs import Quant, Tiny, posenet

STEP: Quant = (0.05, 0)


@pytest.fixture(autouse=True)
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def plan_of(content: bytes, name: str = "tiny") -> Plan:
    return make_plan(content, Path(f"{name}.tflite"))


# ------------------------------------------------------------------------------------------------ families


def maps(*channels: int, size: int = 32, stride: int = 8, quant: Quant = STEP) -> bytes:
    """Convolutions with so many channels, all outputs."""
    tiny = Tiny()
    source = tiny.tensor((1, size, size, 3), "int8" if quant else "float32", (1 / 128, 0) if quant else None)
    return tiny.file([source], [tiny.conv(source, count, quant, stride) for count in channels])


def rows(*shapes: tuple[int, ...], size_hw: tuple[int, int] = (32, 32), quant: Quant = STEP) -> bytes:
    """Convolutions over one cell, in another shape: all outputs."""
    tiny = Tiny()
    source = tiny.tensor((1, *size_hw, 3), "int8" if quant else "float32", (1 / 128, 0) if quant else None)
    outputs = [tiny.shaped(tiny.conv(source, int(np.prod(shape)), quant, max(size_hw)), shape) for shape in shapes]
    return tiny.file([source], outputs)


def joined(order: tuple[int, int], quant: Quant) -> bytes:
    """OpenPose with heatmaps and fields in one output."""
    tiny = Tiny()
    source = tiny.tensor((1, 32, 32, 3), "int8" if quant else "float32", (1 / 128, 0) if quant else None)
    apart = [tiny.conv(source, count, quant, 8) for count in order]
    out = tiny.tensor((1, 4, 4, 57), "int8" if quant else "float32", quant)
    tiny.op("CONCATENATION", apart, [out], axis=3)
    return tiny.file([source], [out])


FAMILIES: dict[str, tuple[Callable[[], bytes], str, dict[str, tuple[int, ...]]]] = {
    "posenet": (
        posenet,
        "personlab",
        {"heatmap": (1, 3, 3, 17), "short_offset": (1, 3, 3, 34), "mid_offset": (1, 3, 3, 64)},
    ),
    "posenet with segments": (
        lambda: maps(17, 34, 64, 1, quant=None),
        "personlab",
        {"heatmap": (1, 4, 4, 17), "short_offset": (1, 4, 4, 34), "mid_offset": (1, 4, 4, 64)},
    ),
    "posenet as Google ships it": (
        lambda: maps(17, 34, 32, 32, quant=None),
        "personlab",
        {
            "heatmap": (1, 4, 4, 17),
            "short_offset": (1, 4, 4, 34),
            "mid_forward": (1, 4, 4, 32),
            "mid_backward": (1, 4, 4, 32),
        },
    ),
    "bodypix": (
        lambda: maps(17, 34, 64, 34, 1),
        "personlab",
        {"heatmap": (1, 4, 4, 17), "short_offset": (1, 4, 4, 34), "mid_offset": (1, 4, 4, 64)},
    ),
    "heatmaps of ST": (lambda: maps(13), "heatmap", {"heatmap": (1, 4, 4, 13)}),
    "heatmaps with a background": (lambda: maps(15, quant=None), "heatmap", {"heatmap": (1, 4, 4, 15)}),
    "YOLO-pose, people told apart": (lambda: rows((1, 300, 57)), "yolo_pose", {"pose": (1, 300, 57)}),
    "YOLO-pose, 14 joints": (lambda: rows((1, 47, 84)), "yolo_pose", {"pose": (1, 47, 84)}),
    "openpose, two outputs": (lambda: maps(38, 19), "paf", {"heatmap": (1, 4, 4, 19), "paf": (1, 4, 4, 38)}),
    "openpose, two stages": (
        lambda: maps(19, 38, 19, 38),
        "paf",
        {"heatmap": (1, 4, 4, 19), "paf": (1, 4, 4, 38)},
    ),
    "openpose, joined": (lambda: joined((19, 38), STEP), "paf", {"heatmap": (1, 4, 4, 19), "paf": (1, 4, 4, 38)}),
    "openpose, joined the other way": (
        lambda: joined((38, 19), None),
        "paf",
        {"heatmap": (1, 4, 4, 19), "paf": (1, 4, 4, 38)},
    ),
    "openpose, one head": (lambda: maps(57), "paf", {"heatmap_paf": (1, 4, 4, 57)}),
    "heatmaps of COCO": (lambda: maps(17), "heatmap", {"heatmap": (1, 4, 4, 17)}),
    "heatmaps of AI Challenger": (lambda: maps(14, quant=None), "heatmap", {"heatmap": (1, 4, 4, 14)}),
    "heatmaps, stages": (lambda: maps(16, 16), "heatmap", {"heatmap": (1, 4, 4, 16)}),
    "DeepLabCut": (lambda: maps(10, 5, quant=None), "scmap", {"heatmap": (1, 4, 4, 5), "locref": (1, 4, 4, 10)}),
    "Mask R-CNN": (
        lambda: rows((3, 17, 8, 8), (3, 4), (3,)),
        "box_heatmap",
        {"heatmap": (3, 17, 8, 8), "boxes": (3, 4), "scores": (3,)},
    ),
    "MoveNet's own output": (lambda: rows((1, 1, 17, 3)), "regression", {"pose": (1, 1, 17, 3)}),
    "MoveNet's own outputs": (lambda: rows((1, 6, 56)), "regression", {"pose": (1, 6, 56)}),
    "a vector": (lambda: rows((1, 34)), "regression", {"pose": (1, 34)}),
    "coordinates": (lambda: rows((1, 16, 2), quant=None), "regression", {"pose": (1, 16, 2)}),
    "SimCC": (
        lambda: rows((1, 17, 64), (1, 17, 48), size_hw=(24, 32)),
        "simcc",
        {"simcc_x": (1, 17, 64), "simcc_y": (1, 17, 48)},
    ),
    "SimCC, y first": (
        lambda: rows((1, 17, 64), (1, 17, 48), size_hw=(32, 24)),
        "simcc",
        {"simcc_x": (1, 17, 48), "simcc_y": (1, 17, 64)},
    ),
    "YOLO-pose": (lambda: rows((1, 56, 84)), "yolo_pose", {"pose": (1, 56, 84)}),
    "YOLO-pose, turned": (lambda: rows((1, 84, 56), quant=None), "yolo_pose", {"pose": (1, 84, 56)}),
    "BlazePose": (
        lambda: rows((1, 195), (1, 1), (1, 117), quant=None),
        "blazepose",
        {"landmarks": (1, 195), "flag": (1, 1), "world": (1, 117)},
    ),
}


@pytest.mark.parametrize(("make", "decoder", "heads"), FAMILIES.values(), ids=FAMILIES)
def test_a_family_is_recognised_by_its_structure(
    make: Callable[[], bytes], decoder: str, heads: dict[str, tuple[int, ...]]
) -> None:
    plan = plan_of(make())
    assert plan.manifest.decoder.name == decoder
    assert {head.role: head.shape for head in plan.manifest.heads} == heads


@pytest.mark.parametrize("make", [make for make, *_ in FAMILIES.values()], ids=FAMILIES)
def test_what_is_written_opens_runs_and_decodes(
    make: Callable[[], bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "some model.tflite"
    path.write_bytes(make())
    assert main(["models", "import", str(path)]) == 0
    assert "wrote" in capsys.readouterr().out
    assert read_manifest(places.models() / "some_model.toml").file == "some_model.tflite"


def test_every_decoder_a_family_names_is_there() -> None:
    assert {decoder for _, decoder, _ in FAMILIES.values()} <= set(DECODERS)


def test_a_trailing_dequantisation_is_cut_so_that_bytes_are_decoded() -> None:
    tiny = Tiny()
    source = tiny.tensor((1, 32, 32, 3), "float32")
    head = tiny.conv(tiny.again(source, "QUANTIZE", "int8", (1 / 127.5, -1)), 17, STEP, 8)
    plan = plan_of(tiny.file([source], [tiny.again(head, "DEQUANTIZE", "float32")]))
    assert plan.dropped == ("QUANTIZE", "DEQUANTIZE")
    assert (plan.manifest.input.dtype, plan.manifest.heads[0].dtype) == ("int8", "int8")
    assert plan.graph.ops == (3,)  # CONV_2D


def test_requantised_posenet_heads_are_taken_before_that() -> None:
    plan = plan_of(posenet(decoder=b"", requantised=True))
    assert {head.dtype for head in plan.manifest.heads} == {"int8"}
    assert plan.dropped == ("QUANTIZE", "QUANTIZE", "QUANTIZE", "PosenetDecoderOp")


@pytest.mark.parametrize(
    ("short", "low", "high", "lost"),
    [((10 / 128, 0), "-10.0", "9.9", "88%"), ((20 / 128, 0), "-20.0", "19.8", "51%")],
    ids=["10 px", "20 px"],
)
def test_posenet_heads_that_clip_are_told(short: Quant, low: str, high: str, lost: str) -> None:
    """A square of 20 px covers 400 of the 32 px disk's 3217 square pixels; one of 39.7 px 1575."""
    (warning,) = plan_of(posenet(short=short)).warnings
    assert f"short_offset holds {low}..{high} px only" in warning
    assert f"in {lost} of a joint's surroundings they are clipped" in warning


def test_decoder_options_that_cannot_be_are_told_and_replaced() -> None:
    flexbuffers = pytest.importorskip("flatbuffers.flexbuffers")
    said = bytes(flexbuffers.Dumps({"stride": 16, "nms_radius": float("nan"), "score_threshold": 0.5}))
    plan = plan_of(posenet(decoder=said))
    assert plan.manifest.decoder.options["nms_radius"] == 10.0
    assert plan.manifest.decoder.options["score_threshold"] == 0.2
    assert plan.warnings == ["PosenetDecoderOp says nms_radius = nan, which cannot be; the usual options are taken"]


def test_the_operators_own_options_are_taken() -> None:
    flexbuffers = pytest.importorskip("flatbuffers.flexbuffers")
    said = {"stride": 8, "nms_radius": 12.5, "score_threshold": 0.35, "max_detections": 10}
    plan = plan_of(posenet(decoder=bytes(flexbuffers.Dumps(said))))
    assert {key: plan.manifest.decoder.options[key] for key in list(said)[:3]} == {
        "stride": 8, "nms_radius": 12.5, "score_threshold": 0.35,
    }  # fmt: skip


def test_an_unknown_model_says_what_its_outputs_are() -> None:
    with pytest.raises(ModelError, match=r"^odd.tflite: no heads are recognised \(outputs \[1, 7, 7\]\); write a"):
        plan_of(rows((1, 7, 7)), "odd")


# ------------------------------------------------------------------------------------------------ commands


def run(*args: str) -> int:
    return main(["models", *args])


def test_inspect_tells_all_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "stock.tflite"
    path.write_bytes(posenet(decoder=b"", short=(10 / 128, 0)))
    assert run("inspect", str(path)) == 0
    out = capsys.readouterr().out
    for words in (
        "input     int8 1x33x33x3  real = (raw - 0) * 0.0078125",
        "output    float32 1x10x17x2",
        "operators 3 CONV_2D, 1 PosenetDecoderOp",
        "custom 'PosenetDecoderOp': no TFLite runtime brings it along, no delegate takes it",
        "is        PoseNet",
        "short_offset int8 1x3x3x34  real = (raw - 0) * 0.078125",
        "import drops  1 PosenetDecoderOp",
        "warning   short_offset holds -10.0..9.9 px only",
        'name = "personlab"',
    ):
        assert words in out
    assert sorted(tmp_path.iterdir()) == [path]


def test_inspect_of_an_unknown_model_still_tells_what_is_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.tflite"
    path.write_bytes(rows((1, 7, 7)))
    assert run("inspect", str(path)) == 0
    out = capsys.readouterr().out
    assert "output    int8 1x7x7" in out
    assert "heads     not recognised: no heads are recognised (outputs [1, 7, 7]); write a manifest by hand" in out


def test_an_imported_model_is_found_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "stock.tflite"
    path.write_bytes(posenet())
    assert run("import", str(path), "--name", "mine") == 0
    assert "use it with: edgepose run --model mine" in capsys.readouterr().out
    assert sorted(entry.name for entry in places.models().iterdir()) == ["mine.tflite", "mine.toml"]
    assert run("show", "mine") == 0
    manifest = read_manifest(places.models() / "mine.toml")
    assert list(manifest.origin.files) == ["stock.tflite"]


def test_importing_the_same_file_again_changes_nothing_and_another_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "stock.tflite"
    path.write_bytes(posenet())
    to = tmp_path / "to"
    assert run("import", str(path), "--to", str(to)) == 0
    first = {entry.name: entry.read_bytes() for entry in to.iterdir()}
    assert run("import", str(path), "--to", str(to)) == 0
    path.write_bytes(posenet(short=(0.3, 1)))
    assert run("import", str(path), "--to", str(to)) == 78
    assert "stock.tflite: is there already and differs; give another --name" in capsys.readouterr().err
    assert {entry.name: entry.read_bytes() for entry in to.iterdir()} == first


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["import"], "import which file? edgepose models import FILE.tflite"),
        (["inspect", "no/such.tflite"], "no/such.tflite: no such file"),
        (["inspect", "/"], "/: is not a file"),
        (["import", "a.tflite", "b.tflite", "--name", "c"], "--name c: one name for 2 files"),
    ],
    ids=["nothing", "missing", "folder", "one name"],
)
def test_a_mistyped_command_gets_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 78
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["movenet_lightning_192", "../up", "-x", "a b"])
def test_a_name_that_is_taken_or_no_name_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "stock.tflite"
    path.write_bytes(posenet())
    assert run("import", str(path), f"--name={name}", "--to", str(tmp_path / "to")) == 78
    assert name in capsys.readouterr().err
    assert not (tmp_path / "to").exists()


def test_a_model_that_does_not_run_leaves_nothing_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "custom.tflite"
    tiny = Tiny()
    source = tiny.tensor((1, 32, 32, 3), "int8", (1 / 128, 0))
    odd = tiny.tensor((1, 32, 32, 3), "int8", (1 / 128, 0))
    tiny.op("SomebodysOp", [source], [odd])
    path.write_bytes(tiny.file([source], [tiny.conv(odd, 17, STEP, 8)]))
    to = tmp_path / "to"
    assert run("import", str(path), "--to", str(to)) == 78
    assert "operators that no TFLite runtime brings along: 'SomebodysOp'" in capsys.readouterr().err
    assert list(to.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "stock.tflite"
    path.write_bytes(posenet())
    assert run("import", str(path), "--to", str(path / "below")) == 78
    err = capsys.readouterr().err
    assert "below: cannot be written: Not a directory; give another folder with --to" in err


# ------------------------------------------------------------------------------------------------ hostile files


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The file cut short, with bits flipped, or with bytes set to extremes."""
    raw = bytearray(content)
    if rng.random() < 0.15:
        return bytes(raw[: rng.randrange(len(raw))])
    for _ in range(rng.randint(1, 6)):
        at, width = rng.randrange(len(raw) - 4), rng.choice((1, 2, 4))
        flip = bytes([raw[at] ^ 1 << rng.randrange(8)])
        raw[at : at + width] = rng.choice((flip, b"\0" * width, b"\xff" * width, rng.randbytes(width)))
    return bytes(raw)


def refusal(content: bytes) -> str:
    """With which words a file is refused; empty: it is not."""
    try:
        plan_of(content)
    except ModelError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_get_one_line_or_a_plan_that_is_sound(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    answers = [np.arange(256) - 128, np.arange(256), "they do not run"]
    monkeypatch.setattr(intake, "byte_table", lambda *_: rng.choice(answers))  # no process for each
    flexbuffers = pytest.importorskip("flatbuffers.flexbuffers")
    options = bytes(flexbuffers.Dumps({"stride": 16, "nms_radius": 10.0, "score_threshold": 0.2}))
    sound = [posenet(decoder=options, requantised=True), joined((19, 38), None), rows((1, 17, 64), (1, 17, 64))]
    told = 0
    for _ in range(250):
        line = refusal(damaged(rng.choice(sound), rng))
        told += bool(line)
        assert "\n" not in line
        assert line.startswith(("tiny.tflite", "manifest of tiny.tflite")) or not line
    assert told > 50


@pytest.mark.parametrize("action", ["inspect", "import"])
@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 8, b"version https://git-lfs.github.com/spec/v1\n", b"PK\3\4 a zip", posenet()[:700]],
    ids=["empty", "zeros", "lfs", "zip", "truncated"],
)
def test_what_is_no_model_gets_one_line(
    action: str, content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.tflite"
    path.write_bytes(content)
    assert run(action, str(path), "--to", str(tmp_path / "to")) == 78
    err = capsys.readouterr().err
    assert err.startswith(f"edgepose models: {path}: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "to").exists()


def test_constants_that_overlap_do_not_blow_a_file_up() -> None:
    """Buffers that all point at the same bytes: written apart, a file of kilobytes would fill the disk."""
    model = read_model(posenet(), "x")
    data = bytes(1 << 16)
    model.buffers += [Buffer(start=1 << 14, size=len(data)) for _ in range(500)]
    content = write_model(model).ljust(1 << 15, b"\0") + data
    with pytest.raises(ModelError, match=r"^tiny.tflite: .*overlaps what was already read"):
        plan_of(content)
