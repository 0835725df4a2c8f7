"""Smoothing and prediction: microseconds per frame, jitter and lag, and what prediction gains on recorded motion."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.poses import COCO17, Poses
from edgepose.follow.smooth import PRESETS, Smoother
from edgepose.pipeline import build
from edgepose.sink import MemorySink
from samples.people import poses
from samples.recorded import DELAYS_S, NOISE, clips, detected, miss, told_by
from samples.shared import FOLDER
from tools.benches.row import Row, SkipRowError, interleaved_ms

MOCAP = FOLDER / "data/mocap/cmu_01_02_h36m17_30fps.npz"
HZ = 30.0
SIZE_PX = 160.0
"""Of the person of `poses`."""


def cost(people: int, target_us: float) -> Row:
    """One frame of so many people: light smoothing, and prediction with the strong filter behind it."""
    shape = poses(people).xy
    noise = np.random.default_rng(0).normal(size=(64, *shape.shape)).astype(np.float32)
    ids = np.arange(1, people + 1, dtype=np.int32)
    stages = {
        "light": Smoother(config.Smooth(), COCO17, live=False, kernels="aot"),
        "both": Smoother(config.Smooth(preset="strong", predict="fixed", predict_ms=80), COCO17, False, kernels="aot"),
    }
    seq = dict.fromkeys(stages, 0)

    def frame(name: str) -> None:
        seq[name] += 1
        made = poses(people, t=seq[name] / HZ, xy=shape + noise[seq[name] % 64], track_id=ids)
        stages[name].update(made)

    runs: dict[str, Callable[[], object]] = {name: partial(frame, name) for name in stages}
    runs["made"] = lambda: poses(people, t=0.0, xy=shape + noise[0], track_id=ids)
    taken = interleaved_ms(runs, rounds=40, burst=50)
    net = {f"{name}_us": (taken[name] - taken["made"]) * 1e3 for name in stages}
    return Row(f"smooth_{people}_people", net["both_us"], "us", target_us, net)


def jitter(preset: str) -> Row:
    """How far joints of somebody still move from frame to frame, over that unsmoothed; and the lag in motion."""
    cfg = config.Smooth(preset=preset)  # type: ignore[arg-type]
    shape = poses(1).xy[0].astype(np.float64)
    seen = shape + np.random.default_rng(0).normal(size=(300, 17, 2)) * NOISE * SIZE_PX
    pace = np.array((SIZE_PX / 2 / HZ, 0.0))
    walk = shape + np.arange(90)[:, None, None] * pace
    still, moving = (_through(cfg, shots) for shots in (seen, walk))
    lag_ms = float((walk - moving)[60:, :, 0].mean() / (SIZE_PX / 2) * 1e3)
    ratio = float(np.diff(still[60:], axis=0).std() / np.diff(seen[60:], axis=0).std())
    return Row(f"jitter_{preset}", ratio, "ratio", None, {"px_per_frame": ratio * NOISE * SIZE_PX, "lag_ms": lag_ms})


def _through(cfg: config.Smooth, shots: NDArray[np.float64]) -> NDArray[np.float64]:
    stage = Smoother(cfg, COCO17, live=False, kernels="aot")
    one = np.ones(1, np.int32)
    return np.array([
        stage.update(poses(1, t=index / HZ, xy=shot[None].astype(np.float32), track_id=one)).xy[0]
        for index, shot in enumerate(shots)
    ])  # fmt: skip


def gain(delay_s: float) -> Row:
    """Share of the error that prediction takes away, recorded motion, detector noise of 0.75 % of the body's size."""
    if not MOCAP.exists():
        raise SkipRowError(f"{MOCAP} is not here")
    true = clips(MOCAP)
    noisy = detected(true)
    told = {
        "unsmoothed": config.Smooth(preset="off"),
        "light": config.Smooth(),
        "predicted": config.Smooth(predict="fixed", predict_ms=delay_s * 1e3),
    }
    errors = {name: 100 * miss(told_by(cfg, noisy, "aot"), true, delay_s) for name, cfg in told.items()}
    sides = {f"{name}_%": error for name, error in errors.items()}
    worst = min(1 - errors["predicted"] / errors[name] for name in ("unsmoothed", "light"))
    return Row(f"predict_gain_{delay_s * 1e3:.0f}ms", worst, "ratio", 0.3, sides, at_least=True)


