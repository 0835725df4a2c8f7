"""Kernels from a library compiled ahead of time: found, checked, loaded; numba is never imported here.

A library lies in a cache folder as FAMILY-KEY.so. The key is made of the kernel's source, of what builds it, of the
Python and numpy memory layout and of this machine's processor, so a library that does not fit has another name and is
never touched. After the ELF image come what is in it (JSON) and a SHA-256 of all before: a file cut short or damaged
is told from a good one before it is loaded. It runs in this process, so it and its folders must belong to us or root
and be writable by nobody else.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import importlib.util
import json
import os
import stat
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = b"edgepose kernels"
"""Last bytes of a library file."""
HERE = Path(__file__).parents[1]
BUILDERS = ("aot/native.py", "aot/glue.py", "aot/build.py", "aot/elf.py")
"""Sources that decide what is in a library."""
HEAD_SIZE = 16
"""Bytes of a Python object before its own fields; free-threaded Python has more and is not known here."""
METH_FASTCALL = 0x80
DATA, NDIM, SHAPE, DESCR, FLAGS = 16, 24, 32, 56, 64
"""Where PyArrayObject keeps them: the same from numpy 1.0 to 2.x; check_layout makes sure."""
BYTE_ORDER, TYPE_NUMBER = 26, 28
"""The same in PyArray_Descr."""


class UnusableError(Exception):
    """Why there is no usable library; one line."""


@dataclass(frozen=True)
class Library:
    """A library file that is sound and fits this machine."""

    family: str
    path: Path
    exports: dict[str, str]
    """Kernel -> its symbol."""
    facts: dict[str, Any]
    """What the builder wrote down: versions, processor."""


def families() -> list[str]:
    """Every decoder family that has kernels."""
    return sorted(path.stem.removesuffix("_numpy") for path in HERE.glob("*_numpy.py"))


# ------------------------------------------------------------------------------------------------ where


def caches() -> list[Path]:
    """Our folders for what can be made again: in systemd's CacheDirectory, then the user's cache; those there are."""
    home = os.environ.get("XDG_CACHE_HOME") or (os.environ.get("HOME", "") and os.environ["HOME"] + "/.cache")
    return [Path(base) / "edgepose" for base in (os.environ.get("CACHE_DIRECTORY", "").split(":")[0], home) if base]


def folders() -> list[Path]:
    """Where libraries may lie, first wins: EDGEPOSE_KERNELS, systemd's CacheDirectory, the user's cache, sys.prefix.

    An image baked with a read-only root has them in the last, or where the first says.
    """
    found = [cache / "kernels" for cache in caches()]
    if named := os.environ.get("EDGEPOSE_KERNELS"):
        found.insert(0, Path(named))
    return [*found, Path(sys.prefix) / "lib" / "edgepose" / "kernels"]


def writable_folder() -> Path:
    """The first folder that libraries can be put into, made if need be.

    Raises:
        UnusableError: there is none; says why not for each.
    """
    reasons = []
    for folder in folders():
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_owner(folder)
        except (OSError, UnusableError) as error:
            reasons.append(_said(error, folder))
            continue
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
        reasons.append(f"{folder} cannot be written to")
    raise UnusableError("; ".join(reasons))


def _said(error: Exception, folder: Path) -> str:
    return f"{folder}: {error.strerror}" if isinstance(error, OSError) else str(error)


def check_owner(path: Path) -> None:
    """Refuse a file or folder that somebody else could have changed.

    Raises:
        UnusableError: it, or a folder above it, is another user's or writable by others.
        OSError: it is not there.
    """
    trusted = (0, os.geteuid())
    real = path.resolve(strict=True)
    for place in (real, *real.parents):
        status = place.stat()
        if status.st_uid not in trusted:
            raise UnusableError(f"{place} belongs to user {status.st_uid}, not to us or root")
        # a folder everybody may write into is safe if only owners may rename, as /tmp is
        if status.st_mode & stat.S_IWOTH and not (status.st_mode & stat.S_ISVTX and place != real):
            raise UnusableError(f"{place} is writable by everybody")
        if place == real and status.st_mode & stat.S_IWGRP:
            raise UnusableError(f"{place} is writable by its group")


# ------------------------------------------------------------------------------------------------ which


@functools.cache
def processor() -> str:
    """What this machine's processor is and can do, as Linux tells it."""
    lines = []
    try:
        with Path("/proc/cpuinfo").open(encoding="ascii", errors="replace") as info:
            for line in info:
                if not line.strip():
                    break  # one core is enough: all share one instruction set
                name = line.partition(":")[0].strip()
                if name in ("vendor_id", "cpu family", "model", "flags", "Features", "isa") or name.startswith("CPU "):
                    lines.append(" ".join(line.split()))
    except OSError:
        lines.append(os.uname().version)
    return "\n".join([os.uname().machine, *lines])


def key(family: str) -> str:
    """Changes with everything that decides whether a library is right for this machine and this edgepose."""
    parts = [(HERE / name).read_bytes() for name in (f"{family}.py", *BUILDERS)]
    layout = f"{sys.platform} {sys.byteorder} {struct.calcsize('P')} {object.__basicsize__} {processor()}"
    return sha256(b"\0".join([*parts, layout.encode()])).hexdigest()[:20]


def library_name(family: str) -> str:
    """File name of the library that fits here."""
    return f"{family}-{key(family)}.so"


def failure_note(folder: Path, family: str) -> Path:
    """Where the builder notes that it could not, so that not every start tries again."""
    return folder / f".{library_name(family)}.failed"


# ------------------------------------------------------------------------------------------------ the file


