"""A camera that hangs upside down, on its side or tilted is recognised by many people, never by one."""

from __future__ import annotations

import logging
import math
from types import SimpleNamespace

import numpy as np
import pytest

from edgepose.core import config
from edgepose.core.poses import COCO17, Poses
from edgepose.follow.hanging import Hang, Hanging
from edgepose.service.hangs import Hangs, upright

FPS = 10.0
SIDE = 400
SHOULDERS, HIPS = slice(5, 7), slice(11, 13)


def body(who: int, t: float, heads: float, x: float, y: float = 200.0, left: tuple[int, ...] = ()) -> Poses:
    """One person whose hips are at x, y and whose shoulders are 50 pixels from them, `heads` clockwise from up."""
    xy = np.full((1, 17, 2), np.nan, np.float32)
    angle = math.radians(heads)
    xy[0, HIPS] = x, y
    xy[0, SHOULDERS] = x + 50 * math.sin(angle), y - 50 * math.cos(angle)
    score = np.where(np.isnan(xy[..., 0]), 0, 0.9).astype(np.float32)
    identity, sure = np.array([who], np.int32), np.ones(1, np.float32)
    return Poses(t, t, round(t * FPS), "", (SIDE, SIDE), COCO17, xy, score, sure, identity, left=left)


def walks(hanging: Hanging, who: int, heads: float, t: float, seconds: float = 2.0) -> None:
    """Along the floor, half the picture far, from the left or, odd ones, from its middle."""
    for tick in range(round(seconds * FPS)):
        there = (tick / (seconds * FPS) + who % 2) * SIDE / 2
        hanging.update(body(who, t + tick / FPS, heads, there))


def stays(hanging: Hanging, who: int, heads: float, t: float, seconds: float) -> None:
    for tick in range(round(seconds * FPS)):
        hanging.update(body(who, t + tick / FPS, heads, 200))


@pytest.mark.parametrize(
    ("heads", "verdict"),
    [(180, 180), (170, 180), (90, 90), (-90, 270), (0, None), (8, None), (25, 25), (-24, -25), (45, None)],
)
def test_what_many_who_walk_by_show_is_how_the_camera_hangs(heads: float, verdict: int | None) -> None:
    hanging = Hanging()
    for who in range(6):
        walks(hanging, who, heads, 10.0 * who)
    assert hanging.verdict == (None if verdict is None else Hang(verdict))


def test_one_handstand_is_no_camera_upside_down_however_long() -> None:
    hanging = Hanging()
    stays(hanging, 1, 180, 0, 300)
    assert hanging.verdict is None


def test_one_who_walks_on_the_hands_for_half_a_minute_is_none_either() -> None:
    hanging = Hanging()
    walks(hanging, 1, 180, 0, 30)
    assert hanging.verdict is None


def test_who_lives_alone_is_enough_for_upside_down_in_time() -> None:
    hanging = Hanging()
    for visit in range(4):
        walks(hanging, 1, 180, 25.0 * visit, 3)
    assert hanging.verdict == Hang(180)


def test_people_who_lie_or_do_push_ups_are_no_camera_on_its_side() -> None:
    hanging = Hanging()
    for who in range(8):
        stays(hanging, who, 88, 30.0 * who, 25)
    assert hanging.verdict is None


def test_half_of_the_people_upright_are_no_camera_upside_down() -> None:
    hanging = Hanging()
    for who in range(12):
        walks(hanging, who, 180.0 * (who % 2), 10.0 * who)
    assert hanging.verdict is None


def test_people_who_lean_apart_at_the_sides_of_a_wide_picture_are_no_tilted_camera() -> None:
    hanging = Hanging()
    for who in range(10):
        walks(hanging, who, -20 if who % 2 == 0 else 20, 10.0 * who)
    assert hanging.verdict is None


def test_people_who_lean_on_one_side_of_the_picture_only_are_no_tilted_camera() -> None:
    hanging = Hanging()
    for who in range(0, 20, 2):
        walks(hanging, who, -20, 10.0 * who)
    assert hanging.verdict is None


def test_nobody_is_remembered_who_left() -> None:
    hanging = Hanging()
    hanging.update(body(1, 0.0, 0, 0))
    hanging.update(body(2, 0.1, 0, 0, left=(1,)))
    assert set(hanging._seen) == {2}


@pytest.mark.parametrize("mirror", [False, True], ids=["plain", "mirrored"])
@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize("right", [0, 90, 180, 270])
def test_the_setting_that_is_named_turns_heads_up(rotate: int, right: int, mirror: bool) -> None:
    def seen(by: int) -> int:
        """Where heads point in a picture that `right` would put upright, turned clockwise by `by` instead."""
        degrees = (by - right) % 360
        return -degrees % 360 if mirror else degrees

    source = config.Source(rotate=rotate, mirror=mirror)  # type: ignore[arg-type]
    assert upright(seen(rotate), source) == right


def test_it_is_said_once_in_the_log_and_stays_in_the_status(caplog: pytest.LogCaptureFixture) -> None:
    service = SimpleNamespace(cfg=config.Config())
    part, hanging = Hangs(service), Hanging()
    frame: object = None
    with caplog.at_level(logging.WARNING, "edgepose.service"):
        for who in range(8):
            for tick in range(20):
                poses = body(who, 10.0 * who + tick / FPS, 180, 10.0 * tick)
                hanging.update(poses)
                part.saw(poses, frame)  # type: ignore[arg-type]
    assert hanging.verdict == Hang(180)
    assert part.troubles == ["camera: people stand on their heads, so it hangs upside down: set source.rotate = 180"]
    assert [record.message for record in caplog.records] == part.troubles


def test_other_settings_of_the_source_begin_anew() -> None:
    service = SimpleNamespace(cfg=config.Config())
    part = Hangs(service)
    for who in range(5):
        for tick in range(20):
            part.saw(body(who, 10.0 * who + tick / FPS, 180, 10.0 * tick), None)  # type: ignore[arg-type]
    assert part.troubles
    service.cfg = config.Config(source=config.Source(rotate=180))
    part.saw(body(9, 100.0, 0, 0), None)  # type: ignore[arg-type]
    assert part.troubles == []
