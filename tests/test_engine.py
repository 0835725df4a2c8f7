"""An opened model takes a picture's bytes and gives its raw heads; what cannot be opened says so in one line."""

from __future__ import annotations

import gc
import os
import random
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepose.core import config
from edgepose.core.errors import ConfigError, EngineError, ModelError
from edgepose.engine import Engine, open_engine
from edgepose.engine.bytemap import byte_map
from edgepose.engine.flatfile import Tensor
from edgepose.engine.memory import Copied, Mapped, map_memory
from edgepose.engine.probe import main as probe_main
from edgepose.engine.probe import try_in_child
from edgepose.engine.runtime import RUNTIMES, load_runtime
from edgepose.engine.tflite import default_threads
from edgepose.engine.zoo import shipped_dir
from samples import tiny_models
from samples.shared import shared

SHIPPED = sorted(shipped_dir().glob("*.toml"))


def installed() -> list[str]:
    """Runtimes that work here."""
    found = []
    for name in RUNTIMES:
        try:
            load_runtime(name)  # type: ignore[arg-type]
        except ConfigError:
            continue
        found.append(name)
    return found


RUNTIMES_HERE = installed()
each_runtime = pytest.mark.parametrize("runtime", RUNTIMES_HERE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose models count as shipped, so that they are opened without a trial in a child process."""
    monkeypatch.setattr("edgepose.engine.tflite.shipped_dir", lambda: tmp_path)
    return tmp_path


def opened(path: Path, **settings: Any) -> Engine:
    return open_engine(config.Engine(model=str(path), **settings))


def picture(engine: Engine, seed: int = 7) -> Any:
    """Noise that fits the engine's input."""
    like = engine.input.tensor
    noise = np.random.default_rng(seed).integers(0, 256, like.shape, np.uint8)
    return (noise / np.float32(255)).astype(np.float32) if like.dtype == np.float32 else noise.view(like.dtype)


def expected(path: Path, runtime: str, tensor: Any) -> list[Any]:
    """The heads as the runtime's own documented calls give them."""
    interpreter = load_runtime(runtime).interpreter(  # type: ignore[arg-type]
        model_content=path.with_suffix(".tflite").read_bytes(), num_threads=1
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], tensor[None])
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"])[0] for detail in interpreter.get_output_details()]


# ------------------------------------------------------------------------------------------------ running


@each_runtime
@pytest.mark.parametrize("dtype", tiny_models.QUANTISED)
def test_heads_are_what_the_runtime_itself_returns(folder: Path, dtype: str, runtime: str) -> None:
    path = tiny_models.write(folder, dtype=dtype)
    with opened(path, runtime=runtime, threads=1) as engine:
        assert engine.runtime.name == runtime
        for seed in (1, 2, 3):
            tensor = picture(engine, seed)
            engine.input.tensor[...] = tensor
            heads = engine.run(engine.input.tensor)
            assert list(heads) == ["heatmap", "offset"]
            for head, reference in zip(heads.values(), expected(path, runtime, tensor), strict=True):
                np.testing.assert_array_equal(head, reference)
                assert head.dtype == np.dtype(dtype)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_models_run_and_give_what_the_runtime_returns(path: Path) -> None:
    runtime = RUNTIMES_HERE[0]
    with open_engine(config.Engine(model=path.stem, threads=1)) as engine:
        assert engine.manifest.name == path.stem
        assert engine.input.byte_map in ("same", "xor80"), "bytes go in as bytes"
        tensor = picture(engine)
        engine.input.tensor[...] = tensor
        heads = engine.run(engine.input.tensor)
        reference = expected(path, runtime, tensor)
        for head in engine.manifest.heads:
            np.testing.assert_array_equal(heads[head.role], reference[head.output])
            spec = engine.heads[head.role]
            assert (spec.shape, spec.dtype) == (heads[head.role].shape, heads[head.role].dtype)


