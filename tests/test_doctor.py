"""The doctor on made-up boards: what it says of each, and that nothing ends it."""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgepose.commands import doctor as command
from edgepose.core import config
from edgepose.core.config import Config
from edgepose.lab.doctor import context as context_module
from edgepose.lab.doctor import examine, page
from edgepose.lab.doctor.context import Context
from edgepose.lab.doctor.examine import Check, Found
from edgepose.lab.doctor.finding import STATES, Finding, State, exit_code, fine
from edgepose.lab.doctor.machine import Answer
from tests.helpers.boards import BOARDS, FIRMWARE, FakeCamera, Made, jetson, pc, pi4, pi5, zero2w

EDGEPOSE = [sys.executable, "-m", "edgepose"]


def settings(**keys: Any) -> Config:
    """Settings by dotted key, _ for the dot between section and name of one level: source_uri."""
    return config.load(None, {key.replace("__", "."): value for key, value in keys.items()})


def look(made: Made, cfg: Config | None = None, only: tuple[str, ...] = (), wrong: str = "") -> list[Finding]:
    """All findings on a board."""
    context = Context(cfg or Config(), made.machine, wrong=wrong)
    return [each.finding for each in examine.examine(context, only)]


def one(findings: list[Finding], topic: str) -> Finding:
    """The finding on a topic; the worst where there are several."""
    found = [each for each in findings if each.topic == topic]
    assert found, f"{topic} is not among {[each.topic for each in findings]}"
    return max(found, key=lambda each: list(STATES).index(each.state) if each.state != "unknown" else 0)


# ------------------------------------------------------------------------------------------------ boards


@pytest.mark.parametrize("board", BOARDS)
def test_a_board_where_all_is_well_is_fine(board: str, tmp_path: Path) -> None:
    findings = look(BOARDS[board](tmp_path))
    assert [each for each in findings if each.state != "fine"] == []


def test_a_pi_4_with_a_weak_supply_says_now_and_earlier_and_what_to_buy(tmp_path: Path) -> None:
    made = pi4(tmp_path)
    made.root.write({FIRMWARE: "50005\n"})  # bits 0, 2, 16, 18
    found = one(look(made, only=("power",)), "power supply")
    assert found.state == "degraded"
    assert found.what == "now: under-voltage, throttled"
    assert found.data["now"] == ["under-voltage", "throttled"]
    assert "15 W supply" in found.do[0]
    made.root.write({FIRMWARE: "50000\n"})
    assert one(look(made, only=("power",)), "power supply").what == "earlier since the start: under-voltage, throttled"


def test_what_keeps_a_camera_busy_by_the_settings_is_named(tmp_path: Path) -> None:
    found = one(look(pi4(tmp_path), only=("power",)), "always on")
    assert (found.data["mode"], found.data["costly"], found.data["limits"]) == ("auto", [], [])
    cfg = settings(power__mode="off", power__idle_fps=0, power__max_cpu=0.5)
    found = one(look(pi4(tmp_path / "other"), cfg, only=("power",)), "always on")
    assert found.data["costly"] == ["power.mode", "power.idle_fps"]
    assert "50 % of a core" in found.what
    assert any("power.mode is off" in line for line in found.do)


def test_without_sysfs_vcgencmd_is_asked_and_then_the_voltage_sensor(tmp_path: Path) -> None:
    made = pi5(tmp_path)
    made.commands["vcgencmd get_throttled"] = Answer(0, "throttled=0x80008")
    found = one(look(made, only=("power",)), "power supply")
    assert found.data["now"] == ["the soft temperature limit reached"]
    assert found.data["told_by"] == "vcgencmd"
    made.commands.clear()
    made.root.write({"/sys/class/hwmon/hwmon1/name": "rpi_volt\n", "/sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1\n"})
    found = one(look(made, only=("power",)), "power supply")
    assert (found.data["now"], found.data["told_by"]) == (["under-voltage"], "hwmon")


def test_a_pi_whose_firmware_may_not_be_asked_is_unknown_and_says_which_group(tmp_path: Path) -> None:
    made = pi5(tmp_path)
    made.commands.clear()
    found = one(look(made, only=("power",)), "power supply")
    assert found.state == "unknown"
    assert found.do[0].startswith("$ sudo usermod -aG video pi")


def test_a_weak_supply_of_a_pi_5_matters_to_a_coral_stick_only(tmp_path: Path) -> None:
    made = pi5(tmp_path)
    made.root.write({"/proc/device-tree/chosen/power/max_current": (3000).to_bytes(4, "big")})
    assert one(look(made, only=("power",)), "usb current").state == "fine"
    stick = settings(engine__delegate="edgetpu")
    assert one(look(made, stick, only=("power",)), "usb current").state == "degraded"


@pytest.mark.parametrize(
    ("board", "name", "int8"),
    [
        (pi4, "Cortex-A72", "NEON"),
        (pi5, "Cortex-A76", "asimddp"),
        (jetson, "Cortex-A78AE", "asimddp"),
        (pc, "Intel(R) N100", "VNNI"),
    ],
    ids=["pi4", "pi5", "jetson", "pc"],
)  # fmt: skip
def test_the_processor_says_what_it_can_do_for_int8(board: Any, name: str, int8: str, tmp_path: Path) -> None:
    found = one(look(board(tmp_path), only=("board",)), "processor")
    assert (found.data["names"], found.data["int8"]) == ([name], int8)


