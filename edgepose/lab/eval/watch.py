"""The pipeline over a recording, and what it made of who is who."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.core.opencv import cv2
from edgepose.core.poses import Frame, Poses
from edgepose.lab.eval.run import Progress
from edgepose.lab.eval.video import MEANINGS, Track, jitter, lag_ms, tracks_of
from edgepose.lab.eval.video_truth import Film, Followed, followed
from edgepose.pipeline import build, described
from edgepose.sink.draw import bgr

log = logging.getLogger("edgepose.lab.eval")

STILLS = 8
"""Frames shown in the report."""
STILL_PX = 480
"""Their longer side."""


@dataclass(eq=False)
class Stills:
    """Frames evenly spread over a recording whose length is not known: every so often, ever more seldom."""

    every: int = 1
    seen: int = 0
    kept: dict[int, NDArray[np.uint8]] = field(default_factory=dict)
    """Frame -> small picture."""

    def add(self, frame: Frame) -> None:
        """Look at one more frame."""
        if self.seen % self.every == 0:
            if len(self.kept) == 2 * STILLS:
                self.kept = {seq: self.kept[seq] for seq in list(self.kept)[::2]}
                self.every *= 2
            if self.seen % self.every == 0:
                image = bgr(frame)
                scale = min(1.0, STILL_PX / max(image.shape[:2]))
                size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
                self.kept[frame.seq] = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        self.seen += 1


@dataclass(frozen=True, eq=False)
class Watched:
    """A video, seen."""

    name: str
    cfg: config.Config
    described: str
    reported: list[Poses]
    """As sent: smoothed."""
    numbers: dict[str, float | None]
    tracks: dict[int, Track]
    people: NDArray[np.int64]
    """(frames,) reported."""
    stills: dict[int, NDArray[np.uint8]]
    film: Followed | None


def watch(
    cfg: config.Config, video: str, limit: int, film: Film | None, progress_of: Callable[[int | None], Progress]
) -> Watched:
    """Run the pipeline over a video, from its start, and measure.

    What is smoothed later is what the pipeline would have smoothed: crops and tracks never look at smoothed joints.

    progress_of  shows how far it is, of so many frames

    Raises:
        ConfigError: the video is no recording.
    """
    source = msgspec.structs.replace(cfg.source, uri=video, loop=False, pace="free")
    plain = msgspec.structs.replace(cfg, source=source, smooth=config.Smooth(preset="off", predict="off"))
    measured: list[Poses] = []
    stills = Stills()

    with build(plain, sinks=[]) as pipeline:
        if pipeline.source.live:
            raise ConfigError(f"--video {video}: is live; give a recording")
        progress = progress_of(pipeline.source.total)

        try:
            for seen in islice(pipeline, limit or None):
                measured.append(seen.poses)
                stills.add(seen.frame)
                progress.step()
        except KeyboardInterrupt:
            log.warning("interrupted after %d frames; a video starts over", len(measured))
            raise
        finally:
            progress.clear()
        invokes = pipeline.estimate.counts["invokes"]
        spent = pipeline.times.table_ms()
        lost = pipeline.counts["lost"]
        ran = " + ".join(described(engine) for engine in pipeline.estimate.engines)
    if not measured:
        raise ConfigError(f"--video {video}: gives no frames")
    reported = _smoothed(cfg, measured)
    tracks, before = tracks_of(reported), tracks_of(measured)
    numbers = _numbers(before, tracks, reported)
    numbers["invokes_per_frame"] = invokes / (len(measured) + lost)
    numbers["ms_per_frame"] = spent["infer"].p50 + spent["decode"].p50
    numbers["lost"] = lost
    judged = followed(film, reported) if film else None
    if judged:
        numbers |= judged.numbers
    return Watched(
        name=Path(video).name,
        cfg=msgspec.structs.replace(cfg, source=source),
        described=ran,
        reported=reported,
        numbers={key: numbers.get(key) for key in MEANINGS},
        tracks=tracks,
        people=np.array([len(poses) for poses in reported]),
        stills=stills.kept,
        film=judged,
    )


def _smoothed(cfg: config.Config, measured: Sequence[Poses]) -> list[Poses]:
    if cfg.track.mode == "off" or (cfg.smooth.preset == "off" and cfg.smooth.predict == "off"):
        return list(measured)
    from edgepose.follow.smooth import Smoother

    smoother = Smoother(cfg.smooth, measured[0].skeleton, live=False)
    return [smoother.update(poses) for poses in measured]


def _numbers(before: dict[int, Track], tracks: dict[int, Track], reported: Sequence[Poses]) -> dict[str, float | None]:
    raw, calm, relative = jitter(before, tracks)
    return {
        "frames": len(reported),
        "seconds": reported[-1].t - reported[0].t,
        "people_per_frame": sum(len(poses) for poses in reported) / len(reported),
        "tracks": len(tracks),
        "short_tracks": sum(bool(track.t[-1] - track.t[0] < 1) for track in tracks.values()),
        "untracked": sum(int((poses.track_id < 0).sum()) for poses in reported),
        "jitter_px": float(np.median(calm)) if calm else None,
        "jitter_px_unsmoothed": float(np.median(raw)) if raw else None,
        "jitter_body": float(np.median(relative)) if relative else None,
        "lag_ms": lag_ms(before, tracks),
    }


def as_json(watched: Watched, command: str) -> dict[str, Any]:
    """Everything measured, as it is written."""
    return {
        **watched.numbers,
        "ids": {
            str(identity): {"intervals_s": track.intervals, "frames": len(track.t), "size_px": track.size}
            for identity, track in watched.tracks.items()
        },
        "events": [] if watched.film is None else [list(event) for event in watched.film.events],
        "ran": watched.described,
        "video": watched.name,
        "settings": msgspec.to_builtins(watched.cfg),
        "command": command,
    }


def still(watched: Watched, seq: int) -> tuple[NDArray[np.uint8], Poses]:
    """A kept frame and its people, in its pixels."""
    image = watched.stills[seq]
    poses = next(poses for poses in watched.reported if poses.seq == seq)
    scale = image.shape[1] / poses.size_wh[0]
    return image, replace(poses, xy=(poses.xy * scale).astype(np.float32), size_wh=(image.shape[1], image.shape[0]))
