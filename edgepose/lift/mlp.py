"""The network that lifts: one run a person on models/lift/mlp.tflite, whose manifest says what it is."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgepose.core.errors import ConfigError
from edgepose.engine.runtime import load_runtime
from edgepose.engine.zoo import shipped_dir
from edgepose.lift.stage import Lifted

F = np.float32
JOINTS = 17


def folder() -> Path:
    """Where what lifters need lies."""
    return shipped_dir() / "lift"


class Mlp:
    """Lifts by the network; as Lifts."""

    def __init__(self) -> None:
        """Open it.

        Raises:
            ConfigError: it is missing or damaged, or no runtime works here.
        """
        content = checked(folder() / "mlp.tflite")
        self._network = load_runtime("auto").interpreter(model_content=content, num_threads=1)
        self._network.allocate_tensors()
        self._pose = self._network.get_input_details()[0]["index"]
        self._places, self._log_sigma = (each["index"] for each in self._network.get_output_details())

    def __call__(self, pose: NDArray[np.float32], extent: NDArray[np.float32], down: NDArray[np.float32]) -> Lifted:
        """As Lifts."""
        features = np.concatenate([pose.reshape(len(pose), -1), extent, down], axis=1)
        xyz, log_sigma = np.empty((len(pose), JOINTS * 3), F), np.empty((len(pose), JOINTS * 2), F)
        for row, person in enumerate(features):
            self._network.set_tensor(self._pose, person[None])
            self._network.invoke()
            xyz[row] = self._network.get_tensor(self._places)[0]
            log_sigma[row] = self._network.get_tensor(self._log_sigma)[0]
        sigma = np.exp(np.clip(log_sigma, -6.0, 1.5))
        return Lifted(xyz.reshape(-1, JOINTS, 3), sigma.reshape(-1, JOINTS, 2))


def checked(path: Path) -> bytes:
    """A file that its manifest NAME.toml vouches for by hash.

    Raises:
        ConfigError: missing, unreadable or damaged.
    """
    from edgepose.core.config import read_toml

    try:
        content = path.read_bytes()
        told = str(read_toml(path.with_suffix(".toml")).get("sha256", ""))
    except OSError as error:
        raise ConfigError(f"lift.kind: {error.filename}: {error.strerror}; install edgepose again") from None
    if hashlib.sha256(content).hexdigest() != told:
        raise ConfigError(f"{path}: is damaged, its hash is not that of {path.stem}.toml; install edgepose again")
    return content
