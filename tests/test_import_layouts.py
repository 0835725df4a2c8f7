"""Layouts that public pose models really have: each imports with the right meaning, or is refused rightly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