def test_a_32_bit_system_on_a_64_bit_processor_is_told(tmp_path: Path) -> None:
    made = pi4(tmp_path)
    made.python = replace(made.python, bits=32)
    found = one(look(made, only=("board",)), "processor")
    assert found.state == "degraded"
    assert "64-bit" in found.do[0]


def test_a_zero_2_w_with_little_memory_and_no_swap_says_both(tmp_path: Path) -> None:
    made = zero2w(tmp_path)
    made.root.write({"/proc/meminfo": "MemTotal: 426000 kB\nMemAvailable: 90000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"})
    findings = look(made, only=("board",))
    assert one(findings, "memory").state == "degraded"
    assert "88 MiB free of 416 MiB" in one(findings, "memory").what
    assert "zram" in one(findings, "swap").do[0]


def test_a_memory_limit_of_a_container_counts(tmp_path: Path) -> None:
    made = pi4(tmp_path)
    made.root.write(
        {"/sys/fs/cgroup/memory.max": f"{256 * 2**20}\n", "/sys/fs/cgroup/memory.current": f"{100 * 2**20}\n"}
    )
    assert "156 MiB free of 256 MiB" in one(look(made, only=("board",)), "memory").what


def test_an_old_python_another_c_library_and_an_old_system_are_told(tmp_path: Path) -> None:
    made = pi4(tmp_path)
    made.python = replace(made.python, version=(3, 9, 2), libc=("", ""))
    made.root.write({"/etc/os-release": 'ID=debian\nVERSION_ID="11"\nPRETTY_NAME="Debian GNU/Linux 11 (bullseye)"\n'})
    findings = look(made, only=("board",))
    assert [one(findings, topic).state for topic in ("python", "C library", "system")] == [
        "broken",
        "broken",
        "degraded",
    ]
    made.python = replace(made.python, libc=("glibc", "2.19"), version=(3, 13, 1), gil=False)
    findings = look(made, only=("board",))
    assert one(findings, "C library").state == "broken"
    assert "free-threaded" in one(findings, "python").what


def test_heat_is_told_by_the_zone_nearest_its_limit(tmp_path: Path) -> None:
    made = jetson(tmp_path)
    made.root.write(
        {
            "/sys/class/thermal/thermal_zone2/type": "gpu-thermal\n",
            "/sys/class/thermal/thermal_zone2/temp": "86500\n",
            "/sys/class/thermal/thermal_zone2/trip_point_0_type": "passive\n",
            "/sys/class/thermal/thermal_zone2/trip_point_0_temp": "85000\n",
        }
    )
    found = one(look(made, only=("power",)), "temperature")
    assert found.state == "degraded"
    assert found.what == "86 °C (gpu-thermal); it slows down from 85 °C, so now"
    assert "PMIC-Die" not in found.data["zones"]


def test_powersave_is_told_except_where_it_is_the_ordinary_governor(tmp_path: Path) -> None:
    made = pi4(tmp_path)
    for n in range(4):
        made.root.write({f"/sys/devices/system/cpu/cpu{n}/cpufreq/scaling_governor": "powersave\n"})
    found = one(look(made, only=("power",)), "clock rate")
    assert found.state == "degraded"
    assert "scaling_governor" in found.do[0]


def test_a_capped_rate_is_told(tmp_path: Path) -> None:
    made = jetson(tmp_path)
    made.root.write({"/sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq": "1000000\n"})
    found = one(look(made, only=("power",)), "clock rate")
    assert (found.state, found.data["allowed_mhz"]) == ("degraded", 1000)
    assert "nvpmodel" in found.do[1]


CLOCKS: dict[str, tuple[bool | None, dict[str, Any], State]] = {
    "kept": (True, {"sink__mqtt__broker": "mqtt://b"}, "fine"),
    "not kept, and messages carry it": (False, {"sink__mqtt__broker": "mqtt://b"}, "degraded"),
    "not kept, files only": (False, {"source__uri": "walk.mp4", "source__kind": "video"}, "fine"),
    "nobody tells": (None, {"sink__mqtt__broker": "mqtt://b"}, "unknown"),
}


@pytest.mark.parametrize(("kept", "keys", "state"), CLOCKS.values(), ids=CLOCKS)
def test_the_clock_matters_to_those_who_use_it(
    kept: bool | None, keys: dict[str, Any], state: State, tmp_path: Path
) -> None:
    made = pi4(tmp_path)
    made.clock_kept = kept
    found = one(look(made, settings(**keys), only=("power",)), "time")
    assert found.state == state
    assert "no clock with a battery" in found.what


# ------------------------------------------------------------------------------------------------ software


def test_numpy_2_beside_apts_picamera2_gets_the_command_that_mends_it(tmp_path: Path) -> None:
    made = pi4(tmp_path)
    made.answers["picamera2"] = {"why": "numpy.dtype size changed, may indicate binary incompatibility"}
    findings = look(made, settings(source__uri="picamera2"), only=("software", "cameras"))
    assert (one(findings, "picamera2").state, one(findings, "conflicts").state) == ("broken", "degraded")
    for topic in ("picamera2", "conflicts"):
        assert one(findings, topic).do[-1] == Context(Config(), made.machine).profile("numpy1")
    findings = look(made, settings(source__uri="0"), only=("software",))
    assert (one(findings, "picamera2").state, one(findings, "conflicts").state) == ("fine", "fine")


