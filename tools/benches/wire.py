"""What it costs to write a message of two people of 17 joints, in both forms."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from edgepose import wire
from edgepose.core.poses import COCO17, Poses
from tools.benches.row import Row, interleaved_ms

ROUNDS, BURST = 100, 50
LIMIT_US = 30.0
NOW_T, NOW_WALL = 5.02, 1_790_000_000.25


def two_people() -> Poses:
    """Live, tracked, one joint missing."""
    chance = np.random.default_rng(0)
    size_wh = 1920, 1080
    xy = (chance.random((2, 17, 2)) * size_wh).astype(np.float32)
    score = chance.random((2, 17)).astype(np.float32)
    xy[0, 3], score[0, 3] = np.nan, 0
    return Poses(
        t=5.0, taken_t=5.0, seq=70, name="", size_wh=size_wh, skeleton=COCO17, xy=xy, score=score,
        person_score=np.array((0.9, 0.8), np.float32), track_id=np.array((1, 2), np.int32),
    )  # fmt: skip


def fixed_work() -> int:
    """Plain Python that never changes: says how fast this machine is at this moment."""
    total = 0
    for number in range(200):
        total += number * number
    return total


def encode_time(form: str) -> Row:
    """Microseconds of one message; the fixed work beside it, and their ratio, which carries over between machines."""
    poses = two_people()
    forms: dict[str, Callable[[], bytes]] = {
        "json": lambda: wire.encode(poses, "board", "door", NOW_T, NOW_WALL),
        "binary": lambda: wire.binary.encode(poses, NOW_T, NOW_WALL),
    }
    taken = interleaved_ms({form: forms[form], "fixed_work": fixed_work}, ROUNDS, BURST)
    value, fixed = taken[form] * 1e3, taken["fixed_work"] * 1e3
    sides = {"fixed_work_us": fixed, "ratio": value / fixed, "bytes": float(len(forms[form]()))}
    return Row(f"wire_{form}_us", value, "us", LIMIT_US, sides)


ROWS = {f"wire_{form}_us": partial(encode_time, form) for form in ("json", "binary")}
