"""Made-up boards for the doctor: a folder that stands for /, and libraries that answer as they would there."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgepose.core.config import Config
from edgepose.lab.doctor import probe, v4l2
from edgepose.lab.doctor.machine import Answer, Machine, Python, Root

CORE_A72 = "processor\t: {n}\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n"
CORE_A76 = "processor\t: {n}\nFeatures\t: fp asimd asimdhp asimddp\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n"
CORE_A53 = "processor\t: {n}\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\nCPU part\t: 0xd03\n"
CORE_A78 = "processor\t: {n}\nFeatures\t: fp asimd asimdhp asimddp\nCPU implementer\t: 0x41\nCPU part\t: 0xd42\n"

GOOD: dict[str, dict[str, Any]] = {
    "numpy": {"version": "2.2.6", "file": "/env/numpy/__init__.py"},
    "runtimes": {"runtimes": {"litert": {"version": "2.3.0"}, "tflite_runtime": {"why": "not installed, type: x"}}},
    "opencv": {
        "version": "4.12.0",
        "file": "/env/lib/cv2/__init__.py",
        "able": {"GStreamer": False, "FFMPEG": True},
        "copies": ["/env/lib"],
        "packages": ["opencv-python-headless 4.12.0.88"],
    },
    "tuned": {"threads": {}},
    "picamera2": {"cameras": [{"number": 0, "model": "imx708"}]},
    "packages": {"numpy": "2.2.6", "ai-edge-litert": "2.3.0"},
    "kernels": {"numba": "0.62.0", "families": {"movenet": {"kind": "aot", "where": "/cache/movenet.so", "why": ""}}},
    "numba": {"version": "0.62.0"},
    "models": {
        "used": ["movenet_lightning_192"],
        "wrong": "",
        "models": [
            {"name": "movenet_lightning_192", "loops": "movenet", "decoder": "movenet", "edgetpu": False,
             "runtime": "litert 2.3.0", "threads": 3, "invoke_ms": 12.5},
            {"name": "other", "edgetpu": False},
        ],
    },
    "delegates": {"delegates": [{"name": "cpu", "state": "ok", "reason": "runs here", "next_step": "", "asked": True,
                                 "share": None, "heads": {}}]},
    "broker": {"step": "done", "host": "b", "port": 1883, "root": "edgepose/pi/camera", "version": "5",
               "connect_ms": 1.5, "tried": "allowed"},
}  # fmt: skip
"""What probes say on a board where all is well."""


class FakeRoot(Root):
    """A folder in place of /, where permissions, groups and room are as told."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.refused: set[str] = set()
        self.groups: dict[str, str] = {}
        self.room: tuple[int, int] | None = (10 * 2**30, 30 * 2**30)

    def may(self, path: str, mode: int) -> bool:
        return self.exists(path) and not (path in self.refused and mode & (os.R_OK | os.W_OK))

    def group(self, path: str) -> str:
        return self.groups.get(path, "video")

    def free(self, path: str) -> tuple[int, int] | None:
        return self.room if self.exists(path) else None

    def write(self, files: Mapping[str, str | bytes]) -> None:
        for path, content in files.items():
            file = self.path(path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode())


@dataclass
class FakeCamera:
    """As machine.Device: a driver's answers, made with the kernel's own layouts."""

    driver: str = "uvcvideo"
    card: str = "HD Webcam"
    caps: int = 0x1
    modes: Sequence[tuple[str, tuple[int, int], float]] = (("YUYV", (640, 480), 30), ("MJPG", (1280, 720), 60))
    stepwise: bool = False
    closed: int = 0

    def close(self) -> None:
        self.closed += 1

    def ioctl(self, request: int, buffer: bytearray) -> None:
        (index,) = struct.unpack_from("<I", buffer)
        codes = list(dict.fromkeys(code for code, _, _ in self.modes))
        if request == v4l2.QUERYCAP:
            struct.pack_into("<16s32s32sIII", buffer, 0, self.driver.encode(), self.card.encode(), b"usb", 1,
                             self.caps | v4l2.DEVICE_CAPS, self.caps)  # fmt: skip
        elif request == v4l2.ENUM_FMT:
            struct.pack_into("<4s", buffer, 44, self._at(codes, index).encode())
        elif request == v4l2.ENUM_FRAMESIZES:
            code = bytes(buffer[4:8]).decode()
            size = self._at([size for name, size, _ in self.modes if name == code], index)
            if self.stepwise:
                struct.pack_into("<7I", buffer, 8, 3, 32, size[0], 2, 32, size[1], 2)
            else:
                struct.pack_into("<III", buffer, 8, 1, *size)
        elif request == v4l2.ENUM_FRAMEINTERVALS:
            code, wanted = bytes(buffer[4:8]).decode(), struct.unpack_from("<II", buffer, 8)
            rate = self._at([rate for name, size, rate in self.modes if name == code and size == wanted], index)
            struct.pack_into("<III", buffer, 16, 1, 1000, round(rate * 1000))
        else:
            raise OSError(25, "Inappropriate ioctl for device")

    def _at(self, values: list[Any], index: int) -> Any:
        if index >= len(values):
            raise OSError(22, "Invalid argument")
        return values[index]


