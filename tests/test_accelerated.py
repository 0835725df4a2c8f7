"""A real delegate library that breaks on demand: whatever it does, the service goes on and publishes nothing wrong."""

from __future__ import annotations

import errno
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepose.core import config
from edgepose.core.errors import ConfigError, EngineError, FrameLostError, ModelError
from edgepose.engine import Engine, open_engine
from edgepose.engine.delegate import report
from edgepose.engine.runtime import RUNTIMES, load_runtime
from edgepose.engine.zoo import shipped_dir
from tests.helpers import accelerator
from tests.helpers.accelerator import CUSTOM, Scene, child_of, frame, gone, same, until


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


def descriptors() -> int:
    """How many this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


HERE = installed()
each_runtime = pytest.mark.parametrize("runtime", HERE)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "scene")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model, in a folder whose models count as shipped: they are opened without a trial of the file."""
    monkeypatch.setattr("edgepose.engine.tflite.shipped_dir", lambda: tmp_path)
    return accelerator.model(tmp_path)


def expected(path: Path, runtime: str = "auto") -> list[dict[str, Any]]:
    """Heads of three pictures on the CPU."""
    with open_engine(config.Engine(model=str(path), runtime=runtime, threads=1)) as engine:  # type: ignore[arg-type]
        assert (engine.ran_on, engine.counts) == ("", {"failures": 0, "restarts": 0, "fallbacks": 0})
        return [frame(engine, value) for value in range(3)]


def back(engine: Engine, restarts: int = 0) -> None:
    """Run frames until the delegate has been started once more and has run one."""
    guard = engine.guard
    assert guard is not None
    until(engine, lambda: engine.counts["restarts"] > restarts and guard._worker is not None)


def right(engine: Engine, reference: list[dict[str, Any]]) -> bool:
    return all(same(frame(engine, value), heads) for value, heads in enumerate(reference))


# ------------------------------------------------------------------------------------------------ it works


@each_runtime
@pytest.mark.parametrize("process", ["child", "inline"])
def test_a_delegate_gives_what_the_cpu_gives(path: Path, scene: Scene, runtime: str, process: str) -> None:
    reference = expected(path, runtime)
    with open_engine(scene.settings(path, runtime=runtime, delegate_process=process)) as engine:
        assert engine.ran_on == "external"
        assert right(engine, reference)
        assert engine.guard is not None
        assert engine.guard.share is not None
        assert engine.guard.share.claimed == ("RESHAPE",)
        assert engine.counts == {"failures": 0, "restarts": 0, "fallbacks": 0}


def test_a_child_is_small_and_imports_little(path: Path, scene: Scene) -> None:
    with open_engine(scene.settings(path)) as engine:
        mapped = Path(f"/proc/{child_of(engine)}/maps").read_text()
    for name in ("cv2", "numba", "msgspec", "paho"):
        assert f"/{name}" not in mapped
    assert "libtest.so" in mapped


def test_a_child_ignores_what_a_terminal_and_a_service_manager_send_it(path: Path, scene: Scene) -> None:
    with open_engine(scene.settings(path)) as engine:
        child = child_of(engine)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(child, number)
        time.sleep(0.05)
        frame(engine)
        assert child_of(engine) == child
        assert os.getsid(child) == child, "Ctrl-C at a terminal goes to its session"
    assert gone(child)


# ------------------------------------------------------------------------------------------------ it breaks


