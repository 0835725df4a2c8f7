"""Files of the real picamera2, loaded one by one from its source: its camera stack is not needed for them."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest

from tests.helpers.picamera2_signatures import RELEASES

STANDS_IN = (
    "Imath", "OpenEXR", "jsonschema", "libarchive", "libarchive.read", "libcamera", "tqdm", "v4l2", "videodev2",
    "picamera2",
)  # fmt: skip
"""What picamera2's imx500.py imports for what is not asked of it here."""


def packages() -> dict[str, Path]:
    """Release -> folder of its source; empty where ./tools/test did not fetch it."""
    base = os.environ.get("EDGEPOSE_PICAMERA2", "")
    return {release: Path(base) / release / "picamera2" for release in RELEASES} if base else {}


def newest() -> Path:
    """The folder of the newest; skips without it."""
    package = packages().get(RELEASES[-1])
    if package is None:
        pytest.skip("picamera2's source is not at hand; ./tools/test fetches it")
    return package


def loaded(file: str, monkeypatch: pytest.MonkeyPatch, stand_ins: dict[str, Any] | None = None) -> ModuleType:
    """One file of the newest; skips where it, or what it needs, is absent."""
    for name in STANDS_IN:
        monkeypatch.setitem(sys.modules, name, MagicMock())
    for name, module in (stand_ins or {}).items():
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location(f"real_{Path(file).stem}", newest() / file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        pytest.skip(f"picamera2's {file} needs more: {error}")
    return module