@dataclass
class Made:
    """A board, to be changed before it is looked at."""

    root: FakeRoot
    answers: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {name: dict(said) for name, said in GOOD.items()}
    )
    commands: dict[str, Answer] = field(default_factory=dict)
    """First two words of a command -> what it says; others are not there."""
    cameras: dict[str, FakeCamera] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """Probes that were run."""
    python: Python = field(
        default_factory=lambda: Python(
            (3, 11, 2), 64, "aarch64", ("glibc", "2.36"), "/env", "/env/bin/python", in_venv=True, gil=True
        )
    )
    clock_kept: bool | None = True
    cores: int = 4
    groups: frozenset[str] = frozenset(("pi", "video"))
    env: dict[str, str] = field(default_factory=lambda: {"HOME": "/home/pi", "VIRTUAL_ENV": "/env"})

    def camera(self, path: str, camera: FakeCamera) -> None:
        """Plug one in."""
        self.root.write({path: ""})
        self.cameras[path] = camera

    @property
    def machine(self) -> Machine:
        """As the doctor gets it."""

        def ask(name: str, cfg: Config, _limit_s: float) -> dict[str, Any]:
            self.asked.append(name)
            if name == "source":
                return probe.here(name, cfg)
            return dict(self.answers[name])

        def open_node(path: Path) -> FakeCamera:
            name = f"/{path.relative_to(self.root.folder)}"
            if name in self.root.refused or name not in self.cameras:
                raise PermissionError(13, "Permission denied")
            return self.cameras[name]

        return Machine(
            root=self.root,
            run=lambda words, _limit_s: self.commands.get(" ".join(words[:2])),
            ask=ask,
            open=open_node,
            clock_kept=lambda: self.clock_kept,
            now=lambda: 1_800_000_000.0,
            env=self.env,
            python=self.python,
            cores=self.cores,
            user="pi",
            groups=self.groups,
        )


def _board(folder: Path, model: str, core: str, cores: int, memory_mb: int, system: str) -> Made:
    root = FakeRoot(folder)
    root.write(
        {
            "/proc/device-tree/model": model.encode() + b"\0",
            "/proc/cpuinfo": "\n".join(core.format(n=n) for n in range(cores)) + f"\nModel\t\t: {model}\n",
            "/proc/meminfo": f"MemTotal: {memory_mb * 1024} kB\nMemAvailable: {memory_mb * 700} kB\n"
            "SwapTotal: 204800 kB\nSwapFree: 204800 kB\n",
            "/proc/mounts": "/dev/mmcblk0p2 / ext4 rw,noatime 0 0\n",
            "/proc/sys/kernel/osrelease": "6.12.34+rpt-rpi-v8\n",
            "/proc/net/route": "Iface\tDestination\tGateway\nwlan0\t00000000\t0101A8C0\n",
            "/sys/class/net/lo/operstate": "unknown\n",
            "/sys/class/net/wlan0/operstate": "up\n",
            "/sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
            "/sys/class/thermal/thermal_zone0/temp": "52100\n",
            "/etc/os-release": system,
            "/etc/group": "video:x:44:\n",
            "/home/pi/.cache/x": "",
            "/tmp/x": "",
        }
    )
    for n in range(cores):
        root.write(
            {
                f"/sys/devices/system/cpu/cpu{n}/cpufreq/scaling_governor": "ondemand\n",
                f"/sys/devices/system/cpu/cpu{n}/cpufreq/scaling_driver": "cpufreq-dt\n",
                f"/sys/devices/system/cpu/cpu{n}/cpufreq/scaling_cur_freq": "600000\n",
                f"/sys/devices/system/cpu/cpu{n}/cpufreq/scaling_max_freq": "1800000\n",
                f"/sys/devices/system/cpu/cpu{n}/cpufreq/cpuinfo_max_freq": "1800000\n",
            }
        )
    return Made(root, cores=cores)


