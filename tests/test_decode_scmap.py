"""The scmap decoder: one animal by the highest cells, many by arrows from part to part."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import ModelError
from edgepose.core.poses import COCO17, Crop, HeadSpec, Poses, Skeleton
from edgepose.estimate.decode import open_decoder
from samples.crowds import AS_IS, FRAME, crossings, crowd, heatmaps, match, raw_heads

F = np.float32
STRIDE = 8
STDEV = 7.2801
SIZE_WH = 80, 60
OPTIONS = {"min_person_score": 0.1, "min_joint_score": 0.2}
MOUSE = Skeleton("mouse", ("snout", "left_ear", "right_ear", "tail"), ((0, 1), (0, 2), (1, 3), (2, 3)), (0.05,) * 4)


def middle(cells: NDArray[Any]) -> NDArray[Any]:
    """Model pixels of a place in cells: the middle of cell 0 is half a stride from the corner."""
    return np.asarray((cells + 0.5) * STRIDE)


@functools.cache
def dense(count: int) -> NDArray[np.float64]:
    """(count, 17, 2) in cells, limbs across each other."""
    return crowd(count, SIZE_WH, seed=count, skeleton=COCO17, tall=40)


def locref(people: NDArray[Any], size_wh: tuple[int, int]) -> NDArray[np.float32]:
    """(H, W, 2K) from the middle of each cell to the nearest joint of a part within 17 model pixels, / STDEV."""
    columns, rows = np.meshgrid(np.arange(size_wh[0]), np.arange(size_wh[1]))
    cells = np.stack((columns, rows), axis=-1)
    moved = np.zeros((*rows.shape, people.shape[1], 2))
    for k in range(people.shape[1]):
        away = (people[:, None, None, k] - cells) * STRIDE
        distance = np.nan_to_num(np.hypot(*np.moveaxis(away, -1, 0)), nan=np.inf)
        nearest = np.take_along_axis(away, distance.argmin(axis=0)[None, ..., None], axis=0)[0]
        moved[..., k, :] = np.where(distance.min(axis=0)[..., None] <= 17, nearest, 0)
    return (moved / STDEV).reshape(*rows.shape, -1).astype(F)


def pairwise(people: NDArray[Any], size_wh: tuple[int, int], std: float, mean: float) -> NDArray[np.float32]:
    """(H, W, 2K(K-1)) near each part a, where the same person's b lies as seen from the cell: (pixels - mean) / std."""
    joints = people.shape[1]
    columns, rows = np.meshgrid(np.arange(size_wh[0]), np.arange(size_wh[1]))
    arrows = np.zeros((*rows.shape, joints * (joints - 1), 2))
    for a in range(joints):
        distance = np.array([np.hypot(columns - x, rows - y) for x, y in people[:, a]])
        nearest = distance.argmin(axis=0)
        for b in range(joints):
            if a != b:
                away = (people[nearest, b] - np.stack((columns, rows), axis=-1)) * STRIDE
                arrows[..., (joints - 1) * a + b - (a < b), :] = (away - mean) / std
    return arrows.reshape(*rows.shape, -1).astype(F)


def drawn(people: NDArray[Any], dtype: str, size_wh: tuple[int, int] = SIZE_WH, many: bool = True) -> Any:
    heads = {"heatmap": (heatmaps(people, size_wh), 0, 1), "locref": (locref(people, size_wh), -2.4, 2.4)}
    if many:
        arrows = pairwise(people, size_wh, 50.0, 3.0)
        heads["pairwise"] = (arrows, float(arrows.min()), float(arrows.max()))
    return raw_heads(heads, dtype)


def found_in(
    heads_and_specs: Any,
    crop: Crop = AS_IS,
    kernels: Any = "auto",
    most: int = 30,
    skeleton: Skeleton = COCO17,
    **options: Any,
) -> Poses:
    heads, specs = heads_and_specs
    joints = len(skeleton.joints)
    if "pairwise" in specs:
        channels = 2 * joints * (joints - 1)
        options = {"pairwise_std": [50.0] * channels, "pairwise_mean": [3.0] * channels} | options
    cfg = config.Decode(max_people=most, kernels=kernels)
    return open_decoder("m", "scmap", OPTIONS | options, skeleton, specs, cfg)(heads, crop, FRAME)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 12])
def test_every_part_of_a_crowd_is_recovered_and_none_swapped(count: int, dtype: str) -> None:
    poses = found_in(drawn(dense(count), dtype))
    assert len(poses) == count
    assert sorted(match(poses.xy, middle(dense(count)), near=0.2 if dtype == "int8" else 0.01)) == list(range(count))