def pack(image: bytes, facts: dict[str, Any]) -> bytes:
    """A library file: ELF image, facts, their length, SHA-256 of all that, and MAGIC."""
    told = json.dumps(facts, sort_keys=True).encode()
    body = image + told + struct.pack("<I", len(told))
    return body + sha256(body).digest() + MAGIC


def unpack(content: bytes) -> dict[str, Any]:
    """The facts of a library file.

    Raises:
        UnusableError: it is damaged.
    """
    tail = len(MAGIC) + 32
    body = content[:-tail]
    if len(content) < tail + 4 or not content.endswith(MAGIC) or sha256(body).digest() != content[-tail : -len(MAGIC)]:
        raise UnusableError("it is damaged")
    (length,) = struct.unpack("<I", body[-4:])
    facts: dict[str, Any] = json.loads(body[-4 - length : -4])
    return facts


def installed_numba() -> str | None:
    """Version of the numba that is installed, read off its folder's name; None: no numba."""
    spec = importlib.util.find_spec("numba")
    if spec is None or spec.origin is None:
        return None
    beside = Path(spec.origin).parents[1].glob("numba-*.dist-info")
    return next((path.name.removeprefix("numba-").removesuffix(".dist-info") for path in beside), "unknown")


def find(family: str) -> Library:
    """The library of a family that fits this machine.

    Raises:
        UnusableError: there is none; says what was wrong with those that were there.
    """
    if object.__basicsize__ != HEAD_SIZE or sys.byteorder != "little":
        raise UnusableError("this build of Python keeps its objects in a way that is not known")
    name = library_name(family)
    reasons = []
    for folder in folders():
        path = folder / name
        try:
            check_owner(path)
            facts = unpack(path.read_bytes())
        except FileNotFoundError:
            continue
        except OSError as error:
            reasons.append(f"{path} cannot be read: {error.strerror}")
        except UnusableError as reason:
            reasons.append(str(reason) if str(path) in str(reason) else f"{path}: {reason}")
        else:
            now = installed_numba()
            if now in (None, facts["numba"]):
                return Library(family, path, facts["exports"], facts)
            reasons.append(f"{path} is by numba {facts['numba']}, {now} is installed now")
    raise UnusableError("; ".join(reasons) or "it is not built yet")


# ------------------------------------------------------------------------------------------------ loading


class _MethodDef(ctypes.Structure):
    """CPython's PyMethodDef, part of the stable ABI."""

    _fields_ = [("name", ctypes.c_char_p), ("function", ctypes.c_void_p), ("flags", ctypes.c_int),
                ("doc", ctypes.c_char_p)]  # fmt: skip


KEPT: list[Any] = []
"""What loaded functions stand on, for as long as the process lives."""


def load(library: Library) -> dict[str, Callable[..., Any]]:
    """Kernel -> function; a wrong argument is a TypeError, as with any builtin.

    Raises:
        UnusableError: numpy keeps its arrays in a way that is not known, or the library cannot be loaded.
    """
    check_layout()
    make = ctypes.pythonapi["PyCFunction_NewEx"]  # an own copy of the function: its types are nobody else's business
    make.argtypes = [ctypes.POINTER(_MethodDef), ctypes.py_object, ctypes.c_void_p]
    make.restype = ctypes.py_object
    functions = {}
    try:
        opened = ctypes.PyDLL(str(library.path), mode=os.RTLD_NOW | os.RTLD_LOCAL)
        for kernel, symbol in library.exports.items():
            address = ctypes.cast(opened[symbol], ctypes.c_void_p)
            definition = _MethodDef(kernel.encode(), address, METH_FASTCALL, None)
            KEPT.append((opened, definition))
            functions[kernel] = make(ctypes.byref(definition), np.ndarray, None)
    except (OSError, AttributeError) as error:
        raise UnusableError(f"{library.path}: cannot be loaded: {error}") from None
    return functions


@functools.cache
def check_layout() -> None:
    """Make sure that arrays lie in memory as compiled code expects.

    Raises:
        UnusableError: they do not: a numpy newer than any known here.
    """
    arrays: tuple[NDArray[Any], ...] = (
        np.zeros((2, 3), np.int8),
        np.zeros(5, np.float32),
        np.zeros((1, 2, 4), np.int32),
    )
    for array in arrays:
        at = id(array)
        descr = ctypes.c_void_p.from_address(at + DESCR).value
        shape_at = ctypes.c_void_p.from_address(at + SHAPE).value
        seen = (
            ctypes.c_void_p.from_address(at + HEAD_SIZE // 2).value == id(np.ndarray),
            ctypes.c_void_p.from_address(at + DATA).value == array.ctypes.data,
            ctypes.c_int.from_address(at + NDIM).value == array.ndim,
            descr == id(array.dtype),
            bool(shape_at) and (ctypes.c_ssize_t * array.ndim).from_address(shape_at or 0)[:] == list(array.shape),
            ctypes.c_int.from_address(at + FLAGS).value & 0x501 == 0x501,
            bool(descr) and ctypes.c_int.from_address((descr or 0) + TYPE_NUMBER).value == array.dtype.num,
        )
        if not all(seen):
            raise UnusableError(f"numpy {np.__version__} keeps its arrays in a way that is not known")


def module(family: str, functions: dict[str, Callable[..., Any]]) -> ModuleType:
    """A module of the family's compiled functions; what is not compiled comes from the plain numpy one."""
    plain = importlib.import_module(f"edgepose.kernels.{family}_numpy")
    made = ModuleType(f"edgepose.kernels.{family}_aot", f"Kernels of {family}, compiled ahead of time.")
    made.__dict__.update({name: value for name, value in vars(plain).items() if not name.startswith("__")})
    made.__dict__.update(functions)
    return made
