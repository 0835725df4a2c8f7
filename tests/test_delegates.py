"""The table of delegates: options, libraries, devices, and what each failure is called."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepose.commands.cli import main
from edgepose.core import config
from edgepose.core.errors import ConfigError, EngineError
from edgepose.engine.delegate import devices, report
from edgepose.engine.delegate.block import Spec, carve, file_in_memory, open_block
from edgepose.engine.delegate.check import PICTURE, SPREAD, differences, probe_tensor
from edgepose.engine.delegate.child import split
from edgepose.engine.delegate.finding import Difference, OpShare, TroubleError
from edgepose.engine.delegate.kinds import DELEGATES, explain, find_library, read_options
from edgepose.engine.zoo import shipped_dir, verify_model
from tests.helpers import accelerator

MODEL = "movenet_lightning_192"


def asked(**settings: Any) -> config.Engine:
    return config.Engine(**({"model": MODEL} | settings))


def test_the_models_beside_the_test_delegate_are_what_they_say() -> None:
    for op in ("RESHAPE", accelerator.CUSTOM):
        assert accelerator.content(op) == accelerator.build(op)


def test_every_delegate_of_the_settings_has_a_row() -> None:
    (setting,) = (setting for setting in config.settings() if setting.key == "engine.delegate")
    assert set(DELEGATES) == set(config.choices(setting.hint))


# ------------------------------------------------------------------------------------------------ options


def test_options_are_keys_and_values() -> None:
    cfg = asked(delegate="external", delegate_options=" backends = CpuAcc , verbose=1,cache=/tmp/a=b ,")
    assert read_options(cfg) == {"backends": "CpuAcc", "verbose": "1", "cache": "/tmp/a=b"}
    assert read_options(asked(delegate="external")) == {}


TYPOS = {
    "no value": ("external", "verbose", "'verbose' is not key=value"),
    "no key": ("external", "=1", "'=1' is not key=value"),
    "twice": ("external", "a=1,a=2", "a is given twice"),
    "near": ("edgetpu", "devise=usb", "devise is not an option of edgetpu; did you mean device?"),
    "far": ("edgetpu", "zzz=1", "zzz is not an option of edgetpu; there are: device, Performance"),
    "device": ("edgetpu", "device=usb0", "device is 'usb0', expected usb, pci, usb:0, pci:1 or :0"),
    "value": ("edgetpu", "Performance=Fast", "Performance is 'Fast', expected a value that libedgetpu knows"),
}


@pytest.mark.parametrize("case", TYPOS)
def test_a_wrong_option_is_named(case: str) -> None:
    delegate, options, says = TYPOS[case]
    with pytest.raises(ConfigError) as caught:
        read_options(asked(delegate=delegate, delegate_options=options))
    assert str(caught.value).startswith(f"engine.delegate_options: {says}")


@pytest.mark.parametrize("device", ["", "usb", "pci", "usb:0", "pci:12", ":1"])
def test_an_edge_tpu_is_named_as_libedgetpu_does(device: str) -> None:
    assert read_options(asked(delegate="edgetpu", delegate_options=f"device={device}")) == {"device": device}


# ------------------------------------------------------------------------------------------------ libraries


def test_external_needs_a_library() -> None:
    with pytest.raises(ConfigError, match=r"engine.delegate_library: external needs one, such as /usr/lib/libvx"):
        find_library(asked(delegate="external"))


def test_a_library_by_name_is_left_to_the_loader_and_one_by_path_is_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_library(asked(delegate="edgetpu")) == "libedgetpu.so.1"
    assert find_library(asked(delegate="edgetpu", delegate_library="libmine.so")) == "libmine.so"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lib.so").write_bytes(Path("/proc/self/exe").read_bytes()[:64])
    assert find_library(asked(delegate="external", delegate_library="./lib.so")) == str(tmp_path / "lib.so")


OTHER = bytearray(b"\x7fELF\x02\x01\x01" + bytes(57))
OTHER[18:20] = b"\xf3\x00"  # RISC-V
LIBRARIES = {
    "text": (b"version https://git-lfs.github.com/spec/v1\n", "is a text file, not a shared library"),
    "empty": (b"", "is no ELF file, not a shared library"),
    "noise": (bytes(range(200)), "is no ELF file, not a shared library"),
    "another processor's": (bytes(OTHER), "is built for another processor"),
}


@pytest.mark.parametrize("case", LIBRARIES)
def test_a_file_that_is_no_library_is_refused_before_it_is_loaded(tmp_path: Path, case: str) -> None:
    content, says = LIBRARIES[case]
    path = tmp_path / "lib.so"
    path.write_bytes(content)
    with pytest.raises(TroubleError, match=says) as caught:
        find_library(asked(delegate="external", delegate_library=str(path)))
    assert str(caught.value) == f"{path}: {says}; correct engine.delegate_library"
    assert caught.value.error is ConfigError


def test_a_missing_library_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(TroubleError, match="no such file"):
        find_library(asked(delegate="external", delegate_library=str(tmp_path / "none.so")))
    with pytest.raises(TroubleError, match="is not a file"):
        find_library(asked(delegate="external", delegate_library=str(tmp_path)))


# ------------------------------------------------------------------------------------------------ devices


class Bus:
    """A made-up /sys and /dev."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("sys/bus/usb/devices", "sys/bus/pci/devices", "dev/bus/usb/001"):
            (root / folder).mkdir(parents=True)

    def usb(self, number: int, vendor: str = "1a6e", product: str = "089a", node: bool = True) -> Path:
        place = self.root / f"sys/bus/usb/devices/1-{number}"
        place.mkdir()
        for name, text in {"idVendor": vendor, "idProduct": product, "busnum": "1", "devnum": str(number)}.items():
            (place / name).write_text(text + "\n")
        path = self.root / f"dev/bus/usb/001/{number:03d}"
        if node:
            path.touch()
        return path

    def pci(self, number: int, driver: bool = True) -> Path:
        place = self.root / f"sys/bus/pci/devices/0000:0{number}:00.0"
        place.mkdir()
        (place / "vendor").write_text("0x1ac1\n")
        (place / "device").write_text("0x089a\n")
        path = self.root / f"dev/apex_{number}"
        if driver:
            path.touch()
        return path


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bus:
    monkeypatch.setattr(devices, "ROOT", tmp_path)
    return Bus(tmp_path)


