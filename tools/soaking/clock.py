"""Lets the service's wall clock jump, and nobody else's: libfaketime, its monotonic clock left alone."""

from __future__ import annotations

import glob
from pathlib import Path

LIBRARIES = "/usr/lib/*/faketime/libfaketimeMT.so.1"


class Clock:
    """`env` makes a process look at it."""

    def __init__(self, folder: Path) -> None:
        found = glob.glob(LIBRARIES)  # noqa: PTH207 (an absolute pattern)
        self.there = bool(found)
        self._file = folder / "clock"
        self.offset_s = 0
        self.env: dict[str, str] = {}
        if found:
            self.jump(0)
            self.env = {
                "LD_PRELOAD": found[0],
                "FAKETIME_TIMESTAMP_FILE": str(self._file),
                "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "FAKETIME_DISABLE_SHM": "1",
                "NO_FAKE_STAT": "1",
            }

    def jump(self, offset_s: int) -> None:
        """So far ahead of the true time from now on."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset_s:+d}\n")
        new.replace(self._file)
        self.offset_s = offset_s
