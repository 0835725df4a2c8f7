"""Poses and frames made by hand, for the tests of what consumes them."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from edgepose.core.poses import COCO17, Frame, Poses


def poses(people: int = 1, **fields: Any) -> Poses:
    """Some people in a 320x240 picture, each with joint k at (10 + 10 k + 40 person, 20 + 5 k), score 0.5."""
    joint = np.arange(17, dtype=np.float32)
    xy = np.stack(
        [np.stack((10 + 10 * joint + 40 * person, 20 + 5 * joint), 1) for person in range(people)]
        or [np.zeros((0, 2), np.float32)]
    )
    made: dict[str, Any] = {
        "t": 2.0,
        "taken_t": 2.0,
        "seq": 0,
        "name": "",
        "size_wh": (320, 240),
        "skeleton": COCO17,
        "xy": xy.reshape(people, 17, 2).astype(np.float32),
        "score": np.full((people, 17), 0.5, np.float32),
        "person_score": np.linspace(0.9, 0.6, people, dtype=np.float32),
        "track_id": np.full(people, -1, np.int32),
    }
    return Poses(**{**made, **fields})


def fresh(seq: int, people: int = 1) -> Poses:
    """Poses of a frame that was taken this moment."""
    now = time.monotonic()
    return poses(people, seq=seq, t=now, taken_t=now)


def frame(**fields: Any) -> Frame:
    """The 320x240 mid-grey picture that goes with `poses`."""
    made: dict[str, Any] = {
        "image": np.full((240, 320, 3), 128, np.uint8),
        "layout": "bgr",
        "t": 2.0,
        "taken_t": 2.0,
        "seq": 0,
        "name": "",
    }
    return Frame(**{**made, **fields})
