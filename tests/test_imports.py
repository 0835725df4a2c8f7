"""Who may import whom, and what starting a command costs: a board that plays a recording loads no camera stack."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "edgepose"
LEAVES = {
    "poses", "errors", "config", "wire", "oks", "opencv", "timing", "tuned", "recording", "vitals", "spool", "secret",
}  # fmt: skip
STAGES = {"source", "preprocess", "engine", "decode", "track", "smooth", "sink"}
ESTIMATE = {"estimate"}
"""One frame's people: puts preprocess, engine and decode together."""
ABOVE = {
    "pipeline", "overlap", "following", "pace", "progress", "models_command", "import_command", "kernels_command",
    "demo", "cli", "doctor", "eval", "bench", "service", "commands", "recorder", "replay", "export",
}  # fmt: skip
HEAVY = ("cv2", "paho", "numba", "picamera2", "ai_edge_litert", "tflite_runtime", "amqtt", "mosquitto")


def rooms_imported(path: Path) -> set[str]:
    """Rooms of edgepose that a file imports, anywhere in it."""
    rooms: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if node.module != "edgepose" else [f"edgepose.{alias.name}" for alias in node.names]
        rooms |= {name.split(".")[1] for name in names if name.startswith("edgepose.")}
    return rooms


def files_of(room: str) -> list[Path]:
    single = PACKAGE / f"{room}.py"
    return [single] if single.exists() else sorted((PACKAGE / room).rglob("*.py"))


@pytest.mark.parametrize("room", sorted(LEAVES))
def test_a_leaf_imports_only_leaves(room: str) -> None:
    for path in files_of(room):
        assert rooms_imported(path) <= LEAVES, path  # itself too, where it is a folder


@pytest.mark.parametrize("room", sorted(STAGES))
def test_a_stage_imports_leaves_kernels_and_itself(room: str) -> None:
    for path in files_of(room):
        assert rooms_imported(path) <= LEAVES | {"kernels", room}, path


def test_estimate_imports_leaves_and_the_stages_it_puts_together() -> None:
    for path in files_of("estimate"):
        assert rooms_imported(path) <= LEAVES | {"preprocess", "engine", "decode", "estimate"}, path


def test_kernels_import_nothing_else_of_ours() -> None:
    for path in files_of("kernels"):
        assert rooms_imported(path) <= {"kernels"}, path


def test_every_room_has_its_place() -> None:
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert rooms - {"__init__"} == LEAVES | STAGES | ESTIMATE | ABOVE | {"kernels"}


def loaded_by(code: str) -> set[str]:
    """Heavy libraries in memory after running `code` in a process of its own."""
    probe = f"import sys; {code}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True)
    return set(answer.stdout.split())


QUIET = {
    "help": "from edgepose.commands.cli import main; sys.argv = ['edgepose']; main([])",
    "config": "from edgepose.commands.cli import main; main(['config'])",
    "rooms": "from edgepose import source, sink, engine, decode, pipeline, wire",
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
    pytest.importorskip("numba", reason="numba builds the library, if there is none yet")
    code = (
        "import io; sys.stdout = io.StringIO(); from edgepose.commands.cli import main;"
        "from edgepose.lab.demo import scene; from pathlib import Path;"
        "assert main(['run', '--source', str(Path(scene.__file__).parent / 'pictures'), '--decode.kernels', 'aot',"
        "'--jsonl', '/dev/null']) == 0;"
        "sys.stdout = sys.__stdout__"
    )
    assert loaded_by(code) <= {"cv2", "ai_edge_litert", "tflite_runtime"}
