"""Finds the optional folder of test data beside the project; what needs it skips with a reason where it is absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("EDGEPOSE_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def shared(relative: str) -> Path:
    """The file or folder `relative` in the shared data; skips the calling test where it is absent."""
    path = FOLDER / relative
    if not path.exists():
        pytest.skip(f"test data {relative} is not here; set EDGEPOSE_SHARED to the folder that holds it")
    return path
