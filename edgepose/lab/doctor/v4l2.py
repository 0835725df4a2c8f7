"""What a V4L2 device says of itself, asked with the kernel's own calls: no OpenCV, no v4l2-ctl."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from edgepose.lab.doctor.machine import Device

QUERYCAP = 0x80685600
"""struct v4l2_capability, 104 bytes."""
ENUM_FMT = 0xC0405602
"""struct v4l2_fmtdesc, 64 bytes."""
ENUM_FRAMESIZES = 0xC02C564A
"""struct v4l2_frmsizeenum, 44 bytes."""
ENUM_FRAMEINTERVALS = 0xC034564B
"""struct v4l2_frmivalenum, 52 bytes."""

VIDEO_CAPTURE, VIDEO_CAPTURE_MPLANE, VIDEO_M2M = 0x1, 0x1000, 0x8000 | 0x4000
DEVICE_CAPS = 0x80000000
DISCRETE = 1
MOST = 64
"""Of anything that is listed, against drivers that never end."""

CSI_DRIVERS = frozenset(("unicam", "rp1-cfe", "bcm2835-unicam", "tegra-video", "mx6s-csi", "mxc-isi", "ipu3-cio2"))
"""Drivers of sensors on a ribbon cable: raw data, which libcamera or the vendor's pipeline makes pictures of."""

HELPERS = frozenset(("bcm2835-isp", "bcm2835-codec", "bcm2835-codec-decode", "pispbe", "rpivid", "rpi-hevc-dec"))
"""Drivers that work on pictures of others; some of their nodes look like cameras."""


@dataclass(frozen=True, slots=True)
class Mode:
    """One picture format and size."""

    code: str
    """Four letters: YUYV, MJPG."""
    size_wh: tuple[int, int]
    """Largest, where any size goes."""
    fps: float
    """Highest rate; 0 where it is not told."""


@dataclass(frozen=True, slots=True)
class Camera:
    """A capture device."""

    path: str
    driver: str
    card: str
    modes: tuple[Mode, ...] = field(default=())
    stepwise: bool = False
    """Any size up to those of `modes` goes."""

    @property
    def is_csi(self) -> bool:
        """Whether its pictures need another way than V4L2."""
        return self.driver in CSI_DRIVERS


def look(path: str, device: Device) -> Camera | None:
    """The camera behind an opened node; None: it is an encoder, an ISP or metadata, not a camera.

    Raises:
        OSError: it is no V4L2 device at all.
    """
    buffer = bytearray(104)
    device.ioctl(QUERYCAP, buffer)
    driver, card, _ = (
        part.split(b"\0")[0].decode(errors="replace") for part in struct.unpack_from("16s32s32s", buffer)
    )
    everything, own = struct.unpack_from("<II", buffer, 84)
    abilities = own if everything & DEVICE_CAPS else everything
    if driver in HELPERS or abilities & VIDEO_M2M or not abilities & (VIDEO_CAPTURE | VIDEO_CAPTURE_MPLANE):
        return None
    kind = 1 if abilities & VIDEO_CAPTURE else 9
    modes: list[Mode] = []
    stepwise = False
    for code, number in _formats(device, kind):
        for size_wh, is_range in _sizes(device, number):
            stepwise |= is_range
            modes.append(Mode(code, size_wh, 0.0 if is_range else _fps(device, number, size_wh)))
    return Camera(path, driver, card, tuple(modes), stepwise)


def _listed(device: Device, request: int, length: int, head: bytes) -> Iterator[bytearray]:
    """Answers for index 0, 1, ... until the driver says that there are no more."""
    for index in range(MOST):
        buffer = bytearray(struct.pack("<I", index) + head).ljust(length, b"\0")
        try:
            device.ioctl(request, buffer)
        except OSError:
            return
        yield buffer


def _formats(device: Device, kind: int) -> Iterator[tuple[str, int]]:
    for buffer in _listed(device, ENUM_FMT, 64, struct.pack("<I", kind)):
        (number,) = struct.unpack_from("<I", buffer, 44)
        yield struct.pack("<I", number & 0x7FFFFFFF).decode("latin-1").strip(), number


def _sizes(device: Device, number: int) -> Iterator[tuple[tuple[int, int], bool]]:
    for buffer in _listed(device, ENUM_FRAMESIZES, 44, struct.pack("<I", number)):
        (kind,) = struct.unpack_from("<I", buffer, 8)
        if kind == DISCRETE:
            yield struct.unpack_from("<II", buffer, 12), False
            continue
        _, width, _, _, height, _ = struct.unpack_from("<6I", buffer, 12)
        yield (width, height), True
        return


def _fps(device: Device, number: int, size_wh: tuple[int, int]) -> float:
    best = 0.0
    for buffer in _listed(device, ENUM_FRAMEINTERVALS, 52, struct.pack("<3I", number, *size_wh)):
        (kind,) = struct.unpack_from("<I", buffer, 16)
        numerator, denominator = struct.unpack_from("<II", buffer, 20)  # of a range: the shortest
        with contextlib.suppress(ZeroDivisionError):
            best = max(best, denominator / numerator)
        if kind != DISCRETE:
            break
    return best


def summary(camera: Camera) -> str:
    """Its modes in a few words: "YUYV to 1280x720 (640x480 at 30 Hz), MJPG to 1920x1080 at 30 Hz"."""
    words = []
    for code in dict.fromkeys(mode.code for mode in camera.modes):
        modes = [mode for mode in camera.modes if mode.code == code]
        most = max(modes, key=lambda mode: mode.size_wh[0] * mode.size_wh[1])
        words.append(f"{code} to {most.size_wh[0]}x{most.size_wh[1]}" + (f" at {most.fps:g} Hz" if most.fps else ""))
    return ", ".join(words) or "tells no modes"
