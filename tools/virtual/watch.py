"""Our picamera2 source on the real picamera2, in a root without a camera; run by `tools/picamera2_virtual`.

libcamera's virtual cameras give NV12 only, have no raw modes, and want a buffer's two planes told apart: that much of
picamera2 is replaced. What it imports and does not need here is empty.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import sys
from collections.abc import MutableSequence
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

NOT_NEEDED = ("pidng", "pykms", "kms", "prctl", "av", "PIL", "piexif", "simplejpeg", "jsonschema", "tqdm",
              "OpenGL", "PyQt5", "PyQt6", "libarchive")  # fmt: skip
"""What draws, encodes and saves."""


class Empty(ModuleType):
    """A module in which everything is there and does nothing."""

    __path__: MutableSequence[str] = []

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock(name=f"{self.__name__}.{name}")


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives Empty for what is not needed."""

    def find_spec(self, name: str, _path: object, _target: object = None) -> importlib.machinery.ModuleSpec | None:
        """As MetaPathFinder.find_spec."""
        wanted = name.partition(".")[0] in NOT_NEEDED
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if wanted else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """As Loader.create_module."""
        return Empty(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """As Loader.exec_module."""


def main(uri: str, frames: int) -> None:
    """Print a line of JSON per frame of that camera."""
    sys.meta_path.append(Finder())
    import cv2
    import libcamera
    from picamera2 import picamera2 as real
    from picamera2.allocators import DmaAllocator

    from edgepose.core import config
    from edgepose.source import open_source

    class TwoPlanes(DmaAllocator):  # type: ignore[misc]
        """Allocates as the real one, then tells where chroma begins."""

        def allocate(self, libcamera_config: object, use_case: object) -> None:
            super().allocate(libcamera_config, use_case)
            for stream, buffers in self.frame_buffers.items():
                self.frame_buffers[stream] = [self.parted(buffer) for buffer in buffers]

        def parted(self, buffer: Any) -> Any:
            whole = buffer.planes[0]
            planes = [libcamera.FrameBuffer.Plane(), libcamera.FrameBuffer.Plane()]
            for plane, thirds, length in zip(planes, (0, 2), (2, 1), strict=True):
                plane.fd, plane.offset, plane.length = whole.fd, whole.length * thirds // 3, whole.length * length // 3
            made = libcamera.FrameBuffer(planes)
            self.mapped_buffers[made] = self.mapped_buffers.pop(buffer)
            self.libcamera_fds.append(made.planes[0].fd)
            self.mapped_buffers_used[made.planes[0].fd] = False
            return made

    real.DmaAllocator = TwoPlanes
    real.Picamera2._get_raw_modes = lambda _: [{"format": "NV12", "size": (640, 480)}]
    with open_source(config.Source(uri=uri, stall_s=5.0)) as source:
        for _, frame in zip(range(frames), source, strict=False):
            shown = cv2.cvtColor(frame.image, cv2.COLOR_YUV2BGR_NV12) if frame.layout == "nv12" else frame.image
            colours = [shown[y, x].tolist() for y in (120, 360) for x in (160, 480)]
            told = {"layout": frame.layout, "size_wh": frame.size_wh, "seq": frame.seq, "colours_bgr": colours}
            sys.stdout.write(json.dumps(told | {"taken_t": frame.taken_t, "t": frame.t}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
