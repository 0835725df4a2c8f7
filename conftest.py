"""For all tests: no trial is remembered, no model of this user is seen."""

from __future__ import annotations

import functools
import itertools
import os
import re
from pathlib import Path

import pytest

os.environ.setdefault("EDGEPOSE_REMEMBER_TRIALS", "no")


NEEDS = {
    "broker": re.compile(r"helpers\.(broker|service|supervisor|scripted) import"),
    "video": re.compile(r"VideoWriter|VideoCapture|ffmpeg|\bdata/video\b"),
    "browser": re.compile(r"chromium|playwright", re.IGNORECASE),
}
"""Marker -> what in a file says that its tests need that; `slow` is marked by hand."""


@functools.cache
def _needs(path: Path) -> tuple[str, ...]:
    text = path.read_text(encoding="utf-8")
    return tuple(marker for marker, words in NEEDS.items() if words.search(text))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what each file needs, so that nobody forgets to."""
    for item in items:
        for marker in _needs(item.path):
            item.add_marker(marker)


_tests = itertools.count()


@pytest.fixture(autouse=True)
def _no_own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / f"state-{next(_tests)}"))


@pytest.fixture(autouse=True)
def _no_own_models(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.getbasetemp() / "no-data"))
