"""All rules together: microseconds a frame."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from edgepose.core.poses import COCO17
from edgepose.meaning import Meaning, rules_of
from samples.bodies import SIZE_WH, STANDING, seen
from samples.toml import tomllib
from tools.benches.row import Row, interleaved_ms

HZ = 30.0
RULES = """
[ground]
points_px = [[100, 100], [500, 100], [600, 400], [50, 400]]
points_m = [[0, 0], [3, 0], [3, 4], [0, 4]]
[[zone]]
name = "left"
polygon_px = [[0, 0], [200, 0], [200, 300], [0, 300]]
[[rule]]
kind = "posture"
[[rule]]
kind = "fall"
[[rule]]
kind = "reps"
signal = "knee"
enter = 70
exit = 40
[[rule]]
kind = "gesture"
[[rule]]
kind = "angle"
signal = "elbow_left"
enter = 70
exit = 50
[[rule]]
kind = "zone"
zone = "left"
[[rule]]
kind = "near"
[[rule]]
kind = "gait"
[[rule]]
kind = "attention"
[[rule]]
kind = "control"
"""
"""One of each kind."""


def cost(people: int, target_us: float) -> Row:
    """One frame of so many people who stand, with noise; the mean of a burst, gauges twice a second among it."""
    rules = rules_of(tomllib.loads(RULES), "rules")
    noise = np.random.default_rng(0).normal(size=(64, people, *STANDING.xy.shape))
    frames = [{n + 1: STANDING.xy + one[n] + np.array((40.0 * n - 200.0, 0.0)) for n in range(people)} for one in noise]
    meaning = Meaning(rules, COCO17, SIZE_WH)
    seq = [0, 0]

    def make(which: int) -> object:
        seq[which] += 1
        return seen(frames[seq[which] % 64], seq[which] / HZ, seq[which])

    runs: dict[str, Callable[[], object]] = {
        "all": lambda: meaning.update(make(0)),  # type: ignore[arg-type]
        "made": lambda: make(1),
    }
    taken = interleaved_ms(runs, rounds=40, burst=30)
    net_us = (taken["all"] - taken["made"]) * 1e3
    return Row(f"meaning_{people}_people_us", net_us, "us", target_us, {"made_us": taken["made"] * 1e3})


ROWS: dict[str, Callable[[], Row]] = {"meaning_10_people_us": partial(cost, 10, 100)}
