"""A model that ran well here once is not tried again at every start; one that did not is."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from edgepose.core import config
from edgepose.core.errors import ModelError
from edgepose.engine import open_engine, sound, verdicts
from edgepose.engine.manifest import read_manifest, read_model
from edgepose.engine.runtime import load_runtime
from samples import tiny_models
from tests.helpers import accelerator


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where verdicts go."""
    monkeypatch.setenv("EDGEPOSE_REMEMBER_TRIALS", "yes")
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edgepose" / "trials"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def open_once(path: Path) -> None:
    open_engine(config.Engine(model=str(path))).close()


def no_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on a trial fails."""
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nkill -SEGV $$\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))


def test_a_model_that_ran_is_not_tried_again(
    tmp_path: Path, models: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = accelerator.model(models)
    open_once(path)
    assert len(list(cache.iterdir())) == 1
    no_child(tmp_path, monkeypatch)
    open_once(path)
    other = tiny_models.write(models, "other", accelerator.content("RESHAPE") + bytes(4), heads=accelerator.HEADS)
    with pytest.raises(ModelError, match="crashed on it"):
        open_once(other)
    assert len(list(cache.iterdir())) == 1, "only success is remembered"
    with pytest.raises(ModelError, match="crashed on it"):
        open_once(other)


def test_another_runtime_or_processor_is_another_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = load_runtime()
    first = verdicts.key(b"model", runtime)
    assert first == verdicts.key(b"model", runtime)
    found = {first, verdicts.key(b"another", runtime)}
    for field, value in (("name", "other"), ("version", "0.0")):
        changed = {"name": runtime.name, "version": runtime.version, field: value}
        found.add(
            verdicts.key(b"model", type(runtime)(**changed, interpreter=runtime.interpreter, load_delegate=print))
        )
    monkeypatch.setattr(verdicts, "processor", lambda: "another")
    found.add(verdicts.key(b"model", runtime))
    assert len(found) == 5


def test_a_processor_is_told_by_what_it_can_do() -> None:
    assert verdicts.processor() == verdicts.processor()
    assert "MHz" not in verdicts.processor(), "it changes from moment to moment"


def test_where_nothing_can_be_written_models_are_tried_each_time(
    tmp_path: Path, models: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.parent.parent.mkdir()
    cache.parent.write_text("a file where the folder should be")
    path = accelerator.model(models)
    open_once(path)
    no_child(tmp_path, monkeypatch)
    with pytest.raises(ModelError, match="crashed on it"):
        open_once(path)


def test_it_can_be_switched_off(models: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEPOSE_REMEMBER_TRIALS", "no")
    open_once(accelerator.model(models))
    assert not cache.exists()


def hashes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each file that is hashed from now on, by its length."""
    made: list[int] = []
    sha256 = hashlib.sha256

    def counted(content: bytes) -> Any:
        made.append(len(content))
        return sha256(content)

    monkeypatch.setattr("hashlib.sha256", counted)
    return made


def test_a_file_found_sound_is_hashed_again_only_when_it_changed(
    models: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny_models.write(models)
    manifest = read_manifest(path)
    file = path.with_name(manifest.file)
    hashed = hashes(monkeypatch)
    for _ in range(3):
        assert read_model(path, manifest, noted=True) == file.read_bytes()
    assert len(hashed) == 1
    read_model(path, manifest)
    assert len(hashed) == 2, "who verifies a model wants to know how it is now"
    status, content = file.stat(), bytearray(file.read_bytes())
    content[-1] ^= 1
    with file.open("r+b") as same:  # the same file, as long and as old as before
        same.write(content)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(ModelError, match="damaged or another"):
        read_model(path, manifest, noted=True)


def test_notes_of_the_last_start_are_forgotten(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"model")
    folder = cache.with_name("sound")
    names = []
    for boot in ("11111111-2222-0000", "99999999-2222-0000"):
        (tmp_path / "boot").write_text(boot)
        monkeypatch.setattr(sound, "BOOT", tmp_path / "boot")
        names.append(sound.note(file.stat(), "ab" * 32))
        assert not sound.known(names[-1])
        sound.remember(names[-1])
        assert sound.known(names[-1])
    assert [path.name for path in folder.iterdir()] == names[1:]
    monkeypatch.setattr(sound, "BOOT", tmp_path / "nothing")
    assert not sound.known(sound.note(file.stat(), "ab" * 32))


def test_a_cache_that_may_not_be_looked_at_is_no_reason_to_fail(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_self: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", refused)
    assert not sound.known("some")
    assert not verdicts.known_good("some")
