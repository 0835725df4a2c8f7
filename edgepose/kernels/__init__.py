"""Compiled loops, one file per decoder family: arrays in, arrays out; nothing of ours is imported here.

Each family is written twice with the same names: loops for numba, and whole-array numpy that gives the same
answer where numba cannot be installed. `family` hands out one of the two; who calls it cannot tell which it got.
"""

from __future__ import annotations

import atexit
import importlib
import importlib.util
import logging
import os
import shutil
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Literal

log = logging.getLogger("edgepose.kernels")


def family(name: str, choice: Literal["auto", "numba", "numpy"] = "auto") -> ModuleType:
    """The kernels of a decoder family: module `name` (numba) or `name_numpy`.

    Raises:
        ImportError: choice is "numba" and numba is not installed.
    """
    if choice == "numpy" or (choice == "auto" and importlib.util.find_spec("numba") is None):
        return importlib.import_module(f"edgepose.kernels.{name}_numpy")
    cache = Path(os.environ.setdefault("NUMBA_CACHE_DIR", str(_cache_dir())))
    if not any(cache.rglob(f"{name}.*.nbi")):
        log.info("compiling the %s decoder for this machine, once: seconds here, up to a minute on a small board", name)
    return importlib.import_module(f"edgepose.kernels.{name}")


def in_use(kernels: ModuleType) -> str:
    """What `family` gave: "numba" or "numpy"."""
    return "numpy" if kernels.__name__.endswith("_numpy") else "numba"


def _cache_dir() -> Path:
    """A writable folder for compiled code; numba refuses to import a cached kernel without one.

    systemd's CacheDirectory, else the user's cache, else a private folder that lives as long as the process.
    """
    home = os.environ.get("XDG_CACHE_HOME") or (os.environ.get("HOME", "") and os.environ["HOME"] + "/.cache")
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
