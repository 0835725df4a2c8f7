"""A unit's sandbox without systemd as the first process: `python -m tests.helpers.sandbox UNIT COMMAND...`.

What of it can be had here without rights: its system call filter and address families (seccomp, made from what
systemd-analyze says is in its groups), NoNewPrivileges, UMask. Not: folders, devices, capabilities, memory limits.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_CAPBSET_DROP, FILTER = 38, 22, 24, 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, DENY = 0x7FFF0000, 0x00050001
"""Return values of a filter; the second is errno 1, EPERM."""
HEADERS = {
    "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    "aarch64": "/usr/include/asm-generic/unistd.h",
}


def why_not() -> str:
    """Why there can be no sandbox here; empty where there can."""
    if shutil.which("systemd-analyze") is None:
        return "systemd-analyze is not here: sudo apt install systemd"
    header = HEADERS.get(platform.machine(), "")
    return (
        "" if Path(header or "/nowhere").exists() else "no list of system calls here: sudo apt install linux-libc-dev"
    )


def settings(unit: Path) -> dict[str, list[str]]:
    """Key -> every value it is given."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith(("#", "[")):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def calls(group: str) -> set[str]:
    """Names of the system calls in a group."""
    if not group.startswith("@"):
        return {group}
    told = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True)
    lines = [line.strip() for line in told.stdout.splitlines()[1:]]
    return set().union(*(calls(line) for line in lines if line and not line.startswith("#")))


def allowed(unit: Path) -> set[str]:
    """Names of the system calls that the unit may make."""
    names: set[str] = set()
    for value in settings(unit)["SystemCallFilter"]:
        groups = [calls(group) for group in value.removeprefix("~").split()]
        names = names - set().union(*groups) if value.startswith("~") else names.union(*groups)
    return names


def numbers() -> dict[str, int]:
    """Name -> number of every system call here."""
    text = Path(HEADERS[platform.machine()]).read_text(encoding="ascii")
    return {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\b", text)}


def program(unit: Path) -> bytes:
    """The filter, as seccomp takes it."""
    known = numbers()
    families = [getattr(socket, name) for name in " ".join(settings(unit)["RestrictAddressFamilies"]).split()]

    def step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("<HBBI", code, yes, no, value)

    made = [step(LOAD, 0), step(EQUAL, known["socket"], 0, 2 + 2 * len(families)), step(LOAD, 16)]
    for family in families:
        made += [step(EQUAL, family, 0, 1), step(RETURN, ALLOW)]
    made.append(step(RETURN, DENY))
    for name in sorted(allowed(unit) & known.keys() - {"socket"}):
        made += [step(EQUAL, known[name], 0, 1), step(RETURN, ALLOW)]
    return b"".join([*made, step(RETURN, DENY)])


def enter(unit: Path) -> None:
    """Never to come out again."""
    os.umask(int(settings(unit)["UMask"][0], 8))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    code = program(unit)
    held = ctypes.create_string_buffer(code, len(code))

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]

    if prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs")
    if prctl(PR_SET_SECCOMP, FILTER, ctypes.byref(Program(len(code) // 8, ctypes.addressof(held))), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


if __name__ == "__main__":
    enter(Path(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606
