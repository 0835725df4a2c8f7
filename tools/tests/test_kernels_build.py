"""Kernels compiled ahead of time: what builds them refuses what it cannot, what they are given is checked."""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from edgepose.kernels.aot import library

pytest.importorskip("numba", reason="numba is not installed")
if platform.machine() not in library.VARIANTS or sys.platform != "linux":
    pytest.skip("no library for this machine", allow_module_level=True)

from tools.kernels_build import build, elf
from tools.kernels_build import compile as compiler
from tools.kernels_build.signature import RAW_TYPES, parse

F = np.float32
HERE = next(name for name, needs in reversed(library.VARIANTS[platform.machine()].items()))
"""The target that every machine of this kind can run."""

# ------------------------------------------------------------------------------------------------ a family of its own

LOOPS = '''
import math
import numpy as np
from numba import njit

@njit
def scaled(value, quant):
    return (np.float32(value) - quant[1]) * quant[0]

@njit
def read(head, least, skip, quant, out):
    """Dequantise what reaches least; returns how many, the first `skip` left out."""
    found = 0
    for i in range(skip, head.shape[0]):
        if head[i] >= least:
            out[found] = scaled(head[i], quant)
            found += 1
    return found

@njit
def waves(angle, factor, out):
    for i in range(out.shape[0]):
        out[i] = math.sin(angle[i // angle.shape[1], i % angle.shape[1]]) / factor

@njit
def counts(cell, total):
    for y in range(cell.shape[0]):
        for x in range(cell.shape[1]):
            total[cell[y, x]] += 1

@njit
def fussy(out):
    if out[0] < 0:
        raise ValueError("no")
    out[0] = 1

@njit
def greedy(out):
    out[:] = np.zeros(out.shape[0])
'''
EXPORTS = {
    "read": "int64(q[::1], q, int64, float32[::1], out float32[::1])",
    "waves": "void(float64[:,::1], float64, out float64[::1])",
    "counts": "void(int32[:,::1], out int64[::1])",
    "fussy": "void(out float64[::1])",
}


def family(exports: dict[str, str]) -> ModuleType:
    made = ModuleType("edgepose.kernels.sample")
    exec(LOOPS, made.__dict__)  # noqa: S102
    made.__dict__["EXPORTS"] = exports
    return made


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Callable[..., Any]]:
    """The sample's kernels, compiled, linked, loaded."""
    read = compiler.read("sample", family(EXPORTS))
    image = compiler.library([read], compiler.TARGETS[HERE])
    path = tmp_path_factory.mktemp("sample") / "sample.so"
    path.write_bytes(image)
    facts = {"sample": {"source": 0, "kernels": {one.kernel: one.refusals() for one in read.signatures}}}
    return library.load(library.Library(path, {"families": facts}), "sample")


@pytest.mark.parametrize("raw", RAW_TYPES)
def test_a_kernel_is_there_for_every_type_of_raw_head(sample: dict[str, Any], raw: str) -> None:
    head = np.array([1, 100, 7, 90, 100], raw)
    out = np.zeros(5, F)
    assert sample["read"](head, head.dtype.type(90), 2, np.array([0.5, 10], F), out) == 2
    np.testing.assert_array_equal(out, [40, 45, 0, 0, 0])


def test_numbers_may_be_pythons_or_numpys(sample: dict[str, Any]) -> None:
    head, quant, out = np.array([-5, 5], np.int8), np.ones(2, F), np.zeros(2, F)
    for least, skip in ((-128, 0), (np.int64(-128), np.int32(0)), (np.int8(-128), np.uint8(0)), (-1, True)):
        assert sample["read"](head, least, skip, quant, out) == 2 - (least == -1)


def test_libm_and_division_by_zero_work_without_numba(sample: dict[str, Any]) -> None:
    angle = np.array([[0.5, 1.0], [-2.0, 3.0]])
    out = np.zeros(4)
    sample["waves"](angle, 2, out)
    np.testing.assert_allclose(out, np.sin(angle.ravel()) / 2, rtol=1e-15)
    sample["waves"](angle, 0.0, out)
    assert np.isinf(out).all()


