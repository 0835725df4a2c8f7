"""Who may import whom, and what starting a command costs: a board that plays a recording loads no camera stack."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "edgepose"
CORE = {"config", "errors", "oks", "opencv", "places", "poses", "secret", "skeletons", "timing"}
"""A closed list: what crosses rooms, and nothing that has a room."""
FLOW = {"core", "kernels", "source", "engine", "estimate", "follow", "lift", "wire", "sink", "meaning"}
MAY_IMPORT = {
    "core": set[str](),
    "kernels": set[str](),
    "source": {"core"},
    "engine": {"core"},
    "wire": {"core"},
    "follow": {"core", "kernels"},
    "lift": {"core", "kernels", "engine"},
    "meaning": {"core", "kernels"},
    "estimate": {"core", "kernels", "engine"},
    "sink": {"core", "wire"},
    "pipeline": FLOW,
    "service": FLOW | {"pipeline"},
    "lab": FLOW | {"pipeline", "service"},
    "face": FLOW | {"pipeline", "service"},
    "commands": FLOW | {"pipeline", "service", "lab", "face"},
}
"""Room -> the rooms it may import from, besides itself: docs/architecture.md draws it."""
HEAVY = ("cv2", "paho", "numba", "picamera2", "ai_edge_litert", "tflite_runtime", "amqtt", "mosquitto")


def modules_imported(path: Path, at_once: bool = False) -> set[str]:
    """Modules of edgepose that a file imports: anywhere in it, or when it is loaded."""
    found: set[str] = set()
    for node in _when_loaded(path) if at_once else ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("edgepose")}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "edgepose":
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if _file(name) else node.module for name in inside}
    return found - {"edgepose"}


def _when_loaded(path: Path) -> list[ast.stmt]:
    """Statements of the module itself; not those in functions, nor those for type checkers."""
    return [node for node in ast.parse(path.read_text(encoding="utf-8")).body if not isinstance(node, ast.If)]


def _file(module: str) -> Path | None:
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()), None)


def test_every_file_has_its_room() -> None:
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert rooms - {"__init__", "__main__"} == set(MAY_IMPORT)


def test_core_is_a_closed_list() -> None:
    assert {path.stem for path in (PACKAGE / "core").glob("*.py")} - {"__init__"} == CORE


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_what_its_row_allows(room: str) -> None:
    for path in sorted((PACKAGE / room).rglob("*.py")):
        rooms = {name.split(".")[1] for name in modules_imported(path)}
        assert rooms <= MAY_IMPORT[room] | {room}, path


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_files_of_a_room_import_each_other_in_no_circle(room: str) -> None:
    files = sorted(path for path in (PACKAGE / room).rglob("*.py") if path.name != "__init__.py")
    arrows = {path: {_file(name) for name in modules_imported(path)} & set(files) for path in files}
    while ends := [path for path, seen in arrows.items() if not seen]:
        arrows = {path: seen - set(ends) for path, seen in arrows.items() if path not in ends}
    assert not arrows, "a circle: " + ", ".join(str(path.relative_to(PACKAGE)) for path in arrows)


MUST_NOT_IMPORT = {"tests": {"tools"}, "tools": {"tests"}, "samples": {"tests", "tools"}}
"""Folder beside the package -> those it does not know; tests and tools share what is in samples."""


@pytest.mark.parametrize("folder", MUST_NOT_IMPORT)
def test_tests_and_tools_do_not_know_each_other(folder: str) -> None:
    files = [path for path in sorted((ROOT / folder).rglob("*")) if _is_python(path)]
    assert files
    for path in files:
        assert not tops_imported(path) & MUST_NOT_IMPORT[folder], path


def _is_python(path: Path) -> bool:
    """A module, or a program whose first line says so."""
    if path.suffix == ".py":
        return True
    return path.is_file() and not path.suffix and path.read_bytes()[:40].split(b"\n")[0].endswith(b"python3")


def tops_imported(path: Path) -> set[str]:
    """First names of what a file imports, anywhere in it."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {alias.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module.split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


def loaded_by(code: str) -> set[str]:
    """Heavy libraries in memory after running `code` in a process of its own."""
    probe = f"import sys; {code}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True)
    return set(answer.stdout.split())


QUIET = {
    "help": "from edgepose.commands.cli import main; sys.argv = ['edgepose']; main([])",
    "config": "from edgepose.commands.cli import main; main(['config'])",
    "rooms": "from edgepose import source, sink, engine, estimate, pipeline, wire",
}


@pytest.mark.parametrize("code", QUIET.values(), ids=QUIET)
def test_nothing_heavy_is_loaded_before_it_is_used(code: str) -> None:
    assert loaded_by(f"import io; sys.stdout = io.StringIO(); {code}; sys.stdout = sys.__stdout__") == set()


def test_playing_a_picture_loads_neither_mqtt_nor_a_camera() -> None:
    code = (
        "import io; sys.stdout = io.StringIO(); from edgepose.commands.cli import main;"
        "from edgepose.lab.demo import scene; from pathlib import Path;"
        "main(['run', '--source', str(Path(scene.__file__).parent / 'pictures'), '--decode.kernels', 'numpy',"
        "'--jsonl', '/dev/null']);"
        "sys.stdout = sys.__stdout__"
    )
    assert loaded_by(code) <= {"cv2", "ai_edge_litert", "tflite_runtime"}


def test_kernels_compiled_ahead_decode_without_numba() -> None:
    code = (
        "import io; sys.stdout = io.StringIO(); from edgepose.commands.cli import main;"
        "from edgepose.lab.demo import scene; from pathlib import Path;"
        "assert main(['run', '--source', str(Path(scene.__file__).parent / 'pictures'), '--decode.kernels', 'aot',"
        "'--jsonl', '/dev/null']) == 0;"
        "sys.stdout = sys.__stdout__"
    )
    assert loaded_by(code) <= {"cv2", "ai_edge_litert", "tflite_runtime"}


def test_playing_a_picture_loads_nothing_of_chips_and_of_conversion() -> None:
    code = (
        "import io; sys.stdout = io.StringIO(); from edgepose.commands.cli import main;"
        "from edgepose.lab.demo import scene; from pathlib import Path;"
        "main(['run', '--source', str(Path(scene.__file__).parent / 'pictures'), '--jsonl', '/dev/null']);"
        "sys.stdout = sys.__stdout__;"
        "print(*[name for name in sys.modules if name.startswith('edgepose.')])"
    )
    answer = subprocess.run([sys.executable, "-c", f"import sys; {code}"], check=True, capture_output=True, text=True)
    loaded = set(answer.stdout.split())
    assert "edgepose.estimate.opening" in loaded
    assert not {
        name
        for name in loaded
        if name.startswith(
            ("edgepose.engine.chips", "edgepose.engine.sensor", "edgepose.engine.onnx", "edgepose.engine.surgery")
        )
    }
