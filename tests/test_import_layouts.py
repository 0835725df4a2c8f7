"""Layouts that public pose models really have: each imports with the right meaning, or is refused rightly."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.commands.cli import main
from edgepose.core import config
from edgepose.core.errors import ModelError
from edgepose.core.poses import SKELETONS, Crop, Frame, HeadSpec, Poses
from edgepose.engine import open_engine
from edgepose.engine.flatfile import read_graph
from edgepose.engine.manifest import Manifest, read_manifest
from edgepose.engine.surgery import make_plan
from edgepose.estimate.decode import open_decoder
from edgepose.lab.models.measured import evidence, measure, people_in
from edgepose.lab.models.views import Bundle, read_bundle, read_pictures
from tests.helpers.shared import shared
from tests.helpers.tiny_graphs import Quant, Tiny

SIZE_WH = 49, 32
"""Of the tiny YOLO's picture: its 4,704 bytes are as many as 84 anchors of 56 numbers."""
NOSE = 0.3, 0.15
"""Where the person's nose is drawn, in parts of the picture."""


def yolo_rows(joint_px: bool, box_px: bool) -> NDArray[np.float32]:
    """(1, 56, 84): one standing person at anchor 7, score .9."""
    size = np.array(SIZE_WH, np.float32)
    rows = np.zeros((1, 56, 84), np.float32)
    rows[0, :4] = (np.array([0.5, 0.5, 0.4, 0.8]) * (np.tile(size, 2) if box_px else 1))[:, None]
    rows[0, 4, 7] = 0.9
    along = np.linspace(0, 1, 17)
    xy = np.stack([NOSE[0] + 0.4 * along, NOSE[1] + 0.7 * along], axis=1) * (size if joint_px else 1)
    rows[0, 5:, 7] = np.concatenate([xy, np.full((17, 1), 0.9)], axis=1).reshape(-1)
    return rows


def constant_yolo(rows: NDArray[np.float32]) -> bytes:
    """A network that says the same of every picture."""
    tiny = Tiny()
    picture = tiny.tensor((1, SIZE_WH[1], SIZE_WH[0], 3), "float32")
    flat = tiny.shaped(picture, rows.shape)
    nothing, out = tiny.tensor(rows.shape, "float32"), tiny.tensor(rows.shape, "float32")
    tiny.op("MUL", [flat, tiny.tensor((1, 1, 1), "float32", data=np.zeros(1, np.float32))], [nothing])
    tiny.op("ADD", [nothing, tiny.tensor(rows.shape, "float32", data=rows)], [out])
    return tiny.file([picture], [out])


def imported(content: bytes, tmp_path: Path) -> Path:
    """The manifest that an import writes."""
    path = tmp_path / "some.tflite"
    path.write_bytes(content)
    assert main(["models", "import", str(path), "--to", str(tmp_path / "own")]) == 0
    return tmp_path / "own" / "some.toml"


@pytest.mark.parametrize("joint_px", [False, True], ids=["joints 0..1", "joints in pixels"])
@pytest.mark.parametrize("box_px", [False, True], ids=["boxes 0..1", "boxes in pixels"])
def test_what_yolo_counts_in_is_measured(joint_px: bool, box_px: bool, tmp_path: Path) -> None:
    manifest = imported(constant_yolo(yolo_rows(joint_px, box_px)), tmp_path)
    with open_engine(config.Engine(model=str(manifest))) as engine:
        told = engine.manifest.decoder
        decode = open_decoder("test", told.name, told.options, "coco17", engine.heads, config.Decode(kernels="numpy"))
        picture = np.zeros((SIZE_WH[1], SIZE_WH[0], 3), np.uint8)
        poses = decode(engine.run(engine.input.tensor), Crop((0, 0), (1, 1)), Frame(picture, "bgr", 0.0, 0.0, 0))
    assert len(poses) == 1
    np.testing.assert_allclose(poses.xy[0, 0], np.array(NOSE) * SIZE_WH - 0.5, atol=0.01)


