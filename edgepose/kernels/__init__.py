"""Compiled loops, one file per decoder family: arrays in, arrays out; nothing of ours but kernels is imported here.

Each family is written twice with the same names: loops for numba, and whole-array numpy that gives the same answer.
`family` hands them out in one of three ways; who calls them cannot tell which it got:

aot    the loops, compiled ahead of time into a library that is loaded without numba: native.py
numba  the loops, compiled while running
numpy  the plain twin, which runs anywhere
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

from edgepose.kernels.aot import native

log = logging.getLogger("edgepose.kernels")

Choice = Literal["auto", "aot", "numba", "numpy"]


def family(name: str, choice: Choice = "auto") -> ModuleType:
    """The kernels of a decoder family.

    auto takes the library; while there is none the plain twin, so that nothing waits, and a child process builds the
    library, which takes over as soon as it is there. Where none can be built it takes numba, and last the plain twin.

    Raises:
        ImportError: what is asked for is not to be had; says why.
    """
    if choice == "numpy":
        return _plain(name)
    if choice == "numba":
        return _compiled_now(name)
    try:
        return _ahead(name)
    except native.UnusableError as error:
        reason = str(error)
    if choice == "aot":
        return _built_first(name)
    if not _has_numba():
        log.info("kernels of %s are plain numpy: no library (%s) and no numba to build one", name, reason)
        return _plain(name)
    from edgepose.kernels.aot import background

    try:
        kernels = background.start(name, _plain(name))
    except native.UnusableError as error:
        log.info("kernels of %s are compiled while running, which takes time and memory: %s", name, error)
        return _compiled_now(name)
    log.info(
        "compiling the %s kernels for this machine in the background, once (%s); "
        "until then plain numpy decodes, which is slower",
        name, reason,
    )  # fmt: skip
    return kernels


def in_use(kernels: ModuleType) -> str:
    """What `family` gave, as it is now: "aot", "numba" or "numpy"."""
    kind: str = vars(kernels).get("KIND", "numpy" if kernels.__name__.endswith("_numpy") else "numba")
    return kind


@dataclass(frozen=True)
class State:
    """What `auto` would give for a family, and why nothing better."""

    kind: str
    """"aot", "numba" or "numpy"."""
    where: str
    """File of the library; empty without one."""
    why: str
    """What is wrong with the better ones; empty if there is none better."""


def state(name: str) -> State:
    """What `auto` would give for a family now; starts nothing."""
    try:
        library = native.find(name)
        native.check_layout()
    except native.UnusableError as error:
        reason = str(error)
    else:
        return State("aot", str(library.path), "")
    if not _has_numba():
        return State("numpy", "", f"{reason}; numba, which builds it, is not installed")
    from edgepose.kernels.aot import background

    try:
        background.check(name)
    except native.UnusableError as error:
        return State("numba", "", f"{reason}; {error}")
    return State("numpy", "", f"{reason}; the next run builds it in the background, `edgepose kernels build` now")


def _plain(name: str) -> ModuleType:
    return importlib.import_module(f"edgepose.kernels.{name}_numpy")


def _ahead(name: str) -> ModuleType:
    kernels = native.module(name, native.load(native.find(name)))
    vars(kernels)["KIND"] = "aot"
    return kernels


def _built_first(name: str) -> ModuleType:
    from edgepose.kernels.aot import background

    try:
        background.build_now([name], native.writable_folder())
        return _ahead(name)
    except native.UnusableError as error:
        raise ImportError(f"no library of the {name} kernels: {error}") from None


def _has_numba() -> bool:
    return importlib.util.find_spec("numba") is not None


def _compiled_now(name: str) -> ModuleType:
    cache = Path(os.environ.setdefault("NUMBA_CACHE_DIR", str(_cache_dir())))
    if not any(cache.rglob(f"{name}.*.nbi")):
        log.info("compiling the %s decoder for this machine, once: seconds here, up to a minute on a small board", name)
    return importlib.import_module(f"edgepose.kernels.{name}")


def _cache_dir() -> Path:
    """A writable folder for compiled code; numba refuses to import a cached kernel without one.

    systemd's CacheDirectory, else the user's cache, else a private folder that lives as long as the process.
    """
    import atexit
    import shutil
    import tempfile

    for cache in native.caches():
        folder = cache / "numba"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    private = Path(tempfile.mkdtemp(prefix="edgepose-numba-"))
    atexit.register(shutil.rmtree, private, ignore_errors=True)
    return private