def test_the_crowds_above_do_cross_their_limbs() -> None:
    assert sum(crossings(dense(count), COCO17.bones) for count in (2, 3, 5, 8, 12)) >= 5


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_compiled_and_plain_kernels_give_the_same_poses(dtype: str) -> None:
    pytest.importorskip("numba", reason="numba is not installed")
    compiled, plain = (found_in(drawn(dense(8), dtype), kernels=kernels) for kernels in ("numba", "numpy"))
    assert len(compiled) == 8
    np.testing.assert_array_equal(compiled.xy, plain.xy)
    np.testing.assert_array_equal(compiled.person_score, plain.person_score)


def hand_made() -> tuple[dict[str, NDArray[Any]], dict[str, HeadSpec]]:
    """A mouse whose parts lie in cells (2, 3), (0, 0), (4, 5), and a tail that was not seen."""
    heat, moved = np.zeros((5, 6, 4), F), np.zeros((5, 6, 8), F)
    heat[2, 3, 0], heat[0, 0, 1], heat[4, 5, 2], heat[1, 1, 3] = 0.9, 0.8, 0.5, 0.05
    moved[2, 3, 0:2] = 1, -0.5
    moved[4, 5, 4:6] = -0.25, 0
    return raw_heads({"heatmap": (heat, 0, 1), "locref": (moved, -1, 1)}, "float32")


def test_a_part_lies_half_a_stride_into_its_cell_and_moves_by_locref() -> None:
    """x = 3 * 8 + 4 + 1 * 7.2801, y = 2 * 8 + 4 - 0.5 * 7.2801, and so on: worked out by hand."""
    poses = found_in(hand_made(), Crop((100.0, 200.0), (2.0, 2.0)), skeleton=MOUSE)
    assert len(poses) == 1
    expected = [[28 + STDEV, 20 - STDEV / 2], [4, 4], [44 - STDEV / 4, 36], [np.nan, np.nan]]
    np.testing.assert_allclose(poses.xy[0], np.array(expected) * 2 + (100, 200), rtol=1e-6)
    np.testing.assert_allclose(poses.score[0], [0.9, 0.8, 0.5, 0], rtol=1e-6)
    assert poses.person_score[0] == pytest.approx((0.9 + 0.8 + 0.5) / 4)


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8"])
def test_one_animal_is_the_highest_cell_of_each_part(dtype: str) -> None:
    people = np.concatenate((dense(1), dense(1)[:, ::-1]))  # somebody fainter stands in the way
    heads, specs = drawn(people, dtype, many=False)
    faint = heatmaps(people[1:], SIZE_WH)
    heat = np.maximum(heatmaps(people[:1], SIZE_WH), 0.8 * faint)
    heads["heatmap"] = raw_heads({"heatmap": (heat, 0, 1)}, dtype)[0]["heatmap"]
    poses = found_in((heads, specs))
    assert len(poses) == 1
    assert match(poses.xy, middle(people[:1]), near=0.2) == [0]


def test_only_one_is_wanted_even_where_arrows_could_tell_many() -> None:
    assert len(found_in(drawn(dense(3), "int8"), most=1)) == 1


def test_nobody_is_found_where_nothing_is() -> None:
    heads, specs = drawn(dense(2), "int8")
    empty = {role: np.full_like(head, -128) for role, head in heads.items()}
    assert len(found_in((empty, specs))) == 0
    assert len(found_in((empty, specs), most=1)) == 0


WRONG: dict[str, tuple[dict[str, tuple[int, ...]], dict[str, Any], str]] = {
    "no locref": ({"heatmap": (8, 8, 4)}, {}, "role 'locref'"),
    "too few arrows": ({"heatmap": (8, 8, 4), "locref": (8, 8, 8), "pairwise": (8, 8, 12)}, {}, "(8, 8, 24)"),
    "a number short": (
        {"heatmap": (8, 8, 4), "locref": (8, 8, 8), "pairwise": (8, 8, 24)},
        {"pairwise_std": [1.0] * 23},
        "pairwise_std has 23",
    ),
}


@pytest.mark.parametrize(("shapes", "options", "said"), WRONG.values(), ids=WRONG)
def test_heads_that_do_not_fit_are_refused_in_one_line(
    shapes: dict[str, tuple[int, ...]], options: dict[str, Any], said: str
) -> None:
    specs = {role: HeadSpec(role, shape, np.dtype(F), 1.0, 0) for role, shape in shapes.items()}
    with pytest.raises(ModelError) as error:
        found_in(({}, specs), skeleton=MOUSE, **options)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