def test_a_profile_is_a_constraints_file_where_there_is_one_and_the_packages_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pi4(tmp_path)
    monkeypatch.setattr(
        context_module, "__file__", str(tmp_path / "site" / "edgepose" / "lab" / "doctor" / "context.py")
    )
    assert Context(Config(), made.machine).profile("numpy1").startswith('$ pip install "numpy<2"')
    file = tmp_path / "site" / "tools" / "constraints" / "tflite.txt"
    file.parent.mkdir(parents=True)
    file.write_text("")
    assert Context(Config(), made.machine).profile("tflite") == f"$ pip install -c {file} '{tmp_path / 'site'}[tflite]'"
    made.env.clear()
    assert Context(Config(), made.machine).profile("numpy1").startswith("$ /env/bin/python -m pip install")


def test_tflite_runtime_alone_with_numpy_2_is_broken_and_beside_litert_a_hint(tmp_path: Path) -> None:
    made = pi4(tmp_path)
    made.answers["packages"] = {"tflite-runtime": "2.14.0"}
    found = one(look(made, only=("software",)), "conflicts")
    assert (found.state, "litert works here" in found.what) == ("fine", True)
    dead = {"why": "cannot run with numpy 2.2.6, type: pip install tflite-runtime"}
    made.answers["runtimes"] = {"runtimes": {"litert": {"why": "not installed, type: pip"}, "tflite_runtime": dead}}
    findings = look(made, only=("software",))
    assert one(findings, "conflicts").state == one(findings, "tflite runtime").state == "broken"
    assert one(findings, "tflite runtime").do == ("$ pip install ai-edge-litert",)


def test_a_runtime_that_is_asked_for_and_does_not_run_is_broken_though_another_would(tmp_path: Path) -> None:
    found = one(look(pi4(tmp_path), settings(engine__runtime="tflite_runtime"), only=("software",)), "tflite runtime")
    assert found.state == "broken"
    assert "litert" in found.do[0]


def test_a_new_opencv_on_numpy_1_is_degraded(tmp_path: Path) -> None:
    made = pi4(tmp_path)
    made.answers["numpy"] = {"version": "1.24.2", "file": "/x"}
    assert one(look(made, only=("software",)), "conflicts").state == "degraded"
    made.answers["opencv"]["version"] = "4.11.0"
    assert one(look(made, only=("software",)), "conflicts").state == "fine"


def test_a_library_that_crashes_is_told_with_its_signal(tmp_path: Path) -> None:
    made = zero2w(tmp_path)
    made.answers["numpy"] = {"failed": "crashed (SIGILL)", "how": "crashed"}
    found = one(look(made, only=("software",)), "numpy")
    assert (found.state, "SIGILL" in found.what) == ("broken", True)


def test_without_numpy_nothing_else_is_blamed(tmp_path: Path) -> None:
    made = zero2w(tmp_path)
    made.answers["numpy"] = {"failed": "crashed (SIGILL)"}
    findings = look(made, settings(source__uri="0", sink__mqtt__broker="mqtt://b"))
    assert [each.topic for each in findings if each.state in ("broken", "degraded")] == ["numpy"]
    assert {"models", "broker", "opencv"} <= {each.topic for each in findings if each.state == "unknown"}
    assert exit_code(findings) == 2


def test_the_unrelated_pycoral_is_told(tmp_path: Path) -> None:
    made = pi4(tmp_path)
    made.answers["packages"] = {"pycoral": "0.2.0"}
    found = one(look(made, only=("software",)), "conflicts")
    assert (found.state, "unrelated" in found.what) == ("degraded", True)


def test_an_old_opencv_is_told(tmp_path: Path) -> None:
    made = jetson(tmp_path)
    made.answers["opencv"]["version"] = "4.5.4"
    assert one(look(made, only=("software",)), "opencv").state == "degraded"


def test_two_opencv_packages_in_one_folder_are_degraded(tmp_path: Path) -> None:
    made = pi4(tmp_path)
    made.answers["opencv"]["packages"] = ["opencv-python 4.11.0.86", "opencv-python-headless 4.12.0.88"]
    found = one(look(made, only=("software",)), "opencv")
    assert found.state == "degraded"
    assert found.do[0] == "$ pip uninstall -y opencv-python opencv-python-headless"


CSI = "nvarguscamerasrc ! video/x-raw(memory:NVMM),width=1280,height=720 ! nvvidconv ! appsink drop=true"


def test_a_jetson_is_told_why_pips_opencv_cannot_run_its_camera(tmp_path: Path) -> None:
    made = jetson(tmp_path)
    made.answers["opencv"]["copies"] = ["/env/lib", "/usr/lib/python3/dist-packages"]
    hint = one(look(made, only=("software",)), "opencv")
    assert hint.state == "fine"
    assert "nvarguscamerasrc" in hint.what
    assert "it hides the one in /usr/lib/python3/dist-packages" in hint.what
    asked = one(look(made, settings(source__uri=CSI), only=("software",)), "opencv")
    assert asked.state == "broken"
    assert "no OpenCV from pip" in asked.what
    assert any("pyvenv.cfg" in step for step in asked.do)
    assert not any("apt install" in step for step in asked.do), "apt's is there already"
    assert "uninstall -y opencv-python-headless" in asked.do[-2]
    assert asked.do[-1].startswith('$ pip install "numpy<2"')
    made.answers["opencv"]["copies"] = ["/env/lib"]
    assert "nvidia-opencv" in one(look(made, settings(source__uri=CSI), only=("software",)), "opencv").do[0]


