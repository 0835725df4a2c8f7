"""Compiled loops, one file per family: arrays in, arrays out; nothing of ours but kernels is imported here.

Each family is written twice with the same names: loops for numba, and whole-array numpy that gives the same answer.
`family` hands them out in one of three ways; who calls them cannot tell which it got:

aot    the loops, compiled ahead of time into the libraries that come with edgepose: aot/library.py
numba  the loops, compiled while running: for machines without a library, and for whoever writes kernels
numpy  the plain twin, which runs anywhere
"""

from __future__ import annotations

import glob
import importlib
import importlib.util
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

from edgepose.kernels.aot import library

log = logging.getLogger("edgepose.kernels")

Choice = Literal["auto", "aot", "numba", "numpy"]


def families() -> list[str]:
    """Every family that has kernels."""
    return library.families()


def family(name: str, choice: Choice = "auto") -> ModuleType:
    """The kernels of a family; auto takes the library, without one numba if it is installed, else the plain twin.

    Raises:
        ImportError: what is asked for is not to be had; says why.
    """
    if choice == "numpy":
        return _plain(name)
    if choice == "numba":
        return _compiled_now(name)
    try:
        return library.module(name)
    except library.UnusableError as error:
        if choice == "aot":
            raise ImportError(f"no compiled {name} kernels: {error}") from None
        kind = "compiled while running" if _has_numba() else "plain numpy, which is slower"
        log.info("the %s kernels are %s: %s", name, kind, error)
    return _compiled_now(name) if _has_numba() else _plain(name)


def in_use(kernels: ModuleType) -> str:
    """What `family` gave: "aot", "numba" or "numpy"."""
    kind = kernels.__name__.rpartition("_")[2]
    return kind if kind in ("aot", "numpy") else "numba"


@dataclass(frozen=True)
class State:
    """What `auto` gives for a family, and why nothing better."""

    kind: str
    """"aot", "numba" or "numpy"."""
    where: str
    """File of the library; empty without one."""
    why: str
    """What is wrong with the better ones; empty if there is none better."""


def state(name: str) -> State:
    """What `auto` gives for a family; loads nothing."""
    try:
        found = library.find()
        library.check(found, name)
        library.check_layout()
    except library.UnusableError as error:
        if _has_numba():
            return State("numba", "", str(error))
        return State("numpy", "", f"{error}; numba is not installed")
    return State("aot", str(found.path), "")


def _plain(name: str) -> ModuleType:
    return importlib.import_module(f"edgepose.kernels.{name}_numpy")


def _has_numba() -> bool:
    return importlib.util.find_spec("numba") is not None


def _compiled_now(name: str) -> ModuleType:
    cache = os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_dir()))
    if not glob.glob(f"{glob.escape(cache)}/*/{name}.*.nbi"):  # noqa: PTH207 - Path's fails where a folder vanishes
        log.info("compiling the %s kernels for this machine, once: seconds here, up to a minute on a small board", name)
    return importlib.import_module(f"edgepose.kernels.{name}")


def cache_dir() -> Path:
    """A writable folder for what numba compiled; it refuses to import a cached kernel without one.

    systemd's CacheDirectory, else the user's cache, else a private folder that lives as long as the process.
    """
    import atexit
    import shutil
    import tempfile

    home = os.environ.get("XDG_CACHE_HOME") or (os.environ.get("HOME") and f"{os.environ['HOME']}/.cache")
    for base in filter(None, (os.environ.get("CACHE_DIRECTORY", "").split(":")[0], home)):
        folder = Path(base) / "edgepose" / "numba"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    private = Path(tempfile.mkdtemp(prefix="edgepose-numba-"))
    atexit.register(shutil.rmtree, private, ignore_errors=True)
    return private
