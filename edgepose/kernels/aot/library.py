"""Kernels from the libraries that come with edgepose: chosen, checked, loaded; numba is never imported here.

A library is one file for a kind of processor, with the kernels of every family; tools/build_kernels makes it. After
the ELF image come what is in it (JSON), the length of that, a CRC-32 of all before, and MAGIC: a file cut short or
damaged is refused before it is loaded. Each family carries the CRC-32 of the source its kernels were made of; kernels
that were changed since are refused as well.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import json
import os
import struct
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
VARIANTS = {
    "x86_64": {"x86_64-v3": {"avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"},
               "x86_64-v2": {"cx16", "popcnt", "sse4_1", "sse4_2", "ssse3"}},
    "aarch64": {"aarch64": set[str]()},
}  # fmt: skip
"""Machine -> its libraries, the best first -> what /proc/cpuinfo must name for it."""
MAGIC = b"edgepose kernels"
HEAD_SIZE = 16
"""Bytes of a Python object before its own fields; free-threaded Python has more and is not known here."""
METH_FASTCALL = 0x80
DATA, NDIM, SHAPE, DESCR, FLAGS = 16, 24, 32, 56, 64
"""Where PyArrayObject keeps them: the same from numpy 1.0 to 2.x; check_layout makes sure."""
BYTE_ORDER, TYPE_NUMBER = 26, 28
"""The same in PyArray_Descr."""
CONTIGUOUS_ALIGNED, WRITABLE = 0x101, 0x400
"""Flags of an array."""


class UnusableError(Exception):
    """Why there is no usable library; one line."""


@dataclass(frozen=True)
class Library:
    """A library that is sound and fits this machine."""

    path: Path
    facts: dict[str, Any]
    """What tools/build_kernels wrote down: `families` -> `source`, and `kernels` -> what wrong arguments are told."""


def families() -> list[str]:
    """Every family that has kernels."""
    return sorted(path.stem.removesuffix("_numpy") for path in HERE.parent.glob("*_numpy.py"))


def source_of(family: str) -> Path:
    """The file a family's kernels are made of."""
    return HERE.parent / f"{family}.py"


# ------------------------------------------------------------------------------------------------ the file


def pack(image: bytes, facts: dict[str, Any]) -> bytes:
    """A library file: ELF image, facts, their length, CRC-32 of all that, MAGIC."""
    words = json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()
    body = image + words + struct.pack("<I", len(words))
    return body + struct.pack("<I", zlib.crc32(body)) + MAGIC


def unpack(content: bytes) -> dict[str, Any]:
    """The facts of a library file.

    Raises:
        UnusableError: it is damaged.
    """
    tail = 8 + len(MAGIC)
    if len(content) < tail or not content.endswith(MAGIC):
        raise UnusableError("it is damaged")
    length, checksum = struct.unpack_from("<II", content, len(content) - tail)
    if zlib.crc32(memoryview(content)[: 4 - tail]) != checksum:
        raise UnusableError("it is damaged")
    facts: dict[str, Any] = json.loads(content[-tail - length : -tail])
    return facts


# ------------------------------------------------------------------------------------------------ which


def features() -> set[str]:
    """What this machine's processor can do, in Linux's words."""
    with Path("/proc/cpuinfo").open(encoding="ascii", errors="replace") as info:
        for line in info:
            name, _, value = line.partition(":")
            if name.strip() in ("flags", "Features"):
                return set(value.split())
    return set()


def machine() -> str:
    """The kind of this machine."""
    return os.uname().machine if sys.platform == "linux" else sys.platform


@functools.cache
def find() -> Library:
    """The library for this machine.

    Raises:
        UnusableError: there is none.
    """
    kind = machine()
    if object.__basicsize__ != HEAD_SIZE or struct.calcsize("P") != 8 or sys.byteorder != "little":
        raise UnusableError("there is no library for this build of Python")
    if kind not in VARIANTS:
        raise UnusableError(f"there is no library for {kind}")
    has = features()
    path = next((HERE / f"{name}.so" for name, needs in VARIANTS[kind].items() if needs <= has), None)
    if path is None:
        raise UnusableError("this processor is older than those there are libraries for")
    try:
        return Library(path, unpack(path.read_bytes()))
    except OSError as error:
        raise UnusableError(f"{path} cannot be read: {error.strerror}") from None
    except UnusableError as error:
        raise UnusableError(f"{path}: {error}; install edgepose again") from None


def check(library: Library, family: str) -> None:
    """Make sure that a library's kernels of a family are those of its source.

    Raises:
        UnusableError: they are not.
    """
    facts = library.facts["families"].get(family)
    if facts is None or facts["source"] != zlib.crc32(source_of(family).read_bytes()):
        changed = "is not in" if facts is None else "was changed since"
        raise UnusableError(f"{family}.py {changed} {library.path.name}; tools/build_kernels makes it anew")


# ------------------------------------------------------------------------------------------------ loading


class _MethodDef(ctypes.Structure):
    """CPython's PyMethodDef, part of the stable ABI."""

    _fields_ = [("name", ctypes.c_char_p), ("function", ctypes.c_void_p), ("flags", ctypes.c_int),
                ("doc", ctypes.c_char_p)]  # fmt: skip


KEPT: list[Any] = []
"""What loaded functions stand on, for as long as the process lives."""


def load(library: Library, family: str) -> dict[str, Callable[..., Any]]:
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
        for kernel, refusals in library.facts["families"][family]["kernels"].items():
            address = ctypes.cast(opened[f"{family}_{kernel}"], ctypes.c_void_p)
            definition = _MethodDef(kernel.encode(), address, METH_FASTCALL, None)
            KEPT.append((opened, definition))
            # what the compiled side needs of Python: tools/kernels_build/entry.py
            context = (np.ndarray, None, TypeError, *refusals)
            functions[kernel] = make(ctypes.byref(definition), context, None)
    except (OSError, AttributeError) as error:
        raise UnusableError(f"{library.path} cannot be loaded: {error}") from None
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


def module(family: str) -> ModuleType:
    """The family's compiled functions; what is not compiled comes from the plain numpy one.

    Raises:
        UnusableError: there is no library for this machine and this source, or it cannot be loaded.
    """
    library = find()
    check(library, family)
    made = ModuleType(f"edgepose.kernels.{family}_aot", f"Kernels of {family}, compiled ahead of time.")
    plain = importlib.import_module(f"edgepose.kernels.{family}_numpy")
    made.__dict__.update({name: value for name, value in vars(plain).items() if not name.startswith("__")})
    made.__dict__.update(load(library, family))
    return made
