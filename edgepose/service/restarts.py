"""Restarts that come faster and faster are slowed down: pauses grow from 2 s to 5 minutes, and nothing gives up.

systemd before 254 cannot do that itself; it either tries for ever at one pace or stops for good, which is no way to
leave a board alone. A count of lives that ended early lies in RuntimeDirectory, which must survive restarts
(RuntimeDirectoryPreserve=restart) and is gone after a stop or a reboot.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path

log = logging.getLogger("edgepose.service")

FIRST_S, LONGEST_S = 2.0, 300.0
"""Of the pauses, which double; the first early end costs none."""
GOOD_S = 300.0
"""A life this long was no early end."""


class Restarts:
    """How many lives before this one ended early, in a row."""

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        env = os.environ if env is None else env
        folder = env.get("RUNTIME_DIRECTORY", "").split(":")[0] if env.get("NOTIFY_SOCKET") else ""
        self._file = Path(folder) / "early-ends" if folder else None
        self.early = self._read()

    @property
    def pause_s(self) -> float:
        """How long to wait before trying again."""
        return min(FIRST_S * 2.0 ** min(self.early - 2, 20), LONGEST_S) if self.early > 1 else 0.0

    def begin(self) -> None:
        """Count the life that begins as an early end, until it is told otherwise."""
        self._write(self.early + 1)

    def good(self) -> None:
        """Count none: a life was long enough, or ended as it should."""
        self._write(0)

    def _read(self) -> int:
        try:
            text = self._file.read_text(encoding="ascii") if self._file else "0"
        except (OSError, UnicodeDecodeError):
            return 0
        return int(text) if text.isdigit() and len(text) < 9 else 0

    def _write(self, early: int) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # without the count there are no pauses but systemd's
                self._file.write_text(str(early), encoding="ascii")
