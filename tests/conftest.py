"""For all tests: no trial is remembered, no model of this user is seen."""

from __future__ import annotations

import itertools
import os

import pytest

os.environ.setdefault("EDGEPOSE_REMEMBER_TRIALS", "no")


_tests = itertools.count()


@pytest.fixture(autouse=True)
def _no_own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / f"state-{next(_tests)}"))


@pytest.fixture(autouse=True)
def _no_own_models(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.getbasetemp() / "no-data"))
