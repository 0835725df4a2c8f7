"""The stock model that others run, where it lies beside the project; it is not ours to ship."""

from __future__ import annotations

import os
from pathlib import Path

from tools.benches.row import SkipRowError

NAME = "movenet_single_pose_lightning_ptq.tflite"


def stock_model() -> Path:
    """Coral's int8 MoveNet Lightning.

    Raises:
        SkipRowError: it is not here; says where it would be looked for.
    """
    beside = Path(__file__).resolve().parents[3] / "shared"
    path = Path(os.environ.get("EDGEPOSE_SHARED", beside)) / "models" / NAME
    if not path.is_file():
        raise SkipRowError(f"{NAME} is not here; set EDGEPOSE_SHARED to a folder with models/{NAME}")
    return path
