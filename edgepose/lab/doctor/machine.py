"""Everything the doctor looks at, behind one record, so that a test can stand in for any board."""

from __future__ import annotations

import ctypes
import fcntl
import getpass
import grp
import os
import platform
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from edgepose.core.config import Config


class Root:
    """The file system as the system shows itself: /proc, /sys, /dev and a few files of /etc.

    folder  what stands for /
    """

    def __init__(self, folder: Path = Path("/")) -> None:
        self.folder = folder

    def path(self, path: str) -> Path:
        """Where `path`, absolute, really lies."""
        return self.folder / path.lstrip("/")

    def text(self, path: str) -> str | None:
        """What a small file says, without blanks and NULs around it; None: absent or not readable."""
        try:
            content = self.path(path).read_bytes()
        except (OSError, ValueError):
            return None
        return content.decode(errors="replace").strip(" \t\r\n\0")

    def glob(self, pattern: str) -> list[str]:
        """Absolute paths of what matches, in natural order."""
        found = [f"/{path.relative_to(self.folder)}" for path in self.folder.glob(pattern.lstrip("/"))]
        return sorted(found, key=lambda name: (len(name), name))

    def exists(self, path: str) -> bool:
        """Whether it is there."""
        try:
            return self.path(path).exists()
        except OSError:
            return False

    def may(self, path: str, mode: int) -> bool:
        """As os.access: also says no on a read-only file system."""
        return os.access(self.path(path), mode)

    def group(self, path: str) -> str:
        """The group a file belongs to; its number if it has no name, empty if it cannot be told."""
        try:
            number = self.path(path).stat().st_gid
        except OSError:
            return ""
        try:
            return grp.getgrgid(number).gr_name
        except KeyError:
            return str(number)

    def free(self, path: str) -> tuple[int, int] | None:
        """Bytes free for us and bytes in all of the file system a folder lies on; None: it cannot be told."""
        try:
            facts = os.statvfs(self.path(path))
        except OSError:
            return None
        return facts.f_bavail * facts.f_frsize, facts.f_blocks * facts.f_frsize


class Answer(NamedTuple):
    """What a command said."""

    code: int
    out: str


class Device(Protocol):
    """An opened device node."""

    def ioctl(self, request: int, buffer: bytearray) -> None:
        """Let the driver fill `buffer`. Raises OSError: it does not do that."""

    def close(self) -> None:
        """Let go of it."""


class Node:
    """As Device, for a real one; opened without waiting, so that nobody else is disturbed."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def ioctl(self, request: int, buffer: bytearray) -> None:
        """As Device.ioctl."""
        fcntl.ioctl(self._descriptor, request, buffer)

    def close(self) -> None:
        """As Device.close."""
        os.close(self._descriptor)


def run_command(words: Sequence[str], limit_s: float) -> Answer | None:
    """What a program says; None: it is not there, cannot be started, or does not end."""
    if shutil.which(words[0]) is None:
        return None
    try:
        done = subprocess.run(words, capture_output=True, timeout=limit_s, stdin=subprocess.DEVNULL, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Answer(done.returncode, done.stdout.decode(errors="replace").strip())


TIME_ERROR = 5
"""What adjtimex returns when nothing keeps the clock right."""


def kernel_clock() -> bool | None:
    """Whether the kernel knows its clock to be right; None: it does not say."""
    call = getattr(ctypes.CDLL(None), "adjtimex", None)
    if call is None:
        return None
    state = call(ctypes.create_string_buffer(1024))  # struct timex, all zero: a question, which everybody may ask
    return None if state < 0 else state != TIME_ERROR


@dataclass(frozen=True)
class Python:
    """The Python that runs edgepose."""

    version: tuple[int, int, int] = (sys.version_info.major, sys.version_info.minor, sys.version_info.micro)
    bits: int = struct.calcsize("P") * 8
    machine: str = platform.machine()
    """Of the kernel: aarch64, armv7l, x86_64."""
    libc: tuple[str, str] = platform.libc_ver()
    """("glibc", "2.36"); empty for another C library."""
    prefix: str = sys.prefix
    executable: str = sys.executable
    in_venv: bool = sys.prefix != sys.base_prefix
    gil: bool = object.__basicsize__ == struct.calcsize("P") * 2
    """False: a free-threaded build."""


def who_am_i() -> str:
    """Our user's name, or number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def my_groups() -> frozenset[str]:
    """Groups this process has; they were fixed at login."""
    names = set()
    for number in {os.getegid(), *os.getgroups()}:
        try:
            names.add(grp.getgrgid(number).gr_name)
        except KeyError:
            names.add(str(number))
    return frozenset(names)


Ask = Callable[[str, Config, float], dict[str, Any]]


def ask_child(name: str, cfg: Config, limit_s: float) -> dict[str, Any]:
    """As probe.ask, imported when it is used."""
    from edgepose.lab.doctor.probe import ask

    return ask(name, cfg, limit_s)


@dataclass(frozen=True)
class Machine:
    """The board, or one that a test makes up."""

    root: Root = field(default_factory=Root)
    run: Callable[[Sequence[str], float], Answer | None] = run_command
    ask: Ask = ask_child
    """A probe in a child process: name, settings, longest wait -> what it found, or {"failed": why}."""
    open: Callable[[Path], Device] = Node
    clock_kept: Callable[[], bool | None] = kernel_clock
    now: Callable[[], float] = time.time
    env: Mapping[str, str] = field(default_factory=lambda: os.environ)
    python: Python = field(default_factory=Python)
    cores: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    """That this process may use."""
    user: str = field(default_factory=who_am_i)
    groups: frozenset[str] = field(default_factory=my_groups)