@each_runtime
@pytest.mark.parametrize("what", ["crash", "lost", "hang", "SIGKILL", "SIGSTOP", "SIGSEGV"])
def test_a_frame_is_lost_and_the_delegate_comes_back(path: Path, scene: Scene, runtime: str, what: str) -> None:
    reference = expected(path, runtime)
    with open_engine(scene.settings(path, runtime=runtime, deadline_ms=400.0, max_failures=1000)) as engine:
        places = [array.ctypes.data for array in (engine.input.tensor, *engine.run(engine.input.tensor).values())]
        child = child_of(engine)
        if what.startswith("SIG"):
            scene.set("slow")  # 60 ms an inference: in the middle of it
            threading.Timer(0.03, os.kill, (child, signal.Signals[what])).start()
        else:
            scene.set(what)
        with pytest.raises(FrameLostError, match=r"this frame is lost") as caught:
            frame(engine)
        says = {"lost": "the device has gone", "hang": "no answer in 400 ms", "SIGSTOP": "no answer in 400 ms"}
        assert says.get(what, f"({'SIGSEGV' if what == 'crash' else what})") in str(caught.value)
        assert gone(child)
        scene.set()
        back(engine)
        assert engine.ran_on == "external"
        assert right(engine, reference)
        after = engine.run(engine.input.tensor)
        assert places == [array.ctypes.data for array in (engine.input.tensor, *after.values())]
        assert engine.counts["failures"] >= 1
        assert engine.counts["fallbacks"] == 0


@each_runtime
@pytest.mark.parametrize("process", ["child", "inline"])
def test_after_so_many_failures_the_cpu_stands_in_until_the_device_returns(
    path: Path, scene: Scene, runtime: str, process: str, caplog: pytest.LogCaptureFixture
) -> None:
    reference = expected(path, runtime)
    cfg = scene.settings(path, runtime=runtime, delegate_process=process, max_failures=2)
    with open_engine(cfg) as engine:
        assert right(engine, reference)
        scene.set("lost", "absent")
        until(engine, lambda: engine.ran_on == "cpu instead of external")
        assert right(engine, reference), "the CPU's frames, and no other, came out"
        assert engine.counts["fallbacks"] == 1
        assert engine.counts["failures"] >= 2
        told = [record.getMessage() for record in caplog.records if "the CPU runs the model" in record.getMessage()]
        assert len(told) == 1, "told once, however often it is tried again"
        scene.set()
        until(engine, lambda: engine.ran_on == "external")
        assert right(engine, reference)
        assert any("external works again" in record.getMessage() for record in caplog.records)


def test_frames_do_not_wait_while_the_delegate_is_tried_in_the_background(path: Path, scene: Scene) -> None:
    with open_engine(scene.settings(path, max_failures=1)) as engine:
        scene.set("lost", "hang_create")
        until(engine, lambda: engine.ran_on.startswith("cpu"))
        restarts = engine.counts["restarts"]
        until(engine, lambda: engine.counts["restarts"] > restarts)  # one is hanging now, for two minutes
        for _ in range(50):
            frame(engine)
        assert engine.ran_on == "cpu instead of external"
        trial = engine.counts["restarts"]
    assert engine.counts["restarts"] == trial, "closing does not wait until it is over either"


@each_runtime
def test_a_delegate_that_begins_to_compute_something_else_is_found_out(
    path: Path, scene: Scene, runtime: str, caplog: pytest.LogCaptureFixture
) -> None:
    reference = expected(path, runtime)
    with open_engine(scene.settings(path, runtime=runtime, check_s=0.02, max_failures=1)) as engine:
        time.sleep(0.05)
        assert right(engine, reference), "the probe picture in between changes no frame"
        scene.set("wrong")
        until(engine, lambda: engine.ran_on == "cpu instead of external")
        assert right(engine, reference)
        assert "external computes something else than the CPU: heatmap is off by" in caplog.text
        scene.set()
        until(engine, lambda: engine.ran_on == "external")


def test_with_error_the_run_ends_after_so_many_failures(path: Path, scene: Scene) -> None:
    with open_engine(scene.settings(path, on_failure="error", max_failures=2)) as engine:
        scene.set("lost")
        with pytest.raises(
            EngineError, match=r"'external': external failed .*; engine.on_failure is 'error'"
        ) as caught:
            until(engine, lambda: False)
        assert not isinstance(caught.value, FrameLostError)
        with pytest.raises(EngineError, match=r"engine.on_failure is 'error'"):
            engine.run(engine.input.tensor)


# ------------------------------------------------------------------------------------------------ it does not begin

