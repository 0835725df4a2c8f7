"""The page's server: files, the newest on request, blocks of recordings; all below a secret in the address."""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import json
import logging
import secrets
import socket
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from edgepose.core.errors import ConfigError
from edgepose.core.skeletons import SKELETONS
from edgepose.service.few_clients import FewClients

log = logging.getLogger("edgepose.view")

PAGE = Path(__file__).with_name("page")
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
JSON = "application/json"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
WAIT_S = 20.0
"""A viewer who asks for news gets an empty answer after it, and asks again."""
TIMEOUT_S = 40.0
"""For a viewer to ask, and to take an answer."""
MOST_CONNECTIONS = 256

Query = Mapping[str, str]
Answer = tuple[int, str, bytes]
"""Status, content type, body."""
Route = Callable[[Query], Answer]


class NotThereError(Exception):
    """What a request asks for does not exist; its text says why."""


def as_json(content: Any, code: int = 200) -> Answer:
    """An answer."""
    return code, JSON, content if isinstance(content, bytes) else json.dumps(content).encode()


class Server(FewClients):
    """Answers on one address; a context manager, in threads of its own.

    listen  HOST:PORT; port 0 takes a free one
    gets    name below the secret -> what it answers; `posts` the same for what does something
    """

    request_queue_size = 64

    def __init__(self, listen: str, gets: Mapping[str, Route], posts: Mapping[str, Route]) -> None:
        host, port = split(listen)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.token = secrets.token_urlsafe(18)
        self.files = _files()
        self.gets = {**self.files, "skeletons": _skeletons, **gets}
        self.posts = dict(posts)
        try:
            super().__init__((host, port), Handler, MOST_CONNECTIONS)
        except OSError as error:
            raise ConfigError(f"--listen {listen}: {error.strerror}; take another port, or 0 for a free one") from None
        self._thread = threading.Thread(target=self.serve_forever, args=(0.1,), name="edgepose-view", daemon=True)

    @property
    def url(self) -> str:
        """What to type into a browser on this machine."""
        return self.url_at(str(self.server_address[0]))

    def url_at(self, host: str) -> str:
        """What to type where this machine is called `host`."""
        return f"http://{f'[{host}]' if ':' in host else host}:{self.server_port}/{self.token}/"

    def allows(self, token: str) -> bool:
        """Whether it is the secret of the address."""
        return hmac.compare_digest(token.encode(errors="replace"), self.token.encode())

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = TIMEOUT_S
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Server

    def do_GET(self) -> None:
        """A file, or news."""
        self._answer(self.server.gets)

    def do_HEAD(self) -> None:
        """The headers of a file."""
        self._answer(self.server.files)

    def do_POST(self) -> None:
        """Something to do; what comes with it is thrown away."""
        self.close_connection = True
        self._answer(self.server.posts)

    def _answer(self, routes: Mapping[str, Route]) -> None:
        parts = urlsplit(self.path)
        token, slash, name = parts.path.removeprefix("/").partition("/")
        if not self.server.allows(token):
            self._send(403, "text/plain", b"This address lacks its secret: take the one that edgepose view printed.\n")
        elif not slash:
            self._send(308, "text/plain", b"", {"Location": f"/{self.server.token}/"})
        elif name not in routes:
            self._send(404, "text/plain", b"There is no such thing here.\n")
        else:
            try:
                self._send(*routes[name]({key: values[-1] for key, values in parse_qs(parts.query).items()}))
            except NotThereError as error:
                self._send(*as_json({"error": str(error)}, 404))
            except ValueError:
                self._send(400, "text/plain", b"A number is expected there.\n")

    def _send(self, code: int, kind: str, body: bytes, also: Mapping[str, str] | None = None) -> None:
        self.send_response(code)
        for header, text in {**HEADERS, **(also or {}), "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(header, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def version_string(self) -> str:
        """Nothing about Python."""
        return "edgepose"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ARG002 (called so)
        """Not every request; never the secret."""
        log.debug("%s: %s", self.client_address[0], args[1] if len(args) > 1 else "")


def _files() -> dict[str, Route]:
    """The page's files, the index also without a name."""
    files = {path.name: path for path in PAGE.iterdir() if path.suffix in KINDS}
    return {name: _file(path) for name, path in {**files, "": files["index.html"]}.items()}


def _file(path: Path) -> Route:
    return lambda _query: (200, KINDS[path.suffix], path.read_bytes())


def _skeletons(_query: Query) -> Answer:
    """Joints and bones by name."""
    return as_json({name: {"joints": one.joints, "bones": one.bones} for name, one in SKELETONS.items()})


def split(listen: str) -> tuple[str, int]:
    """Host and port of HOST:PORT; [::1]:80 for IPv6; raises ConfigError."""
    host, _, port = listen.rpartition(":")
    if not port.isdigit() or int(port) > 65535 or not host:
        raise ConfigError(f"--listen is {listen!r}, expected HOST:PORT such as 127.0.0.1:8000, or 0.0.0.0:8000")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def reached_at(host: str) -> str:
    """The name under which others reach what listens on `host`."""
    if host not in ("0.0.0.0", "::"):  # noqa: S104 (compared, not listened on)
        return host
    kind, far = (socket.AF_INET6, "2001:db8::1") if ":" in host else (socket.AF_INET, "192.0.2.1")
    with contextlib.suppress(OSError), socket.socket(kind, socket.SOCK_DGRAM) as probe:
        probe.connect((far, 9))  # sends nothing; says which of our addresses would be used
        return str(probe.getsockname()[0])
    return socket.gethostname()
