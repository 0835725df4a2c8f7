"""The ae decoder: in crowds whose limbs cross, tags bring every joint to its own person."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import ModelError
from edgepose.core.poses import COCO17, Crop, HeadSpec, Poses
from edgepose.estimate.decode import open_decoder
from samples.crowds import AS_IS, FRAME, crossings, crowd, heatmaps, match, quantise, raw_heads

F = np.float32
SIZE_WH = 96, 96
OPTIONS = {"stride": 1, "min_person_score": 0.1, "min_joint_score": 0.2}


@functools.cache
def dense(count: int) -> NDArray[np.float64]:
    """People half as high as the map, limbs across each other."""
    return crowd(count, SIZE_WH, seed=count, skeleton=COCO17, tall=46)


def tags(people: NDArray[Any], size_wh: tuple[int, int], step: float = 2.0, noise: float = 0.2) -> NDArray[np.float32]:
    """(H, W, K) around each joint its person's number times `step`, give or take; between people noise of any size."""
    rng = np.random.default_rng(len(people))
    columns, rows = np.meshgrid(np.arange(size_wh[0]), np.arange(size_wh[1]))
    tag = rng.uniform(-5, 5, (size_wh[1], size_wh[0], people.shape[1]))
    for k in range(people.shape[1]):
        distance = np.array([np.hypot(columns - x, rows - y) for x, y in people[:, k]] or [np.full(rows.shape, np.inf)])
        distance[np.isnan(distance)] = np.inf
        nearest = distance.argmin(axis=0)
        mine = distance.min(axis=0) < 2
        tag[mine, k] = nearest[mine] * step
    return np.asarray(tag + rng.uniform(-noise, noise, tag.shape), F)


def drawn(people: NDArray[Any], dtype: str, size_wh: tuple[int, int] = SIZE_WH) -> Any:
    top = 2.0 * len(people) + 6
    return raw_heads({"heatmap": (heatmaps(people, size_wh), 0, 1), "tag": (tags(people, size_wh), -6, top)}, dtype)


def found_in(heads_and_specs: Any, crop: Crop = AS_IS, kernels: Any = "auto", most: int = 30, **options: Any) -> Poses:
    heads, specs = heads_and_specs
    cfg = config.Decode(max_people=most, kernels=kernels)
    return open_decoder("m", "ae", OPTIONS | options, "coco17", specs, cfg)(heads, crop, FRAME)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 12, 16, 20])
def test_every_joint_of_a_crowd_is_recovered_and_none_swapped(count: int, dtype: str) -> None:
    poses = found_in(drawn(dense(count), dtype))
    assert len(poses) == count
    assert sorted(match(poses.xy, dense(count), near=0.5)) == list(range(count))


def test_the_crowds_above_do_cross_their_limbs() -> None:
    assert sum(crossings(dense(count), COCO17.bones) for count in (8, 12, 16, 20)) >= 10


def test_people_who_stand_in_each_other_are_told_apart_by_tags_alone() -> None:
    """Two people half an arm apart, left and right of one drawn at the other's place: no line between joints helps."""
    one = dense(1)
    people = one + np.array([[[0, 0]], [[4, 0]]])
    people[:, [9, 10]] = people[::-1, [9, 10]]  # wrists on the other's elbows
    poses = found_in(drawn(people, "int8"))
    assert sorted(match(poses.xy, people, near=0.5)) == [0, 1]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float32"])
def test_compiled_and_plain_kernels_give_the_same_poses(dtype: str) -> None:
    pytest.importorskip("numba", reason="numba is not installed")
    compiled, plain = (found_in(drawn(dense(12), dtype), kernels=kernels) for kernels in ("numba", "numpy"))
    np.testing.assert_array_equal(compiled.xy, plain.xy)
    np.testing.assert_array_equal(compiled.person_score, plain.person_score)


def test_tags_may_be_half_as_many_and_one_map_may_serve_all_joints() -> None:
    one = crowd(1, (40, 60), seed=8, skeleton=COCO17, tall=36)
    people = one + np.array([[[0, 0]], [[42, 1]], [[84, 0]]])
    size_wh = 124, 62
    shared_tag = np.repeat(np.arange(3, dtype=F) * 3, [21, 21, 20])[None, :, None].repeat(31, axis=0)
    heat = heatmaps(people, size_wh)
    poses = found_in(raw_heads({"heatmap": (heat, 0, 1), "tag": (shared_tag, 0, 8)}, "uint8"))
    assert sorted(match(poses.xy, people, near=0.5)) == [0, 1, 2]


def test_a_person_scores_the_mean_over_all_joints_seen_or_not() -> None:
    people = np.rint(dense(1))
    people[0, [0, 5, 9]] = np.nan
    poses = found_in(drawn(people, "float32"))
    assert np.flatnonzero(np.isnan(poses.xy[0, :, 0])).tolist() == [0, 5, 9]
    assert poses.person_score[0] == pytest.approx(14 / 17, abs=1e-3)


