"""Compiles kernels ahead of time: `python -m edgepose.kernels.aot.build FOLDER FAMILY...`, in a process of its own.

numba compiles each kernel of EXPORTS for each type of raw head, as it would while running; here its code is gathered
in one LLVM module with the functions of glue.py, made free of everything that needs numba, and written as a shared
library. Where elf.py does not know the machine, the system's C compiler links it.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgepose.kernels.aot import elf, glue, native
from edgepose.kernels.aot.background import BEHIND

NICENESS = 19
"""Poses flow while this runs."""
KEEP = 3
"""Libraries of one family that may lie in a folder: of this machine, and of others that share the folder."""


class BuildError(Exception):
    """A kernel cannot be compiled ahead of time, or not here; one line."""


@dataclass(frozen=True)
class Compiled:
    """One kernel, compiled for every type of raw head."""

    signature: glue.Signature
    text: str
    """Its function for CPython, in LLVM's words."""
    modules: list[bytes]
    """What numba made of it, as bitcode."""


def compile_family(family: str) -> tuple[bytes, dict[str, str]]:
    """A family's kernels as a relocatable object, and kernel -> symbol.

    Raises:
        BuildError: a kernel needs numba at run time (it allocates or raises), or is none.
    """
    loops = importlib.import_module(f"edgepose.kernels.{family}")
    exports: dict[str, str] = getattr(loops, "EXPORTS", {})
    if not exports:
        raise BuildError(f"edgepose/kernels/{family}.py has no EXPORTS")
    compiled = [_compile(loops, kernel, text) for kernel, text in exports.items()]
    object_ = _emit(compiled)
    if _strange(object_):
        found = {one.signature.kernel: _strange(_emit([one])) for one in compiled}
        told = "; ".join(f"kernel {kernel} needs {', '.join(names)}" for kernel, names in found.items() if names)
        raise BuildError(f"{told}: it must not allocate, raise or assign whole slices")
    return object_, {one.signature.kernel: one.signature.symbol() for one in compiled}


def _strange(object_: bytes) -> list[str]:
    """What an object needs that a process without numba does not have."""
    try:
        return sorted(elf.Object(object_).outside - glue.OUTSIDE - {"_GLOBAL_OFFSET_TABLE_"})
    except elf.LinkError:
        return []  # not ELF: the system's linker will tell


def _compile(loops: Any, kernel: str, text: str) -> Compiled:
    from numba.core import sigutils
    from numba.core.caching import NullCache
    from numba.core.dispatcher import Dispatcher

    dispatchers: list[Any] = [value for value in vars(loops).values() if isinstance(value, Dispatcher)]
    for value in dispatchers:
        value._cache = NullCache()
        value.targetoptions["error_model"] = "numpy"  # x / 0 is inf or nan, not an exception
    dispatcher = getattr(loops, kernel)
    signature = glue.parse(kernel, text, list(inspect.signature(dispatcher.py_func).parameters))
    modules, native_names, writes = [], {}, set()
    for variant in signature.variants:
        types, _ = sigutils.normalize_signature(re.sub(r"\bq\b", variant, text))
        dispatcher.compile(types)
        result = dispatcher.overloads[types]
        if (str(result.signature.return_type) == "none") != (signature.result == "void"):
            raise BuildError(f"{kernel} returns {result.signature.return_type}, EXPORTS says {signature.result}")
        module = result.library._final_module
        name = result.fndesc.llvm_func_name
        arguments = list(module.get_function(name).arguments)
        if [str(one.type) for one in arguments] != glue.flat_types(signature, variant):
            raise BuildError(f"{kernel}: this numba passes arguments in a way that is not known")
        writes |= _written(signature, arguments)
        modules.append(module.as_bitcode())
        native_names[variant] = _quoted(name)
    return Compiled(signature, glue.function(signature, native_names, frozenset(writes)), modules)


def _written(signature: glue.Signature, arguments: list[Any]) -> set[int]:
    """Places of the arrays that the compiler did not see to be only read."""
    at, written = 2, set()
    for place, one in enumerate(signature.arguments):
        if one.ndim and not {b"readonly", b"readnone"} & set(arguments[at + 4].attributes):
            written.add(place)
        at += 5 + 2 * one.ndim if one.ndim else 1
    return written


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\5C").replace('"', "\\22") + '"'


