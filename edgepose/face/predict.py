"""Poses of one picture, and poses on one."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core.config import Config
from edgepose.core.poses import Poses, Skeleton
from edgepose.face.picture import Colour, bgr_of, frame_of
from edgepose.face.settings import made


class Predictor:
    """An opened model: call it with a picture. Close it, or use it as a context manager.

    Calls from several threads take turns. What it returns is the caller's: nothing writes into it later.
    """

    def __init__(self, cfg: Config) -> None:
        from edgepose.estimate import open_estimate

        self.cfg = cfg
        """The settings in force."""
        self._estimate = open_estimate(cfg)
        self._turn = threading.Lock()
        self._calls = 0
        self._closed = False

    @property
    def skeleton(self) -> Skeleton:
        """The joints of its poses."""
        return self._estimate.skeleton

    def __call__(self, picture: Any, colour: Colour = "bgr") -> Poses:
        """The people of a picture, best first, in pixels of that picture.

        picture  uint8 array (H, W, 3), (H, W, 4), (H, W, 1) or (H, W); a path; a PIL image; a Frame
        colour   order of an array's channels: "bgr" as OpenCV has it, or "rgb"

        Raises:
            ValueError: it is closed, or the picture is of another kind.
            SourceError: the path is no picture that can be read.
            EngineError: inference failed.
        """
        with self._turn:
            if self._closed:
                raise ValueError("this model is closed; open it again with edgepose.open")
            frame = frame_of(picture, colour, self._calls)
            self._calls += 1
            return self._estimate(frame, None).poses

    def close(self) -> None:
        """Let go of the model; a second call does nothing."""
        with self._turn:
            if not self._closed:
                self._closed = True
                self._estimate.close()

    def __enter__(self) -> Predictor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        names = " + ".join(engine.manifest.name for engine in self._estimate.engines)
        return f"<edgepose model {names}: {self.skeleton.name}{', closed' if self._closed else ''}>"


def open_model(
    model: str | os.PathLike[str] | None = None,
    *,
    config: Config | str | os.PathLike[str] | None = None,
    **settings: Any,
) -> Predictor:
    """Open what finds people in pictures.

    model     a pair, a model or a file: "default", "light", "movenet_lightning_192", "some.tflite"; None: as set
    config    settings, or a file of them
    settings  any setting on top: threads=2, max_people=1, engine__delegate="edgetpu"

    Raises:
        ConfigError: a setting or a model is wrong.
    """
    given = settings if model is None else {"model": os.fspath(model), **settings}
    return Predictor(made(config, given))


def draw(picture: Any, poses: Poses, colour: Colour = "bgr") -> NDArray[np.uint8]:
    """(H, W, 3) bgr: a copy of the picture the poses are of, with everybody drawn on it.

    Raises:
        ValueError: the picture is of another size than that of the poses, or none.
    """
    from edgepose.sink.draw import draw_on

    image = bgr_of(picture, colour)
    size_wh = image.shape[1], image.shape[0]
    if size_wh != tuple(poses.size_wh):
        wanted = "x".join(map(str, poses.size_wh))
        raise ValueError(f"draw: the picture is {size_wh[0]}x{size_wh[1]}, the poses are of one of {wanted}")
    draw_on(image, poses)
    return image
