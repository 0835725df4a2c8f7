"""A frame becomes the model's input: letterbox or stretch, straight into the input tensor, bytes kept bytes.

YUV planes are resized before they are converted: less to convert. Nothing is allocated per frame once sizes are known.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.opencv import cv2
from edgepose.poses import Crop, Frame, InputSpec

RESIZE = {"linear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST_EXACT, "area": cv2.INTER_AREA}

"""nearest is the pixel under the middle of the new one; plain INTER_NEAREST takes the one under its corner."""

PLANAR = ("i420", "nv12")

TO_COLOUR = {
    ("bgr", "rgb"): cv2.COLOR_BGR2RGB,
    ("rgb", "bgr"): cv2.COLOR_RGB2BGR,
    ("gray", "rgb"): cv2.COLOR_GRAY2RGB,
    ("gray", "bgr"): cv2.COLOR_GRAY2BGR,
    ("i420", "rgb"): cv2.COLOR_YUV2RGB_I420,
    ("i420", "bgr"): cv2.COLOR_YUV2BGR_I420,
    ("nv12", "rgb"): cv2.COLOR_YUV2RGB_NV12,
    ("nv12", "bgr"): cv2.COLOR_YUV2BGR_NV12,
}
"""(frame layout, model colour) -> conversion; a pair that is absent needs none."""


class Preprocess:
    """Fill one model's input from frames of any size and layout."""

    def __init__(self, spec: InputSpec) -> None:
        self.spec = spec
        height, width = spec.tensor.shape[:2]
        # bytes are written straight into the tensor's memory where it holds bytes, else into a picture beside it
        in_place = spec.tensor.dtype.itemsize == 1
        self.picture: NDArray[np.uint8] = (
            spec.tensor.view(np.uint8) if in_place else np.zeros((height, width, 3), np.uint8)
        )
        self.planes: NDArray[np.uint8] = np.zeros((0, 0), np.uint8)
        self.placed_for: tuple[int, int, str] = (0, 0, "")
        """Width, height and layout that the following are for."""
        self.inside = self.picture
        self.bars: list[NDArray[np.uint8]] = []
        self.crop = Crop((0.0, 0.0), (1.0, 1.0))

    def __call__(self, frame: Frame) -> tuple[NDArray[Any], Crop]:
        """Write `frame` into the input tensor; returns it and where it lies in the frame."""
        spec, picture = self.spec, self.picture
        shape = (*frame.size_wh, frame.layout)
        if shape != self.placed_for:
            self._place(*frame.size_wh, step=2 if frame.layout in PLANAR else 1)
            self.placed_for = shape
        for bar in self.bars:
            bar[:] = spec.pad
        self._fit(frame, self.inside)
        if spec.byte_map == "xor80":
            np.bitwise_xor(picture, 0x80, out=picture)
        elif spec.byte_map != "same":
            np.take(spec.lut, picture, out=spec.tensor, mode="clip")
        return spec.tensor, self.crop

    def _place(self, frame_w: int, frame_h: int, step: int) -> None:
        """Lay out frames of one size: the part of the picture they fill, in multiples of `step`, and the bars."""
        picture = self.picture
        height, width = picture.shape[:2]
        fit_w, fit_h = width, height
        if self.spec.fit == "letterbox":
            ratio = min(width / frame_w, height / frame_h) / step
            fit_w, fit_h = max(1, round(frame_w * ratio)) * step, max(1, round(frame_h * ratio)) * step
        left, top = (width - fit_w) // 2, (height - fit_h) // 2
        around = picture[:top], picture[top + fit_h :], picture[:, :left], picture[:, left + fit_w :]
        self.bars = [bar for bar in around if bar.size]
        self.inside = picture[top : top + fit_h, left : left + fit_w]
        scale_xy = frame_w / fit_w, frame_h / fit_h
        self.crop = Crop(((0.5 - left) * scale_xy[0] - 0.5, (0.5 - top) * scale_xy[1] - 0.5), scale_xy)

    def _fit(self, frame: Frame, into: NDArray[np.uint8]) -> None:
        """Resize a frame into part of the picture, (h, w, 3), in the model's colour order."""
        size_wh, kernel = (into.shape[1], into.shape[0]), RESIZE[self.spec.resize]
        pair = (frame.layout, self.spec.colour)
        if frame.layout in PLANAR:
            cv2.cvtColor(self._fit_planes(frame, size_wh, kernel), TO_COLOUR[pair], dst=into)
        elif frame.layout == "gray":
            cv2.cvtColor(cv2.resize(frame.image, size_wh, interpolation=kernel), TO_COLOUR[pair], dst=into)
        else:
            cv2.resize(frame.image, size_wh, dst=into, interpolation=kernel)
            if pair in TO_COLOUR:
                cv2.cvtColor(into, TO_COLOUR[pair], dst=into)

    def _fit_planes(self, frame: Frame, size_wh: tuple[int, int], kernel: int) -> NDArray[np.uint8]:
        """Resize each plane of a YUV 4:2:0 frame; returns a frame of the same layout and even size."""
        (width, height), (frame_w, frame_h) = size_wh, frame.size_wh
        if self.planes.shape != (height * 3 // 2, width):
            self.planes = np.zeros((height * 3 // 2, width), np.uint8)
        cv2.resize(frame.image[:frame_h], size_wh, dst=self.planes[:height], interpolation=kernel)
        # U and V lie behind Y, at half size: one after the other (i420), or as pairs (nv12)
        shape = (2, frame_h // 2, frame_w // 2) if frame.layout == "i420" else (1, frame_h // 2, frame_w // 2, 2)
        small = (2, height // 2, width // 2) if frame.layout == "i420" else (1, height // 2, width // 2, 2)
        chroma = np.ascontiguousarray(frame.image[frame_h:]).reshape(shape)
        for plane, smaller in zip(chroma, self.planes[height:].reshape(small), strict=True):
            cv2.resize(plane, (width // 2, height // 2), dst=smaller, interpolation=kernel)
        return self.planes