BOOKWORM = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n'
TRIXIE = 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nID=debian\nVERSION_ID="13"\n'
JAMMY = 'PRETTY_NAME="Ubuntu 22.04.4 LTS"\nID=ubuntu\nVERSION_ID="22.04"\n'
FIRMWARE = "/sys/devices/platform/soc/soc:firmware/get_throttled"


def pi4(folder: Path) -> Made:
    """Bookworm, all well."""
    made = _board(folder, "Raspberry Pi 4 Model B Rev 1.5", CORE_A72, 4, 3800, BOOKWORM)
    made.root.write({"/etc/rpi-issue": "Raspberry Pi reference", FIRMWARE: "0\n", "/dev/media0": "", "/dev/vcio": ""})
    return made


def pi5(folder: Path) -> Made:
    """Trixie, Python 3.13, the firmware asked by vcgencmd."""
    made = _board(folder, "Raspberry Pi 5 Model B Rev 1.0", CORE_A76, 4, 8000, TRIXIE)
    made.root.write({"/etc/rpi-issue": "Raspberry Pi reference", "/dev/rtc0": "",
                     "/proc/device-tree/chosen/power/max_current": (5000).to_bytes(4, "big")})  # fmt: skip
    made.commands["vcgencmd get_throttled"] = Answer(0, "throttled=0x0")
    made.python = replace(made.python, version=(3, 13, 5), libc=("glibc", "2.41"))
    return made


def zero2w(folder: Path) -> Made:
    """A 64-bit Zero 2 W with little memory."""
    made = _board(folder, "Raspberry Pi Zero 2 W Rev 1.0", CORE_A53, 4, 416, BOOKWORM)
    made.root.write({"/etc/rpi-issue": "Raspberry Pi reference", FIRMWARE: "0\n"})
    return made


def jetson(folder: Path) -> Made:
    """JetPack 6 with a camera on a ribbon cable."""
    model = "NVIDIA Jetson Orin Nano Developer Kit"
    made = _board(folder, model, CORE_A78, 6, 7600, JAMMY)
    made.root.write(
        {
            "/etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic\n",
            "/sys/class/thermal/thermal_zone1/type": "PMIC-Die\n",
            "/sys/class/thermal/thermal_zone1/temp": "100000\n",
            "/dev/rtc0": "",
        }
    )
    made.python = replace(made.python, version=(3, 10, 12), libc=("glibc", "2.35"))
    made.camera("/dev/video0", FakeCamera("tegra-video", "vi-output, imx219", modes=[("RG10", (3280, 2464), 21)]))
    return made


def pc(folder: Path) -> Made:
    """An ordinary PC, its rates ruled by intel_pstate."""
    core = "processor\t: {n}\nmodel name\t: Intel(R) N100\nflags\t\t: fpu sse4_1 avx2 avx_vnni\n"
    made = _board(folder, "", core, 4, 15800, BOOKWORM)
    made.root.path("/proc/device-tree/model").unlink()
    made.root.write(
        {"/sys/class/dmi/id/sys_vendor": "ACME", "/sys/class/dmi/id/product_name": "Mini N100", "/dev/rtc0": ""}
    )
    for n in range(4):
        made.root.write({f"/sys/devices/system/cpu/cpu{n}/cpufreq/scaling_driver": "intel_pstate\n",
                         f"/sys/devices/system/cpu/cpu{n}/cpufreq/scaling_governor": "powersave\n"})  # fmt: skip
    made.python = replace(made.python, machine="x86_64")
    return made


BOARDS: dict[str, Callable[[Path], Made]] = {"pi4": pi4, "pi5": pi5, "zero2w": zero2w, "jetson": jetson, "pc": pc}
"""Every board that is made up here; all is well on each."""