def test_a_pipelines_elements_are_looked_up(tmp_path: Path) -> None:
    made = jetson(tmp_path)
    made.commands["gst-inspect-1.0 --exists"] = Answer(1, "")
    found = one(look(made, settings(source__uri=CSI), only=("cameras",)), "source")
    assert (found.state, "nvarguscamerasrc, nvvidconv" in found.what) == ("broken", True)
    made.commands["gst-inspect-1.0 --exists"] = Answer(0, "")
    assert one(look(made, settings(source__uri=CSI), only=("cameras",)), "source").state == "fine"
    no_end = settings(source__uri="videotestsrc ! videoconvert")
    assert "appsink" in one(look(made, no_end, only=("cameras",)), "source").what


def test_an_environment_that_does_not_see_apts_packages_is_told_to(tmp_path: Path) -> None:
    made = pi5(tmp_path)
    made.answers["picamera2"] = {"why": "No module named 'picamera2'", "missing": True}
    made.root.write(
        {
            "/env/pyvenv.cfg": "home = /usr/bin\ninclude-system-site-packages = false\n",
            "/usr/lib/python3/dist-packages/picamera2/__init__.py": "",
            "/usr/bin/python3.13": "",
        }
    )
    made.root.path("/usr/bin/python3").symlink_to("python3.13")
    asked = settings(source__uri="picamera2")
    assert one(look(made, asked), "picamera2").do[-1] == "$ sed -i 's/= false/= true/' /env/pyvenv.cfg"
    made.python = replace(made.python, version=(3, 11, 9))
    assert "3.13" in one(look(made, asked), "picamera2").do[0]
    made.root.write({"/env/pyvenv.cfg": "include-system-site-packages = true\n"})
    made.python = replace(made.python, version=(3, 13, 1))
    assert "--reinstall" in one(look(made, asked), "picamera2").do[0]


# ------------------------------------------------------------------------------------------------ models


def test_an_unknown_model_and_a_damaged_one_are_told_apart_by_use(tmp_path: Path) -> None:
    made = pi4(tmp_path)
    made.answers["models"]["models"] = [
        {"name": "movenet_lightning_192", "why": "wrong hash"},
        {"name": "other", "why": "wrong hash"},
    ]
    findings = [each for each in look(made, only=("models",)) if each.topic == "model"]
    assert [each.state for each in findings] == ["broken", "degraded"]


def test_an_edge_tpu_model_on_the_cpu_is_broken(tmp_path: Path) -> None:
    made = pi4(tmp_path)
    made.answers["models"] = {"used": ["net_edgetpu"], "models": [{"name": "net_edgetpu", "edgetpu": True}]}
    assert one(look(made, only=("models",)), "model").state == "broken"
    stick = settings(engine__delegate="edgetpu")
    assert one(look(made, stick, only=("models",)), "model").state == "fine"


LOOPS: dict[str, tuple[dict[str, Any], str, str | None, State, str]] = {
    "compiled ahead": ({"kind": "aot", "why": ""}, "auto", None, "fine", ""),
    "no library here": ({"kind": "numba", "why": "there is no library"}, "auto", "0.62", "degraded", "reinstall"),
    "neither": ({"kind": "numpy", "why": "it is damaged"}, "auto", None, "degraded", "pip install numba"),
    "plain, as asked": ({"kind": "numpy", "why": "?"}, "numpy", None, "fine", ""),
    "asked for and not there": ({"kind": "numba", "why": "?"}, "aot", "0.62", "broken", "auto"),
    "numba, as asked": ({"kind": "aot", "why": ""}, "numba", "0.62", "fine", ""),
    "numba, not installed": ({"kind": "aot", "why": ""}, "numba", None, "broken", "pip install numba"),
}


@pytest.mark.parametrize(("family", "asked", "numba", "state", "do"), LOOPS.values(), ids=LOOPS)
def test_loops_are_judged_by_the_model_in_use(
    family: dict[str, Any], asked: str, numba: str | None, state: State, do: str, tmp_path: Path
) -> None:
    made = pi4(tmp_path)
    worse = {"kind": "numpy", "where": "", "why": "?"}
    made.answers["kernels"] = {"numba": numba, "families": {"movenet": {"where": "", **family}, "integral": worse}}
    found = one(look(made, settings(decode__kernels=asked), only=("models",)), "kernels")
    assert found.state == state
    assert do in " ".join(found.do)