def test_roles_follow_the_output_position_not_the_order_in_the_manifest(folder: Path) -> None:
    heads = [
        {"role": "offset", "output": 1, "shape": [1, 8, 8, 6], "dtype": "int8"},
        {"role": "heatmap", "output": 0, "shape": [1, 8, 8, 3], "dtype": "int8"},
    ]
    with opened(tiny_models.write(folder, heads=heads)) as engine:
        out = engine.run(engine.input.tensor)
        assert {role: head.shape for role, head in out.items()} == {"offset": (8, 8, 6), "heatmap": (8, 8, 3)}
        assert {role: spec.shape for role, spec in engine.heads.items()} == {
            role: head.shape for role, head in out.items()
        }


def test_head_specs_tell_the_quantisation_of_the_file(folder: Path) -> None:
    with opened(tiny_models.write(folder, dtype="uint8")) as engine:
        spec = engine.heads["heatmap"]
        assert (round(spec.scale, 6), spec.zero_point, spec.dtype) == (0.05, 131, np.dtype("uint8"))
    with opened(tiny_models.write(folder, dtype="float32")) as engine:
        spec = engine.heads["offset"]
        assert (spec.scale, spec.zero_point, spec.dtype) == (1.0, 0, np.dtype("float32"))


def test_a_run_gives_the_same_arrays_each_time(folder: Path) -> None:
    with opened(tiny_models.write(folder)) as engine:
        engine.input.tensor[...] = 1
        first = engine.run(engine.input.tensor)
        before = {role: head.copy() for role, head in first.items()}
        engine.input.tensor[...] = 100
        second = engine.run(engine.input.tensor)
        assert second is first
        assert any(not np.array_equal(before[role], second[role]) for role in before)


def test_another_tensor_is_copied_in(folder: Path) -> None:
    with opened(tiny_models.write(folder)) as engine:
        tensor = picture(engine)
        engine.input.tensor[...] = tensor
        reference = {role: head.copy() for role, head in engine.run(engine.input.tensor).items()}
        engine.input.tensor[...] = 0
        engine.run(engine.input.tensor)
        for role, head in engine.run(tensor).items():
            np.testing.assert_array_equal(head, reference[role])


@pytest.mark.parametrize(("shape", "dtype"), [((16, 16), "int8"), ((16, 16, 3), "uint8"), ((8, 8, 3), "int8")])
def test_a_tensor_that_does_not_fit_is_the_callers_mistake(folder: Path, shape: tuple[int, ...], dtype: str) -> None:
    with opened(tiny_models.write(folder)) as engine, pytest.raises(ValueError, match=r"expected int8 \(16, 16, 3\)"):
        engine.run(np.zeros(shape, dtype))


def test_a_closed_engine_does_not_run(folder: Path) -> None:
    engine = opened(tiny_models.write(folder))
    engine.close()
    engine.close()
    with pytest.raises(ValueError, match="engine is closed"):
        engine.run(engine.input.tensor)


def test_the_memory_of_a_closed_engine_lives_as_long_as_an_array_of_it(folder: Path) -> None:
    engine = opened(tiny_models.write(folder))
    engine.input.tensor[...] = 9
    head = engine.run(engine.input.tensor)["heatmap"]
    kept, tensor = head.copy(), engine.input.tensor
    engine.close()
    del engine
    gc.collect()
    churn = [np.full(1 << 16, 77, np.int8) for _ in range(50)]
    np.testing.assert_array_equal(head, kept)
    assert len(churn) == 50
    tensor[...] = 3
    assert (tensor == 3).all()


def test_a_failing_invoke_is_an_engine_error_of_one_line(folder: Path) -> None:
    with opened(tiny_models.write(folder)) as engine:

        def invoke() -> None:
            raise RuntimeError("device lost\n  node 3 failed\n")

        engine._memory.invoke = invoke  # type: ignore[union-attr,method-assign]
        with pytest.raises(EngineError) as caught:
            engine.run(engine.input.tensor)
        assert str(caught.value) == "engine: tiny failed while running: device lost node 3 failed"


# ------------------------------------------------------------------------------------------------ threads


