"""The personlab kernels, compiled and plain, agree bit for bit, and their parts with the words of the definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.poses import COCO17, HeadSpec
from edgepose.estimate.decode.personlab import BONES, CHANNELS, Options, PersonLab, walk_of
from edgepose.kernels import personlab_numpy
from tests.helpers import personlab_scene, reference_personlab
from tests.helpers.ways import KERNELS

F = np.float32
DTYPES = sorted(personlab_scene.QUANT)


@st.composite
def small_heads(draw: st.DrawFn) -> dict[str, NDArray[Any]]:
    """Heads of a few cells in any type: few levels, so that ties are common, offsets that leave the map.

    Values come from a seed: thousands drawn one by one would take long.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from(DTYPES))
    cells = draw(st.tuples(st.integers(1, 6), st.integers(1, 7)))
    if dtype == "float32":
        levels = np.array([-30.0, -2.0, -1.0, 0.0, 0.5, 3.0, 30.0])
    else:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        middle = (low + high) // 2
        levels = np.array([low, low + 1, *range(middle - 20, middle + 100, 9), high])
    levels = levels[: draw(st.integers(2, len(levels)))]
    return {role: rng.choice(levels, (*cells, count)).astype(dtype) for role, count in CHANNELS.items()}


def open_decoder(heads: dict[str, NDArray[Any]], kernels: str, most: int = 10, **options: Any) -> PersonLab:
    from edgepose.kernels import family

    cfg = config.Decode(max_people=most)
    specs: dict[str, HeadSpec] = personlab_scene.specs(heads)
    loops: Any = family("personlab", kernels)  # type: ignore[arg-type]
    return PersonLab(Options(**options), specs, COCO17, cfg, loops)


def answer(decoder: PersonLab, heads: dict[str, NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Joints (N, 17, 3) y, x, score and people (N, 2)."""
    people = decoder.pose[1, : decoder.find(heads)].copy()
    return people[:, :-1], people[:, -1, :2]


@given(small_heads(), st.integers(1, 4), st.sampled_from([0.0, 0.3]))
@settings(max_examples=50, deadline=None)
def test_compiled_and_plain_give_the_same_bits(heads: dict[str, NDArray[Any]], most: int, least: float) -> None:
    pytest.importorskip("numba", reason="numba is not installed")
    options = {"min_person_score": least}
    plain = answer(open_decoder(heads, "numpy", most, **options), heads)
    for way in ("aot", "numba"):
        fast = answer(open_decoder(heads, way, most, **options), heads)
        np.testing.assert_array_equal(fast[0], plain[0])
        np.testing.assert_array_equal(fast[1], plain[1])


@given(small_heads())
@settings(max_examples=40, deadline=None)
def test_roots_are_cells_no_neighbour_beats_and_the_highest_come_first(heads: dict[str, NDArray[Any]]) -> None:
    heat = heads["heatmap"]
    decoder = open_decoder(heads, "numpy", score_threshold=0.4)
    height, width, least, _, table, _, row, mask, words, root, _ = decoder.rest
    found = personlab_numpy.find_roots(heat.ravel(), height, width, least, row, mask, words, root)
    roots = reference_personlab.roots_of(heat, float(least))
    assert root[0, :found].tolist() == [(one.y * width + one.x) * 17 + one.joint for one in roots]
    personlab_numpy.sort_roots(heat.ravel(), least, table, found, root)
    roots = reference_personlab.by_score(roots)
    assert root[1, :found].tolist() == [(one.y * width + one.x) * 17 + one.joint for one in roots]


@given(small_heads(), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_people_are_few_sorted_and_inside_the_map(heads: dict[str, NDArray[Any]], most: int) -> None:
    joints, people = answer(open_decoder(heads, "auto", most, min_person_score=0.1), heads)
    high = (np.array(heads["heatmap"].shape[:2]) - 1) * personlab_scene.STRIDE
    assert len(joints) <= most
    assert ((joints[..., :2] >= 0) & (joints[..., :2] <= high)).all()
    assert ((joints[..., 2] >= 0) & (joints[..., 2] <= 1)).all()
    assert (people[:, 1] >= F(0.1)).all()
    assert (np.diff(people[:, 1]) <= 0).all()
    assert (people[:, 1] <= people[:, 0]).all()  # joints that a better person has only take away


def test_bytes_of_either_sign_decode_alike() -> None:
    people, peaks = personlab_scene.three_people()
    signed = personlab_scene.raw_heads(personlab_scene.real_heads(people, peaks), "int8")
    unsigned = {role: (head.astype(int) + 128).astype(np.uint8) for role, head in signed.items()}
    found = []
    for heads, shift in ((signed, 0), (unsigned, 128)):
        specs = {
            role: HeadSpec(role, head.shape, head.dtype, scale, zero + shift)
            for (role, head), (scale, zero) in zip(heads.items(), personlab_scene.QUANT["int8"].values(), strict=True)
        }
        loops: Any = personlab_numpy
        found.append(answer(PersonLab(Options(), specs, COCO17, config.Decode(), loops), heads))
    assert len(found[0][0]) == 3
    np.testing.assert_allclose(found[0][0], found[1][0], atol=1e-3)
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_equal_roots_come_in_the_order_row_column_joint(dtype: str) -> None:
    # all offsets are 0: a person is a point where its root is
    heads = personlab_scene.raw_heads({role: np.full((3, 9, n), 0.0) for role, n in CHANNELS.items()}, dtype)
    low, top = (-9, 9) if dtype == "float32" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    heads["heatmap"][...] = low
    for y, x, joint in ((2, 0, 3), (0, 8, 2), (0, 8, 1), (0, 0, 16)):
        heads["heatmap"][y, x, joint] = top
    heads["heatmap"][1, 4, 5] = top - 1
    in_order = [(0, 0), (0, 8), (2, 0), (1, 4)]
    for most in range(1, 5):
        joints, _ = answer(open_decoder(heads, "auto", most, min_person_score=0.0, nms_radius=0.0), heads)
        cells = {(float(y) / 16, float(x) / 16) for y, x in joints[..., :2].reshape(-1, 2)}
        assert cells == set(in_order[:most])


@KERNELS
def test_a_head_of_equal_values_is_all_roots_and_ends(kernels: str) -> None:
    heads = {role: np.full((5, 6, count), 127, np.int8) for role, count in CHANNELS.items()}
    joints, _ = answer(open_decoder(heads, kernels, most=50), heads)
    assert 1 <= len(joints) <= 50


def test_scores_are_sigmoids_of_the_logits() -> None:
    logits = np.linspace(-50, 50, 4001, dtype=F)
    heads = personlab_scene.raw_heads({role: np.zeros((1, 1, n)) for role, n in CHANNELS.items()}, "float32")
    decoder = open_decoder(heads, "auto")
    with np.errstate(over="ignore"):
        exact = 1 / (1 + np.exp(-logits.astype(float)))
    scores = personlab_numpy._sigmoid(logits, decoder.rest[4])
    assert np.abs(scores - exact).max() < 3e-7
    assert (np.diff(scores) >= -1e-7).all()


@pytest.mark.parametrize("joint", range(17), ids=COCO17.joints)
def test_a_walk_reaches_every_joint_once_by_bones_that_exist(joint: int) -> None:
    known, begin = {joint}, 0
    walk = walk_of(BONES)[joint].tolist()
    while begin < 16:
        end = walk[begin][3]
        for source, target, channel, _ in walk[begin:end]:
            assert (target, channel) in reference_personlab.steps_from(source)
            assert source in known
        known.update(target for _, target, _, _ in walk[begin:end])
        begin = end
    assert known == set(range(17))
