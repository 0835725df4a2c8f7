"""The box_heatmap decoder: a hot cell lands in its box, and peaks go to the boxes they suit best."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edgepose import kernels
from edgepose.core import config
from edgepose.core.errors import ModelError
from edgepose.core.poses import COCO17, HeadSpec, Poses, Skeleton
from edgepose.estimate.decode import open_decoder
from edgepose.estimate.decode.box_heatmap import FALLOFF
from samples.crowds import AS_IS, FRAME, crowd, heatmaps, match, raw_heads

F = np.float32
TWO = Skeleton("two", ("wrist", "ankle"), ((0, 1),), (0.05, 0.05))
OPTIONS = {"min_person_score": 0.1, "min_joint_score": 0.01}


def found_in(
    heads_and_specs: Any, people: str, skeleton: Skeleton = COCO17, loops: Any = "auto", **options: Any
) -> Poses:
    heads, specs = heads_and_specs
    cfg = config.Decode(max_people=9, kernels=loops)
    made = open_decoder("m", "box_heatmap", OPTIONS | {"people": people} | options, skeleton, specs, cfg)
    return made(heads, AS_IS, FRAME)


def specs_of(heads: dict[str, NDArray[Any]]) -> dict[str, HeadSpec]:
    return {role: HeadSpec(role, head.shape, head.dtype, 1.0, 0) for role, head in heads.items()}


def logits(centre_xy: NDArray[Any], size: int = 56) -> NDArray[np.float32]:
    """(N, K, size, size) a hill around each place in cells, as steep as trained maps are: 12 above the plain."""
    columns, rows = np.arange(size), np.arange(size)[:, None]
    x, y = centre_xy[..., 0, None, None], centre_xy[..., 1, None, None]
    return np.asarray(12 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 2.0**2)), F)


BOXES = np.array([[100, 50, 212, 162], [300, 20, 328, 188], [10.5, 20.25, 400, 130]], F)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_a_hot_cell_maps_into_its_box(layout: str) -> None:
    """Cell (20, 30) of 56 in a box from 100 to 212 is pixel 100 + 20.5 / 56 * 112 - 0.5 = 140.5, and so on."""
    heat = np.full((3, 2, 56, 56), -8, F)
    heat[:, 0, 30, 20] = heat[:, 1, 0, 55] = 9
    heat = heat if layout == "nchw" else np.ascontiguousarray(heat.transpose(0, 2, 3, 1))
    heads = {"heatmap": heat, "boxes": BOXES, "scores": np.array([0.9, 0.05, 0.95], F)}
    poses = found_in((heads, specs_of(heads)), "per_box", TWO, layout=layout)
    assert len(poses) == 2  # the box that scores 0.05 is not a person
    np.testing.assert_allclose(poses.person_score, [0.95, 0.9])
    for person, box in ((1, 0), (0, 2)):
        left, top, right, bottom = BOXES[box]
        wrist = left + 20.5 / 56 * (right - left) - 0.5, top + 30.5 / 56 * (bottom - top) - 0.5
        ankle = left + 55.5 / 56 * (right - left) - 0.5, top + 0.5 / 56 * (bottom - top) - 0.5
        np.testing.assert_allclose(poses.xy[person], [wrist, ankle], rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
def test_joints_lie_where_enlarging_every_map_to_its_box_finds_them(dtype: str) -> None:
    """The public way: cubic enlarging to the box's pixels, then the highest pixel's middle."""
    cv2 = pytest.importorskip("cv2")
    centre = np.random.default_rng(7).uniform(4, 51, (3, 17, 2))
    maps = logits(centre)
    raw, specs = raw_heads({"heatmap": (maps, 0, 12.5)}, dtype)
    heads = raw | {"boxes": BOXES}
    poses = found_in((heads, specs | specs_of({"boxes": BOXES})), "per_box", min_person_score=0)
    assert len(poses) == 3
    for box, (left, top, right, bottom) in enumerate(BOXES.astype(float)):
        width, height = int(np.ceil(right - left)), int(np.ceil(bottom - top))
        expected = []
        for one in maps[box]:
            large = cv2.resize(one, (width, height), interpolation=cv2.INTER_CUBIC)
            y, x = divmod(int(large.argmax()), width)
            expected.append(
                (left + (x + 0.5) * (right - left) / width - 0.5, top + (y + 0.5) * (bottom - top) / height - 0.5)
            )
        miss = min((abs(one - expected) for one in poses.xy), key=lambda each: float(each.max()))
        cell = (right - left) / 56, (bottom - top) / 56
        assert (miss < np.maximum(cell, 1.0) * 0.5 + 0.5).all()


def test_the_score_is_the_hot_cells_share_of_a_softmax() -> None:
    maps = np.random.default_rng(3).normal(0, 3, (2, 2, 56, 56)).astype(F)
    heads = {"heatmap": maps, "boxes": BOXES[:2]}
    poses = found_in((heads, specs_of(heads)), "per_box", TWO, min_person_score=0, min_joint_score=0)
    flat = np.exp(maps.astype(float)).reshape(2, 2, -1)
    share = flat.max(axis=2) / flat.sum(axis=2)
    best_first = np.argsort(-share.mean(axis=1))
    np.testing.assert_allclose(poses.score, share[best_first], rtol=1e-3)
    np.testing.assert_allclose(poses.person_score, share.mean(axis=1)[best_first], rtol=1e-3)


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_compiled_and_plain_kernels_find_the_same_hot_cells(data: st.DataObject) -> None:
    pytest.importorskip("numba", reason="numba is not installed")
    dtype = data.draw(st.sampled_from(["int8", "uint8", "int16"]))
    shape = data.draw(st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)))
    heat = data.draw(hnp.arrays(dtype, shape, elements=st.integers(0, 100)))
    layout = np.array([*shape[2:], shape[1] * shape[2] * shape[3], shape[2] * shape[3], shape[3], 1], np.int64)
    answers = []
    for choice in ("numba", "numpy"):
        xy, score = np.zeros((*shape[:2], 2), F), np.zeros(shape[:2], F)
        loops = kernels.family("peaks", choice)
        loops.hot_cells(heat.reshape(-1), layout, np.array([0.07, 3], F), FALLOFF, xy, score)
        answers.append((xy, score))
    np.testing.assert_array_equal(answers[0][0], answers[1][0])
    np.testing.assert_array_equal(answers[0][1], answers[1][1])
    for n, k in np.ndindex(shape[:2]):
        y, x = np.unravel_index(heat[n, k].argmax(), shape[2:])
        assert abs(answers[0][0][n, k] - (x, y)).max() <= 0.5
        exact = 1 / np.exp((heat[n, k].astype(float) - heat[n, k].max()) * 0.07).sum()
        assert answers[0][1][n, k] == pytest.approx(exact, rel=1e-3)


def overlapping() -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
    """A wide box from 0 to 40 and a narrow one from 24 to 64; both wrists lie nearer the wide one's middle."""
    boxes = np.array([[0, 0, 40, 40], [24, 0, 64, 40]], F)
    wrists = np.array([[[6.0, 20.0], [20.0, 34.0]], [[30.0, 20.0], [44.0, 34.0]]])
    return {"heatmap": heatmaps(wrists, (66, 42)), "boxes": boxes}, wrists


