"""A small disk for the spool that can be full: a file system of its own, or a limit that the kernel sets on writing."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

SIZE_MB = 4


class Disk:
    """`folder` is on it.

    how  "tmpfs": a file system of `size_mb`, filled up to the last byte; needs the right to mount
         "rlimit": no file of the service may grow any more (EFBIG in place of ENOSPC)
    """

    def __init__(self, folder: Path, pid: Callable[[], int | None], how: str = "auto", size_mb: int = SIZE_MB) -> None:
        """Raises RuntimeError where `how` is tmpfs and we may not mount."""
        folder.mkdir(mode=0o700)
        self._size_mb = size_mb
        self.folder, self._pid, self._filler = folder, pid, folder / "filler"
        self.how = "tmpfs" if how != "rlimit" and self._mounted() else "rlimit"
        if how not in ("auto", self.how):
            raise RuntimeError("no file system may be mounted here; leave --disk away")

    def _mounted(self) -> bool:
        size = f"size={self._size_mb}m,mode=0700"
        command = ["mount", "-t", "tmpfs", "-o", size, "edgepose-soak", str(self.folder)]
        with contextlib.suppress(FileNotFoundError):
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        return False

    def fill(self) -> None:
        """Full from now on."""
        if self.how == "rlimit":
            self._limit(0)
            return
        with self._filler.open("wb", buffering=0) as filler:
            for size in (1 << 16, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        filler.write(bytes(size))

    def free(self) -> None:
        """Room again."""
        if self.how == "rlimit":
            self._limit(resource.RLIM_INFINITY)
        else:
            self._filler.unlink(missing_ok=True)

    def _limit(self, size: int) -> None:
        pid = self._pid()
        if pid is not None:
            _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, most))

    def close(self) -> None:
        """Take it away."""
        if self.how == "tmpfs":
            done = subprocess.run(["umount", str(self.folder)], capture_output=True, check=False)
            if done.returncode:
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(self.folder))
