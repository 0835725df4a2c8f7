"""One clip, the same machine: MediaPipe Pose, and the TFLite MoveNet loop that people copy, against ours.

The clip is ten seconds of a camera that moves over the demo's photographs, made here. Ours is one-person Lightning
at 192x192 with ids and smoothing.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import cv2

from edgepose.core import places
from edgepose.lab.demo.scene import FPS, SIZE_WH, SceneSource
from tools.benches.row import Row, SkipRowError
from tools.benches.stock import stock_model

MEDIAPIPE = "mediapipe==0.10.21"
"""The last with mp.solutions on PyPI for x86-64; 0.10.18 is for 64-bit ARM."""
PACKAGES = (MEDIAPIPE, "numpy<2")
INSTALL = "EDGEPOSE_BENCH_INSTALL"
"""Set by `./tools/bench --install`: what others run may be fetched from the package index."""
MODEL = "movenet_lightning_192"
SECONDS = 10.0
ROUNDS = 3
LOOPS = Path(__file__).with_name("clips.py")


def clip(folder: Path) -> Path:
    """Motion JPEG, 640x480, 30 frames a second."""
    path, scene = folder / "clip.avi", SceneSource(SECONDS)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, SIZE_WH)
    for seq in range(scene.frames):
        scene.see(seq)
        writer.write(scene.image(seq))
    writer.release()
    return path


def mediapipe_python() -> Path:
    """The Python of an environment with MediaPipe, made in the cache folder if that was asked for.

    Raises:
        SkipRowError: it is not there, or cannot be made.
    """
    caches = places.caches()
    if not caches:
        raise SkipRowError("no cache folder for an environment with MediaPipe")
    folder = caches[0] / "bench-mediapipe"
    python = folder / "bin" / "python"
    if (folder / "ready").is_file():
        return python
    if not os.environ.get(INSTALL):
        raise SkipRowError(f"{MEDIAPIPE} is not in {folder}; --install puts it there, about 1 GB")
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True)
        command = [str(python), "-m", "pip", "install", "--quiet", *PACKAGES]
        subprocess.run(command, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        lines = str(error.stderr or error).strip().splitlines()
        raise SkipRowError(f"{MEDIAPIPE} cannot be installed here: {lines[-1] if lines else error}") from None
    (folder / "ready").write_text(MEDIAPIPE + "\n", encoding="utf-8")
    return python


def _measured(commands: Mapping[str, list[str]]) -> dict[str, dict[str, float]]:
    """Name -> median of each number over the rounds, all taken in turns."""
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
    environment = {**os.environ, "EDGEPOSE_CONFIG_DIR": tempfile.gettempdir() + "/nothing was tuned here"}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
            if done.returncode:
                raise SkipRowError(f"{name} failed: {(done.stderr.strip().splitlines() or ['without a word'])[-1]}")
            taken[name].append(json.loads(done.stdout.splitlines()[-1]))
    return {name: {key: median(run[key] for run in runs) for key in runs[0]} for name, runs in taken.items()}


def _ours(path: Path, threads: int) -> list[str]:
    return [sys.executable, str(LOOPS), "ours", str(path), MODEL, str(threads)]


@functools.cache
def against_mediapipe() -> dict[str, dict[str, float]]:
    """All numbers of both, measured once for the three rows; ours with one thread, and with two."""
    python = mediapipe_python()
    with tempfile.TemporaryDirectory() as folder:
        path = clip(Path(folder))
        return _measured(
            {
                "ours": _ours(path, 1),
                "ours_2t": _ours(path, 2),
                "mediapipe": [str(python), str(LOOPS), "mediapipe", str(path)],
            }
        )


def _row(name: str, key: str, target: float, *, at_least: bool = False) -> Callable[[], Row]:
    def row() -> Row:
        found = against_mediapipe()
        sides = {f"{side}_{key}": numbers[key] for side, numbers in found.items()}
        sides |= {f"{side}_found": numbers["found"] for side, numbers in found.items()}
        ratio = found["ours"][key] / found["mediapipe"][key]
        return Row(name, ratio, "ratio", target, sides, at_least)

    return row


def fps_per_cpu_vs_common_loop() -> Row:
    """Frames per CPU second, ours with ids and smoothing over that of the common loop with 4 threads."""
    stock = stock_model()
    with tempfile.TemporaryDirectory() as folder:
        path = clip(Path(folder))
        common = [sys.executable, str(LOOPS), "common", str(path), str(stock)]
        found = _measured({"ours": _ours(path, 1), "common": common})
    sides = {f"{side}_{key}": found[side][key] for key in ("cpu_ms", "fps", "rss_mib", "found") for side in found}
    return Row(
        "fps_per_cpu_vs_common_loop", found["common"]["cpu_ms"] / found["ours"]["cpu_ms"], "ratio", 1.5, sides, True
    )


ROWS: dict[str, Callable[[], Row]] = {
    "fps_vs_mediapipe": _row("fps_vs_mediapipe", "fps", 5.0, at_least=True),
    "cpu_vs_mediapipe": _row("cpu_vs_mediapipe", "cpu_ms", 0.25),
    "rss_vs_mediapipe": _row("rss_vs_mediapipe", "rss_mib", 1 / 3),
    "fps_per_cpu_vs_common_loop": fps_per_cpu_vs_common_loop,
}