def test_a_delegate_that_is_asked_for_and_fails_is_judged_by_on_failure(tmp_path: Path) -> None:
    made = pi4(tmp_path)
    failed = {
        "name": "edgetpu",
        "state": "failed",
        "reason": "no permission",
        "next_step": "join plugdev",
        "asked": True,
    }
    idle = {"name": "nnapi", "state": "unavailable", "reason": "Android only", "next_step": "", "asked": False}
    made.answers["delegates"] = {"delegates": [failed, idle]}
    stick = settings(engine__delegate="edgetpu")
    findings = look(made, stick, only=("models",))
    assert one(findings, "delegate edgetpu").state == "degraded"
    assert one(findings, "delegate edgetpu").do == ("join plugdev",)
    assert one(findings, "delegate nnapi").state == "fine"
    strict = settings(engine__delegate="edgetpu", engine__on_failure="error")
    assert one(look(made, strict, only=("models",)), "delegate edgetpu").state == "broken"


# ------------------------------------------------------------------------------------------------ cameras


def test_a_usb_camera_is_found_with_its_modes_and_its_node_is_closed(tmp_path: Path) -> None:
    made = pi4(tmp_path)
    camera, helper = FakeCamera(), FakeCamera("bcm2835-isp", "isp")
    made.camera("/dev/video0", camera)
    made.camera("/dev/video13", helper)
    made.camera("/dev/video1", FakeCamera(caps=0x00800000))  # metadata
    findings = look(made, settings(source__uri="0"), only=("cameras",))
    found = one(findings, "camera /dev/video0")
    assert found.what == "HD Webcam (uvcvideo): YUYV to 640x480 at 30 Hz, MJPG to 1280x720 at 60 Hz"
    assert found.data["modes"][1] == {"code": "MJPG", "size_wh": [1280, 720], "fps": 60.0}
    assert not [each for each in findings if each.topic in ("camera /dev/video13", "camera /dev/video1")]
    assert one(findings, "source").state == "fine"
    assert (camera.closed, helper.closed) == (1, 1)


MODES: dict[str, tuple[dict[str, Any], State, str]] = {
    "has it": ({"source__size_wh": [1280, 720], "source__fps": 60.0}, "fine", ""),
    "another size": ({"source__size_wh": [1920, 1080]}, "degraded", "1280x720"),
    "too fast": ({"source__fps": 90.0}, "degraded", "--source.fps 30"),
}


@pytest.mark.parametrize(("keys", "state", "do"), MODES.values(), ids=MODES)
def test_what_is_asked_of_a_camera_is_held_against_its_modes(
    keys: dict[str, Any], state: State, do: str, tmp_path: Path
) -> None:
    made = pi4(tmp_path)
    made.camera("/dev/video0", FakeCamera())
    found = one(look(made, settings(source__uri="/dev/video0", **keys), only=("cameras",)), "source")
    assert found.state == state
    assert do in " ".join(found.do)


def test_a_camera_of_any_size_is_fine_for_any(tmp_path: Path) -> None:
    made = pc(tmp_path)
    made.camera("/dev/video0", FakeCamera(modes=[("NV12", (4096, 4096), 0)], stepwise=True))
    assert one(look(made, settings(source__uri="0", source__size_wh=[100, 100])), "source").state == "fine"


def test_no_camera_matters_only_to_those_who_ask_for_one(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"")
    board = tmp_path / "board"
    made = pc(board)
    assert one(look(made, settings(source__uri=str(tmp_path / "photo.jpg"))), "source").state == "fine"
    assert one(look(made), "source").state == "fine"
    missing = one(look(made, settings(source__uri="/dev/video0")), "source")
    assert (missing.state, "no camera is connected" in missing.what) == ("broken", True)
    gone = one(look(made, settings(source__uri=str(tmp_path / "phot.jpg"), source__kind="image")), "source")
    assert (gone.state, "did you mean" in gone.what) == ("broken", True)


def test_a_camera_one_may_not_open_names_the_group(tmp_path: Path) -> None:
    made = pi4(tmp_path)
    made.groups = frozenset(("pi",))
    made.camera("/dev/video0", FakeCamera())
    made.root.refused.add("/dev/video0")
    findings = look(made, settings(source__uri="0"), only=("cameras",))
    assert one(findings, "source").do[0].startswith("$ sudo usermod -aG video pi")
    assert one(findings, "permissions").state == "degraded"
    assert one(findings, "permissions").data["nodes"] == ["/dev/video0"]
    made.root.write({"/etc/group": "video:x:44:someone,pi\n"})
    assert "log out" in one(look(made, settings(source__uri="0"), only=("cameras",)), "source").do[0]
    made.root.groups["/dev/video0"] = "root"
    assert "udev" in one(look(made, settings(source__uri="0"), only=("cameras",)), "source").do[0]


def test_a_coral_that_is_connected_and_not_used_is_a_hint(tmp_path: Path) -> None:
    made = pi4(tmp_path)
    usb = "/sys/bus/usb/devices/2-1"
    made.root.write({f"{usb}/idVendor": "1a6e\n", f"{usb}/idProduct": "089a\n", f"{usb}/busnum": "2\n",
                     f"{usb}/devnum": "3\n", "/dev/apex_0": ""})  # fmt: skip
    found = one(look(made, only=("cameras",)), "coral")
    assert found.state == "fine"
    assert "USB (/dev/bus/usb/002/003), PCIe (/dev/apex_0) connected and not used" in found.what
    assert "not used" not in one(look(made, settings(engine__delegate="edgetpu"), only=("cameras",)), "coral").what


def test_a_sensor_on_a_ribbon_cable_is_no_v4l2_source(tmp_path: Path) -> None:
    found = one(look(jetson(tmp_path), settings(source__uri="0"), only=("cameras",)), "source")
    assert (found.state, "nvarguscamerasrc" in found.do[0]) == ("broken", True)


