"""What saving power costs and saves: CPU time of the whole process in each state, and of the motion gate alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from statistics import fmean

import msgspec
import numpy as np

from edgepose.core import config
from edgepose.core.errors import SourceError
from edgepose.core.poses import Frame
from edgepose.lab.bench.power import Cost, costs
from edgepose.pipeline.power.gate import Gate
from tools.benches.row import Row, SkipRowError

SECONDS, ROUNDS = 8.0, 3
GATE_FRAMES = 600


@cache
def _costs() -> dict[str, Cost]:
    """All sides in turns, one thread, the camera at 640 x 480 and 30 Hz."""
    cfg = config.Config()
    one = msgspec.structs.replace(cfg, engine=msgspec.structs.replace(cfg.engine, threads=1))
    try:
        return {cost.name: cost for cost in costs(one, SECONDS, ROUNDS)}
    except SourceError as error:
        raise SkipRowError(str(error)) from None


def _ratio(name: str, one: str, other: str, target: float) -> Row:
    sides = _costs()
    value = sides[one].cpu / sides[other].cpu
    return Row(name, value, "", target, {f"{side}_pct": 100 * sides[side].cpu for side in (one, other)})


def _gate(name: str, size_wh: tuple[int, int], target: float) -> Row:
    """Microseconds a frame on average, at 30 frames a second, of noisy bgr frames that are not in the cache."""
    rng = np.random.default_rng(1)
    images = [rng.integers(100, 120, (size_wh[1], size_wh[0], 3), dtype=np.uint8) for _ in range(12)]
    gate, taken = Gate(), []
    for seq in range(GATE_FRAMES):
        frame = Frame(images[int(rng.integers(len(images)))], "bgr", seq / 30, seq / 30, seq)
        began = time.perf_counter()
        gate.see(frame)
        taken.append(time.perf_counter() - began)
    return Row(name, 1e6 * _trimmed_mean(taken[GATE_FRAMES // 4 :]), "us", target)


def _trimmed_mean(values: list[float]) -> float:
    """Without the slowest twentieth, in which others had the core."""
    kept = sorted(values)[: len(values) * 19 // 20]
    return fmean(kept)


ROWS: dict[str, Callable[[], Row]] = {
    "power_empty_vs_read": lambda: _ratio("power_empty_vs_read", "empty", "read", 1.7),
    "power_calm_vs_active": lambda: _ratio("power_calm_vs_active", "calm", "active", 0.35),
    "power_active_vs_off": lambda: _ratio("power_active_vs_off", "active", "off", 1.02),
    "gate_us_640": lambda: _gate("gate_us_640", (640, 480), 60),
    "gate_us_1920": lambda: _gate("gate_us_1920", (1920, 1080), 150),
}