def test_heads_that_are_no_numbers_are_refused_at_import(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "broken.tflite"
    path.write_bytes(constant_yolo(np.full((1, 56, 84), np.nan, np.float32)))
    assert main(["models", "import", str(path), "--to", str(tmp_path / "own")]) != 0
    assert "NaN" in capsys.readouterr().err
    assert not list((tmp_path / "own").iterdir())


def test_heads_of_one_value_are_refused_at_import(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "flat.tflite"
    path.write_bytes(constant_yolo(np.full((1, 56, 84), 0.25, np.float32)))
    assert main(["models", "import", str(path), "--to", str(tmp_path / "own")]) != 0
    assert "one value" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ YOLO, told apart


def suppressed(*people: list[float]) -> Poses:
    """Decode rows left, top, right, bottom, score, class, 17 times x, y, score, in pixels of 100x100."""
    head = np.zeros((300, 57), np.float32)
    head[: len(people)] = people
    options = {"input_wh": [100, 100], "units": "pixels", "suppressed": True, "min_person_score": 0.25,
               "min_joint_score": 0.2}  # fmt: skip
    spec = HeadSpec("pose", head.shape, head.dtype, 1.0, 0)
    decode = open_decoder("test", "yolo_pose", options, "coco17", {"pose": spec}, config.Decode(kernels="numpy"))
    return decode({"pose": head}, Crop((0, 0), (1, 1)), Frame(np.zeros((100, 100, 3), np.uint8), "bgr", 0.0, 0.0, 0))


def row(score: float, at: float) -> list[float]:
    along = [float(value) for joint in range(17) for value in (at, 10.0 + 5 * joint, 0.8)]
    return [at - 10, 5, at + 10, 95, score, 0, *along]


def test_people_told_apart_by_the_graph_are_taken_as_they_are() -> None:
    poses = suppressed(row(0.9, 30), row(0.8, 70), row(0.1, 50))
    np.testing.assert_allclose(poses.person_score, [0.9, 0.8])
    np.testing.assert_allclose(poses.xy[:, 0], [[29.5, 9.5], [69.5, 9.5]])


def test_joints_far_outside_the_picture_are_not_there() -> None:
    person = row(0.9, 30)
    person[6:9] = [9_000.0, 10.0, 0.9]
    poses = suppressed(person)
    assert np.isnan(poses.xy[0, 0]).all()
    assert poses.score[0, 0] == 0
    assert poses.score[0, 1] > 0


# ------------------------------------------------------------------------------------------------ Ethos-U


def ethos_u(scratch_made_later: bool = False, operator: str = "ethos-u") -> bytes:
    """What Vela writes: one operator that reads commands, weights, and memory that nothing made."""
    tiny = Tiny()
    picture = tiny.tensor((1, 64, 64, 3), "int8", (1 / 128, 0))
    commands, weights = (tiny.tensor((16,), "uint8", data=np.zeros(16, np.uint8)) for _ in range(2))
    scratch, fast = (tiny.tensor((4096,), "uint8") for _ in range(2))
    heat = tiny.tensor((1, 16, 16, 17), "int8", (1 / 256, -128))
    outputs = [heat, scratch] if scratch_made_later else [heat]
    tiny.op(operator, [commands, weights, scratch, fast, picture], outputs)
    return tiny.file([picture], [heat])


def test_the_working_memory_of_an_ethos_u_is_no_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read_graph(ethos_u(), "test").needs == "an Arm Ethos-U"
    manifest = imported(ethos_u(), tmp_path)
    assert "not run, it needs an Arm Ethos-U" in capsys.readouterr().out
    with pytest.raises(ModelError, match=r"needs an Arm Ethos-U.*engine\.delegate = 'external'"):
        open_engine(config.Engine(model=str(manifest)))


@pytest.mark.parametrize(
    "content", [{"operator": "mine"}, {"scratch_made_later": True}], ids=["another's", "made later"]
)
def test_what_reads_unmade_memory_otherwise_is_damaged(content: dict[str, Any]) -> None:
    with pytest.raises(ModelError):
        read_graph(ethos_u(**content), "test")


# ------------------------------------------------------------------------------------------------ heads apart, joined


def graph_of(shapes: list[tuple[int, ...]], size: int = 64) -> bytes:
    """A network with float heads of these shapes, whatever leads there."""
    tiny = Tiny()
    picture = tiny.tensor((1, size, size, 3), "float32")
    seen = tiny.conv(picture, 1, None, size)
    outputs = []
    for shape in shapes:
        out = tiny.tensor(shape, "float32")
        tiny.op("ADD", [tiny.shaped(seen, (1,) * len(shape)), tiny.tensor(shape, "float32", data=ramp(shape))], [out])
        outputs.append(out)
    return tiny.file([picture], outputs)


def ramp(shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)


CELLS = {8: 64, 16: 16, 32: 4}
"""Stride -> cells of a picture of 64 x 64; 64 cells of 64 numbers could lie either way."""
HIMAX: list[tuple[int, ...]] = [*((1, CELLS[stride], depth) for stride in CELLS for depth in (64, 1)), (1, 84, 51)]
LAYOUTS: dict[str, tuple[list[tuple[int, ...]], str, set[str]]] = {
    "seven outputs of Himax": (
        HIMAX,
        "yolo_pose",
        {"boxes_8", "scores_8", "boxes_16", "scores_16", "boxes_32", "scores_32", "keypoints"},
    ),
    "nine outputs of Hailo": (
        [(1, 64 // stride, 64 // stride, depth) for stride in CELLS for depth in (64, 1, 51)],
        "yolo_pose",
        {f"{role}_{stride}" for stride in CELLS for role in ("boxes", "scores", "keypoints")},
    ),
    "channels first, boxes with scores": (
        [(1, depth, CELLS[stride]) for stride in CELLS for depth in (65, 51)],
        "yolo_pose",
        {f"{role}_{stride}" for stride in CELLS for role in ("boxes", "keypoints")},
    ),
    "three decoded heads": ([(1, 84, 4), (1, 84, 1), (1, 84, 51)], "yolo_pose", {"boxes", "scores", "keypoints"}),
    "HigherHRNet": ([(1, 16, 16, 34), (1, 32, 32, 17)], "ae", {"heatmap", "tag"}),
    "HigherHRNet's coarse head": ([(1, 16, 16, 34)], "ae", {"heatmap"}),
    "heatmaps and depths": ([(1, 16, 16, 16), (1, 16)], "heatmap_depth", {"heatmap", "depth"}),
    "volumes": ([(1, 16, 16, 17 * 16)], "integral", {"heatmap"}),
}


@pytest.mark.parametrize(("shapes", "decoder", "roles"), LAYOUTS.values(), ids=LAYOUTS)
def test_heads_are_told_apart_by_their_shapes(
    shapes: list[tuple[int, ...]], decoder: str, roles: set[str], tmp_path: Path
) -> None:
    manifest = imported(graph_of(shapes), tmp_path)
    with open_engine(config.Engine(model=str(manifest))) as engine:
        made = engine.manifest
        assert (made.decoder.name, {head.role for head in made.heads}) == (decoder, roles)
        decode = open_decoder("test", decoder, made.decoder.options, made.joints, engine.heads, config.Decode())
        frame = Frame(np.zeros((64, 64, 3), np.uint8), "bgr", 0.0, 0.0, 0)
        decode(engine.run(engine.input.tensor), Crop((0, 0), (1, 1)), frame)


def test_likelihoods_are_told_from_what_a_sigmoid_makes_them_of(tmp_path: Path) -> None:
    manifest = read_manifest(imported(graph_of(HIMAX), tmp_path))
    assert manifest.decoder.options["score_logits"] is True


def test_the_person_detector_of_before_2021_has_896_anchors(tmp_path: Path) -> None:
    manifest = read_manifest(imported(graph_of([(1, 896, 12), (1, 896, 1)], 128), tmp_path))
    assert (manifest.decoder.name, manifest.decoder.options["part"]) == ("blazepose", "detector")


# ------------------------------------------------------------------------------------------------ other formats


def zipped(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


OTHERS = {
    "onnx": (b"\x08\x08\x12\x07pytorch\x1a\x032.0", "is an ONNX model"),
    "pt": (zipped(**{"best/data.pkl": b"x", "best/version": b"3"}), "is a PyTorch file"),
    "pth": (b"\x80\x02}q\x00.", "a PyTorch checkpoint of old"),
    "h5": (b"\x89HDF\r\n\x1a\n" + bytes(64), "is a Keras or HDF5 file"),
    "keras": (zipped(**{"config.json": b"{}", "model.weights.h5": b"x"}), "is a Keras file"),
    "safetensors": ((20).to_bytes(8, "little") + b'{"w":{"shape":[1]}} ', "is a safetensors file"),
    "hef": (b"\x01HEF" + bytes(32), "a Hailo chip"),
    "html": (b"<!DOCTYPE html><html>", "is a web page"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1", "is a git-lfs pointer"),
    "zip": (zipped(readme=b"nothing"), "without a .tflite"),
    "broken zip": (zipped(readme=b"nothing")[:20], "a zip archive that cannot be opened"),
}


@pytest.mark.parametrize(("content", "says"), OTHERS.values(), ids=OTHERS)
def test_what_is_no_tflite_is_named_as_what_it_is(
    content: bytes, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "some.file"
    path.write_bytes(content)
    for action in ("inspect", "import"):
        assert main(["models", action, str(path), "--to", str(tmp_path / "own")]) == 78
        said = capsys.readouterr().err
        assert says in said
        assert "damaged or not a TFLite" not in said


def test_a_bundle_is_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = tmp_path / "pose.task"
    detector = graph_of([(1, 896, 12), (1, 896, 1)], 128)
    bundle.write_bytes(zipped(**{"detector.tflite": detector, "landmarks.tflite": large_maps()}))
    own = tmp_path / "own"
    assert main(["models", "import", str(bundle), "--to", str(own)]) == 0
    assert sorted(path.name for path in own.glob("*.toml")) == ["pose_detector.toml", "pose_landmarks.toml"]
    assert main(["models", "import", str(bundle / "detector.tflite"), "--name", "one", "--to", str(own)]) == 0
    assert (own / "one.toml").is_file()
    assert main(["models", "import", str(bundle / "other.tflite"), "--to", str(own)]) == 78
    assert "has no other.tflite in it, but detector.tflite, landmarks.tflite" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["mp_hand_landmark_lite", "mp_palm_detection_lite"])
def test_a_real_onnx_file_is_named(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "inspect", str(shared(f"models/onnx/{name}.onnx"))]) == 78
    assert "is an ONNX model" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ heatmaps, PoseNet


def large_maps(*more: int, quant: Quant = None) -> bytes:
    """EfficientPose: maps of 16 joints as large as the picture, and what led there."""
    tiny = Tiny()
    picture = tiny.tensor((1, 32, 32, 3), "float32")
    outputs = [tiny.conv(picture, count, quant, 8) for count in more]
    return tiny.file([picture], [*outputs, tiny.conv(picture, 16, quant, 1)])


def plan_manifest(content: bytes) -> Manifest:
    return make_plan(content, Path("some.tflite")).manifest


@pytest.mark.parametrize("more", [(), (28, 16, 16)], ids=["lite", "four outputs"])
def test_efficientpose_has_its_own_order_of_joints(more: tuple[int, ...]) -> None:
    manifest = plan_manifest(large_maps(*more))
    assert [head.shape for head in manifest.heads] == [(1, 32, 32, 16)]
    theirs = [
        "head_top", "upper_neck", "right_shoulder", "right_elbow", "right_wrist", "thorax", "left_shoulder",
        "left_elbow", "left_wrist", "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee",
        "left_ankle",
    ]  # fmt: skip
    channels = manifest.decoder.options["channels"]
    assert [theirs[channel] for channel in channels] == list(SKELETONS["mpii16"].joints)


def test_a_sigmoid_behind_posenets_heatmap_is_cut_off() -> None:
    tiny = Tiny()
    picture = tiny.tensor((1, 33, 33, 3), "float32")
    heat, *offsets = (tiny.conv(picture, count, None, 16) for count in (17, 34, 32, 32))
    likely = tiny.tensor((1, 3, 3, 17), "float32")
    tiny.op("LOGISTIC", [heat], [likely])
    plan = make_plan(tiny.file([picture], [likely, *offsets]), Path("some.tflite"))
    assert plan.dropped == ("LOGISTIC",)


def test_backward_displacements_are_told_by_their_name() -> None:
    tiny = Tiny()
    picture = tiny.tensor((1, 33, 33, 3), "float32")
    heads = [tiny.conv(picture, count, None, 16) for count in (17, 34, 32, 32)]
    for head, name in zip(heads, ("heatmap", "offset", "displacement_bwd", "displacement_fwd"), strict=True):
        tiny.graph.tensors[head].name = name
    plan = make_plan(tiny.file([picture], heads), Path("some.tflite"))
    names = dict(
        zip((head.role for head in plan.manifest.heads), (out.name for out in plan.graph.outputs), strict=True)
    )
    assert (names["mid_forward"], names["mid_backward"]) == ("displacement_fwd", "displacement_bwd")


MADE = {
    "01-vela-ethosu/vela_like": "heatmap",
    "02-yolo-pose-pixels/yolo_pose_all_in_pixels": "yolo_pose",
    "02-yolo-pose-pixels/yolo_pose_keypoints_in_pixels": "yolo_pose",
    "03-posenet-four-heads/posenet_four_heads": "personlab",
    "04-bodypix-decoder/bodypix_like": "personlab",
    "05-heatmap-layouts/heatmaps_13_st": "heatmap",
    "05-heatmap-layouts/heatmaps_15_mpi_background": "heatmap",
    "05-heatmap-layouts/efficientpose_four_outputs": "heatmap",
    "05-heatmap-layouts/efficientpose_lite_wrong_order": "heatmap",
}


@pytest.mark.parametrize(("name", "decoder"), MADE.items(), ids=MADE)
def test_files_that_were_refused_or_misread_are_imported(name: str, decoder: str, tmp_path: Path) -> None:
    content = shared(f"data/faults/{name}.tflite").read_bytes()
    assert read_manifest(imported(content, tmp_path)).decoder.name == decoder


# ------------------------------------------------------------------------------------------------ measured on pictures


@pytest.mark.slow
def test_what_a_file_cannot_say_is_measured_on_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Mirrored sides: a model whose left joints are our right ones, made of a manifest with its channels exchanged."""
    pictures = shared("data/sets/mmpose_mix/images")
    source = read_bundle(shared("models/cpm_192_aic14_float.tflite"))
    decoder = source.table["decoder"]
    right = decoder["options"]["channels"]
    wrong = [*right[3:6], *right[:3], *right[9:12], *right[6:9], *right[12:]]
    table = {**source.table, "decoder": {**decoder, "options": {**decoder["options"], "channels": wrong}}}
    people, joints = people_in(read_pictures(str(pictures)))
    found = measure(Bundle(table, source.content), people[:10], joints)
    assert found.bundle.table["decoder"]["options"]["channels"] == right
    evidence(found, people, tmp_path / "seen.png")
    assert cv2.imread(str(tmp_path / "seen.png")) is not None
    assert "sides are mirrored" in " ".join(found.said)


def test_nothing_is_changed_where_there_are_too_few_people() -> None:
    bundle = Bundle({"input": {}}, b"")
    assert measure(bundle, [], ()).bundle is bundle
