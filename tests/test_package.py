"""What `pip install` brings: the models and pictures travel along, and it runs from anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "-q", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "-w", str(folder), str(ROOT)], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_a_wheel_holds_models_terms_and_pictures(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "models").rglob("*.*"):
        assert f"edgepose/models/{path.relative_to(ROOT / 'models')}" in names
    wanted = ("lab/demo/pictures/astronaut.jpg", "lab/demo/pictures/camera.jpg", "py.typed")
    assert {f"edgepose/{name}" for name in wanted} <= names
    assert not any(name.startswith(("tests/", "tools/")) for name in names)


def test_an_installed_wheel_finds_people_from_anywhere(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "PYTHONDONTWRITEBYTECODE": "1"}
    where = "import edgepose; print(edgepose.__file__)"
    found = subprocess.run([sys.executable, "-c", where], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert str(tmp_path) in found.stdout
    pictures = tmp_path / "site" / "edgepose" / "lab" / "demo" / "pictures"
    done = subprocess.run(
        [sys.executable, "-m", "edgepose", "run", "--source", str(pictures)],
        cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"score"') >= 2
