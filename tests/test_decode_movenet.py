"""The movenet decoder: people where the heads say they are, in source pixels, and nobody where nobody is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import ConfigError, ModelError
from edgepose.core.poses import COCO17, Crop, Frame, HeadSpec, Poses
from edgepose.estimate.decode import open_decoder
from tests.helpers.ways import KERNELS

F = np.float32
GOLDEN = Path(__file__).parent / "golden"
CELLS = 48
STRIDE = 4
AS_IS = Crop((0.0, 0.0), (1.0, 1.0))
FRAME = Frame(np.zeros((192, 192, 3), np.uint8), "bgr", t=1.5, taken_t=2.5, seq=7, name="a.jpg")

OPTIONS = {
    "people_head": "single",
    "stride": STRIDE,
    "min_person_score": 0.1,
    "min_joint_score": 0.2,
    "duplicate_oks": 0.5,
    "distance_bias": 1.8,
}
MULTI_OPTIONS = OPTIONS | {"people_head": "multi", "sigma": 0.3, "min_joint_mean": 0.127, "duplicate_oks": 0.3}
QUANT = {
    "center": (1 / 256, -128),
    "heatmap": (1 / 256, -128),
    "regress": (0.5, 0),
    "offset": (0.03125, 0),
    "box_scale": (0.5, -128),
    "box_offset": (0.03125, 0),
}
CHANNELS = {"center": 1, "regress": 34, "heatmap": 17, "offset": 34, "box_scale": 2, "box_offset": 2}
MULTI = tuple(CHANNELS)
SINGLE = MULTI[:4]


def specs(roles: tuple[str, ...], dtype: str = "int8", cells: int = CELLS) -> dict[str, HeadSpec]:
    """Quantisation of int8 heads; float heads have none."""
    return {
        role: HeadSpec(
            role, (cells, cells, CHANNELS[role]), np.dtype(dtype), *(QUANT[role] if dtype == "int8" else (1.0, 0))
        )
        for role in roles
    }


def raw(role: str, real: float) -> int:
    """The int8 that stands for `real`."""
    scale, zero = QUANT[role]
    return max(-128, min(127, round(real / scale) + zero))


def nobody(roles: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Heads of an empty scene."""
    return {role: np.full((CELLS, CELLS, CHANNELS[role]), raw(role, 0.0), np.int8) for role in roles}