def locked(monkeypatch: pytest.MonkeyPatch, *nodes: Path) -> None:
    """As for a user who is not root."""
    monkeypatch.setattr(os, "access", lambda path, _mode: path not in nodes)


def trouble(wanted: str = "") -> TroubleError:
    with pytest.raises(TroubleError) as caught:
        devices.check_edge_tpu(wanted)
    assert "\n" not in str(caught.value)
    return caught.value


def test_without_an_edge_tpu_the_message_says_so(bus: Bus) -> None:
    bus.usb(1, "046d", "c52b")  # a mouse
    found = trouble()
    assert str(found) == "no Edge TPU is plugged in; plug it in, at USB 3 with a short cable"
    assert (found.here, found.error) == (False, EngineError), "it may be plugged in later"
    assert str(trouble("pci")).startswith("no Edge TPU at PCIe is plugged in; see that `lspci` shows 1ac1:089a")


@pytest.mark.parametrize("ids", devices.USB_IDS, ids=["before its firmware", "after"])
def test_an_edge_tpu_at_usb_is_known_before_and_after_its_firmware_came(bus: Bus, ids: tuple[str, str]) -> None:
    node = bus.usb(4, *ids)
    assert devices.edge_tpus() == [devices.Device("usb", node)]
    for wanted in ("", "usb", "usb:0", ":0"):
        devices.check_edge_tpu(wanted)


