"""A Hailo chip, by HailoRT's own Python package: which file, whether it is here, and the file at work.

Calls are those of picamera2's `Hailo`, which is held against the same stand-in. Untested on hardware. What HailoRT
returns are real values already (float32): each head's own scale stays in its file.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

from edgepose.core import config, places
from edgepose.core.errors import ConfigError, ModelError
from edgepose.engine.chips import NETWORKS, graph_of, manifest_of
from edgepose.engine.delegate import devices
from edgepose.engine.delegate.finding import TroubleError
from edgepose.engine.memory import Array
from edgepose.engine.model import Model
from edgepose.engine.runtime import Runtime

NAME = "hailo"
FOLDER = Path("/usr/share/hailo-models")
CHIPS = {"HAILO8L": "yolov8s_pose_h8l_pi", "HAILO8": "yolov8s_pose_h8", "HAILO10H": "yolov8s_pose_h10"}
"""Architecture, as the chip calls itself -> the file that Raspberry Pi ships for it."""
INSTALL = "`sudo apt install hailo-all` (hailo-h10-all for a Hailo-10H), and reboot"
ASK_S = 10.0
READY_MS = 10000
"""As picamera2 waits for its turn on the chip."""
WRONG_CHIP = re.compile(r"HEF_NOT_COMPATIBLE|not compatible with device|error: 93\b")


def architecture() -> str:
    """What the chip calls itself; empty: it does not answer."""
    try:
        done = subprocess.run(
            ["hailortcli", "fw-control", "identify"], capture_output=True, text=True, timeout=ASK_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    found = re.search(r"Device Architecture:\s*(\w+)", done.stdout)
    return found[1] if found else ""


def find_hef(name: str) -> Path:
    """The file that `engine.model` names: a path, a name in FOLDER, or by default the one for the chip at hand.

    Raises:
        ModelError: there is none.
    """
    if name == config.Engine().model:
        return _default()
    path = places.at_home(name)
    if "/" in name or path.suffix == ".hef":
        if path.suffix != ".hef":
            raise ModelError(f"{path}: is no .hef file, and a Hailo chip runs nothing else; see docs/boards/hailo.md")
        return path
    if "+" in name:
        raise ModelError(f"engine.model is {name!r}: a Hailo chip runs one network that finds everybody, no pair")
    return _there(FOLDER / f"{name}.hef")


def _default() -> Path:
    there = [path for stem in CHIPS.values() if (path := FOLDER / f"{stem}.hef").is_file()]
    if len(there) == 1:
        return there[0]
    chip = architecture()
    if chip in CHIPS:
        return _there(FOLDER / f"{CHIPS[chip]}.hef")
    what = f"the chip is a {chip or 'one that does not answer'}"
    raise ModelError(f"engine.model: which .hef is not known, {what}; name one of {', '.join(CHIPS.values())}")


def _there(path: Path) -> Path:
    if path.is_file():
        return path
    known = ", ".join(stem for stem in NETWORKS if not stem.startswith("imx500"))
    raise ModelError(f"engine.model: there is no {path}; there could be {known}: {INSTALL}; or give a file's path")


def prepare_hef(cfg: config.Engine) -> tuple[Model, Runtime, int]:
    """As tflite.prepare, of a .hef file.

    Raises:
        ModelError: no such file, or nothing says what its heads are.
        ConfigError: it is to run in this process, where a hanging driver could not be ended.
    """
    if cfg.delegate_process != "child":
        raise ConfigError("engine.delegate_process: a Hailo chip is driven by a child process; set it to child")
    path = find_hef(cfg.model)
    manifest, content = manifest_of(path)
    return Model(manifest, graph_of(manifest), b"", content, str(path)), Runtime(NAME, "", _nothing, _nothing), 0


def _nothing(*_: Any, **__: Any) -> Any:
    raise ConfigError("a .hef file runs on a Hailo chip alone")


def look(_options: Any, _library: str) -> None:
    """See that chip and package are here.

    Raises:
        TroubleError: one is not.
    """
    nodes = sorted((devices.ROOT / "dev").glob("hailo[0-9]*"))
    if not nodes:
        raise TroubleError(
            "no Hailo chip is here: there is no /dev/hailo0",
            f"{INSTALL}; look at the ribbon cable and `lspci`",
            here=False,
        )
    if not os.access(nodes[0], os.R_OK | os.W_OK):
        raise TroubleError(f"no permission to read and write {nodes[0]}", "install hailo-all's udev rule again")
    if importlib.util.find_spec("hailo_platform") is None:
        raise TroubleError(
            "there is a Hailo chip, but no Python package hailo_platform",
            "`sudo apt install python3-hailort`, and make the environment with --system-site-packages",
            lasting=True,
        )


def explain(step: str, kind: str, message: str) -> TroubleError | None:
    """What is special about a failure; None: nothing."""
    if WRONG_CHIP.search(message):
        told = ", ".join(f"{stem} for {chip}" for chip, stem in CHIPS.items())
        return TroubleError(
            f"this .hef is for another chip ({message})",
            f"take the file for yours: {told}; `hailortcli fw-control identify` says which it is",
            lasting=True,
        )
    if step == "load" and kind in ("ImportError", "ModuleNotFoundError"):
        return TroubleError(f"hailo_platform cannot be imported: {message}", INSTALL, lasting=True)
    if step == "model" and kind == "ValueError":
        return TroubleError(message, "see its manifest, and docs/boards/hailo.md", lasting=True)
    return None


class HefMemory:
    """A Memory whose network runs on the chip. Made in the child."""

    def __init__(self, path: str, specs: Sequence[tuple[str, tuple[int, ...]]]) -> None:
        """Load it; `specs`: input, then heads, as the manifest has them.

        Raises:
            RuntimeError: HailoRT refuses.
            ValueError: the file has other inputs or outputs.
        """
        import hailo_platform as rt

        self._failure = getattr(rt, "HailoRTException", RuntimeError)
        (dtype, shape), *heads = specs
        self.tensor: Array = np.zeros(shape, dtype)
        self.heads: list[Array] = [np.zeros(head, np.float32) for _, head in heads]
        try:
            params = rt.VDevice.create_params()
            params.scheduling_algorithm = rt.HailoSchedulingAlgorithm.ROUND_ROBIN
            self._device = rt.VDevice(params)
            model = self._device.create_infer_model(path)
            model.set_batch_size(1)
            names = _matched(model, self.tensor.shape[1:], [head.shape for head in self.heads])
            for output in model.outputs:
                output.set_format_type(rt.FormatType.FLOAT32)
            self._configured = model.configure()
            buffers = dict(zip(names, self.heads, strict=True))
            self._bindings = self._configured.create_bindings(output_buffers=buffers)
            self._bindings.input().set_buffer(self.tensor[0])
        except self._failure as error:
            raise RuntimeError(str(error)) from None

    def invoke(self) -> None:
        """Hand the picture over and wait for the chip.

        Raises:
            RuntimeError: it failed; one that hangs is ended from outside.
        """
        done: Future[None] = Future()

        def finished(completion_info: Any) -> None:
            failed = completion_info.exception
            done.set_exception(RuntimeError(str(failed))) if failed else done.set_result(None)

        try:
            self._configured.wait_for_async_ready(timeout_ms=READY_MS)
            self._configured.run_async([self._bindings], finished)
        except self._failure as error:
            raise RuntimeError(str(error)) from None
        done.result()


def _matched(model: Any, picture: tuple[int, ...], heads: list[tuple[int, ...]]) -> list[str]:
    """The file's name of each head, known by its shape as picamera2's example does."""
    came = tuple(model.input().shape)
    if came != picture:
        raise ValueError(f"the .hef takes {list(came)}, its manifest says {list(picture)}")
    shapes = {output.name: tuple(output.shape) for output in model.outputs}
    names = {shape: name for name, shape in shapes.items()}
    if sorted(shapes.values()) != sorted(heads) or len(names) != len(shapes):
        raise ValueError(f"the .hef gives {sorted(shapes.values())}, its manifest says {sorted(heads)}")
    return [names[shape] for shape in heads]