def test_the_default_leaves_a_core_free_and_takes_four_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, threads in ((1, 1), (2, 1), (3, 2), (4, 3), (5, 4), (64, 4)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid, cores=cores: set(range(cores)))
        assert default_threads() == threads


def test_the_number_of_threads_is_a_setting(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny_models.write(folder)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(4)))
    with opened(path) as engine:
        assert engine.threads == 3
    with opened(path, threads=2) as engine:
        assert engine.threads == 2


# ------------------------------------------------------------------------------------------------ memory


@pytest.fixture(params=tiny_models.QUANTISED)
def interpreter(request: pytest.FixtureRequest) -> Any:
    if "litert" not in RUNTIMES_HERE:
        pytest.skip("needs ai-edge-litert")
    made = load_runtime("litert").interpreter(model_content=tiny_models.build(request.param), num_threads=1)
    made.allocate_tensors()
    return made


def test_views_are_used_where_they_are_the_models_memory(interpreter: Any) -> None:
    memory = map_memory(interpreter)
    assert isinstance(memory, Mapped)
    memory.tensor[...] = 1
    sent = interpreter.get_tensor(interpreter.get_input_details()[0]["index"])
    np.testing.assert_array_equal(sent, memory.tensor)


def test_copies_give_what_views_give(interpreter: Any) -> None:
    mapped = map_memory(interpreter)
    copied = Copied(interpreter)
    for seed in (1, 2):
        noise = np.random.default_rng(seed).integers(0, 100, mapped.tensor.shape)
        mapped.tensor[...] = noise
        mapped.invoke()
        reference = [head.copy() for head in mapped.heads]
        mapped.tensor[...] = 0
        mapped.invoke()
        copied.tensor[...] = noise
        places = [head.ctypes.data for head in copied.heads]
        copied.invoke()
        assert places == [head.ctypes.data for head in copied.heads]
        for ours, theirs in zip(copied.heads, reference, strict=True):
            np.testing.assert_array_equal(ours, theirs)


class Wandering:
    """An interpreter that answers from fresh memory each time, as for tensors of dynamic size."""

    def __init__(self, real: Any, ready: bool) -> None:
        self._real = real
        self._ready = ready
        self._kept: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def invoke(self) -> None:
        self._ready = True
        self._real.invoke()

    def tensor(self, index: int) -> Callable[[], Any]:
        if not self._ready:
            raise ValueError("Tensor data is null. Run allocate_tensors() first")
        self._kept.append(self._real.get_tensor(index))
        return lambda: self._kept[-1]


