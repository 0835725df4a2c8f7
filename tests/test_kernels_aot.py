"""Kernels compiled ahead of time: they equal the others, survive whatever happens to their files, and never crash."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose import kernels
from edgepose.commands.cli import main
from edgepose.kernels.aot import background, build, elf, glue, native

F = np.float32
pytest.importorskip("numba", reason="numba is not installed")

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
    flat = angle.reshape(angle.size)
    for i in range(out.shape[0]):
        out[i] = math.sin(flat[i]) / factor

@njit
def counts(cell, total):
    for y in range(cell.shape[0]):
        for x in range(cell.shape[1]):
            total[cell[y, x]] += 1

@njit
def greedy(out):
    out[:] = np.zeros(out.shape[0])
'''
EXPORTS = {
    "read": "int64(q[::1], q, int64, float32[::1], float32[::1])",
    "waves": "void(float64[:,::1], float64, float64[::1])",
    "counts": "void(int32[:,::1], int64[::1])",
}


def family(exports: dict[str, str]) -> ModuleType:
    made = ModuleType("edgepose.kernels.sample")
    exec(LOOPS, made.__dict__)  # noqa: S102
    made.__dict__["EXPORTS"] = exports
    return made


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Callable[..., Any]]:
    """The sample's kernels, compiled, linked, loaded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "edgepose.kernels.sample", family(EXPORTS))
        object_, exports = build.compile_family("sample")
    image, _ = build.link_object(object_, set(exports.values()))
    path = tmp_path_factory.mktemp("sample") / "sample.so"
    path.write_bytes(native.pack(image, {"exports": exports}))
    return native.load(native.Library("sample", path, exports, {}))


@pytest.mark.parametrize("raw", glue.RAW_TYPES)
def test_a_kernel_is_there_for_every_type_of_raw_head(sample: dict[str, Any], raw: str) -> None:
    head = np.array([1, 100, 7, 90, 100], raw)
    out = np.zeros(5, F)
    assert sample["read"](head, head.dtype.type(90), 2, np.array([0.5, 10], F), out) == 2
    np.testing.assert_array_equal(out, [40, 45, 0, 0, 0])


def test_numbers_may_be_pythons_or_numpys(sample: dict[str, Any]) -> None:
    head, quant, out = np.array([-5, 5], np.int8), np.ones(2, F), np.zeros(2, F)
    for least, skip in ((-128, 0), (np.int64(-128), np.int32(0)), (np.int8(-128), np.uint8(0)), (-1, True)):
        assert sample["read"](head, least, skip, quant, out) == 2 - (least == -1)


def test_libm_and_reshape_and_division_by_zero_work_without_numba(sample: dict[str, Any]) -> None:
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


def test_a_kernel_that_allocates_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    exports = {"counts": EXPORTS["counts"], "greedy": "void(float64[::1])"}
    monkeypatch.setitem(sys.modules, "edgepose.kernels.sample", family(exports))
    with pytest.raises(build.BuildError, match=r"kernel greedy needs .*NRT_"):
        build.compile_family("sample")


SPELLED_WRONG = {
    "list(q[::1])": "expected void",
    "void(q[:,::1], r)": "'r' is neither",
    "void(q[:, :])": "is neither",
    "void(q[::1], int64, int64)": "has 3 arguments, the kernel 2",
    "void(q, int64)": "no raw array",
}