def test_a_camera_number_that_libcamera_does_not_see_is_broken(tmp_path: Path) -> None:
    made = pi5(tmp_path)
    assert one(look(made, settings(source__uri="picamera2"), only=("cameras",)), "source").state == "fine"
    found = one(look(made, settings(source__uri="picamera2:1"), only=("cameras",)), "source")
    assert (found.state, "1 camera" in found.what) == ("broken", True)


def test_the_ai_camera_needs_the_sensor_its_package_and_its_network(tmp_path: Path) -> None:
    made = pi5(tmp_path)
    asked = settings(source__uri="imx500", source__network="/net.rpk")
    found = one(look(made, asked, only=("cameras",)), "source")
    assert (found.state, "no AI Camera among 1 camera" in found.what) == ("broken", True)
    made.answers["picamera2"] = {
        "cameras": [{"number": 0, "model": "imx500"}],
        "imx500": "No module named 'libarchive'",
    }
    found = one(look(made, asked, only=("cameras",)), "source")
    assert (found.state, "libarchive" in found.what, "imx500-all" in found.do[0]) == ("broken", True, True)
    del made.answers["picamera2"]["imx500"]
    assert "/net.rpk: not there" in one(look(made, asked, only=("cameras",)), "source").what
    made.root.write({"/net.rpk": "x"})
    assert one(look(made, asked, only=("cameras",)), "source").state == "fine"


def test_a_hailo_chip_that_is_not_used_is_told(tmp_path: Path) -> None:
    made = pi5(tmp_path)
    made.root.write({"/dev/hailo0": ""})
    found = one(look(made, settings(), only=("cameras",)), "hailo")
    assert found.what == "/dev/hailo0 connected and not used: engine.delegate is cpu"
    used = one(look(made, settings(engine__delegate="hailo"), only=("cameras",)), "hailo")
    assert used.what == "/dev/hailo0 connected"


def test_a_network_on_a_chip_is_known_and_not_run_here(tmp_path: Path) -> None:
    made = pi5(tmp_path)
    named = {"name": "yolov8s_pose_h8", "chip": "on the Hailo chip", "edgetpu": False}
    made.answers["models"] = {"used": ["yolov8s_pose_h8"], "models": [named]}
    found = one(look(made, settings(engine__delegate="hailo"), only=("models",)), "model")
    assert (found.state, found.what) == ("fine", "yolov8s_pose_h8: runs on the Hailo chip, no run on the CPU")


# ------------------------------------------------------------------------------------------------ room, settings


def test_folders_that_cannot_be_written_to_are_told_by_what_needs_them(tmp_path: Path) -> None:
    made = pi4(tmp_path)
    made.root.write({"/proc/mounts": "/dev/root / ext4 rw 0 0\ntmpfs /tmp tmpfs ro,nosuid 0 0\n", "/srv/poses/x": ""})
    made.root.refused |= {"/tmp", "/srv/poses", "/home/pi/.cache", "/"}
    findings = look(made, settings(sink__jsonl__path="/srv/poses/out.jsonl"), only=("board",))
    assert one(findings, "disk: jsonl").state == "broken"
    assert "chown" not in " ".join(one(findings, "disk: jsonl").do), "folders of others stay theirs"
    temporary = one(findings, "disk: temporary")
    assert (temporary.state, "is read-only" in temporary.what, "TMPDIR" in temporary.do[0]) == ("degraded", True, True)
    cache = one(findings, "disk: cache")
    assert (cache.state, "pi may not write to /" in cache.what) == ("degraded", True)
    made.root.write({"/var/cache/edgepose/x": ""})
    made.env["CACHE_DIRECTORY"] = "/var/cache/edgepose"
    assert one(look(made, only=("board",)), "disk: cache").data["path"] == "/var/cache/edgepose/edgepose"


def test_a_full_disk_is_degraded(tmp_path: Path) -> None:
    made = pi4(tmp_path)
    made.root.room = (50 * 2**20, 30 * 2**30)
    assert one(look(made, only=("board",)), "disk: cache").state == "degraded"


def test_a_delegates_own_process_needs_shared_memory(tmp_path: Path) -> None:
    made = pi4(tmp_path)
    stick = settings(engine__delegate="edgetpu")
    assert one(look(made, stick, only=("board",)), "shared memory").state == "degraded"
    made.root.write({"/dev/shm/x": ""})
    assert one(look(made, stick, only=("board",)), "shared memory").state == "fine"
    inline = settings(engine__delegate="edgetpu", engine__delegate_process="inline")
    assert "shared memory" not in [each.topic for each in look(made, inline, only=("board",))]


def test_more_threads_than_cores_are_degraded(tmp_path: Path) -> None:
    made = pi4(tmp_path)
    assert one(look(made, settings(engine__threads=8), only=("settings",)), "threads").state == "degraded"
    assert one(look(made, settings(engine__threads=4), only=("settings",)), "threads").state == "fine"
    made.answers["tuned"] = {"threads": {"movenet_lightning_192": 2}}
    found = one(look(made, only=("settings",)), "threads")
    assert (found.state, found.data["threads"], "bench --tune" in found.what) == ("fine", 2, True)
    made.root.write({"/sys/fs/cgroup/cpu.max": "100000 100000\n"})
    assert one(look(made, only=("settings",)), "threads").state == "degraded"


