"""The grouping kernels, compiled and plain, equal their slow twins and each other on any small head of any dtype."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edgepose import kernels
from tests.helpers import reference_grouping as reference
from tests.helpers.ways import WAYS

F = np.float32
MOST = 5
"""Peaks kept of each part."""


ALL: tuple[kernels.Choice, ...] = ("aot", "numba", "numpy")


@pytest.fixture(params=WAYS, scope="module")
def loops(request: pytest.FixtureRequest) -> ModuleType:
    return kernels.family("peaks", request.param)


@pytest.fixture(scope="module")
def both() -> list[ModuleType]:
    """The loops in each way they can be run."""
    pytest.importorskip("numba", reason="numba is not installed")
    return [kernels.family("grouping", choice) for choice in ALL]


class Peaks:
    """Room for what part_peaks finds."""

    def __init__(self, parts: int, cells: int = 0) -> None:
        self.some_yx = np.zeros((cells, 2), np.int32)
        self.count = np.zeros(parts, np.int32)
        self.cell_yx = np.zeros((parts, MOST, 2), np.int32)
        self.xy = np.zeros((parts, MOST, 2), F)
        self.score = np.zeros((parts, MOST), F)


class Links:
    """Scratch and room for links of `limbs` limbs."""

    def __init__(self, limbs: int) -> None:
        self.scratch = np.zeros((MOST, MOST), F), np.zeros((MOST, MOST)), *tree()
        self.link = np.zeros((limbs * MOST, 3), np.int32)
        self.score = np.zeros(limbs * MOST, F)


def tree() -> tuple[NDArray[Any], NDArray[Any]]:
    return np.zeros((3, MOST + 2)), np.zeros((3, MOST + 2), np.int32)


@st.composite
def heads(draw: st.DrawFn, channels: int | None = None) -> NDArray[Any]:
    """A raw head (H, W, C) with many equal values, so that ties are common."""
    dtype = draw(st.sampled_from(["float32", "int16", "int8", "uint8"]))
    shape = draw(st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 3)))
    shape = shape if channels is None else (*shape[:2], channels)
    if dtype == "float32":
        return draw(hnp.arrays(np.float32, shape, elements=st.sampled_from([-0.5, 0.0, 0.25, 0.5, 0.75, 1.0])))
    limits = np.iinfo(dtype)
    return draw(hnp.arrays(dtype, shape, elements=st.sampled_from([limits.min, 0, 7, 8, 100, limits.max])))


@given(heads(), st.integers(1, 2), st.data())
@settings(max_examples=50, deadline=None)
def test_peaks_of_a_part_are_cells_nobody_near_beats(
    loops: ModuleType, heat: NDArray[Any], radius: int, data: st.DataObject
) -> None:
    height, width, channels = heat.shape
    first = data.draw(st.integers(0, channels - 1))
    least = np.sort(heat, axis=None)[heat.size // 3]
    found = Peaks(channels - first, height * width)
    quant = np.array([0.5, 7], F)
    loops.part_peaks(
        heat, first, least, radius, quant, found.some_yx, found.count, found.cell_yx, found.xy, found.score
    )
    for k in range(channels - first):
        part = heat[..., first + k]
        cells = reference.peaks(part, least, radius, MOST)
        assert [tuple(cell) for cell in found.cell_yx[k, : found.count[k]]] == cells
        for i, (y, x) in enumerate(cells):
            assert found.score[k, i] == (float(part[y, x]) - 7) / 2
            across = [float(part[y, x + d]) for d in (-1, 0, 1)] if 0 < x < width - 1 else [0.0] * 3
            down = [float(part[y + d, x]) for d in (-1, 0, 1)] if 0 < y < height - 1 else [0.0] * 3
            expected = x + reference.vertex(*across), y + reference.vertex(*down)
            np.testing.assert_allclose(found.xy[k, i], expected, atol=1e-6)


def test_a_parabola_is_found_between_its_cells(loops: ModuleType) -> None:
    rows, columns = np.mgrid[:7, :9]
    heat = (1 - 0.01 * ((columns - 4.3) ** 2 + (rows - 2.8) ** 2)).astype(F)[..., None]
    found = Peaks(1, 63)
    loops.part_peaks(
        heat, 0, F(0.1), 1, np.array([1, 0], F), found.some_yx, found.count, found.cell_yx, found.xy, found.score
    )
    assert found.count[0] == 1
    np.testing.assert_allclose(found.xy[0, 0], [4.3, 2.8], atol=1e-4)


def test_two_equal_cells_are_one_peak_halfway_between_them(loops: ModuleType) -> None:
    heat = np.full((5, 6, 1), -128, np.int8)
    heat[2, 2:4, 0] = 127
    found = Peaks(1, 30)
    loops.part_peaks(
        heat, 0, np.int8(0), 1, np.array([1 / 255, -128], F), found.some_yx, found.count, found.cell_yx, found.xy,
        found.score,
    )  # fmt: skip
    assert found.count[0] == 1
    assert found.xy[0, 0].tolist() == [2.5, 2]
    assert found.score[0, 0] == pytest.approx(1)


@st.composite
def placed(draw: st.DrawFn, field: NDArray[Any], parts: int) -> Peaks:
    """Peaks at any place of the map, on and between the cells."""
    found = Peaks(parts)
    height, width = field.shape[:2]
    for k in range(parts):
        found.count[k] = draw(st.integers(0, 3))
        for i in range(found.count[k]):
            found.cell_yx[k, i] = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
            away = draw(st.sampled_from([-0.5, -0.25, 0.0, 0.125, 0.5]))
            found.xy[k, i] = np.clip(found.cell_yx[k, i, ::-1] + F(away), 0, (width - 1, height - 1))
    return found


LIMBS = np.array([(0, 1, 0, 1), (1, 2, 3, 2)], np.int32)


@given(heads(channels=4), st.data())
@settings(max_examples=50, deadline=None)
def test_links_follow_the_field_and_take_no_peak_twice(
    both: list[ModuleType], paf: NDArray[Any], data: st.DataObject
) -> None:
    found = data.draw(placed(paf, 3))
    scale, zero = (1.0, 0) if paf.dtype.kind == "f" else (1 / float(np.iinfo(paf.dtype).max), 8)
    along = np.linspace(0, 1, 6, dtype=F)[[2, 3, 1, 4, 0, 5]]
    made = []
    for loops in both:
        links = Links(2)
        count = loops.limb_links(
            paf, np.array([scale, zero], F), LIMBS, along, 4, F(0.13), found.count, found.xy, *links.scratch,
            links.link, links.score,
        )  # fmt: skip
        made.append((links.link[:count].tolist(), links.score[:count].tolist()))
    assert all(one == made[0] for one in made)

    field = (paf.astype(float) - zero) * scale
    for limb_at, (a, b, channel_x, channel_y) in enumerate(LIMBS):
        scores = np.zeros((found.count[a], found.count[b]))
        for i, j in np.ndindex(scores.shape):
            score, margin = reference.line_score(
                field[..., channel_x], field[..., channel_y], found.xy[a, i], found.xy[b, j], 6, 4, 0.13
            )
            if margin < 1e-4:  # rounding decides
                return
            scores[i, j] = score
        chosen = {(i, j): score for (at, i, j), score in zip(*made[0], strict=True) if at == limb_at}
        assert len({i for i, _ in chosen}) == len({j for _, j in chosen}) == len(chosen)
        for (i, j), score in chosen.items():
            assert score == pytest.approx(scores[i, j], abs=1e-4)
        best = reference.best_total(scores**2) if scores.size else 0
        assert sum(score**2 for score in chosen.values()) == pytest.approx(best, abs=1e-3)


@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.floats(-4, 4, width=16)))
@settings(max_examples=50, deadline=None)
def test_assignment_is_the_best_of_all(both: list[ModuleType], gain: NDArray[Any]) -> None:
    rows, columns = gain.shape
    room = np.zeros((MOST, MOST))
    room[:rows, :columns] = gain
    ways = []
    for loops in both:
        scratch, way = tree()
        loops.assign(room, rows, columns, -3.0, scratch, way)
        ways.append(way[0, 1 : columns + 1].tolist())
    assert all(one == ways[0] for one in ways)
    taken = {row - 1: column for column, row in enumerate(ways[0]) if row}
    assert len(taken) == sum(row > 0 for row in ways[0])
    total = sum(gain[i, taken[i]] if i in taken else -3.0 for i in range(rows))
    assert total == pytest.approx(reference.best_total(gain, -3.0))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_links_make_people_without_two_of_one_part(both: list[ModuleType], data: st.DataObject) -> None:
    parts = 5
    pairs = [(a, b) for a in range(parts) for b in range(a + 1, parts)]
    limb = np.array([(a, b, 0, 0) for a, b in pairs], np.int32)
    founds = np.array(data.draw(st.lists(st.integers(0, 1), min_size=len(pairs), max_size=len(pairs))), np.int32)
    a_link = st.tuples(st.integers(0, len(pairs) - 1), st.integers(0, 2), st.integers(0, 2))
    rows = data.draw(st.lists(a_link, max_size=20))
    link = np.array(rows, np.int32).reshape(-1, 3)
    link_score = np.linspace(1, 0.5, len(rows), dtype=F)
    peak_xy = np.arange(parts * MOST * 2, dtype=F).reshape(parts, MOST, 2)
    peak_score = np.linspace(0.2, 0.9, parts * MOST, dtype=F).reshape(parts, MOST)
    made = []
    for loops in both:
        owner, member = np.zeros((parts, MOST), np.int32), np.zeros((30, parts), np.int32)
        total, terms = np.zeros(30, F), np.zeros(30, np.int32)
        people = loops.link_people(limb, founds, link, link_score, len(rows), owner, member, total, terms)
        xy, score, person_score = np.zeros((9, parts, 2), F), np.zeros((9, parts), F), np.zeros(9, F)
        found = loops.best_people(member, total, terms, people, 2, F(0.3), peak_xy, peak_score, xy, score, person_score)
        made.append((member[:people].tolist(), xy[:found].tolist(), score[:found].tolist(), person_score[:found]))
        assert (np.diff(person_score[:found]) <= 0).all()
        np.testing.assert_array_equal(np.isnan(xy[:found, :, 0]), score[:found] == 0)
    for one in made[1:]:
        np.testing.assert_equal(made[0], one)

    named = [((pairs[at][0], i), (pairs[at][1], j), bool(founds[at])) for at, i, j in rows]
    whole = {frozenset(person) for person in reference.people_of(named)}
    assert {frozenset((k, i) for k, i in enumerate(row) if i >= 0) for row in made[0][0]} - {frozenset()} == whole
    assert len(made[0][1]) == len(whole)  # all are above 0.3 and have two parts


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_tags_make_people_part_after_part(both: list[ModuleType], data: st.DataObject) -> None:
    parts, room = 4, 16
    count = np.array([data.draw(st.integers(0, 3)) for _ in range(parts)], np.int32)
    order = np.array(data.draw(st.permutations(range(parts))), np.int32)
    tags = st.sampled_from([0.0, 0.25, 0.75, 1.0, 1.5, 3.0])
    peak_tag = data.draw(hnp.arrays(np.float32, (parts, MOST), elements=tags))
    peak_score = np.linspace(0.9, 0.3, parts * MOST, dtype=F).reshape(parts, MOST)
    made = []
    for loops in both:
        member, total, terms = np.zeros((room, parts), np.int32), np.ones(room, F), np.zeros(room, np.int32)
        scratch, way = np.zeros((3, room + 1)), np.zeros((3, room + 1), np.int32)
        tag_sum, tag_terms = np.zeros(room, F), np.zeros(room, np.int32)
        people = loops.tag_people(
            order, count, peak_score, peak_tag, F(0.6), np.zeros((MOST, room)), scratch, way, member, total, terms,
            tag_sum, tag_terms,
        )  # fmt: skip
        assert (total[:people] == 0).all()
        made.append((member[:people].tolist(), terms[:people].tolist()))
    assert all(one == made[0] for one in made)

    member = np.array(made[0][0], int).reshape(-1, parts)
    assert made[0][1] == (member < 0).sum(axis=1).tolist()
    for k in range(parts):  # every peak is somebody's, once
        assert sorted(member[member[:, k] >= 0, k]) == list(range(count[k]))
    for row in member:  # whoever joined was less than 0.6 from the mean of those before
        theirs = [float(peak_tag[k, row[k]]) for k in order if row[k] >= 0]
        assert all(abs(tag - np.mean(theirs[:at])) < 0.6 for at, tag in enumerate(theirs) if at)


@given(heads(channels=12), st.data())
@settings(max_examples=40, deadline=None)
def test_arrows_link_peaks_that_point_at_each_other(
    both: list[ModuleType], pairwise: NDArray[Any], data: st.DataObject
) -> None:
    found = data.draw(placed(pairwise, 3))
    found.xy[:] = found.xy * F(8) + F(4)
    top = 1.0 if pairwise.dtype.kind == "f" else float(np.iinfo(pairwise.dtype).max)
    quant = np.stack((np.full(12, 20 / top), np.linspace(-3, 3, 12)), axis=1).astype(F)
    limb = np.array([(0, 1, 0, 4), (0, 2, 2, 8), (1, 2, 6, 10)], np.int32)
    made = []
    for loops in both:
        links = Links(3)
        count = loops.offset_links(
            pairwise, quant, limb, F(8), F(10), found.count, found.cell_yx, found.xy, *links.scratch, links.link,
            links.score,
        )  # fmt: skip
        made.append((links.link[:count].tolist(), links.score[:count].tolist()))
    assert all(one == made[0] for one in made)

    real = pairwise.astype(float) * quant[:, 0] + quant[:, 1]
    for (limb_at, i, j), score in zip(*made[0], strict=True):
        a, b, there, back = limb[limb_at]
        misses = []
        for part, peak, channel, other, other_peak in ((a, i, there, b, j), (b, j, back, a, i)):
            y, x = found.cell_yx[part, peak]
            end = real[y, x, channel : channel + 2] + (8 * x + 4, 8 * y + 4)
            misses.append(np.hypot(*(end - found.xy[other, other_peak])))
        assert score == pytest.approx(1 / (1 + np.mean(misses) / 10), abs=1e-4)
        assert np.mean(misses) <= 30.001