READ_ONLY = np.zeros(2, F)
READ_ONLY.flags.writeable = False
HEAD, QUANT, OUT = np.zeros(2, np.int8), np.ones(2, F), np.zeros(2, F)
WRONG: dict[str, tuple[str, tuple[Any, ...]]] = {
    "too few": ("read", (HEAD, 0, 0, QUANT)),
    "too many": ("read", (HEAD, 0, 0, QUANT, OUT, 1)),
    "no array": ("read", (None, 0, 0, QUANT, OUT)),
    "a list": ("read", ([0, 0], 0, 0, QUANT, OUT)),
    "another raw type": ("read", (HEAD.astype(np.float64), 0, 0, QUANT, OUT)),
    "a bool head": ("read", (HEAD.astype(bool), 0, 0, QUANT, OUT)),
    "an object head": ("read", (HEAD.astype(object), 0, 0, QUANT, OUT)),
    "another element type": ("read", (HEAD, 0, 0, QUANT.astype(np.float64), OUT)),
    "swapped bytes": ("read", (HEAD, 0, 0, QUANT.astype(">f4"), OUT)),
    "a matrix": ("read", (HEAD.reshape(1, 2), 0, 0, QUANT, OUT)),
    "no axes": ("read", (np.array(1, np.int8), 0, 0, QUANT, OUT)),
    "every second": ("read", (np.zeros(4, np.int8)[::2], 0, 0, QUANT, OUT)),
    "not aligned": ("read", (HEAD, 0, 0, np.zeros(9, np.uint8)[1:].view(F), OUT)),
    "read only out": ("read", (HEAD, 0, 0, QUANT, READ_ONLY)),
    "a matrix array": ("read", (np.ma.zeros(2, np.int8), 0, 0, QUANT, OUT)),
    "raw number out of range": ("read", (HEAD, 128, 0, QUANT, OUT)),
    "a float for an int": ("read", (HEAD, 0, 1.5, QUANT, OUT)),
    "text for a number": ("waves", (np.zeros((1, 1)), "1", np.zeros(1))),
    "columns first": ("waves", (np.zeros((3, 2)).T, 1.0, np.zeros(6))),
    "uint32 for int32": ("counts", (np.zeros((1, 1), np.uint32), np.zeros(1, np.int64))),
}


