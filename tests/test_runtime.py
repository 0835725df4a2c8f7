"""A runtime counts as there only after it ran a model."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from edgepose.core.errors import ConfigError
from edgepose.engine import runtime as runtime_module
from edgepose.engine.runtime import NEGATE, RUNTIMES, Runtime, load_runtime


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Each test finds the runtimes anew."""
    runtime_module._try.cache_clear()
    yield
    runtime_module._try.cache_clear()


def install(monkeypatch: pytest.MonkeyPatch, module: str, interpreter: Any) -> None:
    """Pretend that the package of `module` is installed and brings `interpreter`."""
    package = module.partition(".")[0]
    parent, fake = types.ModuleType(package), types.ModuleType(module)
    fake.__dict__.update(Interpreter=interpreter, load_delegate=lambda *_: None)
    parent.__spec__ = types.SimpleNamespace()  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, package, parent)
    monkeypatch.setitem(sys.modules, module, fake)


def uninstall(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Pretend that the package of `module` is not installed."""
    find = importlib.util.find_spec
    package = module.partition(".")[0]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == package else find(name, *rest))


class Negates:
    """A runtime that works, for this one model."""

    sign = -1

    def __init__(self, model_content: bytes, num_threads: int) -> None:
        assert model_content == NEGATE

    def allocate_tensors(self) -> None: ...

    def get_input_details(self) -> list[dict[str, int]]:
        return [{"index": 0}]

    get_output_details = get_input_details

    def set_tensor(self, index: int, value: Any) -> None:
        self.value = value

    def invoke(self) -> None: ...

    def get_tensor(self, index: int) -> Any:
        return self.sign * self.value


class Copies(Negates):
    """A runtime whose kernels do nothing."""

    sign = 1


class MadeForNumpy1(Negates):
    """What tflite-runtime 2.14 does beside numpy 2."""

    def __init__(self, model_content: bytes, num_threads: int) -> None:
        raise SystemError("initialization of _pywrap raised\n  unreported exception: _ARRAY_API not found")


LITERT, TFLITE = (RUNTIMES[name].module for name in ("litert", "tflite_runtime"))


@pytest.mark.parametrize("name", RUNTIMES)
def test_an_installed_runtime_runs_the_test_model(name: str) -> None:
    candidate = RUNTIMES[name]
    pytest.importorskip(candidate.module)
    if candidate.newest_numpy is not None and int(np.__version__.partition(".")[0]) > candidate.newest_numpy:
        pytest.skip(f"{name} cannot run with numpy {np.__version__}")
    found = load_runtime(name)  # type: ignore[arg-type]
    assert found.name == name
    assert found.version[0].isdigit()
    assert found is load_runtime(name), "found once per process"  # type: ignore[arg-type]


def test_auto_takes_litert_before_tflite_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "__version__", "1.26.4")
    install(monkeypatch, LITERT, Negates)
    install(monkeypatch, TFLITE, Negates)
    assert load_runtime("auto").name == "litert"
    assert load_runtime("tflite_runtime").name == "tflite_runtime"


def test_auto_goes_on_to_tflite_runtime_where_litert_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "__version__", "1.26.4")
    uninstall(monkeypatch, LITERT)
    install(monkeypatch, TFLITE, Negates)
    found = load_runtime("auto")
    assert isinstance(found, Runtime)
    assert found.name == "tflite_runtime"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (MadeForNumpy1, "unreported exception: _ARRAY_API not found"),
        (Copies, "gave [[1.0, -2.0, 3.0, -4.0]], expected"),
    ],
)
def test_a_runtime_that_imports_but_does_not_run_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, broken: type[Negates], reason: str
) -> None:
    install(monkeypatch, LITERT, broken)
    with pytest.raises(ConfigError) as caught:
        load_runtime("litert")
    message = str(caught.value)
    assert reason in message
    assert "pip install ai-edge-litert" in message
    assert "\n" not in message


def test_tflite_runtime_is_not_even_imported_beside_numpy_2(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, TFLITE, MadeForNumpy1)
    monkeypatch.delitem(sys.modules, TFLITE)  # importing it now would say "not installed" otherwise
    monkeypatch.setattr(np, "__version__", "2.4.6")
    with pytest.raises(ConfigError, match=r'cannot run with numpy 2.4.6, type: pip install tflite-runtime "numpy<2"'):
        load_runtime("tflite_runtime")


def test_without_any_runtime_the_message_says_why_not_and_what_to_type_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    with pytest.raises(ConfigError) as caught:
        load_runtime("auto")
    assert str(caught.value) == (
        "engine.runtime = 'auto': no TFLite runtime works here; "
        "litert: not installed, type: pip install ai-edge-litert; "
        'tflite_runtime: not installed, type: pip install tflite-runtime "numpy<2"'
    )


def printed(code: str) -> str:
    """Standard output of a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_engine_room_imports_no_runtime_no_opencv_and_no_numba_until_it_opens_a_model() -> None:
    heavy = ("cv2", "numba", "ai_edge_litert", "tflite_runtime", "paho", "flatbuffers")
    assert printed(f"import edgepose.engine, sys; print([n for n in {heavy} if n in sys.modules])") == "[]\n"


def test_loading_a_runtime_imports_neither_opencv_nor_numba_nor_the_schema_and_prints_nothing() -> None:
    pytest.importorskip("ai_edge_litert.interpreter")
    heavy = ("cv2", "numba", "ai_edge_litert.schema_py_generated")
    load = "from edgepose.engine.runtime import load_runtime; load_runtime('litert'); import sys"
    assert printed(f"{load}; print([n for n in {heavy} if n in sys.modules])") == "[]\n"


def test_nothing_comes_before_the_first_line_of_the_log() -> None:
    code = "import os; from edgepose.engine.runtime import _without_greeting as aside\n"
    code += "with aside(): os.write(2, b'INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\\nERROR: kept\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "ERROR: kept\n"