def nearest_box(wrists: NDArray[Any], boxes: NDArray[Any]) -> list[int]:
    middle = boxes.reshape(-1, 2, 2).mean(axis=1)
    return [int(np.hypot(*(middle - wrist).T).argmin()) for wrist in wrists]


def test_overlapping_boxes_share_peaks_better_than_the_nearest_box_would() -> None:
    heads, wrists = overlapping()
    assert nearest_box(wrists[:, 0] + 0.5, heads["boxes"]) == [0, 0]
    poses = found_in((heads, specs_of(heads)), "shared", TWO, stride=1)
    assert sorted(match(poses.xy, wrists, near=0.3)) == [0, 1]


def test_usual_places_tell_joints_in_the_same_box_apart() -> None:
    """Two people in nearly the same box, one wrist high and one low; only the places say whose box is which."""
    boxes = np.array([[0, 0, 30, 40], [0, 6, 30, 60]], F)
    people = np.array([[[15.0, 12.0], [15.0, 36.0]], [[15.0, 27.0], [15.0, 54.0]]])
    heads = {"heatmap": heatmaps(people, (40, 64)), "boxes": boxes}
    poses = found_in((heads, specs_of(heads)), "shared", TWO, stride=1, places_xy=[[0.5, 0.3], [0.5, 0.9]])
    assert sorted(match(poses.xy, people, near=0.3)) == [0, 1]


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_a_crowd_whose_boxes_touch_is_recovered(dtype: str) -> None:
    people = crowd(4, (160, 60), seed=21, skeleton=COCO17, tall=40)
    boxes = np.concatenate((people.min(axis=1) - 1, people.max(axis=1) + 1), axis=1) + 0.5
    places = ((people + 0.5 - boxes[:, None, :2]) / (boxes[:, None, 2:] - boxes[:, None, :2])).mean(axis=0)
    raw, specs = raw_heads({"heatmap": (heatmaps(people, (160, 60)), 0, 1)}, dtype)
    told = {"boxes": boxes.astype(F)}
    answers = [
        found_in((raw | told, specs | specs_of(told)), "shared", stride=1, places_xy=places.tolist(), loops=loops)
        for loops in ("auto", "numpy")
    ]
    assert sorted(match(answers[0].xy, people, near=0.5)) == [0, 1, 2, 3]
    np.testing.assert_array_equal(answers[0].xy, answers[1].xy)


