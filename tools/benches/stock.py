"""Models and pictures that others run, where they lie beside the project; they are not ours to ship."""

from __future__ import annotations

from pathlib import Path

from samples.shared import FOLDER
from tools.benches.row import SkipRowError

NAME = "movenet_single_pose_lightning_ptq.tflite"


def shared(relative: str) -> Path:
    """A file in the optional folder of models and pictures beside the project.

    Raises:
        SkipRowError: it is not here; says where it would be looked for.
    """
    path = FOLDER / relative
    if not path.is_file():
        raise SkipRowError(f"{path.name} is not here; set EDGEPOSE_SHARED to a folder with {relative}")
    return path


def stock_model() -> Path:
    """Coral's int8 MoveNet Lightning.

    Raises:
        SkipRowError: it is not here; says where it would be looked for.
    """
    return shared(f"models/{NAME}")
