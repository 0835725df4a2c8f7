"""Looks at libraries in a process of its own, where one that crashes or hangs does no harm.

A library built for another processor, numpy or C library may die with SIGILL or SIGSEGV the moment it is imported.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from edgepose.core.config import Config, from_json, to_json
from edgepose.core.errors import EdgeposeError

FAILS = (ImportError, OSError, SystemError, AttributeError, TypeError, ValueError, RuntimeError, EdgeposeError)
"""What a library raises that is missing or does not fit."""

# the folder we happen to be in is no place to take code from; our own comes last, as it may be a checkout
CHILD = (
    "import sys; sys.path[:] = [*filter(None, sys.path), sys.argv[1]]; "
    "from edgepose.lab.doctor.probe import main; sys.exit(main(sys.argv[2]))"
)


def probe_numpy(_cfg: Config) -> dict[str, Any]:
    """Version and place."""
    import numpy as np

    np.zeros(4, np.float32) @ np.ones(4, np.float32)  # the BLAS underneath has died on boards that import worked on
    return {"version": np.__version__, "file": np.__file__}


def probe_runtimes(_cfg: Config) -> dict[str, Any]:
    """Each TFLite runtime: its version, or why it does not run."""
    from edgepose.core.errors import ConfigError
    from edgepose.engine.runtime import RUNTIMES, load_runtime

    found: dict[str, Any] = {}
    for name in RUNTIMES:
        try:
            found[name] = {"version": load_runtime(name).version}  # type: ignore[arg-type]
        except ConfigError as error:
            found[name] = {"why": str(error).partition(f"; {name}: ")[2] or str(error)}
    return {"runtimes": found}


def probe_opencv(_cfg: Config) -> dict[str, Any]:
    """Version, abilities, every copy that is installed, and who installed them."""
    import re
    from importlib import metadata

    found: dict[str, Any] = {"copies": _copies("cv2"), "packages": []}
    for name in ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"):
        try:
            found["packages"].append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    try:
        from edgepose.core.opencv import cv2

        said = cv2.getBuildInformation()
    except FAILS as error:
        return {**found, "why": _one_line(error)}
    able = {key: bool(re.search(rf"{key}:\s+YES", said)) for key in ("GStreamer", "FFMPEG")}
    return {**found, "version": cv2.__version__, "file": cv2.__file__, "able": able}


def _copies(package: str) -> list[str]:
    """Folders of sys.path that hold a package, the one in use first."""
    folders = dict.fromkeys(Path(entry).resolve() for entry in sys.path if entry)
    return [str(folder) for folder in folders if (folder / package).is_dir() or any(folder.glob(f"{package}.*so"))]


def probe_picamera2(cfg: Config) -> dict[str, Any]:
    """Cameras that libcamera sees, or why it cannot be asked."""
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:ERROR")
    try:
        from picamera2 import Picamera2

        cameras = Picamera2.global_camera_info()
    except FAILS as error:
        return {"why": _one_line(error), "missing": isinstance(error, ImportError), "copies": _copies("picamera2")}
    facts: dict[str, Any] = {
        "cameras": [{"number": each["Num"], "model": each.get("Model", each["Id"])} for each in cameras]
    }
    if cfg.source.senses:
        try:
            importlib.import_module("picamera2.devices.imx500")
        except FAILS as error:
            facts["imx500"] = _one_line(error)
    return facts


def probe_packages(_cfg: Config) -> dict[str, Any]:
    """Versions of what only matters when it is there."""
    from importlib import metadata

    found = {}
    for name in ("pycoral", "tflite-runtime", "ai-edge-litert", "numba", "paho-mqtt", "numpy", "simplejpeg"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def probe_kernels(_cfg: Config) -> dict[str, Any]:
    """Each decoder family: how its loops run, where, why not better."""
    from edgepose import kernels

    states = {name: kernels.state(name) for name in kernels.families()}
    return {
        "numba": probe_packages(_cfg).get("numba"),
        "families": {name: {"kind": s.kind, "where": s.where, "why": s.why} for name, s in states.items()},
    }


def probe_numba(_cfg: Config) -> dict[str, Any]:
    """Whether numba really compiles here."""
    import numba

    if numba.njit(lambda x: x + 1)(1) != 2:
        raise ValueError("it compiles 1 + 1 to something else")
    return {"version": numba.__version__}


def probe_source(cfg: Config) -> dict[str, Any]:
    """What reads source.uri: {"kind", "shown": without secrets, "ports": by scheme, "wrong": why nothing does}."""
    from edgepose.core.errors import ConfigError
    from edgepose.core.secret import masked
    from edgepose.source import kind_of
    from edgepose.source.stream import PORTS

    uri, kind = cfg.source.uri, cfg.source.kind
    facts: dict[str, Any] = {"shown": masked(uri), "ports": PORTS, "wrong": ""}
    try:
        found = kind_of(uri) if uri else ""
    except ConfigError as error:
        return facts | {"kind": kind if kind != "auto" else "?", "wrong": str(error)}
    return facts | {"kind": found if kind == "auto" or not uri else kind}


def probe_tuned(cfg: Config) -> dict[str, Any]:
    """Threads that `edgepose bench --tune` kept for the models in use: {"threads": {model: number}}."""
    from edgepose.engine import tuned
    from edgepose.lab.doctor.models_probe import used_models

    kept = {name: tuned.threads(name) for name in used_models(cfg)}
    return {"threads": {name: threads for name, threads in kept.items() if threads}}


def probe_models(cfg: Config) -> dict[str, Any]:
    """Each model: hash, structure, and how long one run takes."""
    from edgepose.lab.doctor.models_probe import look

    return look(cfg)


def probe_delegates(cfg: Config) -> dict[str, Any]:
    """What the engine says of each kind of delegate."""
    from edgepose.lab.doctor.models_probe import delegates

    return delegates(cfg)


def probe_broker(cfg: Config) -> dict[str, Any]:
    """How far one gets with the broker of the settings."""
    from edgepose.lab.doctor.broker_probe import look

    return look(cfg)


PROBES: dict[str, Callable[[Config], dict[str, Any]]] = {
    "numpy": probe_numpy,
    "runtimes": probe_runtimes,
    "opencv": probe_opencv,
    "picamera2": probe_picamera2,
    "packages": probe_packages,
    "kernels": probe_kernels,
    "numba": probe_numba,
    "source": probe_source,
    "tuned": probe_tuned,
    "models": probe_models,
    "delegates": probe_delegates,
    "broker": probe_broker,
}
"""Name -> what it looks at. Each runs alone in its process and returns JSON values."""


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def here(name: str, cfg: Config) -> dict[str, Any]:
    """Run a probe in this process; {"failed": why} where a library does not fit."""
    try:
        return PROBES[name](cfg)
    except FAILS as error:
        return {"failed": _one_line(error)}


def ask(name: str, cfg: Config, limit_s: float) -> dict[str, Any]:
    """Run a probe in a child; {"failed": why} if it crashes, hangs, or a library does not fit.

    Where no child can be started (an emulator without binfmt) it runs here.
    """
    package_root = str(Path(__file__).resolve().parents[3])
    command = [sys.executable, "-c", CHILD, package_root, name]
    try:
        done = subprocess.run(command, input=to_json(cfg), capture_output=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return {"failed": f"did not answer in {limit_s:g} s", "how": "hung"}
    except OSError:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            return here(name, cfg)
    if done.returncode < 0:
        return {"failed": f"crashed ({signal.Signals(-done.returncode).name})", "how": "crashed"}
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        return {"failed": lines[-1]}
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def main(name: str) -> int:
    """Answer one question with the settings on standard input; nothing but JSON goes to standard output."""
    answer_to = os.dup(1)
    os.dup2(2, 1)  # what libraries print is not the answer
    cfg = from_json(sys.stdin.buffer.read())
    answer = json.dumps(here(name, cfg)).encode()
    while answer:
        answer = answer[os.write(answer_to, answer) :]
    return 0