def test_one_of_several_is_chosen_by_kind_and_number(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    first, card = bus.usb(4), bus.pci(0)
    bus.usb(5)
    for wanted in ("usb:1", "pci:0", ":2"):
        devices.check_edge_tpu(wanted)
    assert str(trouble("usb:2")).startswith("no Edge TPU at USB number 2; there are 3: usb, usb, pci; correct device=")
    locked(monkeypatch, first, card)
    devices.check_edge_tpu("")  # any will do, and one may be used
    devices.check_edge_tpu("usb:1")
    assert str(first) in str(trouble("usb:0"))
    assert str(card) in str(trouble("pci"))


def test_no_permission_on_the_node_says_which_and_what_to_do(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    node = bus.usb(4)
    node.chmod(0o664)
    locked(monkeypatch, node)
    told = str(trouble())
    assert told.startswith(f"no permission to read and write {node} (mode 664); install a udev rule for 1a6e:089a and")
    assert "plugdev" in told


def test_a_card_without_its_driver_and_a_stick_that_a_container_hides(bus: Bus) -> None:
    bus.pci(0, driver=False)
    assert str(trouble()).endswith("dev/apex_0; load the drivers gasket and apex")
    node = bus.usb(7, node=False)
    assert str(trouble("usb")) == f"there is an Edge TPU but no {node}; pass it into this container"


def test_where_nothing_can_be_seen_the_library_is_asked_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "ROOT", tmp_path)
    assert devices.edge_tpus() is None
    devices.check_edge_tpu("usb:3")


def test_nnapi_says_why_it_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANDROID_ROOT", raising=False)
    look = DELEGATES["nnapi"].look
    with pytest.raises(TroubleError, match=r"NNAPI is a part of Android, and this is not Android; where .* 'external'"):
        look({}, "")
    monkeypatch.setenv("ANDROID_ROOT", "/system")
    with pytest.raises(TroubleError, match="TFLite for Python has no switch for Android's NNAPI; name the vendor's"):
        look({}, "")
    look({}, "/vendor/lib64/libdelegate.so")


# ------------------------------------------------------------------------------------------------ words

LIB = "libedgetpu.so.1"
FAILURES = {
    "no library": (
        ("load", "OSError", f"{LIB}: cannot open shared object file: No such file or directory"),
        f"there is no library {LIB}; install libedgetpu1-std", False, True,
    ),
    "its library is missing": (
        ("load", "OSError", "libusb-1.0.so.0: cannot open shared object file: No such file or directory"),
        f"{LIB} needs libusb-1.0.so.0, which is missing; install it", True, True,
    ),
    "no delegate": (
        ("load", "AttributeError", f"{LIB}: undefined symbol: tflite_plugin_create_delegate"),
        f"{LIB} is a library but no TFLite delegate", True, True,
    ),
    "refused": (
        ("load", "ValueError", f"Failed to load delegate from {LIB} no device found"),
        f"{LIB} refuses to start: no device found; see that its device is plugged in", True, False,
    ),
    "refused without a word": (
        ("load", "ValueError", f"Failed to load delegate from {LIB}"),
        f"{LIB} refuses to start: it does not say why", True, False,
    ),
    "model of an Edge TPU": (
        ("model", "RuntimeError", "Encountered unresolved custom op: edgetpu-custom-op. See instructions: ..."),
        f"{LIB} does not take the model's operator edgetpu-custom-op; use engine.delegate = 'edgetpu'", True, True,
    ),
    "model refused": (
        ("model", "RuntimeError", "Failed to apply delegate"),
        "edgetpu refuses the model: Failed to apply delegate; use a model that was made for it", True, False,
    ),
    "crash": (
        ("run", "crash", "SIGSEGV"),
        "edgetpu crashed in its first inference (SIGSEGV); use a build", True, False,
    ),
    "hang": (
        ("load", "hang", "not ready after 120 s"),
        "edgetpu hangs while its library was loaded: not ready after 120 s; unplug", True, False,
    ),
    "lost": (
        ("frame", "RuntimeError", "device lost"),
        "edgetpu failed in an inference: device lost; unplug the device and plug it in again", True, False,
    ),
}  # fmt: skip
"""(step, kind, message) -> how the line begins, is it here, is it there to stay."""


@pytest.mark.parametrize("case", FAILURES)
def test_each_failure_has_its_own_line(case: str) -> None:
    (step, kind, message), begins, here, lasting = FAILURES[case]
    told = explain(asked(delegate="edgetpu"), LIB, step, kind, message)
    assert str(told).startswith(begins)
    assert (told.here, told.lasting) == (here, lasting)
    assert "\n" not in str(told)


# ------------------------------------------------------------------------------------------------ operators, heads


def node(name: str, inputs: list[int], outputs: list[int]) -> dict[str, Any]:
    return {"op_name": name, "inputs": inputs, "outputs": outputs}


def test_operators_between_a_part_s_ends_are_the_delegate_s() -> None:
    """0 -A-> 1 -B-> 2 -C-> 3 and 1 -D-> 4; B and C are taken as one part, 9 is a constant of C."""
    own = [node("A", [0], [1]), node("B", [1], [2]), node("C", [2, 9], [3]), node("D", [1], [4])]
    assert split(own) == ([], ["A", "B", "C", "D"])
    assert split([*own, node("DELEGATE", [1, 9], [3])]) == (["B", "C"], ["A", "D"])
    assert split([*own, node("DELEGATE", [1, 9], [3]), node("DELEGATE", [0], [1])]) == (["A", "B", "C"], ["D"])


def test_the_share_of_operators_is_a_share() -> None:
    assert OpShare(("A",), ("B", "C", "D"), 0.0, 1.0).op_share == 0.25
    assert OpShare((), (), 0.0, 1.0).op_share == 0.0


def test_a_head_that_is_not_a_number_is_bad() -> None:
    assert Difference(float("nan"), 1.0).bad
    assert Difference(1.1, 1.0).bad
    assert not Difference(1.0, 1.0).bad


def test_heads_are_compared_in_real_units() -> None:
    manifest, graph, _ = verify_model(shipped_dir() / "movenet_lightning_192.toml")
    rng = np.random.default_rng(5)
    good = [rng.integers(-50, 50, out.shape).astype(np.int8) for out in graph.outputs]
    came = [head.copy() for head in good]
    came[2] += 3  # the heatmap, every value three steps
    came[1][:] = 0  # the regression: nothing is computed
    found = differences(manifest, graph, good, came)
    assert found["center"].off == found["offset"].off == 0.0
    assert found["heatmap"].off == pytest.approx(3 * graph.outputs[2].scale)
    spread = float(np.std(good[2].astype(np.float64))) * graph.outputs[2].scale
    assert found["heatmap"].tolerance == pytest.approx(SPREAD * spread)
    assert [role for role, head in found.items() if head.bad] == ["regress"]


def test_the_manifest_s_tolerance_counts(tmp_path: Path) -> None:
    path = accelerator.model(tmp_path)
    with path.open("a") as file:
        file.write("[delegates.tolerance]\noffset = 0.001\n")
    manifest, graph, _ = verify_model(path)
    good = [np.arange(np.prod(out.shape)).astype(np.int8).reshape(out.shape) for out in graph.outputs]
    came = [head ^ 1 for head in good]  # one step
    found = differences(manifest, graph, good, came)
    assert found["offset"] == Difference(found["offset"].off, 0.001)
    assert found["offset"].off == pytest.approx(0.05)
    assert [role for role, head in found.items() if head.bad] == ["offset"]


def test_a_tolerance_for_a_head_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = accelerator.model(tmp_path)
    with path.open("a") as file:
        file.write("[delegates.tolerance]\nheat = 1.0\n")
    with pytest.raises(ConfigError, match=r"delegates.tolerance.heat is no head, expected one of heatmap, offset"):
        verify_model(path)


def test_the_probe_picture_fills_the_input_of_every_shipped_model() -> None:
    for path in shipped_dir().glob("*.toml"):
        manifest, graph, _ = verify_model(path)
        tensor = probe_tensor(manifest, graph)
        assert (tensor.shape, tensor.dtype) == (graph.inputs[0].shape, np.dtype(graph.inputs[0].dtype))
        assert np.std(tensor.astype(np.float64)) > 20


def test_examine_tells_of_every_delegate_and_never_raises() -> None:
    found = report.examine(asked(delegate="nnapi"))
    assert [finding.name for finding in found] == ["nnapi", "cpu", "edgetpu", "hailo", "onnxruntime", "external"]
    assert (found[0].asked, found[0].state) == (True, "unavailable")
    assert "not Android" in found[0].line or "vendor" in found[0].line
    (wrong,) = (one for one in report.examine(asked(model="no such model")) if one.asked)
    assert wrong.state == "failed"
    assert "no model 'no such model'" in wrong.reason


def test_examine_of_the_cpu_says_what_xnnpack_takes() -> None:
    cpu = report.examine(asked(threads=1))[0]
    assert (cpu.name, cpu.state) == ("cpu", "ok")
    assert cpu.share is not None
    assert len(cpu.share.claimed) + len(cpu.share.left) == 92
    assert cpu.share.invoke_ms > 0
    assert 0 <= cpu.share.away_share <= 1
    assert all(head.off == 0 for head in cpu.heads.values())


# ------------------------------------------------------------------------------------------------ memory, messages


def test_a_block_holds_its_arrays_apart_and_another_reader_sees_them() -> None:
    specs: list[Spec] = [("int8", (1, 5, 3)), ("float32", (2, 2)), ("uint8", (7,))]
    fd, arrays = open_block(specs)
    for index, array in enumerate(arrays):
        assert not array.any()
        array[...] = index + 1
    again = carve(fd, specs)
    os.close(fd)
    for index, (array, (dtype, shape)) in enumerate(zip(again, specs, strict=True)):
        assert (array.dtype, array.shape) == (np.dtype(dtype), shape)
        assert (array == index + 1).all()
        assert array.ctypes.data % 64 == 0
    again[0][...] = 9
    assert (arrays[0] == 9).all()


def test_memory_is_shared_also_where_a_sandbox_forbids_memfd(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_name: str) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "memfd_create", forbidden)
    fd = file_in_memory(b"model")
    assert Path(f"/proc/self/fd/{fd}").read_bytes() == b"model"
    os.close(fd)


def test_without_memory_the_message_says_how_much_was_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(EngineError, match=r"engine: no 108 KiB of memory to share with a delegate's child: No space"):
        open_block([("int8", (1, 192, 192, 3))])


def test_what_ran_instead_stands_in_every_message(bus: Bus, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run", "--source", str(PICTURE), "--model", MODEL, "--engine.delegate", "edgetpu"]
    assert main([*command, "--jsonl", "-", "--decode.kernels", "numpy"]) == 0
    assert '"ran_on":"cpu instead of edgetpu"' in capsys.readouterr().out
    assert main([*command, "--engine.on_failure", "error"]) == 1, "it may be plugged in: a supervisor should try again"
    assert "no Edge TPU is plugged in; plug it in" in capsys.readouterr().err
    bus.usb(4)
    assert main([*command, "--engine.on_failure", "error"]) == 78, "it will not get an Edge TPU build by itself"
    assert "movenet_lightning_192 has no Edge TPU build; compile its file with" in capsys.readouterr().err