@pytest.mark.parametrize(("text", "says"), SPELLED_WRONG.items())
def test_a_wrong_export_is_told(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        glue.parse("sample", text, ["a", "b"][: max(1, min(2, text.count(",") + 1))])


# ------------------------------------------------------------------------------------------------ the linker

MODULE = """
@table = internal constant [3 x double] [double 1.5, double 2.5, double 4.0]
@names = internal constant [2 x ptr] [ptr @half, ptr @twice]
@calls = internal global i64 0
@outside = external global i8
declare double @sin(double)
declare ptr @memcpy(ptr, ptr, i64)
define internal double @half(double %x) noinline {
  %y = fmul double %x, 0.5
  ret double %y
}
define internal double @twice(double %x) noinline {
  %y = fmul double %x, 2.0
  ret double %y
}
define double @compute(double %x, i64 %which) {
  %n = load i64, ptr @calls
  %m = add i64 %n, 1
  store i64 %m, ptr @calls
  %function_at = getelementptr ptr, ptr @names, i64 %which
  %function = load ptr, ptr %function_at
  %s = call double @sin(double %x)
  %y = call double %function(double %s)
  %value_at = getelementptr double, ptr @table, i64 %which
  %value = load double, ptr %value_at
  %z = fadd double %y, %value
  ret double %z
}
define i64 @called() {
  %n = load i64, ptr @calls
  ret i64 %n
}
define ptr @where() { ret ptr @NAME }
"""


def object_of(triple: str, outside: str) -> bytes:
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    text = MODULE.replace("@outside", f"@{outside}").replace("@NAME", f"@{outside}")
    machine = llvm.Target.from_triple(triple).create_target_machine(opt=2, reloc="pic", codemodel="small")
    made: bytes = machine.emit_object(llvm.parse_assembly(text))
    return made


@pytest.mark.skipif(sys.platform != "linux", reason="an ELF library")
def test_linked_code_finds_its_constants_its_variables_and_the_process(tmp_path: Path) -> None:
    import llvmlite.binding as llvm

    path = tmp_path / "linked.so"
    object_ = elf.Object(object_of(llvm.get_process_triple(), "_Py_NoneStruct"))
    path.write_bytes(elf.link(object_, ["compute", "called", "where"]))
    library = ctypes.PyDLL(str(path))
    library.compute.restype, library.compute.argtypes = ctypes.c_double, (ctypes.c_double, ctypes.c_int64)
    library.called.restype, library.where.restype = ctypes.c_int64, ctypes.c_void_p
    assert library.compute(0.5, 0) == pytest.approx(np.sin(0.5) / 2 + 1.5, abs=1e-15)
    assert library.compute(0.5, 1) == pytest.approx(np.sin(0.5) * 2 + 2.5, abs=1e-15)
    assert library.called() == 2
    assert library.where() == id(None)
    assert not hasattr(library, "half")


@pytest.mark.parametrize("triple", ["x86_64-linux-gnu", "aarch64-linux-gnu"])
def test_both_processors_of_boards_are_linked(triple: str) -> None:
    image = elf.link(elf.Object(object_of(triple, "_Py_NoneStruct")), ["compute", "called", "where"])
    assert image[:4] == b"\x7fELF"
    assert image[18] == {"x86_64": elf.X86_64, "aarch64": elf.AARCH64}[triple.partition("-")[0]]


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(elf.LinkError):
        elf.Object(b"\x7fELF\x01\x01" + bytes(100))
    with pytest.raises(elf.LinkError, match="exported and not there"):
        elf.link(elf.Object(object_of("x86_64-linux-gnu", "none")), ["missing"])


# ------------------------------------------------------------------------------------------------ files


@pytest.fixture(scope="session")
def built() -> Path:
    """movenet's library, from this user's cache or built into it."""
    folder = native.writable_folder()
    if not build._good(folder / native.library_name("movenet")):
        background.build_now(["movenet"], folder)
    return folder / native.library_name("movenet")


@pytest.fixture
def cache(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own with a good library in it; returns the library."""
    folder = tmp_path / "kernels"
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(native, "folders", lambda: [folder])
    monkeypatch.delenv("EDGEPOSE_BUILD_KERNELS")
    return Path(shutil.copy(built, folder))


def test_a_good_library_is_used_and_equals_the_plain_kernels(cache: Path) -> None:
    assert kernels.state("movenet").kind == "aot"
    loops = kernels.family("movenet")
    assert kernels.in_use(loops) == "aot"
    heat = np.random.default_rng(5).integers(-128, 128, (48, 48, 17)).astype(np.int8)
    fast, plain = np.zeros((48, 17), np.int8), np.zeros((48, 17), np.int8)
    loops.row_maxima(heat, fast)
    kernels.family("movenet", "numpy").row_maxima(heat, plain)
    np.testing.assert_array_equal(fast, plain)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)


def link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "damaged"),
    "cut short": (cut, "damaged"),
    "one bit": (flip, "damaged"),
    "gone": (Path.unlink, "not built yet"),
    "a folder": (folder, "cannot be read"),
    "writable by everybody": (lambda path: path.chmod(0o666), "writable by everybody"),
    "writable by its group": (lambda path: path.chmod(0o660), "writable by its group"),
    "in a folder of everybody": (lambda path: path.parent.chmod(0o777), "writable by everybody"),
    "a link out": (link, "not built yet"),
}


@pytest.mark.parametrize(("harm", "says"), DAMAGE.values(), ids=DAMAGE)
def test_a_library_that_cannot_be_trusted_is_never_loaded(
    cache: Path, harm: Callable[[Path], object], says: str
) -> None:
    harm(cache)
    with pytest.raises(native.UnusableError, match=says):
        native.find("movenet")


def test_a_library_of_another_user_is_never_loaded(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, theirs = Path.stat, cache.resolve()

    def of_somebody(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        status = real(path, follow_symlinks=follow_symlinks)
        return os.stat_result((*status[:4], 12345, *status[5:])) if path == theirs else status

    monkeypatch.setattr(Path, "stat", of_somebody)
    with pytest.raises(native.UnusableError, match="belongs to user 12345"):
        native.find("movenet")


CHANGES: dict[str, tuple[str, Any]] = {
    "another processor": ("processor", lambda: "x86_64\nflags : fpu avx512f"),
    "another edgepose": ("BUILDERS", ("aot/glue.py",)),
    "another numba": ("installed_numba", lambda: "99.0"),
}


@pytest.mark.parametrize(("name", "value"), CHANGES.values(), ids=CHANGES)
def test_a_library_for_something_else_is_never_loaded(
    cache: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    monkeypatch.setattr(native, name, value)
    with pytest.raises(native.UnusableError):
        native.find("movenet")


def test_a_library_outlives_numba(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "installed_numba", lambda: None)
    assert native.find("movenet").path == cache


def test_an_unknown_numpy_is_not_trusted(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "NDIM", native.NDIM + 8)
    native.check_layout.cache_clear()
    try:
        with pytest.raises(native.UnusableError, match=r"numpy .* keeps its arrays"):
            native.load(native.find("movenet"))
    finally:
        native.check_layout.cache_clear()


def test_a_read_only_cache_is_read(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(native.UnusableError, match="cannot be written to"):
        native.writable_folder()
    assert kernels.in_use(kernels.family("movenet")) == "aot"


def test_without_any_cache_kernels_are_compiled_while_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEPOSE_BUILD_KERNELS")
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setattr(native, "folders", lambda: [blocked / "kernels"])
    assert kernels.in_use(kernels.family("movenet")) == "numba"
    with pytest.raises(ImportError, match="Not a directory"):
        kernels.family("movenet", "aot")


def test_a_build_nobody_asked_for_can_be_forbidden(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.unlink()
    monkeypatch.setenv("EDGEPOSE_BUILD_KERNELS", "no")
    assert "EDGEPOSE_BUILD_KERNELS is no" in kernels.state("movenet").why
    assert kernels.in_use(kernels.family("movenet")) == "numba"


def test_without_numba_and_library_kernels_are_plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "folders", lambda: [tmp_path])
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert kernels.in_use(kernels.family("movenet", "auto")) == "numpy"
    assert "numba, which builds it, is not installed" in kernels.state("movenet").why


# ------------------------------------------------------------------------------------------------ building


@pytest.fixture
def quick(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An empty cache and a compiler that takes no time; returns what it was asked to compile."""
    facts = native.unpack(cache.read_bytes())
    image = cache.read_bytes()
    cache.unlink()
    asked: list[str] = []

    def compile_family(name: str) -> tuple[bytes, dict[str, str]]:
        asked.append(name)
        time.sleep(0.1)
        return image, facts["exports"]

    monkeypatch.setattr(build, "compile_family", compile_family)
    monkeypatch.setattr(build, "link_object", lambda content, _: (content, "nobody"))
    return asked


def test_two_that_build_at_once_compile_once(cache: Path, quick: list[str]) -> None:
    found: list[Path] = []
    builders = [threading.Thread(target=lambda: found.append(build.build("movenet", cache.parent))) for _ in range(4)]
    for one in builders:
        one.start()
    for one in builders:
        one.join()
    assert quick == ["movenet"]
    assert found == [cache] * 4
    assert native.find("movenet").path == cache


def test_a_damaged_library_is_built_again(cache: Path, quick: list[str]) -> None:
    cache.write_bytes(b"damaged")
    build.build("movenet", cache.parent)
    assert native.find("movenet").facts["linked_by"] == "nobody"
    assert quick == ["movenet"]


def test_old_libraries_are_cleared_away(cache: Path, quick: list[str]) -> None:
    for number in range(6):
        (cache.parent / f"movenet-{number}.so").touch()
        os.utime(cache.parent / f"movenet-{number}.so", (number, number))
    (cache.parent / "heatmap-0.so").touch()
    build.build("movenet", cache.parent)
    left = {path.name for path in cache.parent.glob("*.so")}
    assert left == {cache.name, "movenet-5.so", "movenet-4.so", "heatmap-0.so"}


def test_a_failure_is_noted_and_not_tried_at_every_start(
    cache: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(name: str) -> tuple[bytes, dict[str, str]]:
        raise build.BuildError("no luck")

    monkeypatch.setattr(build, "compile_family", fails)
    monkeypatch.setattr(build, "NICENESS", 0)
    assert build.main([str(cache.parent), "movenet"]) == 1
    assert "movenet: no luck" in capsys.readouterr().err
    assert kernels.state("movenet").kind == "numba"
    assert "no luck" in kernels.state("movenet").why
    assert kernels.in_use(kernels.family("movenet")) == "numba"


def test_the_first_run_waits_for_nothing_and_changes_over_when_the_library_is_there(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside = cache.rename(tmp_path / "aside.so")
    gate = tmp_path / "gate"
    code = (
        "import pathlib, shutil, sys, time\n"
        f"while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.01)\n"
        f"shutil.move({str(aside)!r}, {str(cache)!r})"
    )
    monkeypatch.setattr(background, "command", lambda *_: [sys.executable, "-c", code])
    loops = kernels.family("movenet")
    assert kernels.in_use(loops) == "numpy"
    heat = np.random.default_rng(6).integers(-128, 128, (9, 9, 3)).astype(np.int8)
    answers: list[NDArray[np.int8]] = []
    for kind in ("numpy", "aot"):
        if kind == "aot":
            gate.touch()
            until = time.monotonic() + 30
            while kernels.in_use(loops) == "numpy" and time.monotonic() < until:
                time.sleep(0.01)
        assert kernels.in_use(loops) == kind
        answers.append(np.zeros((9, 3), np.int8))
        loops.row_maxima(heat, answers[-1])
    np.testing.assert_array_equal(answers[0], answers[1])


# ------------------------------------------------------------------------------------------------ the command


def test_the_command_says_what_is_in_use_and_where(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernels"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert rows["movenet"].split()[1:] == ["aot", str(cache)]


def test_the_command_builds_into_a_folder(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[list[str], Path]] = []
    monkeypatch.setattr(background, "build_now", lambda names, folder: asked.append((names, folder)))
    assert main(["kernels", "build", "movenet", "--folder", str(tmp_path / "image")]) == 0
    assert asked == [(["movenet"], tmp_path / "image")]
    assert f"EDGEPOSE_KERNELS={tmp_path / 'image'}" in capsys.readouterr().out
    assert main(["kernels", "build", "movnet"]) == 78
    assert "did you mean movenet" in capsys.readouterr().err