def test_wrong_settings_are_a_finding_and_the_rest_is_still_looked_at(tmp_path: Path) -> None:
    findings = look(pi4(tmp_path), wrong="edgepose.toml: smoth is not a setting; did you mean smooth?")
    assert one(findings, "settings").state == "broken"
    assert one(findings, "board").state == "fine"


def test_a_board_without_network_is_degraded_only_if_the_broker_is_elsewhere(tmp_path: Path) -> None:
    made = pi4(tmp_path)
    made.root.write({"/sys/class/net/wlan0/operstate": "down\n", "/proc/net/route": "Iface\tDestination\n"})
    assert one(look(made, only=("broker",)), "network").state == "fine"
    here = settings(sink__mqtt__broker="mqtt://localhost")
    assert one(look(made, here, only=("broker",)), "network").state == "fine"
    away = settings(sink__mqtt__broker="mqtt://broker.lan")
    made.answers["broker"] = {"step": "name", "kind": "unknown host", "why": "the name broker.lan is not known",
                              "host": "broker.lan", "port": 1883}  # fmt: skip
    findings = look(made, away, only=("broker",))
    assert one(findings, "network").state == "degraded"
    assert (one(findings, "broker").state, one(findings, "broker").do[0]) == ("broken", "$ getent hosts broker.lan")


def test_a_password_everybody_may_read_is_degraded(tmp_path: Path) -> None:
    made = pi4(tmp_path)
    made.root.write({"/etc/edgepose/password": "secret\n"})
    keys = {"sink__mqtt__broker": "mqtt://b", "sink__mqtt__username": "pose"}
    cfg = settings(**keys, sink__mqtt__password_file="/etc/edgepose/password")  # noqa: S106
    made.root.path("/etc/edgepose/password").chmod(0o644)
    assert one(look(made, cfg, only=("broker",)), "secrets").do == ("$ chmod 600 /etc/edgepose/password",)
    made.root.path("/etc/edgepose/password").chmod(0o600)
    assert one(look(made, cfg, only=("broker",)), "secrets").state == "fine"


# ------------------------------------------------------------------------------------------------ the doctor itself


def test_a_bare_machine_without_proc_sys_and_dev_is_looked_at_to_the_end(tmp_path: Path) -> None:
    made = pi4(tmp_path / "board")
    made.root.folder = tmp_path / "nothing"
    made.answers = {name: {"failed": "No module named 'x'"} for name in made.answers}
    made.clock_kept = None
    findings = look(made)
    assert not [each for each in findings if "check_failed" in each.data]
    assert all(each.do for each in findings if each.state != "fine")
    assert exit_code(findings) == 2


def test_a_check_that_fails_or_hangs_is_a_finding(tmp_path: Path) -> None:
    context = Context(Config(), pi4(tmp_path).machine)

    def fails(_visit: Context) -> Any:
        yield fine("seen", "before")
        raise KeyError("gone")

    seen, failed = examine.run_check(Check("board", "strange", fails, 5.0), context)
    assert (seen.topic, failed.topic, failed.state) == ("seen", "strange", "degraded")
    assert "KeyError('gone')" in failed.what
    (late,) = examine.run_check(Check("board", "slow", lambda _visit: time.sleep(3) or [], 0.05), context)  # type: ignore[func-returns-value]
    assert (late.state, "did not end" in late.what) == ("degraded", True)


def test_what_is_not_fine_must_say_what_to_do() -> None:
    with pytest.raises(ValueError, match="nothing says what to do"):
        Finding("x", "broken", "is broken")


def test_a_probe_is_asked_once(tmp_path: Path) -> None:
    made = pi4(tmp_path)
    look(made)
    assert len(made.asked) == len(set(made.asked))


def test_the_groups_of_the_command_line_are_those_of_the_table() -> None:
    assert tuple(dict.fromkeys(check.group for check in examine.CHECKS)) == command.GROUPS


def test_the_worst_finding_decides_and_unknown_does_not_count() -> None:
    findings = [Finding("a", "fine", ""), Finding("b", "unknown", "", ("x",))]
    assert exit_code(findings) == 0
    findings.append(Finding("c", "degraded", "", ("x",)))
    assert exit_code(findings) == 1
    findings.append(Finding("d", "broken", "", ("x",)))
    assert exit_code(findings) == 2


def printed(found: list[Found], width: int = 80, *, coloured: bool = False) -> str:
    to = io.StringIO()
    written = page.Page(to, width, coloured=coloured)
    for each in found:
        written.add(each)
    written.foot(found, 1.0)
    return to.getvalue()


def test_the_page_is_aligned_wraps_words_and_keeps_commands_whole() -> None:
    command = (
        "$ sudo tee /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor /sys/devices/system/cpu/cpu1/x   (a note)"
    )
    found = Found("power", Finding("clock rate", "degraded", "word " * 30, (command, "and " * 30)))
    lines = printed([found]).splitlines()
    assert lines[1] == "power"
    assert lines[2].startswith("  DEGRADED  clock rate         word word")
    assert f"{' ' * 31}{command}" in lines
    assert all(len(line) <= 80 for line in lines if "$ " not in line)
    assert "DEGRADED: 1 degraded, in 1.0 s" in lines
    assert "\033" not in "".join(lines)
    assert "\033[33mDEGRADED" in printed([found], coloured=True)


