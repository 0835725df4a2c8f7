"""Compiles kernels ahead of time: numba turns each into LLVM's words once, LLVM into code for every target.

numba's own optimiser stays off, as it would choose for this machine. A kernel may call what CPython's stable ABI, the
C library and libm have; one that needs numba at run time (it allocates) is refused.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import llvmlite.binding as llvm
from numba import carray, types
from numba.core import config
from numba.core.caching import NullCache
from numba.core.cpu import CPUContext
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError

from tools.kernels_build import elf, entry
from tools.kernels_build.signature import Signature, parse

MATH = ("log", "exp", "pow", "sin", "cos", "tan", "atan2", "sqrt", "floor", "ceil", "trunc", "rint", "round", "fmod",
        "hypot", "ldexp", "tanh", "log2", "exp2", "log10")  # fmt: skip
OUTSIDE = frozenset({
    "PyErr_SetObject", "PyErr_Clear", "PyErr_Occurred", "PyLong_AsLongLong", "PyLong_FromLongLong", "PyTuple_GetItem",
    "PyFloat_AsDouble", "Py_IncRef", "memcpy", "memmove", "memset", *MATH, *(f"{name}f" for name in MATH),
})  # fmt: skip
"""Names a library may take from the process it is loaded into."""


OPTIONS = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""numba's, for all it compiles here; numpy's way with errors is that x / 0 is inf or nan, not an exception."""


ENTRY = """
define ptr @{name}(i64 %self, i64 %arguments, i64 %count) {{
  %answer = alloca i64
  %error = alloca ptr
  store i64 0, ptr %answer
  %status = call i32 @{native}(ptr %answer, ptr %error, i64 %self, i64 %arguments, i64 %count)
  %good = icmp eq i32 %status, 0
  br i1 %good, label %done, label %raised
raised:
  %type = call i64 @PyTuple_GetItem(i64 %self, i64 2)
  %words = call i64 @PyTuple_GetItem(i64 %self, i64 {words})
  call void @PyErr_SetObject(i64 %type, i64 %words)
  ret ptr null
done:
  %value = load i64, ptr %answer
  %object = inttoptr i64 %value to ptr
  ret ptr %object
}}
"""
"""A compiled `entry` as CPython calls it: numba's own convention has the answer in memory and a status."""


class BuildError(Exception):
    """A kernel cannot be compiled ahead of time; says which and why."""


@dataclass(frozen=True)
class Target:
    """Whom code is for, in LLVM's words."""

    triple: str
    cpu: str


TARGETS = {
    "x86_64-v2": Target("x86_64-unknown-linux-gnu", "x86-64-v2"),
    "x86_64-v3": Target("x86_64-unknown-linux-gnu", "x86-64-v3"),
    "aarch64": Target("aarch64-unknown-linux-gnu", "generic"),
}
"""Library -> whom it is for: `edgepose.kernels.aot.library.VARIANTS` says which machine takes which."""


@dataclass(frozen=True)
class Family:
    """The kernels of one file, in LLVM's words."""

    name: str
    signatures: tuple[Signature, ...]
    bitcode: bytes

    def symbols(self) -> list[str]:
        """Names of the kernels in the library."""
        return [f"{self.name}_{one.kernel}" for one in self.signatures]


def read(name: str, loops: ModuleType | None = None) -> Family:
    """A family's kernels, as numba understands them.

    Raises:
        BuildError: a kernel cannot be compiled; says which and why.
    """
    loops = loops or importlib.import_module(f"edgepose.kernels.{name}")
    exports: dict[str, str] = getattr(loops, "EXPORTS", {})
    if not exports:
        raise BuildError(f"edgepose/kernels/{name}.py has no EXPORTS")
    values: list[Any] = [*vars(loops).values(), *vars(entry).values()]
    for value in values:
        if isinstance(value, Dispatcher):
            vars(value)["_cache"] = NullCache()
            value.targetoptions |= OPTIONS
    dispatchers = [getattr(loops, kernel) for kernel in exports]
    signatures = tuple(
        parse(kernel, text, list(inspect.signature(dispatcher.py_func).parameters))
        for (kernel, text), dispatcher in zip(exports.items(), dispatchers, strict=True)
    )
    whole = llvm.parse_assembly("")
    for signature, dispatcher in zip(signatures, dispatchers, strict=True):
        try:
            with _words_only():
                text = _words(name, signature, dispatcher)
        except NumbaError as error:
            raise BuildError(f"kernel {name}_{signature.kernel}: numba says: {error}") from None
        whole.link_in(llvm.parse_assembly(text))
    family = Family(name, signatures, b"")
    _hide(whole, family.symbols())  # the names of numba's are unique within one process only
    return replace(family, bitcode=whole.as_bitcode())


