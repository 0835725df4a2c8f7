"""Frames from pictures, folders, videos, cameras and streams. OpenCV and picamera2 are imported when one is used."""

from __future__ import annotations

from collections.abc import Callable

from edgepose import config
from edgepose.source.base import COUNTS, Source
from edgepose.source.detect import kind_of
from edgepose.source.memory import ListSource
from edgepose.source.picture import FolderSource, ImageSource
from edgepose.source.video import VideoSource

__all__ = ["COUNTS", "SOURCES", "ListSource", "Source", "kind_of", "open_source"]

SOURCES: dict[str, Callable[..., Source]] = {
    "image": ImageSource,
    "folder": FolderSource,
    "video": VideoSource,
    "list": ListSource,
}
"""Kind -> what opens it from its settings; a list is made from frames instead."""


def open_source(cfg: config.Source) -> Source:
    """The source that the settings ask for.

    Raises:
        ConfigError: nothing can be read there, or what is needed is not installed.
        SourceError: it is there and cannot be read. Cameras and pictures are first touched by the iteration.
    """
    return SOURCES[kind_of(cfg.uri) if cfg.kind == "auto" else cfg.kind](cfg)