def test_colour_is_for_terminals_that_want_it() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert page.is_coloured(Terminal(), {"TERM": "xterm"})
    assert not page.is_coloured(Terminal(), {"TERM": "xterm", "NO_COLOR": "1"})
    assert not page.is_coloured(Terminal(), {"TERM": "dumb"})
    assert not page.is_coloured(io.StringIO(), {"TERM": "xterm"})


KEYS = {"schema", "edgepose", "device", "at", "state", "counts", "findings"}


def doctor(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "XDG_CACHE_HOME": str(cwd)}
    return subprocess.run([*EDGEPOSE, "doctor", *args], capture_output=True, text=True, timeout=120, cwd=cwd, env=env)


def test_the_command_answers_in_json_and_its_exit_code_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "edgepose.toml").write_text("[smoth]\n")
    done = doctor("--json", "--only", "settings", "--only", "board", cwd=tmp_path)
    told = json.loads(done.stdout)
    assert set(told) == KEYS
    assert (told["schema"], told["state"], done.returncode) == ("edgepose.doctor/1", "broken", 2)
    assert {each["group"] for each in told["findings"]} == {"settings", "board"}
    assert {key for each in told["findings"] for key in each} == {"group", "topic", "state", "what", "do", "data"}
    assert sum(told["counts"].values()) == len(told["findings"])
    assert "smooth" in told["findings"][0]["what"]


def test_the_whole_page_comes_from_this_machine(tmp_path: Path) -> None:
    done = doctor("--decode.kernels", "numpy", cwd=tmp_path)
    assert done.returncode in (0, 1), done.stdout
    assert "the check itself failed" not in done.stdout
    assert "did not end in" not in done.stdout
    for group in command.GROUPS:
        assert f"\n{group}\n" in done.stdout
    assert "sound, one run on the CPU" in done.stdout
    assert "\033" not in done.stdout


def test_a_reader_that_leaves_ends_nothing(tmp_path: Path) -> None:
    doctor = f"{sys.executable} -m edgepose doctor --only board --engine.threads 1"
    shell = ["bash", "-c", f"set -o pipefail; {doctor} | head -1; echo ended ${{PIPESTATUS[0]}}"]
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(shell, capture_output=True, text=True, timeout=60, cwd=tmp_path, env=env, check=False)
    first, last = done.stdout.splitlines()
    assert first.startswith("edgepose ")
    assert last in ("ended 0", "ended 1")
    assert done.stderr == ""


def test_a_terminal_that_knows_no_degrees_gets_a_question_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(seen, "ascii"))
    args = argparse.Namespace(config=None, json=False, only=["power"])
    assert command.report(args, Config(), machine=pi4(tmp_path).machine) == 0
    assert b"52 ?C (cpu-thermal)" in seen.getvalue()


DOCS = Path(__file__).resolve().parents[1] / "docs"


def test_every_kind_of_board_has_its_page_in_the_index() -> None:
    index = (DOCS / "boards" / "README.md").read_text()
    pages = {path.name for path in (DOCS / "boards").glob("*.md")} - {"README.md"}
    assert {page for _, _, page in context_module.BOARDS} | {"generic.md"} <= pages
    for name in pages:
        assert f"]({name})" in index
        text = (DOCS / "boards" / name).read_text()
        assert "## What was tested where" in text, name
        assert "untested" in text, name


def test_every_topic_that_is_found_is_documented(tmp_path: Path) -> None:
    rows = [line.split("|") for line in (DOCS / "doctor.md").read_text().splitlines() if line.startswith("| `")]
    known = {(row[1].strip(" `"), topic.strip(" `")) for row in rows if len(row) > 3 for topic in row[2].split(",")}
    made = pi5(tmp_path)
    made.camera("/dev/video0", FakeCamera())
    made.root.write({"/dev/apex_0": "", "/dev/shm/x": "", "/secret": ""})
    made.answers["broker"] |= {"expires_t": 1_900_000_000.0}
    keys = {"engine__delegate": "edgetpu", "sink__mqtt__broker": "mqtts://b", "sink__mqtt__username": "u"}
    paths = {"sink__mqtt__password_file": "/secret", "sink__jsonl__path": "/tmp/a", "sink__overlay__path": "/tmp"}
    context = Context(settings(source__uri="0", **keys, **paths), made.machine)
    found = {(group, finding.topic) for group, finding in examine.examine(context)}
    families = ("camera ", "delegate ", "disk: ")
    named = {
        (group, next((f"{each}..." for each in families if topic.startswith(each)), topic)) for group, topic in found
    }
    assert named <= known
    assert len(named) > 30


def test_what_the_running_service_says_is_wrong_is_said_by_the_doctor_too(tmp_path: Path) -> None:
    made = pi4(tmp_path)
    said = "camera: people stand on their heads, so it hangs upside down: set source.rotate = 180"
    made.answers["broker"] |= {"troubles": [said]}
    found = one(look(made, settings(sink__mqtt__broker="mqtts://b"), only=("broker",)), "service")
    assert (found.state, found.what) == ("degraded", f"what runs says: {said}")
