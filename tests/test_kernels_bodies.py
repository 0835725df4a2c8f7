"""What is measured of bodies is the same whichever kernels measure it, whoever comes, goes, and loses joints."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.kernels import Choice, family
from edgepose.meaning.body import Body, Scale
from edgepose.meaning.features import FEATURES, Table
from samples.bodies import BENT, KNEELING, LYING, SITTING, SIZE_WH, STANDING
from tests.helpers.ways import KERNELS

PEOPLE = 9
Floats = NDArray[np.float64]


def crowd(frames: int) -> list[tuple[float, Floats, NDArray[np.int64]]]:
    """Time, joints and slots: people of every posture who drift, wave, clap, sink, at an uneven pace."""
    rng = np.random.default_rng(3)
    base = np.array([(STANDING, SITTING, LYING, BENT, KNEELING)[n % 5].xy for n in range(PEOPLE)])
    t, made = 0.0, []
    for _ in range(frames):
        t += float(rng.choice((1 / 30, 1 / 60, 0.2, 0.0, 1.2), p=(0.6, 0.2, 0.1, 0.05, 0.05)))
        base += rng.normal(size=base.shape) * 1.5
        xy = base.copy()
        swing = 60 * np.sin(9 * t + np.arange(PEOPLE))
        xy[:, 9:11, 0] += swing[:, None] * ((1, 1) if int(t) % 2 else (1, -1))
        xy[:, 9:11, 1] -= 150
        xy[:, :11, 1] += np.maximum(0, 80 * np.sin(t + np.arange(PEOPLE)))[:, None]
        here = np.sort(rng.permutation(PEOPLE)[: rng.integers(0, PEOPLE + 1)])
        xy = xy[here]
        xy[rng.random(xy.shape[:2]) < 0.12] = np.nan
        made.append((t, xy, here.astype(np.int64)))
    return made


def measured(way: Choice, frames: int) -> Floats:
    """(M, features and more) of everybody in every frame."""
    loops = family("bodies", way)
    scale = Scale()
    table = Table(FEATURES, scale)
    scale.grow(PEOPLE)
    table.grow(PEOPLE)
    last_t, rows = 0.0, []
    for t, xy, slots in crowd(frames):
        body = Body(xy, SIZE_WH, t, loops)
        with np.errstate(invalid="ignore", divide="ignore"):
            scale.update(body, slots, t - last_t)
            rows.append(np.concatenate((table.values(body), body.size[:, None], body.centre), axis=1))
        last_t = t
    return np.concatenate(rows)


@KERNELS
def test_every_way_measures_the_same(kernels: Choice) -> None:
    told = measured(kernels, 300)
    plain = measured("numpy", 300)
    np.testing.assert_allclose(told, plain, rtol=1e-9, atol=1e-6)
    names = [*FEATURES, "size", "x", "y"]
    here = dict(zip(names, np.isfinite(told).mean(axis=0).tolist(), strict=True))
    assert min(here.values()) > 0.3, "a column that is hardly ever there compares nothing"
    assert np.nanmax(told[:, names.index("left_wave")]) >= 3
    assert np.nanmax(told[:, names.index("claps")]) >= 2
    assert np.nanmax(told[:, names.index("shoulder_drop")]) > 0.5
    assert {*np.unique(told[:, names.index("lying")][np.isfinite(told[:, names.index("lying")])])} == {0.0, 1.0}


@KERNELS
def test_nobody_and_somebody_without_joints_are_measured_too(kernels: Choice) -> None:
    for people in (0, 2):
        body = Body(np.full((people, 17, 2), np.nan), SIZE_WH, 0.0, family("bodies", kernels))
        assert body.looks.shape == (people,)
        assert np.isnan(body.looks).all()
        assert np.isnan(body.centre).all()


@pytest.mark.parametrize("way", ["numpy", "auto"])
def test_the_centre_is_hips_else_shoulders_else_whatever_is_there(way: Choice) -> None:
    xy = np.full((3, 17, 2), np.nan)
    xy[:, 9], xy[:, 10] = (10, 20), (30, 60)
    xy[:2, 5] = (100, 200)
    xy[0, 12] = (150, 300)
    body = Body(xy, SIZE_WH, 0.0, family("bodies", way))
    np.testing.assert_array_equal(body.centre, [(150, 300), (100, 200), (20, 40)])
