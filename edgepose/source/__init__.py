"""Frames from pictures, folders, videos, cameras and streams. OpenCV and picamera2 are imported when one is used."""

from __future__ import annotations

from collections.abc import Callable

from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.core.places import utf8
from edgepose.source.base import COUNTS, Source
from edgepose.source.detect import address, kind_of, masked, require_address
from edgepose.source.imx500 import imx500_source
from edgepose.source.memory import ListSource
from edgepose.source.paced import PacedSource
from edgepose.source.picamera2 import picamera2_source
from edgepose.source.picture import FolderSource, ImageSource
from edgepose.source.stream import stream_source
from edgepose.source.v4l2 import v4l2_source
from edgepose.source.video import VideoSource

__all__ = ["COUNTS", "SOURCES", "ListSource", "Source", "kind_of", "open_paced", "open_source"]

SOURCES: dict[str, Callable[..., Source]] = {
    "image": ImageSource,
    "folder": FolderSource,
    "video": VideoSource,
    "v4l2": v4l2_source,
    "stream": stream_source,
    "picamera2": picamera2_source,
    "imx500": imx500_source,
    "list": ListSource,
}
"""Kind -> what opens it from its settings; a list is made from frames instead."""
NEED_TEXT = ("stream", "picamera2", "imx500")
"""Kinds whose address is no file's name."""
READ_ADDRESSES = ("stream", "video", "list")


def open_source(cfg: config.Source) -> Source:
    """The source that the settings ask for.

    Raises:
        ConfigError: nothing can be read there, or what is needed is not installed.
        SourceError: it is there and cannot be read. Cameras and pictures are first touched by the iteration.
    """
    require_address(cfg.uri)
    kind = "folder" if cfg.also else kind_of(cfg.uri) if cfg.kind == "auto" else cfg.kind
    if "://" in cfg.uri and kind not in READ_ADDRESSES:
        raise ConfigError(f"source.kind is {kind}, but source.uri is {masked(cfg.uri)}; set source.kind to auto")
    if kind in NEED_TEXT and not _is_text(cfg.uri):
        raise ConfigError(f"source.uri is {utf8(masked(cfg.uri))}: not UTF-8 text, as a {kind} needs it")
    if cfg.password_file:
        address(cfg)
    return SOURCES[kind](cfg)


def open_paced(cfg: config.Source) -> Source:
    """The same, played as `source.pace` says; raises as open_source."""
    source = open_source(cfg)
    real = cfg.pace == "real" or (cfg.pace == "auto" and cfg.loop and isinstance(source, VideoSource))
    return PacedSource(source) if real and not source.live else source


def _is_text(uri: str) -> bool:
    return uri == utf8(uri)
