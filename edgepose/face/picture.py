"""What a program has as a picture becomes a Frame."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import Frame

Colour = Literal["bgr", "rgb"]
CHANNELS = (1, 3, 4)
"""Of an interleaved picture: grey, colour, colour and alpha, which is left out."""
WANTED = "(height, width, 3), (height, width, 4), (height, width, 1) or (height, width)"
CHANNELS_LAST = "; channels come last, pass picture.transpose(1, 2, 0)"
FROM_UNIT = "; from 0..1 it is (picture * 255).astype(numpy.uint8)"
HOW = {
    **dict.fromkeys(("float16", "float32", "float64"), FROM_UNIT),
    "uint16": "; from 0..65535 it is (picture >> 8).astype(numpy.uint8)",
    "bool": "; from a mask it is picture.astype(numpy.uint8) * 255",
}
"""Type of an array -> how it becomes one that is read."""


def frame_of(picture: Any, colour: Colour = "bgr", seq: int = 0) -> Frame:
    """A frame of this moment.

    picture  uint8 array (H, W, 3), (H, W, 4), (H, W, 1) or (H, W), a path, a PIL image, or a Frame as it is
    colour   order of the channels of an array

    Raises:
        ValueError: anything else, in one line.
        SourceError: a file that cannot be read as a picture.
    """
    if isinstance(picture, Frame):
        return picture
    now = time.monotonic()
    if isinstance(picture, (str, os.PathLike)):
        from edgepose.source.picture import read_picture

        path = Path(picture)
        return Frame(read_picture(path), "bgr", now, now, seq, path.name)
    if hasattr(picture, "convert") and hasattr(picture, "getbands"):
        return Frame(_of_pil(picture), "rgb", now, now, seq)
    image = _checked(np.asarray(picture), colour)
    return Frame(np.ascontiguousarray(image), colour if image.ndim == 3 else "gray", now, now, seq)


def bgr_of(picture: Any, colour: Colour = "bgr") -> NDArray[np.uint8]:
    """(H, W, 3) a picture of any kind that frame_of takes, as a copy."""
    from edgepose.sink.draw import bgr

    return bgr(frame_of(picture, colour))


def _of_pil(picture: Any) -> NDArray[np.uint8]:
    """(H, W, 3) rgb, upright by its EXIF orientation."""
    from PIL.ImageOps import exif_transpose

    return np.asarray(exif_transpose(picture).convert("RGB"), np.uint8)


def _checked(image: NDArray[Any], colour: Colour) -> NDArray[np.uint8]:
    """An array without alpha and without an axis for grey."""
    shape = image.shape
    if colour not in ("bgr", "rgb"):
        raise ValueError(f"picture: colour is {colour!r}, expected 'bgr' or 'rgb'")
    if image.dtype != np.uint8:
        hint = HOW.get(image.dtype.name, "")
        raise ValueError(f"picture: {image.dtype} of shape {shape}, expected an array of uint8, 0..255{hint}")
    if 0 in shape:
        raise ValueError(f"picture: is empty, shape {shape}")
    if image.ndim == 2:
        return image
    if image.ndim != 3 or shape[2] not in CHANNELS:
        hint = CHANNELS_LAST if image.ndim == 3 and shape[0] in CHANNELS and min(shape[1:]) > 4 else ""
        raise ValueError(f"picture: shape {shape}, expected {WANTED}{hint}")
    return image[:, :, 0] if shape[2] == 1 else image[:, :, :3]
