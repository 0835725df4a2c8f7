"""Which source reads an address, and what is wrong with one that none reads."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote

from edgepose.core import places
from edgepose.core.config import Source
from edgepose.core.errors import ConfigError
from edgepose.core.secret import first_line
from edgepose.core.secret import masked as masked
from edgepose.source.files import VIDEOS, file_kind, matches

STREAMS = frozenset(("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "tcp", "rtp", "srt"))
"""Address schemes of streams."""

CSI = re.compile(r"csi(?::(.*))?")
"""A Jetson's ribbon camera, and which."""

CAMERAS = ("picamera2", "imx500", "csi")
"""Addresses that are names."""

READABLE = (
    "a picture, a folder, a video file, a camera (0, /dev/video0, picamera2, imx500, csi) or a stream (rtsp://...)"
)


def require_address(uri: str) -> None:
    """Refuse an empty address."""
    if not uri:
        raise ConfigError(f"source.uri is empty: pass {READABLE}")


def kind_of(uri: str) -> str:
    """The row of SOURCES that reads `uri`; a ConfigError says what to pass instead."""
    require_address(uri)
    if " ! " in uri or CSI.fullmatch(uri):
        return "stream"
    scheme, separator, rest = uri.partition("://")
    if separator:
        if scheme.lower() not in STREAMS:
            raise ConfigError(f"source.uri: {masked(scheme)}:// is no stream that can be read; pass {READABLE}")
        is_file = scheme.lower().startswith("http") and Path(re.split("[?#]", rest)[0]).suffix.lower() in VIDEOS
        return "video" if is_file else "stream"
    if uri.startswith("/dev/") or (uri.isascii() and uri.isdigit() and not _is_a_name(uri)):
        return "v4l2"
    if named := re.fullmatch(r"(picamera2|imx500)(:.*)?", uri):
        return named[1]
    if matches(uri):
        return "folder"
    path = existing(uri)
    if path.is_dir():
        return "folder"
    return "image" if file_kind(path) in ("image", "foreign") else "video"


def _is_a_name(number: str) -> bool:
    """A file or folder called 20240501, where no camera has that number."""
    return os.path.lexists(number) and not os.path.lexists(f"/dev/video{int(number)}")


def existing(uri: str) -> Path:
    """The path that `uri` names; a ConfigError with the nearest name beside it where there is none."""
    path = places.at_home(uri)
    try:
        if path.exists():
            return path
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    except (OSError, ValueError) as error:
        raise ConfigError(f"{masked(uri)}: cannot be looked up: {error}") from None
    if not path.parent.is_dir():
        raise ConfigError(f"{uri}: no such file or folder; there is no folder {path.parent} either")
    import difflib

    near = difflib.get_close_matches(path.name, [*beside, *CAMERAS], n=1)
    hint = f"did you mean {_beside(path, near[0])}?" if near else f"pass {READABLE}"
    raise ConfigError(f"{uri}: no such file or folder; {hint}")


def _beside(path: Path, name: str) -> str:
    return name if name in CAMERAS else str(path.with_name(name))


def address(cfg: Source) -> str:
    """`source.uri` to open: with the password of `source.password_file` in it. Never show or log it.

    Raises:
        ConfigError: no such file, others may read it, or the address has no user name.
    """
    if not cfg.password_file:
        return cfg.uri
    parts = re.fullmatch(r"(\w+://[^\s/:@]+)(@.+)", cfg.uri)
    if not parts:
        raise ConfigError(
            f"source.uri is {masked(cfg.uri)}, but source.password_file needs an address with a user name and no "
            "password, such as rtsp://NAME@host/path"
        )
    return f"{parts[1]}:{quote(first_line('source.password_file', cfg.password_file), safe='')}{parts[2]}"