@pytest.mark.parametrize("ready", [False, True])
def test_copies_are_used_where_the_memory_wanders(interpreter: Any, ready: bool) -> None:
    memory = map_memory(Wandering(interpreter, ready))
    assert isinstance(memory, Copied)
    reference = map_memory(interpreter)
    memory.tensor[...] = reference.tensor[...] = 11
    memory.invoke()
    ours = [head.copy() for head in memory.heads]
    reference.invoke()
    for mine, theirs in zip(ours, reference.heads, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_an_engine_over_copies_runs_like_one_over_views(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny_models.write(folder)
    with opened(path) as engine:
        tensor = picture(engine)
        reference = {role: head.copy() for role, head in engine.run(tensor).items()}
    monkeypatch.setattr("edgepose.engine.memory._map", lambda _interpreter: None)
    with opened(path) as engine:
        assert isinstance(engine._memory, Copied)
        engine.input.tensor[...] = tensor
        heads = engine.run(engine.input.tensor)
        assert heads is engine.run(engine.input.tensor)
        for role, head in heads.items():
            np.testing.assert_array_equal(head, reference[role])


# ------------------------------------------------------------------------------------------------ byte -> value


def tensor_of(dtype: str, scale: float, zero_point: int) -> Tensor:
    return Tensor("picture", (1, 16, 16, 3), dtype, scale, zero_point, 0 if dtype == "float32" else 1)


BYTES = np.arange(256)
MAPS = {
    # MoveNet int8: byte / 127.5 - 1 is 127.5 steps from -1, half a step beside byte - 128
    "int8 of -1..1": ("int8", 1 / 127.5, -1, (-1.0, 1.0), "xor80"),
    "int8 of 0..1": ("int8", 1 / 255, -128, (0.0, 1.0), "xor80"),
    "int8 of 0..255": ("int8", 1.0, -128, (0.0, 255.0), "xor80"),
    "uint8 of -1..1": ("uint8", 1 / 127.5, 127, (-1.0, 1.0), "same"),
    "uint8 without quantisation": ("uint8", 1.0, 0, (0.0, 255.0), "same"),
    "PoseNet uint8": ("uint8", 1 / 128, 128, (-1.0, 127 / 128), "same"),
    "int8 of a narrower range": ("int8", 0.00696, 11, (-1.0, 1.0), "lut"),
    "uint8 with a shifted zero": ("uint8", 1 / 127.5, 125, (-1.0, 1.0), "lut"),
    "inverted": ("uint8", 1.0, 0, (255.0, 0.0), "lut"),
    "int16": ("int16", 1 / 32768, 0, (-1.0, 1.0), "lut"),
    "float of -1..1": ("float32", 1.0, 0, (-1.0, 1.0), "float"),
}


@pytest.mark.parametrize("case", MAPS)
def test_a_byte_becomes_the_nearest_input_value(case: str) -> None:
    dtype, scale, zero_point, (low, high), kind = MAPS[case]
    found, lut = byte_map(tensor_of(dtype, scale, zero_point), (low, high), "tiny.toml")
    assert found == kind
    table = {"same": BYTES, "xor80": BYTES - 128}.get(found, lut)
    assert table.shape == (256,)
    real = low + (high - low) * BYTES / 255
    if kind == "float":
        assert table.dtype == np.float32
        np.testing.assert_allclose(table, real, atol=1e-6)
        return
    limits = np.iinfo(dtype)
    nearest = [min(max(round(value / scale) + zero_point, limits.min), limits.max) for value in real]
    np.testing.assert_allclose(table, nearest, atol=1)
    if kind == "lut":
        assert table.dtype == np.dtype(dtype)


def test_the_same_byte_flipped_in_its_top_bit_is_byte_minus_128() -> None:
    np.testing.assert_array_equal((BYTES.astype(np.uint8) ^ 0x80).view(np.int8), BYTES - 128)


def test_a_range_that_the_input_cannot_hold_is_a_contradiction(folder: Path) -> None:
    with pytest.raises(
        ModelError, match=r"tiny.*: input.range is \[0.0, 255.0\], but scale 0.00784\d* and zero point -1"
    ):
        opened(tiny_models.write(folder, input={"range": [0.0, 255.0]}))


# ------------------------------------------------------------------------------------------------ what cannot run


def one_line(call: Callable[[], Any], *words: str) -> None:
    with pytest.raises(ModelError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


@each_runtime
def test_a_model_of_the_users_own_is_tried_in_a_child_and_then_runs(tmp_path: Path, runtime: str) -> None:
    with opened(tiny_models.write(tmp_path), runtime=runtime) as engine:
        assert engine.run(engine.input.tensor)["heatmap"].shape == (8, 8, 3)


@each_runtime
def test_a_model_that_the_runtime_refuses_is_a_model_error_of_one_line(folder: Path, runtime: str) -> None:
    """Sound in structure, but its operator is one that both runtimes know by name only."""
    content = tiny_models.build(custom_op="Mfcc")
    path = tiny_models.write(folder, content=content)
    one_line(lambda: opened(path, runtime=runtime), "tiny.tflite", f"{runtime} ", "cannot run it: ")


@each_runtime
def test_the_child_says_why_a_model_does_not_run(tmp_path: Path, runtime: str) -> None:
    path = tiny_models.write(tmp_path, content=tiny_models.build(custom_op="Mfcc"))
    one_line(lambda: opened(path, runtime=runtime), "tiny.tflite", f"{runtime} cannot run it: ", "fetch it again")


def python_that(folder: Path, monkeypatch: pytest.MonkeyPatch, does: str) -> None:
    """Let the child process be a shell script."""
    script = folder / "python"
    script.write_text(f"#!/bin/sh\n{does}\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(script))


def test_a_model_that_kills_the_runtime_is_a_model_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python_that(tmp_path, monkeypatch, "kill -SEGV $$")
    path = tiny_models.write(tmp_path)
    one_line(lambda: opened(path), "tiny.tflite: ", "crashed on it (SIGSEGV)", "the file is damaged or")


def test_a_model_that_hangs_the_runtime_is_a_model_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python_that(tmp_path, monkeypatch, "exec sleep 30")
    one_line(
        lambda: try_in_child(b"model", "tiny.tflite", load_runtime(), 1, limit_s=0.2),
        "tiny.tflite: ",
        " did not finish one run in 0.2 s",
    )


def test_a_child_that_dies_without_a_word_is_a_model_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python_that(tmp_path, monkeypatch, "exit 9")
    one_line(
        lambda: try_in_child(b"model", "tiny.tflite", load_runtime(), 1), "tiny.tflite: ", " cannot run it: exit code 9"
    )


def test_the_child_takes_the_model_from_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = tmp_path / "model"
    for content, code in ((tiny_models.build(), 0), (b"not a model" * 10, 1)):
        model.write_bytes(content)
        with model.open() as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            assert probe_main([RUNTIMES_HERE[0], "1"]) == code


def test_without_a_runtime_the_engine_is_a_configuration_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny_models.write(folder)
    missing = "tflite_runtime" if "tflite_runtime" not in RUNTIMES_HERE else "litert"
    if missing in RUNTIMES_HERE:
        pytest.skip("both runtimes work here")
    with pytest.raises(ConfigError, match=f"engine.runtime = '{missing}': no TFLite runtime works here; {missing}: "):
        opened(path, runtime=missing)


@each_runtime
@pytest.mark.parametrize("size", [0, 1, 100, 1024, -1024, -1])
def test_a_truncated_file_never_reaches_the_interpreter(tmp_path: Path, runtime: str, size: int) -> None:
    """Even where the manifest was made for it: cut short it would kill tflite-runtime."""
    content = tiny_models.build()
    cut = content[: size if size >= 0 else len(content) + size]
    path = tiny_models.write(tmp_path, content=cut)
    one_line(lambda: opened(path, runtime=runtime), "tiny.tflite: ", "; ")


@each_runtime
def test_a_model_with_flipped_bits_runs_or_is_refused_but_never_kills_the_process(tmp_path: Path, runtime: str) -> None:
    """Each comes with a manifest made for it, so that no hash gives it away."""
    rng, source = random.Random(4), tiny_models.build()
    for number in range(6):
        content = bytearray(source)
        for _ in range(3):
            content[rng.randrange(8, len(content))] ^= 1 << rng.randrange(8)
        path = tiny_models.write(tmp_path, f"flipped{number}", bytes(content))
        try:
            opened(path, runtime=runtime, threads=1).close()
        except ModelError as error:
            message = str(error)
            assert "\n" not in message
            assert f"flipped{number}.t" in message


STOCK = {
    "tfpose_mnv2_small_paf_368x432": ("float32", [1, 368, 432, 3], [1, 46, 54, 57]),
    "movenet_single_pose_lightning_ptq": ("uint8", [1, 192, 192, 3], [1, 1, 17, 3]),
}


@pytest.mark.parametrize("name", STOCK)
def test_a_stock_model_runs_with_a_manifest_of_the_users(tmp_path: Path, name: str) -> None:
    dtype, shape, head = STOCK[name]
    path = tiny_models.write(
        tmp_path,
        name,
        shared(f"models/{name}.tflite").read_bytes(),
        dtype,
        input={"shape": shape, "range": [0.0, 255.0 if dtype == "uint8" else 1.0]},
        heads=[{"role": "heatmap", "output": 0, "shape": head, "dtype": "float32"}],
    )
    with opened(path, threads=1) as engine:
        tensor = picture(engine)
        np.testing.assert_array_equal(engine.run(tensor)["heatmap"], expected(path, engine.runtime.name, tensor)[0])
