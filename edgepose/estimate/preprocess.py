"""A frame, or a part of it, becomes the model's input, straight into the input tensor, bytes kept bytes.

YUV planes are resized before they are converted: less to convert. Nothing is allocated per frame.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgepose.core.opencv import cv2
from edgepose.core.poses import Crop, Frame, InputSpec

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


Box = tuple[float, float, float, float]
"""Left, top, right, bottom edge in source pixels: the top-left pixel reaches from -0.5 to 0.5."""


class Span(NamedTuple):
    """Along one axis: which of the frame's pixels fill which of the model's. Both may be empty."""

    start: int
    stop: int
    """Pixels [start, stop) of the frame ..."""
    to_start: int
    to_stop: int
    """... become [to_start, to_stop) of the model's."""
    offset: float
    scale: float
    """Frame pixel = offset + model pixel * scale, in pixel centres."""


class Place(NamedTuple):
    """Where a frame, or a part of it, goes."""

    x: Span
    y: Span
    inside: NDArray[np.uint8]
    """The part of the picture that it fills."""
    bars: list[NDArray[np.uint8]]
    """What is left around it."""
    crop: Crop


class Preprocess:
    """Fill one model's input from frames of any size and layout."""

    def __init__(self, spec: InputSpec) -> None:
        self.spec = spec
        height, width = spec.tensor.shape[:2]
        self.size_wh = width, height
        # bytes are written straight into the tensor's memory where it holds bytes, else into a picture beside it
        in_place = spec.tensor.dtype.itemsize == 1
        self.picture: NDArray[np.uint8] = (
            spec.tensor.view(np.uint8) if in_place else np.zeros((height, width, 3), np.uint8)
        )
        self.planes: NDArray[np.uint8] = np.zeros(height * width * 3 // 2, np.uint8)
        """Room for a resized picture that is yet to be converted."""
        self.whole_of: tuple[int, int, str] = (0, 0, "")
        """Width, height and layout that `whole` is for."""
        self.whole = self._place(*(Span(0, 0, 0, 0, 0.0, 1.0),) * 2)

    def __call__(self, frame: Frame, box: Box | None = None) -> tuple[NDArray[Any], Crop]:
        """Write `frame` into the input tensor; returns it and where it lies in the frame.

        box  the part to look at, instead of the whole frame; it grows to the model's shape and is laid on whole
             pixels; what hangs over the frame's edge is padding
        """
        spec = self.spec
        x, y, inside, bars, crop = self._whole(frame) if box is None else self._place(*self._part(frame, box))
        for bar in bars:
            bar[:] = spec.pad
        if inside.size:
            self._fit(frame, x, y, inside)
        return self._as_input(), crop

    def turned(self, frame: Frame, affine: NDArray[np.float64]) -> NDArray[Any]:
        """Write a turned part of `frame` into the input tensor.

        affine  (2, 3) model pixel -> source pixel
        """
        convert = TO_COLOUR.get((frame.layout, self.spec.colour))
        first = frame.layout in PLANAR
        image = cv2.cvtColor(frame.image, TO_COLOUR[frame.layout, self.spec.colour]) if first else frame.image
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        pad = (self.spec.pad,) * 3
        seen = cv2.warpAffine(image, affine, self.size_wh, flags=how, borderMode=cv2.BORDER_CONSTANT, borderValue=pad)
        self.picture[:] = seen if first or convert is None else cv2.cvtColor(seen, convert)
        return self._as_input()

    def _as_input(self) -> NDArray[Any]:
        """The picture as the values that the model takes."""
        spec, picture = self.spec, self.picture
        if spec.byte_map == "xor80":
            np.bitwise_xor(picture, 0x80, out=picture)
        elif spec.byte_map != "same":
            np.take(spec.lut, picture, out=spec.tensor, mode="clip")
        return spec.tensor

    def _place(self, x: Span, y: Span) -> Place:
        """The parts of the picture for what two spans show."""
        picture = self.picture
        around = picture[: y.to_start], picture[y.to_stop :], picture[:, : x.to_start], picture[:, x.to_stop :]
        inside = picture[y.to_start : y.to_stop, x.to_start : x.to_stop]
        crop = Crop((x.offset, y.offset), (x.scale, y.scale))
        return Place(x, y, inside, [bar for bar in around if bar.size], crop)

    def _whole(self, frame: Frame) -> Place:
        """The whole frame, letterboxed or stretched; worked out once for frames of one size."""
        shape = (*frame.size_wh, frame.layout)
        if shape != self.whole_of:
            sizes, step = tuple(zip(frame.size_wh, self.size_wh, strict=True)), _step(frame)
            ratio = min(model / size for size, model in sizes) / step
            fits = [max(1, round(size * ratio)) * step for size, _ in sizes]
            if self.spec.fit == "stretch":
                fits = list(self.size_wh)
            x, y = (
                _span(0, size, (model - fit) // 2, (model + fit) // 2)
                for (size, model), fit in zip(sizes, fits, strict=True)
            )
            self.whole, self.whole_of = self._place(x, y), shape
        return self.whole

    def _part(self, frame: Frame, box: Box) -> tuple[Span, Span]:
        """What of the frame lies in a box of any shape, and where in the model's picture."""
        left, top, right, bottom = box
        (width, height), step = self.size_wh, _step(frame)
        scale = max((right - left) / width, (bottom - top) / height)
        middles = (left + right) / 2, (top + bottom) / 2
        x, y = (
            _visible(middle + 0.5, size, model, scale, step)
            for middle, size, model in zip(middles, frame.size_wh, self.size_wh, strict=True)
        )
        return x, y

    def _fit(self, frame: Frame, x: Span, y: Span, into: NDArray[np.uint8]) -> None:
        """Resize a part of a frame into a part of the picture, (h, w, 3), in the model's colour order."""
        height, width = into.shape[:2]
        kernel = RESIZE[self.spec.resize]
        pair = (frame.layout, self.spec.colour)
        if frame.layout in PLANAR:
            cv2.cvtColor(self._fit_planes(frame, x, y, (width, height), kernel), TO_COLOUR[pair], dst=into)
            return
        part = frame.image[y.start : y.stop, x.start : x.stop]
        if frame.layout == "gray":
            grey = self.planes[: height * width].reshape(height, width)
            cv2.resize(part, (width, height), dst=grey, interpolation=kernel)
            cv2.cvtColor(grey, TO_COLOUR[pair], dst=into)
            return
        cv2.resize(part, (width, height), dst=into, interpolation=kernel)
        if pair in TO_COLOUR:
            cv2.cvtColor(into, TO_COLOUR[pair], dst=into)

    def _fit_planes(self, frame: Frame, x: Span, y: Span, size_wh: tuple[int, int], kernel: int) -> NDArray[np.uint8]:
        """Resize a part of each plane of a YUV 4:2:0 frame; returns a frame of the same layout and even size."""
        (width, height), (frame_w, frame_h) = size_wh, frame.size_wh
        planes = self.planes[: height * width * 3 // 2].reshape(height * 3 // 2, width)
        cv2.resize(frame.image[y.start : y.stop, x.start : x.stop], size_wh, dst=planes[:height], interpolation=kernel)
        # U and V lie behind Y, at half size: one after the other (i420), or as pairs (nv12)
        shape = (2, frame_h // 2, frame_w // 2) if frame.layout == "i420" else (1, frame_h // 2, frame_w // 2, 2)
        small = (2, height // 2, width // 2) if frame.layout == "i420" else (1, height // 2, width // 2, 2)
        chroma = np.ascontiguousarray(frame.image[frame_h:]).reshape(shape)
        rows, columns = slice(y.start // 2, y.stop // 2), slice(x.start // 2, x.stop // 2)
        for plane, smaller in zip(chroma, planes[height:].reshape(small), strict=True):
            cv2.resize(plane[rows, columns], (width // 2, height // 2), dst=smaller, interpolation=kernel)
        return planes


def _step(frame: Frame) -> int:
    """Pixels that cannot be cut apart: two where colour comes at half size."""
    return 2 if frame.layout in PLANAR else 1


def _span(start: int, stop: int, to_start: int, to_stop: int) -> Span:
    """Pixels [start, stop) stretched over [to_start, to_stop)."""
    scale = (stop - start) / (to_stop - to_start)
    return Span(start, stop, to_start, to_stop, start - 0.5 + (0.5 - to_start) * scale, scale)


def _visible(middle: float, size: int, model: int, scale: float, step: int) -> Span:
    """One axis of a box: `model` pixels of `scale` frame pixels each around `middle`, a frame of `size` pixels.

    The box is laid on whole pixels, and its part in the frame on whole pixels of the model; the scale that comes out
    is the true one of that part.
    """
    length = max(1, round(model * scale / step)) * step
    start = round((middle - length / 2) / step) * step
    first, last = max(start, 0), min(start + length, size)
    if first >= last:  # all of it is padding
        return Span(0, 0, 0, 0, start - 0.5 + 0.5 * length / model, length / model)
    if first == start and last == start + length:
        return _span(first, last, 0, model)
    to_first = min(round((first - start) * model / length / step) * step, model - step)
    to_last = max(round((last - start) * model / length / step) * step, to_first + step)
    return _span(first, last, to_first, to_last)
