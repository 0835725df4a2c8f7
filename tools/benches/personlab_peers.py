"""What others decode PoseNet's heads with, installed here: an npm package in Node.js, and numpy with scipy."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO, cast

import numpy as np
from numpy.typing import NDArray

from edgepose.estimate.decode.personlab import BONES
from tools.benches.row import SkipRowError

NPM = {
    "@tensorflow-models/posenet": "2.2.2",
    "@tensorflow/tfjs-core": "3.21.0",
    "@tensorflow/tfjs-converter": "3.21.0",
    "@tensorflow/tfjs-backend-cpu": "3.21.0",
}
SCIPY = "scipy>=1.11,<2"
SCRIPT = Path(__file__).with_name("personlab.js")
STRIDE, THRESHOLD, RADIUS, MOST = 16, 0.2, 10.0, 10

Real = dict[str, NDArray[np.float32]]
"""score (H, W, 17) after the sigmoid, short (H, W, 34) and mid (H, W, 64) in pixels: all float32, for nothing."""


def _cache(name: str) -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(home) / "edgepose-bench" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _installed(what: str, command: list[str], folder: Path, mark: str) -> None:
    """Run an installer in `folder` unless it left `mark` there before."""
    done = folder / ".installed"
    if done.is_file() and done.read_text() == mark:
        return
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    if ran.returncode:
        raise SkipRowError(f"{what} could not be installed: {' '.join(ran.stderr.split())[-200:]}")
    done.write_text(mark)


class Npm:
    """decodeMultiplePoses in a Node.js process of its own, called in bursts."""

    def __init__(self, cases: dict[str, Real], folder: Path) -> None:
        """Install the package and hand over the heads, by files in `folder`.

        Raises:
            SkipRowError: there is no Node.js, or the package could not be installed.
        """
        if not (shutil.which("node") and shutil.which("npm")):
            raise SkipRowError("node and npm are not installed")
        home, mark = _cache("posenet-npm"), json.dumps(NPM)
        (home / "package.json").write_text(json.dumps({"private": True, "dependencies": NPM}))
        _installed("the npm package", ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"], home, mark)
        for name, real in cases.items():
            parts = {"score": real["score"], "short": real["short"]}
            parts |= {"outwards": real["mid"][..., :32], "inwards": real["mid"][..., 32:]}
            for role, values in parts.items():
                np.ascontiguousarray(values, np.float32).tofile(folder / f"{name}.{role}")
        shapes = [
            {"name": name, "height": real["score"].shape[0], "width": real["score"].shape[1]}
            for name, real in cases.items()
        ]
        (folder / "cases.json").write_text(json.dumps(shapes))
        self.index = {name: place for place, name in enumerate(cases)}
        self.process = subprocess.Popen(
            ["node", str(SCRIPT), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"NODE_PATH": str(home / "node_modules")},
        )
        self.ask, self.answer = cast(TextIO, self.process.stdin), cast(TextIO, self.process.stdout)

    def times_us(self, name: str, calls: int) -> list[float]:
        """Microseconds of each of some calls."""
        self.ask.write(f"{self.index[name]} {calls}\n")
        self.ask.flush()
        line = self.answer.readline()
        if not line:
            raise RuntimeError(f"node ended with exit code {self.process.wait()}")
        taken: list[float] = json.loads(line)["us"]
        return taken

    def close(self) -> None:
        """End the process."""
        self.ask.close()
        self.process.wait()
        self.answer.close()


def _maximum_filter() -> Callable[..., NDArray[Any]]:
    try:
        module = importlib.import_module("scipy.ndimage")
    except ImportError:
        folder = _cache("scipy")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), SCIPY]
        _installed("scipy", pip, folder, f"{SCIPY} {sys.version}")
        sys.path.append(str(folder))
        module = importlib.import_module("scipy.ndimage")
    filter_: Callable[..., NDArray[Any]] = module.maximum_filter
    return filter_


def scipy_decoder() -> Callable[[Real], list[NDArray[Any]]]:
    """The usual Python way: a maximum filter for each joint, a sorted list, nearest cells, one refinement."""
    maximum_filter = _maximum_filter()
    steps: list[list[tuple[int, int]]] = [[] for _ in range(17)]
    for bone, (inner, outer) in enumerate(BONES):
        steps[inner].append((outer, bone))
        steps[outer].append((inner, 32 + bone))

    def walk(real: Real, root: int, start: NDArray[Any], high: NDArray[Any]) -> NDArray[Any]:
        person = np.full((17, 3), np.nan)
        y, x = np.clip(np.round(start / STRIDE), 0, high).astype(int)
        person[root] = *start, real["score"][y, x, root]
        waiting = [root]
        while waiting:
            source = waiting.pop()
            for target, channel in steps[source]:
                if not np.isnan(person[target, 2]):
                    continue
                y, x = np.clip(np.round(person[source, :2] / STRIDE), 0, high).astype(int)
                there = person[source, :2] + real["mid"][y, x, [channel, channel + 16]]
                y, x = np.clip(np.round(there / STRIDE), 0, high).astype(int)
                there = np.array([y, x]) * STRIDE + real["short"][y, x, [target, target + 17]]
                person[target] = *there, real["score"][y, x, target]
                waiting.append(target)
        return person

    def decode(real: Real) -> list[NDArray[Any]]:
        score = real["score"]
        high = np.array(score.shape[:2]) - 1
        roots = []
        for joint in range(17):
            map_ = score[..., joint]
            peaks = (maximum_filter(map_, size=3, mode="constant") == map_) & (map_ >= THRESHOLD)
            roots += [(map_[y, x], joint, y, x) for y, x in np.argwhere(peaks)]
        roots.sort(key=lambda root: root[0], reverse=True)
        people: list[NDArray[Any]] = []
        for _, joint, y, x in roots:
            if len(people) == MOST:
                break
            start = np.array([y, x]) * STRIDE + real["short"][y, x, [joint, joint + 17]]
            if any(((person[joint, :2] - start) ** 2).sum() <= RADIUS**2 for person in people):
                continue
            person = walk(real, joint, start, high)
            if person[:, 2].mean() >= THRESHOLD:
                people.append(person)
        return people

    return decode