def _emit(compiled: list[Compiled]) -> bytes:
    """Kernels and their functions for CPython as one object for this processor, and nothing else of numba's."""
    import llvmlite.binding as llvm

    try:
        whole = llvm.parse_assembly(glue.COMMON + "\n".join(one.text for one in compiled))
    except RuntimeError as error:
        raise BuildError(f"LLVM refuses the functions for CPython: {_one_line(error)}") from None
    for one in compiled:
        for bitcode in one.modules:
            whole.link_in(llvm.parse_bitcode(bitcode))
    exported = {one.signature.symbol() for one in compiled}
    for value in (*whole.functions, *whole.global_variables):
        if not value.is_declaration and value.name not in exported:
            value.linkage = llvm.Linkage.internal
    target = llvm.Target.from_default_triple()
    machine = target.create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        reloc="pic",
        codemodel="small",
    )
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    passes.getModulePassManager().run(whole, passes)
    object_: bytes = machine.emit_object(whole)
    return object_


def link_object(content: bytes, exports: set[str]) -> tuple[bytes, str]:
    """A shared library of an object file, and who linked it.

    Raises:
        BuildError: nothing here can link it.
    """
    try:
        return elf.link(elf.Object(content), exports), "edgepose"
    except elf.LinkError as error:
        return _link_with_compiler(content, str(error)), "cc"


def _link_with_compiler(content: bytes, why: str) -> bytes:
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise BuildError(f"cannot link ({why}) and there is no C compiler")
    with tempfile.TemporaryDirectory(prefix="edgepose-link-") as folder:
        source, made = Path(folder) / "kernels.o", Path(folder) / "kernels.so"
        source.write_bytes(content)
        undefined = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
        done = subprocess.run(
            [compiler, "-shared", *undefined, "-o", made, source, "-lm"], capture_output=True, text=True
        )
        if done.returncode:
            raise BuildError(f"cannot link ({why}), {compiler} neither: {_one_line(done.stderr)}")
        return made.read_bytes()


def build(family: str, folder: Path) -> Path:
    """Put the library of a family for this machine into a folder; the one that is there already if it is good.

    Two processes that build the same take turns; readers see a whole file or none.

    Raises:
        BuildError: it cannot be built.
        OSError: the folder cannot be written to.
    """
    path = folder / native.library_name(family)
    with (folder / f".{family}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _good(path):
            return path
        object_, exports = compile_family(family)
        image, by = link_object(object_, set(exports.values()))
        import llvmlite
        import numba

        facts = {"family": family, "exports": exports, "numba": numba.__version__, "llvmlite": llvmlite.__version__,
                 "linked_by": by, "processor": native.processor()}  # fmt: skip
        _publish(native.pack(image, facts), path)
        older = sorted(folder.glob(f"{family}-*.so"), key=lambda one: one.stat().st_mtime, reverse=True)
        for one in older[KEEP:]:
            one.unlink(missing_ok=True)
        return path


def _good(path: Path) -> bool:
    try:
        native.check_owner(path)
        facts = native.unpack(path.read_bytes())
    except (OSError, native.UnusableError):
        return False
    return bool(facts["numba"] == native.installed_numba())


def _publish(content: bytes, path: Path) -> None:
    """Write a file that is there completely or not at all, even after a power cut."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".building-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _one_line(error: object) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def main(arguments: list[str]) -> int:
    """Build families into a folder; a line per failure on standard error, exit code 1 if there was one."""
    folder, *names = arguments
    if names[0] == BEHIND:
        del names[0]
        os.setsid()
        os.nice(NICENESS)
    # numba insists on a cache when the kernels are imported; this one must never answer
    scratch = tempfile.TemporaryDirectory(prefix="edgepose-build-")
    os.environ["NUMBA_CACHE_DIR"] = scratch.name
    failures = 0
    with scratch:
        for family in names:
            failures += not _tried(family, Path(folder))
    return 1 if failures else 0


def _tried(family: str, folder: Path) -> bool:
    """Build one; a failure is told on standard error and noted in the folder."""
    note = native.failure_note(folder, family)
    try:
        build(family, folder)
    except Exception as error:  # noqa: BLE001  numba raises dozens of its own; each ends up in one line
        told = _one_line(error)
        sys.stderr.write(f"{family}: {told}\n")
        with contextlib.suppress(OSError):
            note.write_text(told, encoding="utf-8")
        return False
    note.unlink(missing_ok=True)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