def test_a_cell_is_the_middle_of_its_pixels() -> None:
    people = np.rint(dense(1))
    poses = found_in(drawn(people, "float32"), Crop((10.0, 20.0), (2.0, 3.0)), stride=2)
    np.testing.assert_allclose(poses.xy[0], (2 * people[0] + 0.5) * (2, 3) + (10, 20), atol=1e-3)


def test_a_tag_a_step_away_founds_another_person() -> None:
    """Two joints, tags 0 and 0.9: one person; 0 and 1.1: two, since the limit is 1."""
    heat = np.zeros((9, 9, 17), F)
    heat[2, 2, 0] = heat[6, 6, 1] = 1
    for tag, people in ((0.9, 1), (1.1, 2)):
        tag_map = np.zeros((9, 9, 17), F)
        tag_map[6, 6, 1] = tag
        poses = found_in(raw_heads({"heatmap": (heat, 0, 1), "tag": (tag_map, 0, 2)}, "float32"), min_person_score=0)
        assert len(poses) == people


def test_nobody_is_found_where_nobody_is() -> None:
    assert len(found_in(drawn(np.zeros((0, 17, 2)), "int8"))) == 0


WRONG: dict[str, tuple[dict[str, tuple[int, ...]], dict[str, Any], str]] = {
    "no tags": ({"heatmap": (8, 8, 17)}, {}, "role 'tag'"),
    "two tags a joint": ({"heatmap": (8, 8, 17), "tag": (8, 8, 34)}, {}, "'tag'"),
    "an odd size": ({"heatmap": (8, 8, 17), "tag": (3, 3, 17)}, {}, "'tag'"),
    "a joint twice": ({"heatmap": (8, 8, 17), "tag": (8, 8, 17)}, {"joint_order": [0, 0]}, "joint_order"),
}


@pytest.mark.parametrize(("shapes", "options", "said"), WRONG.values(), ids=WRONG)
def test_heads_that_do_not_fit_are_refused_in_one_line(
    shapes: dict[str, tuple[int, ...]], options: dict[str, Any], said: str
) -> None:
    specs = {role: HeadSpec(role, shape, np.dtype(F), 1.0, 0) for role, shape in shapes.items()}
    with pytest.raises(ModelError) as error:
        found_in(({}, specs), **options)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_the_public_grouping_gives_the_same_people() -> None:
    """Joint by joint with an optimal assignment from scipy, as the method's own description has it."""
    optimize = pytest.importorskip("scipy.optimize")
    heads, specs = drawn(dense(8), "float32")
    real = {role: (heads[role].astype(float) - spec.zero_point) * spec.scale for role, spec in specs.items()}
    heat, tag = real["heatmap"], real["tag"]
    padded = np.pad(heat, ((2, 2), (2, 2), (0, 0)), constant_values=-1)
    highest = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), (0, 1)).max((-1, -2))
    groups: list[dict[int, tuple[int, int]]] = []
    for k in (0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16):
        ys, xs = np.nonzero((heat[..., k] == highest[..., k]) & (heat[..., k] >= 0.2))
        means = [np.mean([tag[y, x, j] for j, (y, x) in group.items()]) for group in groups]
        away = np.array([[abs(tag[y, x, k] - mean) for mean in means] for y, x in zip(ys, xs, strict=True)])
        joined = set()
        if groups:
            cost = np.rint(away) * 100 - heat[ys, xs, k][:, None]
            wide = np.full((len(ys), max(len(ys), len(groups))), 1e10)
            wide[:, : len(groups)] = cost
            for i, p in zip(*optimize.linear_sum_assignment(wide), strict=True):
                if p < len(groups) and away[i, p] < 1:
                    groups[p][k] = (int(ys[i]), int(xs[i]))
                    joined.add(i)
        groups += [{k: (int(ys[i]), int(xs[i]))} for i in range(len(ys)) if i not in joined]
    poses = found_in((heads, specs))
    ours = {frozenset((k, round(float(y)), round(float(x))) for k, (x, y) in enumerate(one)) for one in poses.xy}
    theirs = [{(k, y, x) for k, (y, x) in group.items()} for group in groups]
    assert len(poses) == len(theirs) == 8
    for one in theirs:  # a fraction of exactly half a cell may round either way
        assert max(len(one & other) for other in ours) >= 16


def test_quantising_tags_keeps_steps_apart() -> None:
    """The crowd of 20 spans tags of 46: in int8 a step of 2 is still ten raw values."""
    _, scale, _ = quantise(np.zeros(1), "int8", -6, 46)
    assert 2 / scale > 9