def gain_on_video(name: str, model: str) -> Row:
    """As gain at 80 ms, of what a model sees in a video; truth is a parabola through 7 of its frames (5 at 10 Hz)."""
    path = FOLDER / "data/video" / name
    if not path.exists():
        raise SkipRowError(f"{path} is not here")
    engine, source = config.Engine(model=model), config.Source(uri=str(path))
    sink = MemorySink()
    with build(config.Config(engine=engine, source=source, smooth=config.Smooth(preset="off")), sinks=[sink]) as run:
        run.run()
    seen = list(sink.poses)
    told = {
        "unsmoothed": _tracks(seen),
        "light": _tracks(_smoothed(seen, config.Smooth())),
        "predicted": _tracks(_smoothed(seen, config.Smooth(predict="fixed", predict_ms=80))),
    }
    times = np.array([poses_.t for poses_ in seen])
    errors = {name_: 100 * _miss(track, told["unsmoothed"], times, 0.08) for name_, track in told.items()}
    sides = {f"{name_}_%": error for name_, error in errors.items()}
    sides["of_unsmoothed"] = 1 - errors["predicted"] / errors["unsmoothed"]
    value = 1 - errors["predicted"] / errors["light"]
    return Row(f"predict_gain_{path.stem}", value, "ratio", 0.3, sides, at_least=True)


def _smoothed(seen: list[Poses], cfg: config.Smooth) -> list[Poses]:
    stage = Smoother(cfg, seen[0].skeleton, live=False, kernels="aot")
    return [stage.update(one) for one in seen]


def _tracks(seen: list[Poses]) -> dict[int, NDArray[np.float64]]:
    """Identity -> (T, K, 2), NaN where not seen."""
    tracks: dict[int, NDArray[np.float64]] = {}
    for index, one in enumerate(seen):
        for identity, xy in zip(one.track_id.tolist(), one.xy, strict=True):
            blank = np.full((len(seen), *xy.shape), np.nan)
            tracks.setdefault(identity, blank)[index] = xy
    return tracks


def _miss(
    told: dict[int, NDArray[np.float64]], seen: dict[int, NDArray[np.float64]], times: NDArray[np.float64], delay: float
) -> float:
    """Mean distance, body sizes, to where joints are `delay` seconds later."""
    from scipy.signal import savgol_filter

    window = 7 if np.median(np.diff(times)) < 0.05 else 5
    last = np.clip(np.searchsorted(times, times + delay, "right") - 1, 0, len(times) - 2)
    part = ((times + delay - times[last]) / (times[last + 1] - times[last]))[:, None, None]
    misses = []
    for identity, track in seen.items():
        truth = savgol_filter(track, window, 2, axis=0, mode="constant", cval=np.nan)  # NaN near what is not seen
        later = truth[last] * (1 - part) + truth[last + 1] * part
        later[times + delay > times[-1]] = np.nan
        low, high = (edge(np.where(np.isfinite(track), track, -sign * np.inf), axis=1) for edge, sign in _EDGES)
        sides = (high - low).max(axis=1)
        distance = np.linalg.norm(told[identity] - later, axis=-1)[10:]
        misses.append(distance[np.isfinite(distance)] / np.median(sides[np.isfinite(sides)]))
    return float(np.concatenate(misses).mean())


_EDGES = ((np.min, -1), (np.max, 1))
VIDEOS = {
    "tfjs_pose_1.mp4": "light",
    "tfjs_pose_squats.mp4": "light",
    "walk_sagittal.mp4": "best",
    "three_dancers.avi": "default",
}
"""And the model that looks at each."""

ROWS: dict[str, Callable[[], Row]] = {
    "smooth_2_people": partial(cost, 2, 60),
    "smooth_10_people": partial(cost, 10, 150),
    **{f"jitter_{preset}": partial(jitter, preset) for preset in PRESETS},
    **{f"predict_gain_{delay_s * 1e3:.0f}ms": partial(gain, delay_s) for delay_s in DELAYS_S},
    **{f"predict_gain_{name.partition('.')[0]}": partial(gain_on_video, name, model) for name, model in VIDEOS.items()},
}
