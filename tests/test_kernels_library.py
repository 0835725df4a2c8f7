"""The libraries that come with edgepose: made of the loops as they are, equal to them, refused when they do not fit."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepose import kernels
from edgepose.commands.cli import main
from edgepose.kernels.aot import library
from tests.helpers.ways import LIBRARY

FILES = sorted(name for variants in library.VARIANTS.values() for name in variants)


@pytest.mark.parametrize("name", FILES)
def test_a_library_is_made_of_the_loops_as_they_are(name: str) -> None:
    found = library.Library(library.HERE / f"{name}.so", library.unpack((library.HERE / f"{name}.so").read_bytes()))
    assert set(found.facts["families"]) == set(kernels.families())
    for family in kernels.families():
        library.check(found, family)


def test_there_is_no_library_that_no_machine_takes() -> None:
    assert sorted(path.stem for path in library.HERE.glob("*.so")) == FILES
    assert sum(path.stat().st_size for path in library.HERE.glob("*.so")) < 3e6


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of its own with the library of this machine; returns the library."""
    path = Path(shutil.copy(library.find().path, tmp_path))
    monkeypatch.setattr(library, "HERE", tmp_path)
    monkeypatch.setattr(library, "source_of", lambda family: Path(kernels.__file__).parent / f"{family}.py")
    library.find.cache_clear()
    yield path
    library.find.cache_clear()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def change_source(path: Path) -> None:
    """As if movenet.py had been changed since."""
    content = path.read_bytes()
    facts = library.unpack(content)
    facts["families"]["movenet"]["source"] ^= 1
    path.write_bytes(library.pack(b"", facts))


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


HARM: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "damaged; install edgepose again"),
    "cut short": (cut, "damaged"),
    "one bit": (flip, "damaged"),
    "gone": (Path.unlink, "No such file"),
    "a folder": (folder, "cannot be read"),
    "of other loops": (change_source, "movenet.py was changed since .*; tools/build_kernels"),
}


@LIBRARY
@pytest.mark.parametrize(("harm", "says"), HARM.values(), ids=HARM)
def test_a_library_that_does_not_fit_is_never_loaded(
    own: Path, harm: Callable[[Path], object], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    harm(own)
    with pytest.raises(ImportError, match=says):
        kernels.family("movenet", "aot")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert kernels.in_use(kernels.family("movenet")) == "numpy"
    assert kernels.state("movenet").why.endswith("; numba is not installed")


@LIBRARY
def test_a_family_that_is_in_no_library_yet_is_said(own: Path) -> None:
    with pytest.raises(library.UnusableError, match=r"newest.py is not in .*; tools/build_kernels"):
        library.check(library.find(), "newest")


PROCESSORS: dict[str, tuple[str, set[str], str]] = {
    "old x86-64": ("x86_64", {"sse2"}, "older than those"),
    "v2": ("x86_64", library.VARIANTS["x86_64"]["x86_64-v2"], "x86_64-v2.so"),
    "v3": ("x86_64", library.VARIANTS["x86_64"]["x86_64-v3"] | library.VARIANTS["x86_64"]["x86_64-v2"], "x86_64-v3.so"),
    "any aarch64": ("aarch64", set(), "aarch64.so"),
    "32-bit ARM": ("armv7l", {"neon"}, "no library for armv7l"),
    "a Mac": ("darwin", set(), "no library for darwin"),
}


@pytest.mark.parametrize(("machine", "features", "says"), PROCESSORS.values(), ids=PROCESSORS)
def test_each_processor_gets_its_own(
    machine: str, features: set[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "machine", lambda: machine)
    monkeypatch.setattr(library, "features", lambda: features)
    library.find.cache_clear()
    try:
        found = str(library.find().path)
    except library.UnusableError as error:
        found = str(error)
    finally:
        library.find.cache_clear()
    assert says in found


def test_features_are_those_of_the_first_core() -> None:
    words = next(
        line.split(":")[1].split()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith(("flags", "Features"))
    )
    assert library.features() == set(words)


@LIBRARY
def test_an_unknown_numpy_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "NDIM", library.NDIM + 8)
    library.check_layout.cache_clear()
    try:
        with pytest.raises(ImportError, match=r"numpy .* keeps its arrays"):
            kernels.family("movenet", "aot")
    finally:
        library.check_layout.cache_clear()


@LIBRARY
def test_loops_without_a_library_are_compiled_while_running_where_numba_is(
    own: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("numba", reason="numba is not installed")
    own.unlink()
    caplog.set_level("INFO")
    assert kernels.in_use(kernels.family("movenet")) == "numba"
    assert "the movenet kernels are compiled while running" in caplog.text
    assert kernels.state("movenet").kind == "numba"


def test_what_is_packed_is_unpacked() -> None:
    facts: dict[str, Any] = {"families": {"a": 1}}
    packed = library.pack(b"image", facts)
    assert packed.startswith(b"image" + json.dumps(facts).replace(" ", "").encode())
    assert library.unpack(packed) == facts
    assert zlib.crc32(packed[: -4 - len(library.MAGIC)]) == int.from_bytes(packed[-20:-16], "little")


@LIBRARY
def test_the_command_says_what_is_in_use_and_where(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernels"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert rows["movenet"].split()[1:] == ["aot", str(library.find().path)]


@LIBRARY
def test_both_variants_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    variants = library.VARIANTS[library.machine()]
    here = [name for name, needs in variants.items() if needs <= library.features()]
    heat = np.random.default_rng(5).integers(-128, 128, (48, 48, 17)).astype(np.int8)
    answers = []
    for name in here:
        path = library.HERE / f"{name}.so"
        loops = library.load(library.Library(path, library.unpack(path.read_bytes())), "movenet")
        answers.append(np.zeros((48, 17), np.int8))
        loops["row_maxima"](heat, answers[-1])
    np.testing.assert_array_equal(answers[0], heat.max(axis=1))
    np.testing.assert_array_equal(answers[0], answers[-1])
