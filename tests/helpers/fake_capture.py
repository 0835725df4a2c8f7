"""An OpenCV capture without a camera."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray


class FakeCapture:
    """cv2.VideoCapture as far as cameras and streams use it; None among the pictures is a damaged one."""

    opens = True
    pictures: Sequence[NDArray[np.uint8] | None] = ()
    stamp_ms = 0.0
    made: list[FakeCapture] = []

    def __init__(self, *address: object) -> None:
        self.address = address
        self.settings: dict[int, float] = {}
        self.released = False
        self.skipped = 0
        """Pictures grabbed and not decoded."""
        self.left = list(self.pictures)
        self.made.append(self)

    def isOpened(self) -> bool:  # noqa: N802
        return self.opens

    def set(self, prop: int, value: float) -> bool:
        self.settings[prop] = value
        return True

    def get(self, prop: int) -> float:
        return self.stamp_ms if prop == cv2.CAP_PROP_POS_MSEC else self.settings.get(prop, 0.0)

    def read(self) -> tuple[bool, NDArray[np.uint8] | None]:
        image = self.left.pop(0) if self.left else None
        return image is not None, image

    def grab(self) -> bool:
        self.skipped += 1
        return bool(self.left) and self.left.pop(0) is not None

    def release(self) -> None:
        self.released = True


def plugged_in(monkeypatch: pytest.MonkeyPatch, pictures: Sequence[NDArray[np.uint8] | None]) -> type[FakeCapture]:
    """From now on OpenCV opens a camera that gives these pictures."""

    class Capture(FakeCapture):
        made: list[FakeCapture] = []

    Capture.pictures = pictures
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    return Capture