def add_person(
    heads: dict[str, NDArray[Any]], cell_yx: tuple[int, int], score: float = 0.75, spread: int = 1
) -> NDArray[np.float32]:
    """Put a person at a cell: joints in a 4-wide grid around it, each 0.25 cells right of its cell's left edge.

    Returns where its joints are, (17, 2) x, y in model pixels.
    """
    y, x = cell_yx
    heads["center"][y, x, 0] = raw("center", score)
    xy = np.zeros((17, 2), F)
    for joint in range(17):
        dy, dx = (joint // 4 - 2) * spread * 2, (joint % 4 - 2) * spread * 2
        heads["regress"][y, x, 2 * joint : 2 * joint + 2] = [raw("regress", dy), raw("regress", dx)]
        heads["heatmap"][y + dy, x + dx, joint] = raw("heatmap", score)
        heads["offset"][y + dy, x + dx, 2 * joint : 2 * joint + 2] = [raw("offset", 0.5), raw("offset", 0.25)]
        # the cell's left edge is 4 * cell - 0.5 in pixel centres
        xy[joint] = (x + dx + 0.25) * STRIDE - 0.5, (y + dy + 0.5) * STRIDE - 0.5
    if "box_scale" in heads:
        heads["box_scale"][y, x] = raw("box_scale", 16 * spread)
    return xy


def decode(
    heads: dict[str, NDArray[Any]], options: dict[str, Any] = OPTIONS, crop: Crop = AS_IS, **settings: Any
) -> Poses:
    """Decode with the compiled or, without numba, the plain kernels."""
    dtype = heads["heatmap"].dtype.name
    decoder = open_decoder("test", "movenet", options, "coco17", specs(tuple(heads), dtype), config.Decode(**settings))
    return decoder(heads, crop, FRAME)


BOTH_HEADS = pytest.mark.parametrize(
    ("roles", "options"), [(SINGLE, OPTIONS), (MULTI, MULTI_OPTIONS)], ids=["single", "multi"]
)


@BOTH_HEADS
@KERNELS
def test_a_person_is_found_where_it_was_put(roles: tuple[str, ...], options: dict[str, Any], kernels: str) -> None:
    heads = nobody(roles)
    xy = add_person(heads, (20, 30))
    poses = decode(heads, options, kernels=kernels)
    assert len(poses) == 1
    np.testing.assert_allclose(poses.xy[0], xy, atol=1e-4)
    np.testing.assert_allclose(poses.score[0], 0.75, atol=0.005)
    assert poses.person_score[0] == pytest.approx(0.75 * 0.75, abs=0.005)
    assert poses.track_id.tolist() == [-1]
    assert (poses.t, poses.taken_t, poses.seq, poses.name, poses.size_wh) == (1.5, 2.5, 7, "a.jpg", (192, 192))


@pytest.mark.parametrize("max_people", [1, 6])
@KERNELS
def test_a_centre_that_is_already_weighted_gives_the_same_people(max_people: int, kernels: str) -> None:
    """As Edge TPU builds of MoveNet put it out: divided by the distance to the middle, in steps of its own."""
    heads = nobody(SINGLE)
    add_person(heads, (25, 30), score=0.75)
    add_person(heads, (20, 10), score=0.5)
    expected = decode(heads, kernels=kernels, max_people=max_people)
    y, x = np.mgrid[:CELLS, :CELLS]
    weighted = (heads["center"][..., 0].astype(F) + 128) / 256 / (np.hypot(y - 24, x - 24) + 1.8)
    heads["center"] = np.rint(weighted / 0.001 - 128).clip(-128, 127).astype(np.int8)[..., None]
    spec = specs(SINGLE) | {"center": HeadSpec("center", (CELLS, CELLS, 1), np.dtype(np.int8), 0.001, -128)}
    settings = config.Decode(kernels=kernels, max_people=max_people)  # type: ignore[arg-type]
    decoder = open_decoder("test", "movenet", OPTIONS | {"center_weighted": True}, "coco17", spec, settings)
    poses = decoder(heads, AS_IS, FRAME)
    assert len(poses) == len(expected) == min(max_people, 2)
    np.testing.assert_array_equal(poses.xy, expected.xy)
    np.testing.assert_allclose(poses.person_score, expected.person_score, rtol=0.02)


@BOTH_HEADS
def test_an_empty_scene_has_nobody(roles: tuple[str, ...], options: dict[str, Any]) -> None:
    poses = decode(nobody(roles), options)
    assert len(poses) == 0
    assert poses.xy.shape == (0, 17, 2)
    assert poses.score.shape == (0, 17)


def test_an_empty_scene_has_nobody_when_one_person_is_asked_for() -> None:
    assert len(decode(nobody(SINGLE), max_people=1)) == 0


@BOTH_HEADS
def test_two_people_come_out_best_first(roles: tuple[str, ...], options: dict[str, Any]) -> None:
    heads = nobody(roles)
    weak = add_person(heads, (20, 10), score=0.5)
    strong = add_person(heads, (25, 35), score=0.875)
    poses = decode(heads, options)
    np.testing.assert_allclose(poses.xy, [strong, weak], atol=1e-4)
    assert poses.person_score[0] > poses.person_score[1]


def test_one_person_is_the_one_nearest_the_middle_not_the_strongest() -> None:
    heads = nobody(SINGLE)
    add_person(heads, (12, 8), score=0.875)
    middle = add_person(heads, (24, 24), score=0.5)
    poses = decode(heads, max_people=1)
    np.testing.assert_allclose(poses.xy, [middle], atol=1e-4)


@BOTH_HEADS
def test_no_more_people_than_asked_for(roles: tuple[str, ...], options: dict[str, Any]) -> None:
    heads = nobody(roles)
    for column, score in ((8, 0.5), (24, 0.75), (40, 0.625)):
        add_person(heads, (24, column), score=score)
    poses = decode(heads, options, max_people=2)
    np.testing.assert_allclose(poses.person_score, [0.75**2, 0.625**2], atol=0.01)


def test_the_same_person_seen_from_two_centers_is_one() -> None:
    heads = nobody(SINGLE)
    xy = add_person(heads, (24, 24))
    heads["center"][24, 28, 0] = raw("center", 0.5)
    heads["regress"][24, 28] = heads["regress"][24, 24] - np.tile([0, raw("regress", 4)], 17)
    poses = decode(heads)
    assert len(poses) == 1
    np.testing.assert_allclose(poses.xy[0], xy, atol=1e-4)


@BOTH_HEADS
def test_a_joint_without_a_peak_is_nan_and_score_0(roles: tuple[str, ...], options: dict[str, Any]) -> None:
    heads = nobody(roles)
    add_person(heads, (24, 24))
    heads["heatmap"][..., 9] = -128
    heads["heatmap"][..., 10] = np.minimum(heads["heatmap"][..., 10], raw("heatmap", 0.19))
    poses = decode(heads, options)
    lost = np.isnan(poses.xy[0]).any(axis=1)
    assert np.flatnonzero(lost).tolist() == [9, 10]
    assert (poses.score[0] == 0).tolist() == lost.tolist()


def test_a_weaker_peak_near_the_coarse_pose_beats_a_stronger_one_far_away() -> None:
    heads = nobody(SINGLE)
    xy = add_person(heads, (24, 24), score=0.5)
    heads["heatmap"][2, 2, 0] = raw("heatmap", 0.99)
    np.testing.assert_allclose(decode(heads).xy[0, 0], xy[0], atol=1e-4)


def test_a_peak_outside_the_box_does_not_belong_to_the_person() -> None:
    heads = nobody(MULTI)
    xy = add_person(heads, (24, 24), score=0.5)
    heads["heatmap"][20, 28, 3] = raw("heatmap", 0.99)  # stronger, two cells to the right of joint 3
    assert decode(heads, MULTI_OPTIONS).xy[0, 3, 0] == xy[3, 0] + 2 * STRIDE - 1
    heads["box_scale"][24, 24] = raw("box_scale", 8)  # columns 20 to 27
    np.testing.assert_allclose(decode(heads, MULTI_OPTIONS).xy[0, 3], xy[3], atol=1e-4)


def test_settings_go_before_the_models_own_thresholds() -> None:
    heads = nobody(SINGLE)
    add_person(heads, (24, 24), score=0.5)
    assert len(decode(heads)) == 1
    assert len(decode(heads, min_person_score=0.3)) == 0
    assert np.isnan(decode(heads, min_joint_score=0.6).xy).all()


def test_poses_are_in_source_pixels() -> None:
    heads = nobody(SINGLE)
    xy = add_person(heads, (24, 24))
    crop = Crop(offset_xy=(100.0, -40.0), scale_xy=(2.5, 3.0))
    np.testing.assert_allclose(decode(heads, crop=crop).xy[0], xy * [2.5, 3.0] + [100, -40], atol=1e-3)


@BOTH_HEADS
@pytest.mark.parametrize("seed", range(6))
def test_both_kernels_give_the_same_bits_on_noise(roles: tuple[str, ...], options: dict[str, Any], seed: int) -> None:
    pytest.importorskip("numba", reason="numba is not installed")
    rng = np.random.default_rng(seed)
    heads = {role: rng.integers(-128, 128, (CELLS, CELLS, CHANNELS[role])).astype(np.int8) for role in roles}
    if seed % 2:
        heads = {role: (head // 32 * 32).astype(np.int8) for role, head in heads.items()}
    fast, plain = (decode(heads, options, kernels=kernels, max_people=8) for kernels in ("numba", "numpy"))
    assert len(fast) > 0
    for name in ("xy", "score", "person_score"):
        np.testing.assert_array_equal(getattr(fast, name), getattr(plain, name))


@BOTH_HEADS
def test_a_second_frame_does_not_change_the_first_result(roles: tuple[str, ...], options: dict[str, Any]) -> None:
    decoder = open_decoder("test", "movenet", options, "coco17", specs(roles), config.Decode())
    heads = nobody(roles)
    xy = add_person(heads, (20, 30))
    first = decoder(heads, AS_IS, FRAME)
    other = nobody(roles)
    add_person(other, (30, 20))
    decoder(other, AS_IS, FRAME)
    np.testing.assert_allclose(first.xy[0], xy, atol=1e-4)


WRONG_OPTIONS = {
    "missing": ({}, "people_head is missing"),
    "unknown": (OPTIONS | {"strid": 4}, "strid is not a setting; did you mean stride?"),
    "range": (OPTIONS | {"stride": 0}, "stride is 0, expected int >= 1"),
    "choice": (OPTIONS | {"people_head": "double"}, "people_head is 'double', expected one of 'single', 'multi'"),
}


@pytest.mark.parametrize(("options", "says"), WRONG_OPTIONS.values(), ids=WRONG_OPTIONS)
def test_wrong_options_are_told(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelError, match="model test: ") as caught:
        open_decoder("test", "movenet", options, "coco17", specs(SINGLE), config.Decode())
    assert says in str(caught.value)


def test_a_missing_head_is_told() -> None:
    heads = specs(SINGLE)
    del heads["offset"]
    with pytest.raises(ModelError, match="needs a head with role 'offset'"):
        open_decoder("test", "movenet", OPTIONS, "coco17", heads, config.Decode())


def test_a_head_of_another_size_is_told() -> None:
    heads = specs(SINGLE) | {"offset": specs(SINGLE, cells=24)["offset"]}
    with pytest.raises(ModelError, match=r"head 'offset' is \(24, 24, 34\), expected \(48, 48, 34\)"):
        open_decoder("test", "movenet", OPTIONS, "coco17", heads, config.Decode())


def test_an_unknown_decoder_is_told() -> None:
    with pytest.raises(ModelError, match=r"decoder\.name is 'movnet', expected one of .*\bmovenet\b"):
        open_decoder("test", "movnet", {}, "coco17", specs(SINGLE), config.Decode())


def test_numba_asked_for_but_absent_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str, choice: str) -> None:
        raise ImportError("No module named 'numba'")

    monkeypatch.setattr("edgepose.kernels.family", absent)
    with pytest.raises(ConfigError, match="pip install numba"):
        open_decoder("test", "movenet", OPTIONS, "coco17", specs(SINGLE), config.Decode(kernels="numba"))


def test_the_skeleton_has_a_sigma_and_a_place_for_every_joint() -> None:
    assert len(COCO17.joints) == len(COCO17.sigmas) == 17
    assert {joint for bone in COCO17.bones for joint in bone} == set(range(17))


def golden(name: str) -> tuple[dict[str, NDArray[Any]], NDArray[Any], NDArray[Any]]:
    """Heads of an original float graph, its answer, and its size of a cell; see tests/golden/README.md."""
    with np.load(GOLDEN / f"movenet_float_{name}.npz") as kept:
        heads = {role: kept[role] for role in CHANNELS if role in kept}
        return heads, kept["original"], kept["cell_unit"]


def decode_float(heads: dict[str, NDArray[Any]], options: dict[str, Any], kernels: str, max_people: int) -> Poses:
    float_specs = {role: HeadSpec(role, head.shape, head.dtype, 1.0, 0) for role, head in heads.items()}
    loose = options | {"min_person_score": 0.0, "min_joint_score": 0.0, "duplicate_oks": 1.0}
    settings = config.Decode(max_people=max_people, kernels=kernels)  # type: ignore[arg-type]
    return open_decoder("golden", "movenet", loose, "coco17", float_specs, settings)(heads, AS_IS, FRAME)


def original_xy(joints: NDArray[Any], cell_unit: NDArray[Any]) -> NDArray[Any]:
    """The graph's normalised (K, 3) y, x, score as (K, 2) x, y in model pixels."""
    xy: NDArray[Any] = (joints[:, :2] / cell_unit)[:, ::-1] * STRIDE - 0.5
    return xy


@KERNELS
@pytest.mark.parametrize("name", ["single_astronaut", "single_camera"])
def test_one_person_equals_the_original_float_graph(name: str, kernels: str) -> None:
    heads, original, cell_unit = golden(name)
    poses = decode_float(heads, OPTIONS, kernels, max_people=1)
    assert np.abs(poses.xy[0] - original_xy(original, cell_unit)).max() < 0.05
    np.testing.assert_allclose(poses.score[0], original[:, 2], atol=1e-4)


@KERNELS
def test_many_people_equal_the_original_float_graph(kernels: str) -> None:
    heads, original, cell_unit = golden("multi_both")
    poses = decode_float(heads, MULTI_OPTIONS, kernels, max_people=6)
    likely = original[original[:, 55] > 0.05]
    assert len(likely) >= 2
    for person in likely:
        xy = original_xy(person[:51].reshape(17, 3), cell_unit)
        nearest = np.nanmean(np.abs(poses.xy - xy), axis=(1, 2)).argmin()
        clear = person[:51].reshape(17, 3)[:, 2] > 1e-3
        assert np.abs(poses.xy[nearest] - xy)[clear].max() < 0.05
        np.testing.assert_allclose(poses.score[nearest], person[:51].reshape(17, 3)[:, 2], atol=1e-4)
        assert poses.person_score[nearest] == pytest.approx(person[55], abs=1e-4)