STARTS = {
    "absent": "refuses to start: no device found",
    "refuse": "external refuses the model: ",
    "crash_create": "external crashed while its library was loaded (SIGSEGV, saying: testdelegate: created)",
    "crash_prepare": "external crashed while it took the model (SIGSEGV",
    "crash": "external crashed in its first inference (SIGSEGV",
    "hang_create": "external hangs while its library was loaded: not ready after 4 s",
    "hang": "external hangs in its first inference: not ready after 4 s",
    "lost": "external failed in its first inference: the device has gone for good",
    "wrong": "external computes something else than the CPU: heatmap is off by",
}


@each_runtime
@pytest.mark.parametrize("what", STARTS)
def test_a_delegate_that_cannot_be_used_has_its_own_line_and_the_cpu_stands_in(
    path: Path,
    scene: Scene,
    runtime: str,
    what: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if what.startswith("hang"):
        monkeypatch.setattr("edgepose.engine.delegate.accelerate.START_LIMIT_S", 4.0)
    scene.set(what)
    with open_engine(scene.settings(path, runtime=runtime, retry_s=60.0)) as engine:
        assert engine.ran_on == "cpu instead of external"
        frame(engine)
        assert engine.counts == {"failures": 1, "restarts": 0, "fallbacks": 1}
        first, second = [record for record in caplog.records if record.levelname == "WARNING"]
    assert STARTS[what] in first.getMessage()
    assert "\n" not in first.getMessage()
    assert "; " in first.getMessage(), "and what to do"
    assert second.getMessage() == "the CPU runs the model instead of external"


@pytest.mark.parametrize(("what", "kind"), [("absent", EngineError), ("crash", EngineError), ("wrong", EngineError)])
def test_with_error_a_delegate_that_cannot_be_used_ends_the_start(
    path: Path, scene: Scene, what: str, kind: type[Exception]
) -> None:
    scene.set(what)
    with pytest.raises(kind, match=r"engine.delegate = 'external': .*; engine.on_failure is 'error'") as caught:
        open_engine(scene.settings(path, on_failure="error"))
    assert "\n" not in str(caught.value)


def test_a_slow_start_is_waited_for(path: Path, scene: Scene) -> None:
    scene.set("slow_create", "slow_prepare", "slow")
    with open_engine(scene.settings(path)) as engine:
        assert engine.ran_on == "external"


def test_a_delegate_that_takes_no_operator_is_not_in_use(path: Path, scene: Scene) -> None:
    with pytest.raises(
        ConfigError, match="external takes none of the model's 3 operators: all would run on the CPU; see its options"
    ):
        open_engine(scene.settings(path, ops="999", on_failure="error"))


def test_an_option_that_the_library_does_not_know_is_told_in_its_own_words(path: Path, scene: Scene) -> None:
    with pytest.raises(EngineError, match="refuses to start: option opps is not known; see that its device"):
        open_engine(scene.settings(path, delegate_options="opps=22", on_failure="error"))


def test_a_library_that_is_no_delegate_or_lacks_another_is_told(tmp_path: Path, path: Path, scene: Scene) -> None:
    (tmp_path / "plain.c").write_text("int nothing(void) { return 0; }\n")
    plain = accelerator.compile_c(tmp_path / "plain.c", tmp_path / "libplain.so")
    with pytest.raises(ConfigError, match=r"libplain.so is a library but no TFLite delegate: it has no tflite_plugin"):
        open_engine(scene.settings(path, delegate_library=str(plain), on_failure="error"))
    needs = accelerator.compile_c(
        tmp_path / "plain.c", tmp_path / "libneeds.so", f"-L{tmp_path}", "-Wl,--no-as-needed", "-lplain"
    )
    plain.unlink()
    with pytest.raises(ConfigError, match=r"libneeds.so needs libplain.so, which is missing; install it"):
        open_engine(scene.settings(path, delegate_library=str(needs), on_failure="error"))
    with pytest.raises(ConfigError, match=r"there is no library libnone.so; install it, or correct engine.delegate_l"):
        open_engine(scene.settings(path, delegate_library="libnone.so", on_failure="error"))


def test_a_library_that_is_a_text_file_lets_the_cpu_stand_in_for_good(
    tmp_path: Path, path: Path, scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "lib.so").write_text("404: Not Found\n")
    with open_engine(scene.settings(path, delegate_library=str(tmp_path / "lib.so"))) as engine:
        assert engine.ran_on == "cpu instead of external"
        time.sleep(0.1)
        frame(engine)
        assert engine.counts["restarts"] == 0, "trying again cannot help"
    assert "is a text file, not a shared library; correct engine.delegate_library" in caplog.text


def test_a_wrong_option_is_an_error_whatever_on_failure_says(path: Path, scene: Scene) -> None:
    with pytest.raises(ConfigError, match="'nonsense' is not key=value"):
        open_engine(scene.settings(path, delegate_options="nonsense"))


# ------------------------------------------------------------------------------------------------ Edge TPU


def edgetpu(scene: Scene, path: Path, **more: Any) -> config.Engine:
    """The settings of an Edge TPU whose library is the test's, which takes edgetpu-custom-op of itself."""
    return scene.settings(path, delegate="edgetpu", delegate_options="device=usb", **more)


@pytest.fixture
def stick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up machine with an Edge TPU; returns its node."""
    place = tmp_path / "root/sys/bus/usb/devices/1-1"
    node = tmp_path / "root/dev/bus/usb/001/004"
    for folder in (place, node.parent):
        folder.mkdir(parents=True)
    node.touch()
    for name, text in {"idVendor": "18d1", "idProduct": "9302", "busnum": "1", "devnum": "4"}.items():
        (place / name).write_text(text)
    monkeypatch.setattr("edgepose.engine.delegate.devices.ROOT", tmp_path / "root")
    return node


@each_runtime
def test_a_manifest_s_edge_tpu_build_runs_and_its_cpu_file_stands_in(
    tmp_path: Path, path: Path, scene: Scene, stick: Path, runtime: str
) -> None:
    accelerator.model(tmp_path, built=accelerator.content(CUSTOM))
    reference = expected(path, runtime)
    with open_engine(edgetpu(scene, path, runtime=runtime, max_failures=1)) as engine:
        assert engine.ran_on == "edgetpu"
        assert engine.guard is not None
        assert engine.guard.share is not None
        assert engine.guard.share.claimed == (CUSTOM,)
        assert right(engine, reference), "the build computes what the file for the CPU does"
        stick.unlink()
        os.kill(child_of(engine), signal.SIGKILL)
        until(engine, lambda: engine.ran_on == "cpu instead of edgetpu")
        assert right(engine, reference)
        stick.touch()
        until(engine, lambda: engine.ran_on == "edgetpu")


def test_a_model_that_is_only_for_an_edge_tpu_has_nothing_to_stand_in(
    tmp_path: Path, path: Path, scene: Scene, stick: Path
) -> None:
    only = accelerator.model(tmp_path, name="only", cpu=False)
    with open_engine(edgetpu(scene, only)) as engine:
        assert engine.ran_on == "edgetpu"
        frame(engine)
    stick.unlink()
    with pytest.raises(EngineError, match=r"there is an Edge TPU but no .*004; .*; the model has no file for the CPU"):
        open_engine(edgetpu(scene, only))
    with pytest.raises(ModelError, match="this model needs a Coral Edge TPU; use the build of it for the CPU, or one"):
        open_engine(config.Engine(model=str(only)))
    with pytest.raises(ConfigError, match=f"does not take the model's operator {CUSTOM}; use engine.delegate = 'edget"):
        open_engine(scene.settings(only, ops="22"))


def test_a_model_without_an_edge_tpu_build_says_what_it_needs(path: Path, scene: Scene, stick: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"tiny has no Edge TPU build; compile its file with edgetpu_compiler and name"
    ):
        open_engine(edgetpu(scene, path, on_failure="error"))


BUILDS: dict[str, tuple[Callable[[], bytes], str]] = {
    "not compiled": (lambda: accelerator.content("RESHAPE"), "is not compiled for an Edge TPU"),
    "another": (
        lambda: (shipped_dir() / "movenet_lightning_192.tflite").read_bytes(), "is not compiled for an Edge TPU",
    ),
    "damaged": (lambda: accelerator.content(CUSTOM)[:700], "; the file is damaged or not a TFLite model"),
}  # fmt: skip


@pytest.mark.parametrize("case", BUILDS)
def test_a_build_that_is_not_of_this_model_is_refused(
    tmp_path: Path, path: Path, scene: Scene, stick: Path, case: str
) -> None:
    content, says = BUILDS[case]
    accelerator.model(tmp_path, built=content())
    with pytest.raises(ModelError, match=f"tiny_edgetpu.tflite: .*{says}"):
        open_engine(edgetpu(scene, path))


def test_a_build_with_other_heads_is_refused(tmp_path: Path, path: Path, scene: Scene, stick: Path) -> None:
    from tests.helpers.tiny_graphs import Tiny

    tiny = Tiny()
    source, middle = (tiny.tensor(accelerator.PICTURE, "int8", (1 / 127.5, -1)) for _ in range(2))
    tiny.op(CUSTOM, [source], [middle], b"program")
    heads = [tiny.conv(middle, 3, (0.05, 3)), tiny.conv(middle, 6, (0.06, 3))]
    accelerator.model(tmp_path, built=tiny.file([source], heads))
    with pytest.raises(
        ModelError, match=r"output 1 is int8 .*with step 0.06 and zero 3, expected .*step 0.05 and zero"
    ):
        open_engine(edgetpu(scene, path))


# ------------------------------------------------------------------------------------------------ memory, processes


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.ENOMEM])
def test_without_memory_to_share_the_cpu_stands_in(
    path: Path, scene: Scene, number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", full)
    reference = expected(path)
    with open_engine(scene.settings(path)) as engine:
        assert engine.ran_on == "cpu instead of external"
        assert right(engine, reference)
    assert f"KiB of memory to share with a delegate's child: {os.strerror(number)}; free memory, or set" in caplog.text
    with pytest.raises(EngineError, match="to share with a delegate's child"):
        open_engine(scene.settings(path, on_failure="error"))


def test_without_memory_for_the_model_file_the_cpu_stands_in(
    path: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_content: bytes) -> int:
        raise EngineError("engine: no 1 KiB of memory for the model: Cannot allocate memory; free memory")

    with open_engine(scene.settings(path, max_failures=1)) as engine:
        monkeypatch.setattr("edgepose.engine.delegate.accelerate.file_in_memory", full)
        os.kill(child_of(engine), signal.SIGKILL)
        until(engine, lambda: engine.ran_on == "cpu instead of external")
        until(engine, lambda: engine.counts["failures"] > 2)
        assert "no 1 KiB of memory for the model" in str(engine.guard.trouble)  # type: ignore[union-attr]
        monkeypatch.undo()
        until(engine, lambda: engine.ran_on == "external")


def test_without_descriptors_the_cpu_stands_in(
    path: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none(*_: Any, **__: Any) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    cfg = scene.settings(path, retry_s=60.0)  # compiles the library
    monkeypatch.setattr("edgepose.engine.delegate.worker.subprocess.Popen", none)
    before = descriptors()
    with open_engine(cfg) as engine:
        assert engine.ran_on == "cpu instead of external"
    del engine
    assert "external could not start its process: Too many open files" in caplog.text
    assert descriptors() == before


ALONE = """
import sys, time
from edgepose.core import config
from edgepose.engine import open_engine
engine = open_engine(config.Engine(model={model!r}, threads=1, delegate="external", delegate_library={library!r},
    delegate_options={options!r}, deadline_ms=60000))
print(engine.ran_on, engine.guard._worker.pid, flush=True)
for line in sys.stdin:
    engine.run(engine.input.tensor)
"""


def alone(path: Path, scene: Scene) -> str:
    """A program that opens an engine, tells its child, and runs a frame for each line it gets."""
    cfg = scene.settings(path)
    return ALONE.format(model=str(path), library=cfg.delegate_library, options=cfg.delegate_options)


@pytest.mark.parametrize("hangs", [False, True])
def test_a_child_dies_with_its_parent_even_if_it_hangs(tmp_path: Path, scene: Scene, hangs: bool) -> None:
    path = accelerator.model(tmp_path)
    command = [sys.executable, "-c", alone(path, scene)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        ran_on, child = parent.stdout.readline().split()
        assert ran_on == "external"
        if hangs:
            scene.set("hang")
            parent.stdin.write("\n")
            time.sleep(0.1)
        parent.kill()
        assert gone(int(child))


def test_dev_shm_is_not_needed(tmp_path: Path, scene: Scene) -> None:
    away = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o ro,size=4k none /dev/shm && exec "$@"', "sh"]
    try:
        subprocess.run([*away, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount")
    path = accelerator.model(tmp_path)
    code = alone(path, scene)
    done = subprocess.run([*away, sys.executable, "-c", code], input="\n\n", capture_output=True, text=True, check=True)
    assert done.stdout.startswith("external ")


def test_nothing_is_left_behind(path: Path, scene: Scene) -> None:
    def left() -> tuple[int, str, int]:
        gc.collect()  # what other tests left
        children = "".join(task.read_text() for task in Path("/proc/self/task").glob("*/children"))
        return descriptors(), children, threading.active_count()

    with open_engine(scene.settings(path)) as engine:
        frame(engine)
    del engine
    before = left()
    for _ in range(2):
        with open_engine(scene.settings(path, max_failures=1000)) as engine:
            for what in ("crash", "lost"):
                restarts = engine.counts["restarts"]
                scene.set(what)
                with pytest.raises(FrameLostError):
                    frame(engine)
                scene.set()
                back(engine, restarts)
                frame(engine)
        engine.close()
        del engine
    assert left() == before


def test_arrays_of_a_closed_engine_stay_readable(path: Path, scene: Scene) -> None:
    engine = open_engine(scene.settings(path))
    tensor = engine.input.tensor
    head = engine.run(tensor)["heatmap"]
    kept = head.copy()
    engine.close()
    np.testing.assert_array_equal(head, kept)
    tensor[...] = 3
    with pytest.raises(ValueError, match="engine is closed"):
        engine.run(tensor)


def test_a_model_for_another_size_put_in_its_place_does_not_reach_a_running_engine(
    tmp_path: Path, path: Path, scene: Scene
) -> None:
    reference = expected(path)
    with open_engine(scene.settings(path, max_failures=2)) as engine:
        other = shipped_dir() / "movenet_lightning_192.toml"
        path.write_bytes(other.read_bytes())
        path.with_suffix(".tflite").write_bytes(other.with_suffix(".tflite").read_bytes())
        os.kill(child_of(engine), signal.SIGKILL)
        back(engine)
        assert right(engine, reference), "started again with what was checked"
        scene.set("lost", "absent")
        until(engine, lambda: engine.ran_on == "cpu instead of external")
        assert right(engine, reference)
        with pytest.raises(ValueError, match=r"tensor is int8 \(192, 192, 3\), expected int8 \(16, 16, 3\)"):
            engine.run(np.zeros((192, 192, 3), np.int8))


# ------------------------------------------------------------------------------------------------ report


@each_runtime
def test_examine_says_what_runs_where_and_how_far_off_it_is(path: Path, scene: Scene, runtime: str) -> None:
    found = report.examine(scene.settings(path, runtime=runtime))[0]
    assert (found.name, found.state, found.asked) == ("external", "ok", True)
    assert found.reason.startswith("external takes 1 of 3 operators, ")
    assert found.share is not None
    assert (found.share.claimed, found.share.left) == (("RESHAPE",), ("CONV_2D", "CONV_2D"))
    assert {role: head.off for role, head in found.heads.items()} == {"heatmap": 0.0, "offset": 0.0}
    scene.set("slow")  # it sleeps for 60 ms: time in which no core works
    slow = report.examine(scene.settings(path, runtime=runtime))[0]
    assert slow.share is not None
    assert slow.share.invoke_ms >= 60
    assert slow.share.away_share > 0.5
    scene.set("wrong")
    wrong = report.examine(scene.settings(path, runtime=runtime))[0]
    assert wrong.state == "failed"
    assert {role: head.bad for role, head in wrong.heads.items()} == {"heatmap": True, "offset": True}
    scene.set("absent")
    assert "refuses to start: no device found" in report.examine(scene.settings(path, runtime=runtime))[0].line
