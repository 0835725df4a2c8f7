"""A TFLite delegate that breaks on demand, and a small model that it and the CPU compute alike.

The model is a RESHAPE that changes nothing and two convolutions; its Edge TPU build has an edgetpu-custom-op in place
of the RESHAPE. The delegate takes either and copies. Both files lie beside its source, so that a machine without the
classes of TFLite's schema has them; tests/test_delegates.py holds them against `build`.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepose.core import config
from edgepose.core.errors import FrameLostError
from edgepose.engine import Engine
from samples import tiny_models
from tests.helpers.tiny_graphs import Tiny

HERE = Path(__file__).resolve().parents[1] / "delegate"
RESHAPE = 22
"""TFLite's number of it."""
CUSTOM = "edgetpu-custom-op"
PICTURE = (1, 16, 16, 3)
HEADS = [
    {"role": "heatmap", "output": 0, "shape": [1, 8, 8, 3], "dtype": "int8"},
    {"role": "offset", "output": 1, "shape": [1, 8, 8, 6], "dtype": "int8"},
]


def build(op: str) -> bytes:
    """The model with `op`, RESHAPE or CUSTOM, at its start."""
    tiny = Tiny()
    quant = (1 / 127.5, -1)
    source, middle = tiny.tensor(PICTURE, "int8", quant), tiny.tensor(PICTURE, "int8", quant)
    shape = tiny.tensor((4,), "int32", data=np.array(PICTURE, np.int32))
    tiny.op(op, [source, shape] if op == "RESHAPE" else [source], [middle], None if op == "RESHAPE" else b"program")
    return tiny.file([source], [tiny.conv(middle, 3, (0.05, 3)), tiny.conv(middle, 6, (0.05, 3))])


def content(op: str) -> bytes:
    """The same, as it lies beside the delegate."""
    return (HERE / f"{op.lower()}.tflite").read_bytes()


def model(folder: Path, *, name: str = "tiny", cpu: bool = True, built: bytes | None = None) -> Path:
    """A manifest with the model; `built` adds an Edge TPU build; cpu=False: there is nothing else."""
    if not cpu:
        return tiny_models.write(folder, name, content(CUSTOM), heads=HEADS)
    path = tiny_models.write(folder, name, content("RESHAPE"), heads=HEADS)
    if built is not None:
        (folder / f"{name}_edgetpu.tflite").write_bytes(built)
        sha256 = hashlib.sha256(built).hexdigest()
        with path.open("a") as file:
            file.write(f'[delegates.edgetpu]\nfile = "{name}_edgetpu.tflite"\nsha256 = "{sha256}"\n')
    return path


@functools.cache
def library() -> str:
    """The delegate, compiled; skips the test where there is no compiler."""
    return str(compile_c(HERE / "delegate.c", Path(tempfile.mkdtemp(prefix="edgepose-delegate-")) / "libtest.so"))


def compile_c(source: Path, to: Path, *flags: str) -> Path:
    """A shared library."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        pytest.skip("no C compiler: cc and gcc are not here, and CC is not set")
    command = [compiler, "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-O1", "-o", str(to), str(source), *flags]
    subprocess.run(command, check=True)
    return to


class Scene:
    """What the delegate finds: a folder whose files tell it what to do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def set(self, *names: str) -> None:
        """From now on it does these, and nothing else."""
        for path in self.folder.iterdir():
            path.unlink()
        for name in names:
            (self.folder / name).touch()

    def settings(self, path: Path, *, ops: str = str(RESHAPE), **more: Any) -> config.Engine:
        """The engine's settings for a model with this delegate, quick to try again."""
        given: dict[str, Any] = {
            "model": str(path),
            "threads": 1,
            "delegate": "external",
            "delegate_library": library(),
            "delegate_options": f"ops={ops}, scene={self.folder}",
            "deadline_ms": 3000.0,
            "retry_s": 0.02,
        }
        return config.Engine(**(given | more))


def frame(engine: Engine, value: int = 0) -> dict[str, Any]:
    """Copies of the heads of one picture."""
    like = engine.input.tensor
    engine.input.tensor[...] = np.random.default_rng(value).integers(-128, 128, like.shape).astype(like.dtype)
    return {role: head.copy() for role, head in engine.run(engine.input.tensor).items()}


def same(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Whether heads are equal to the last bit."""
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[role], theirs[role]) for role in ours)


def until(engine: Engine, done: Callable[[], bool], limit_s: float = 20.0) -> None:
    """Run frames, some of which may be lost, until something is so."""
    end = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < end, f"still not so: {engine.ran_on!r} {engine.counts}"
        try:
            engine.run(engine.input.tensor)
        except FrameLostError:
            time.sleep(0.005)


def child_of(engine: Engine) -> int:
    """Process id of the child that runs its frames."""
    assert engine.guard is not None
    pid: int = engine.guard._worker.pid  # type: ignore[union-attr]
    return pid


def gone(pid: int, limit_s: float = 5.0) -> bool:
    """Whether a process ends within some time; one that waits to be reaped has ended."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False
