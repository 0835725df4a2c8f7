"""Loops over one clip, each in a process of its own: `python tools/benches/clips.py LOOP CLIP [MODEL [THREADS]]`.

ours       edgepose with ids and smoothing, as `edgepose run` builds it, JSON lines to nowhere
common     the loop people copy: VideoCapture, MoveNet's crop, resize, set_tensor, invoke, get_tensor; 4 threads
mediapipe  mp.solutions.pose, complexity 1, tracking; in an environment where it is installed

Prints one JSON object: frames per second, CPU milliseconds per frame, most memory held.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WARM = 15
"""Frames that do not count: models load, trackers find somebody."""


class Meter:
    """Counts from the end of the warm-up to the last frame."""

    def __init__(self) -> None:
        self.seen = self.found = 0
        self.first_t = self.last_t = self.first_cpu = self.last_cpu = 0.0

    def saw(self, people: int) -> None:
        """One more frame is done."""
        self.seen += 1
        self.last_t, self.last_cpu = time.perf_counter(), time.process_time()
        if self.seen == WARM:
            self.first_t, self.first_cpu = self.last_t, self.last_cpu
        self.found += people > 0

    def told(self) -> dict[str, float]:
        """The numbers; CPU is that of all cores."""
        frames = self.seen - WARM
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        held = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
        return {
            "frames": self.seen,
            "found": self.found,
            "fps": frames / (self.last_t - self.first_t),
            "cpu_ms": (self.last_cpu - self.first_cpu) / frames * 1e3,
            "rss_mib": int(held) / 1024,
        }


def ours(clip: str, model: str, threads: str) -> Meter:
    from edgepose.core import config
    from edgepose.pipeline import build

    meter = Meter()
    given = {"source.uri": clip, "engine.model": model, "engine.threads": int(threads), "sink.jsonl.path": "/dev/null"}
    with build(config.load(None, given)) as pipeline:
        pipeline.run(lambda poses, _frame: meter.saw(len(poses)))
    return meter


def mediapipe(clip: str) -> Meter:
    import cv2
    import mediapipe as mp  # type: ignore[import-not-found]

    meter, capture = Meter(), cv2.VideoCapture(clip)
    with mp.solutions.pose.Pose(model_complexity=1) as pose:
        while True:
            good, frame = capture.read()
            if not good:
                return meter
            meter.saw(pose.process(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)).pose_landmarks is not None)


# ---------------------------------------------------------------------------- the loop people copy, written plainly

TORSO = (5, 6, 11, 12)
SURE = 0.2


def common(clip: str, model: str) -> Meter:
    import cv2
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=model, num_threads=4)
    interpreter.allocate_tensors()
    wanted, out = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    side = int(wanted["shape"][1])
    meter, capture, region = Meter(), cv2.VideoCapture(clip), None
    while True:
        good, frame = capture.read()
        if not good:
            return meter
        height, width = frame.shape[:2]
        x, y, size = region or whole(width, height)
        rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        square = np.zeros((size, size, 3), np.uint8)
        left, top, right, bottom = max(x, 0), max(y, 0), min(x + size, width), min(y + size, height)
        square[top - y : bottom - y, left - x : right - x] = rgb[top:bottom, left:right]
        picture = cv2.resize(square, (side, side), interpolation=cv2.INTER_LINEAR)
        interpreter.set_tensor(wanted["index"], np.expand_dims(picture.astype(wanted["dtype"]), 0))
        interpreter.invoke()
        found = np.squeeze(interpreter.get_tensor(out["index"]))
        joints = [(x + column * size, y + row * size, score) for row, column, score in found.tolist()]
        meter.saw(sum(score for _, _, score in joints) / 17 > SURE)
        region = following(joints, width, height)


def whole(width: int, height: int) -> tuple[int, int, int]:
    """Left, top, side of a square around the whole frame."""
    size = max(width, height)
    return (width - size) // 2, (height - size) // 2, size


def following(joints: list[Any], width: int, height: int) -> tuple[int, int, int] | None:
    """MoveNet's rule: a square around the hips that holds 1.9 torsos and 1.2 bodies."""
    scores = [score for _, _, score in joints]
    if max(scores[5], scores[6]) < SURE or max(scores[11], scores[12]) < SURE:
        return None
    middle_x, middle_y = (joints[11][0] + joints[12][0]) / 2, (joints[11][1] + joints[12][1]) / 2
    away = [(max(abs(x - middle_x), abs(y - middle_y)), score) for x, y, score in joints]
    torso = max(away[joint][0] for joint in TORSO)
    body = max((far for far, score in away if score >= SURE), default=0.0)
    half = min(max(1.9 * torso, 1.2 * body), max(middle_x, width - middle_x, middle_y, height - middle_y))
    if half > max(width, height) / 2 or half < 1:
        return None
    return round(middle_x - half), round(middle_y - half), round(2 * half)


if __name__ == "__main__":
    LOOPS: dict[str, Callable[..., Meter]] = {"ours": ours, "mediapipe": mediapipe, "common": common}
    print(json.dumps(LOOPS[sys.argv[1]](*sys.argv[2:]).told()))