def test_a_peak_outside_every_box_is_nobodys() -> None:
    heads, _ = overlapping()
    heads["boxes"] = np.array([[0, 0, 3, 3], [50, 0, 52, 3]], F)
    assert len(found_in((heads, specs_of(heads)), "shared", TWO, stride=1)) == 0


def test_boxes_may_come_as_shares_of_the_picture_with_rows_first() -> None:
    heads, wrists = overlapping()
    heads["boxes"] = np.ascontiguousarray(heads["boxes"][:, [1, 0, 3, 2]] / (40, 80, 40, 80)).astype(F)
    unit = {"box_order": "yxyx", "box_unit_xy": [80.0, 40.0]}
    poses = found_in((heads, specs_of(heads)), "shared", TWO, stride=1, **unit)
    assert sorted(match(poses.xy, wrists, near=0.3)) == [0, 1]


WRONG: dict[str, tuple[dict[str, tuple[int, ...]], dict[str, Any], str]] = {
    "no boxes": ({"heatmap": (3, 2, 56, 56)}, {}, "role 'boxes'"),
    "boxes of five": ({"heatmap": (3, 2, 56, 56), "boxes": (3, 5)}, {}, "(people, 4)"),
    "fewer maps than boxes": ({"heatmap": (2, 2, 56, 56), "boxes": (3, 4)}, {}, "3 people"),
    "another layout": ({"heatmap": (3, 2, 56, 56), "boxes": (3, 4)}, {"layout": "nhwc"}, "nhwc"),
    "too few scores": ({"heatmap": (3, 2, 56, 56), "boxes": (3, 4), "scores": (2,)}, {}, "'scores'"),
}


@pytest.mark.parametrize(("shapes", "options", "said"), WRONG.values(), ids=WRONG)
def test_heads_that_do_not_fit_are_refused_in_one_line(
    shapes: dict[str, tuple[int, ...]], options: dict[str, Any], said: str
) -> None:
    specs = {role: HeadSpec(role, shape, np.dtype(F), 1.0, 0) for role, shape in shapes.items()}
    with pytest.raises(ModelError) as error:
        found_in(({}, specs), "per_box", TWO, **options)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
