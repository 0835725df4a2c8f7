"""What somebody at the broker may send who means no good, within what a broker lets through."""

from __future__ import annotations

FLOOD = 1000
"""Commands at once."""

_SUFFIXES = ("rate", "model", "snapshot", "smoothing", "power", "pause/x", "", "\u2028", "x" * 300)
_PAYLOADS = (
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"max_fps": -1}',
    b'{"max_fps": 1e-300}',
    b'{"model": "../../etc/passwd"}',
    b'{"preset": "\\ud800"}',
    b'{"id": "' + b"x" * 3000 + b'"}',
    b"[" * 2000,
    bytes(range(256)),
    b"\xff" * 5000,
)
COMMANDS = tuple((suffix, payload) for suffix in _SUFFIXES for payload in _PAYLOADS if payload or suffix != "rate")
"""Below control/, none of which is right. "power" with nothing to change is: it tells what is in force."""