def _hide(module: Any, exported: Sequence[str]) -> None:
    """Make everything else of a module its own affair, so that what nobody calls goes."""
    for value in (*module.functions, *module.global_variables):
        if not value.is_declaration and value.name not in exported:
            value.linkage = llvm.Linkage.internal


@contextmanager
def _words_only() -> Iterator[None]:
    """Numba neither optimises nor makes code to run here."""
    before = config.OPT, CPUContext.get_executable
    config.OPT, CPUContext.get_executable = 0, _no_executable
    try:
        yield
    finally:
        config.OPT, CPUContext.get_executable = before


def _no_executable(_context: CPUContext, library: Any, *_: object) -> Any:
    library._ensure_finalized()
    return [].append  # some builtin


def _words(family: str, signature: Signature, kernel: Dispatcher) -> str:
    """A kernel and its entry as LLVM's text; the entry has the name of the kernel in the library."""
    for raw in signature.variants:
        kernel.compile(tuple(_numba_type(one.type.replace("q", raw), one.ndim, one.out) for one in signature.arguments))
    # an array that is not `out` is read-only to numba: it would not compile what writes to it
    kernel.disable_compile()
    space: dict[str, Any] = {**vars(entry), "carray": carray, "kernel": kernel}
    exec(entry.source(signature), space)  # noqa: S102
    enter: Any = space["entry"]
    form = (types.int64,) * 3
    enter.targetoptions |= OPTIONS
    enter.compile(form)
    result = enter.overloads[form]
    text = result.library.get_llvm_str()
    # for every target alike; and as nothing here is numba's own, nobody counts who holds it
    text = re.sub(r"^target (datalayout|triple) = .*$", "", text, flags=re.M)
    text = re.sub(
        r"^(define [^\n]* @NRT_(inc|dec)ref\([^\n]*\{)\n.*?^\}", r"\1\n  ret void\n}", text, flags=re.M | re.S
    )
    native = result.fndesc.llvm_func_name
    native = f'"{native}"' if f'@"{native}"(' in text else native
    return text + ENTRY.format(name=f"{family}_{signature.kernel}", native=native, words=2 + len(signature.refusals()))


def _numba_type(name: str, ndim: int, out: bool) -> types.Type:
    number = getattr(types, name)
    return types.Array(number, ndim, "C", readonly=not out) if ndim else number


def library(families: Sequence[Family], target: Target) -> bytes:
    """The shared library of these families for a target.

    Raises:
        BuildError: a kernel needs numba at run time; says which.
    """
    exports = [symbol for family in families for symbol in family.symbols()]
    try:
        return _linked(families, target, exports)
    except BuildError as error:
        for symbol in exports:
            try:
                _linked(families, target, [symbol])
            except BuildError as reason:
                raise BuildError(f"kernel {symbol}: {reason}") from None
        raise error


def _linked(families: Sequence[Family], target: Target, exports: list[str]) -> bytes:
    object_ = _emit(families, target, exports)
    if strange := set(elf.Object(object_).outside) - OUTSIDE:
        raise BuildError(f"needs {', '.join(sorted(strange))}: it must not allocate or assign whole arrays")
    try:
        return elf.link(object_, exports)
    except elf.LinkError as error:
        raise BuildError(str(error)) from None


def _emit(families: Sequence[Family], target: Target, exports: list[str]) -> bytes:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, opt=3, reloc="pic", codemodel="small"
    )
    whole = llvm.parse_assembly(f'target triple = "{target.triple}"\ntarget datalayout = "{machine.target_data}"')
    for family in families:
        whole.link_in(llvm.parse_bitcode(family.bitcode))
    _hide(whole, exports)
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization = tuning.slp_vectorization = True
    passes = llvm.create_pass_builder(machine, tuning)
    passes.getModulePassManager().run(whole, passes)
    object_: bytes = machine.emit_object(whole)
    return object_
