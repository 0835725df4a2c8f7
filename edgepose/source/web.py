"""What a web server says is at an address, and cameras that answer with one picture at a time."""

from __future__ import annotations

import http.client
import time
import urllib.request
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from edgepose.core import config
from edgepose.core.errors import SourceError
from edgepose.source.detect import address, masked
from edgepose.source.live import Grab

ASK_S = 3.0
"""Longest wait for what is at an address."""
MOST_BYTES = 32 << 20
"""Of a snapshot."""
SAME_S = 1.0
"""The same picture again is a frame only after so long: the camera makes no others."""
DAMAGED = 10
"""Snapshots in a row that may be."""
FAILS = (OSError, http.client.HTTPException, ValueError)
"""No answer, no HTTP, no address."""


class Told(NamedTuple):
    """What is at an address."""

    kind: str
    """"image", "video", "multipart" ...; empty: the server does not say."""
    whole: bool
    """It has a length: it is a file, and ends."""


def ask(at: str, method: str = "HEAD") -> Told:
    """By the headers of the answer; many cameras do not answer HEAD."""
    try:
        with _open(at, ASK_S, method) as answer:
            kind = str(answer.headers.get_content_maintype()) if "Content-Type" in answer.headers else ""
            return Told(kind, whole=int(answer.headers.get("Content-Length") or 0) > 0)
    except FAILS:
        return Told("", whole=False)


class SnapshotGrabber:
    """As live.Grabber: asks for one picture after another, source.fps of them a second at most."""

    def __init__(self, cfg: config.Source) -> None:
        self._cfg, self._at = cfg, address(cfg)
        self._label = masked(cfg.uri)
        self._latest = b""
        self._handed_t = self._due_t = 0.0
        self._pause_s = self._period_s = 1 / cfg.fps

    def open(self) -> None:
        """Nothing stays open from one picture to the next."""

    def grab(self) -> Grab | None:
        """As Grabber.grab; while the camera has no new picture it is asked less often, down to once in SAME_S."""
        from edgepose.source.picture import decode_picture

        damaged = 0
        while True:
            time.sleep(max(0.0, self._due_t - time.monotonic()))
            asked_t = time.monotonic()
            content = self._fetch()
            now = time.monotonic()
            if content == self._latest and now - self._handed_t < SAME_S:
                self._pause_s = min(2 * self._pause_s, SAME_S)
                self._due_t = asked_t + self._pause_s
                continue
            self._latest, self._pause_s, self._due_t = content, self._period_s, asked_t + self._period_s
            try:
                image = decode_picture(content, self._label)
            except SourceError:
                damaged += 1
                if damaged > DAMAGED:
                    raise
                continue
            self._handed_t = now
            return Grab(image, "bgr", now)

    def _fetch(self) -> bytes:
        try:
            with _open(self._at, self._cfg.stall_s) as answer:
                content = bytes(answer.read(MOST_BYTES + 1))
        except FAILS as error:
            raise SourceError(f"{self._label}: gives no picture: {_why(error)}") from None
        if len(content) > MOST_BYTES:
            raise SourceError(f"{self._label}: gives more than {MOST_BYTES >> 20} MiB, which is no snapshot")
        return content

    def close(self) -> None:
        """As Grabber.close."""


def _open(at: str, limit_s: float, method: str = "GET") -> http.client.HTTPResponse:
    """Ask for what is at an address, with its name and password where the server wants them."""
    parts = urlsplit(at)
    plain = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    known = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    if parts.username is not None:
        known.add_password(None, plain, unquote(parts.username), unquote(parts.password or ""))
    opener = urllib.request.build_opener(
        urllib.request.HTTPBasicAuthHandler(known), urllib.request.HTTPDigestAuthHandler(known)
    )
    request = urllib.request.Request(plain, method=method)  # noqa: S310 (http and https only come here)
    answer: http.client.HTTPResponse = opener.open(request, timeout=limit_s)
    return answer


def _why(error: Exception) -> str:
    """In words that hold nothing of the address."""
    code = getattr(error, "code", None)
    if code is not None:
        return f"the server answers {code}"
    reason = getattr(error, "reason", error)
    return str(getattr(reason, "strerror", None) or type(reason).__name__)
