"""Makes every library, or finds out whether those there are would come out the same."""

from __future__ import annotations

import os
import pickle
import sys
import zlib
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

from edgepose import kernels

os.environ.setdefault("NUMBA_CACHE_DIR", str(kernels.cache_dir()))  # numba insists on one before it is imported

from edgepose.kernels.aot import library
from tools.kernels_build import compile as compiler

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"


def checksum(paths: Iterable[Path]) -> int:
    """CRC-32 of files, one after the other."""
    return zlib.crc32(b"\0".join(path.read_bytes() for path in paths))


def builder() -> int:
    """Changes with what decides how kernels are compiled and how they are called."""
    return checksum([*sorted(HERE.glob("*.py")), REQUIREMENTS])


def pins() -> dict[str, str]:
    """Package -> the version that makes the bytes that are committed."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


def other_versions() -> list[str]:
    """What is installed in another version than pinned."""
    return [f"{name} {version(name)}, not {pin}" for name, pin in pins().items() if version(name) != pin]


def cached(name: str) -> compiler.Family:
    """A family in LLVM's words, from the cache if neither it nor the builder changed: numba takes most of the time."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgepose" / "build_kernels"
    key = f"{checksum([library.source_of(name)])}-{builder()}-{sys.version_info[:2]}-{version('numba')}"
    path = base / f"{name}-{zlib.crc32(key.encode()):08x}.pickle"
    try:
        found: compiler.Family = pickle.loads(path.read_bytes())  # noqa: S301 - our own
    except (OSError, EOFError, pickle.UnpicklingError):
        found = compiler.read(name)
        base.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(found))
    return found


def build(fresh: bool = False) -> dict[str, bytes]:
    """Every library: name -> what is to be in its file.

    fresh  nothing from the cache

    Raises:
        BuildError: a kernel cannot be compiled ahead of time; says which and why.
    """
    names = library.families()
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        families = list(pool.map(compiler.read if fresh else cached, names))
        images = pool.map(compiler.library, [families] * len(compiler.TARGETS), compiler.TARGETS.values())
        return {
            name: library.pack(image, facts(families)) for name, image in zip(compiler.TARGETS, images, strict=True)
        }


def facts(families: list[compiler.Family]) -> dict[str, object]:
    """What the loader must know, and what tests hold against the sources."""
    told = {
        one.name: {
            "source": checksum([library.source_of(one.name)]),
            "kernels": {each.kernel: each.refusals() for each in one.signatures},
        }
        for one in families
    }
    return {"families": told, "builder": builder(), "made_by": {name: version(name) for name in pins()}}
