"""Builds libraries in a child process, where a crash does no harm, and lets them take over when they are done."""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path
from types import ModuleType

from edgepose.kernels.aot import native

log = logging.getLogger("edgepose.kernels")


BEHIND = "--behind"
"""Makes the builder give way to everything else, and outlive who started it."""

# the folder we happen to be in is no place to take code from
BUILD = (
    "import sys; sys.path[:] = filter(None, sys.path); "
    "from edgepose.kernels.aot.build import main; sys.exit(main(sys.argv[1:]))"
)


def command(folder: Path, *arguments: str) -> list[str]:
    """What builds families into a folder."""
    return [sys.executable, "-c", BUILD, str(folder), *arguments]


def check(name: str) -> Path:
    """The folder a library can be built into, unasked.

    Raises:
        UnusableError: no folder, it was tried and failed, or EDGEPOSE_BUILD_KERNELS=no forbids it.
    """
    if os.environ.get("EDGEPOSE_BUILD_KERNELS") == "no":
        raise native.UnusableError("EDGEPOSE_BUILD_KERNELS is no")
    folder = native.writable_folder()
    note = native.failure_note(folder, name)
    if note.is_file():
        told = note.read_text(encoding="utf-8", errors="replace").strip()
        raise native.UnusableError(f"it could not be built ({told}); `edgepose kernels build` tries again")
    return folder


def start(name: str, plain: ModuleType) -> ModuleType:
    """Begin to build a family; a module that is the plain twin now and the library as soon as it is there.

    Raises:
        UnusableError: it cannot be built here.
    """
    folder = check(name)
    kernels = native.module(name, {})
    vars(kernels)["KIND"] = "numpy"
    try:
        child = _spawn(command(folder, BEHIND, name))
    except OSError as error:
        raise native.UnusableError(f"no process to build it: {error.strerror}") from None
    threading.Thread(target=_take_over, args=(name, kernels, child), name="edgepose-kernels", daemon=True).start()
    return kernels


def _spawn(arguments: list[str]) -> int:
    """Start a process that outlives this one and says nothing; its id."""
    silent = [(os.POSIX_SPAWN_OPEN, at, os.devnull, os.O_RDWR, 0) for at in (0, 1, 2)]
    return os.posix_spawn(arguments[0], arguments, _environment(), file_actions=silent)


def _environment() -> dict[str, str]:
    package_root = str(Path(__file__).resolve().parents[3])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (package_root, os.environ.get("PYTHONPATH"))))}


def _take_over(name: str, kernels: ModuleType, child: int) -> None:
    os.waitpid(child, 0)
    try:
        functions = native.load(native.find(name))
    except native.UnusableError as error:
        log.info("the %s kernels stay plain numpy: %s; `edgepose kernels` says more", name, error)
        return
    vars(kernels).update(functions, KIND="aot")
    log.info("the %s kernels are compiled now and in use", name)


def build_now(names: list[str], folder: Path) -> None:
    """Build families and wait.

    Raises:
        UnusableError: one could not be built; a reason for each.
    """
    import subprocess

    done = subprocess.run(command(folder, *names), capture_output=True, text=True, env=_environment())
    if done.returncode < 0:
        raise native.UnusableError(f"the builder was ended by signal {-done.returncode}")
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise native.UnusableError("; ".join(lines))