@pytest.mark.parametrize(("kernel", "arguments"), WRONG.values(), ids=WRONG)
def test_a_wrong_argument_is_a_type_error(sample: dict[str, Any], kernel: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        sample[kernel](*arguments)


def test_a_type_error_names_kernel_and_argument(sample: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"kernel read: argument 4 \(quant\) must be .*1 axes, float32"):
        sample["read"](HEAD, 0, 0, None, OUT)


def test_what_is_only_read_may_be_read_only(sample: dict[str, Any]) -> None:
    assert sample["read"](HEAD, 1, 0, READ_ONLY, OUT) == 0


def test_both_kinds_of_64_bit_integers_are_int64(sample: dict[str, Any]) -> None:
    total = np.zeros(2, np.longlong)
    sample["counts"](np.array([[0, 1], [1, 1]], np.int32), total)
    assert total.tolist() == [1, 3]


def test_calls_neither_leak_nor_free_what_they_are_given(sample: dict[str, Any]) -> None:
    head, quant, out = np.zeros(2, np.int8), np.ones(2, F), np.zeros(2, F)
    before = [sys.getrefcount(one) for one in (head, quant, out, None)]
    for _ in range(1000):
        sample["read"](head, 0, 0, quant, out)
    sample["counts"](np.zeros((1, 1), np.int32), np.zeros(1, np.int64))
    after = [sys.getrefcount(one) for one in (head, quant, out, None)]
    assert after[:3] == before[:3]
    assert abs(after[3] - before[3]) < 100


def build_with(**exports: str) -> None:
    compiler.library([compiler.read("sample", family(exports))], compiler.TARGETS[HERE])


def test_a_kernel_that_allocates_is_refused_by_name() -> None:
    with pytest.raises(compiler.BuildError, match=r"kernel sample_greedy: needs .*NRT_"):
        build_with(counts=EXPORTS["counts"], greedy="void(out float64[::1])")


def test_what_a_kernel_raises_is_a_type_error(sample: dict[str, Any]) -> None:
    sample["fussy"](np.zeros(1))
    with pytest.raises(TypeError, match="kernel fussy: cannot work on these"):
        sample["fussy"](np.array([-1.0]))


def test_an_array_that_is_written_to_without_being_out_is_refused() -> None:
    with pytest.raises(compiler.BuildError, match="readonly array"):
        build_with(counts="void(int32[:,::1], int64[::1])")


SPELLED_WRONG = {
    "list(q[::1])": "expected void",
    "void(q[:,::1], r)": "'r' is neither",
    "void(q[:, :])": "is neither",
    "void(out int64)": "is neither",
    "void(q[::1], int64, int64)": "has 3 arguments, the kernel 2",
    "void(q, int64)": "no raw array",
}


@pytest.mark.parametrize(("text", "says"), SPELLED_WRONG.items())
def test_a_wrong_export_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse("sample", text, ["a", "b"][: max(1, min(2, text.count(",") + 1))])


# ------------------------------------------------------------------------------------------------ the linker

MODULE = """
@table = internal constant [3 x double] [double 1.5, double 2.5, double 4.0]
declare double @sin(double)
define internal double @half(double %x) noinline {
  %y = fmul double %x, 0.5
  ret double %y
}
define double @compute(double %x, i64 %which) {
  %s = call double @sin(double %x)
  %y = call double @half(double %s)
  %value_at = getelementptr double, ptr @table, i64 %which
  %value = load double, ptr %value_at
  %z = fadd double %y, %value
  ret double %z
}
"""
VARIABLE = """
@calls = internal global i64 1
define i64 @compute() {
  %n = load i64, ptr @calls
  %m = add i64 %n, 1
  store i64 %m, ptr @calls
  ret i64 %n
}
"""


def object_of(target: str, text: str = MODULE) -> bytes:
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    triple = compiler.TARGETS[target].triple
    machine = llvm.Target.from_triple(triple).create_target_machine(opt=2, reloc="pic", codemodel="small")
    made: bytes = machine.emit_object(llvm.parse_assembly(text))
    return made


def test_linked_code_finds_its_constants_its_functions_and_the_process(tmp_path: Path) -> None:
    path = tmp_path / "linked.so"
    path.write_bytes(elf.link(object_of(HERE), ["compute"]))
    linked = ctypes.PyDLL(str(path))
    linked.compute.restype, linked.compute.argtypes = ctypes.c_double, (ctypes.c_double, ctypes.c_int64)
    assert linked.compute(0.5, 0) == pytest.approx(np.sin(0.5) / 2 + 1.5, abs=1e-15)
    assert linked.compute(0.5, 2) == pytest.approx(np.sin(0.5) / 2 + 4, abs=1e-15)
    assert not hasattr(linked, "half")


@pytest.mark.parametrize(("target", "machine"), [("x86_64-v2", elf.X86_64), ("aarch64", elf.AARCH64)])
def test_both_processors_of_boards_are_linked(target: str, machine: int) -> None:
    image = elf.link(object_of(target), ["compute"])
    assert image[:4] == b"\x7fELF"
    assert image[18] == machine


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(elf.LinkError, match="not a 64-bit"):
        elf.Object(b"\x7fELF\x01\x01" + bytes(100))
    with pytest.raises(elf.LinkError, match="missing is to be exported and not there"):
        elf.link(object_of("aarch64"), ["missing"])
    with pytest.raises(elf.LinkError, match="not only read"):
        elf.link(object_of("aarch64", VARIABLE), ["compute"])


# ------------------------------------------------------------------------------------------------ what is committed


def test_who_builds_with_other_versions_is_told_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "version", lambda name: "1.0" if name == "numba" else build.pins()[name])
    assert build.other_versions() == [f"numba 1.0, not {build.pins()['numba']}"]


@pytest.mark.parametrize("name", compiler.TARGETS)
def test_the_committed_libraries_are_by_the_builder_as_it_is(name: str) -> None:
    facts = library.unpack((library.HERE / f"{name}.so").read_bytes())
    assert facts["builder"] == build.builder(), "tools/build_kernels makes them anew"
    assert facts["made_by"] == build.pins()
