"""Secrets: read from files that nobody else may read, and left out of what is shown."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from edgepose.core.errors import ConfigError

CREDENTIAL = "credential:"
"""Before the name of a credential that systemd hands to the service."""

MAX_BYTES = 1 << 20
"""Of a password, key or certificate file."""


def masked(text: str) -> str:
    """An address or pipeline as it may be shown and logged: no user name, password or token."""
    text = re.sub(r"://[^\s\"']*@", "://***@", text)
    return re.sub(r"(?i)\b([\w-]*(?:pass|pwd|pw|user|token|key|auth|secret|sig)[\w-]*=)[^&\s]+", r"\1***", text)


def holds_password(text: str) -> bool:
    """Whether an address or pipeline holds a password or token; a user name alone is none."""
    return bool(
        re.search(r"://[^\s/@\"']*:[^\s\"']*@", text)
        or re.search(r"(?i)\b[\w-]*(?:pass|pwd|pw|token|auth|secret|sig)[\w-]*=[^&\s]", text)
    )


def place(key: str, name: str) -> Path:
    """Where the file is that a setting names: a path, or credential:NAME, one of systemd's.

    Raises:
        ConfigError: naming the setting: no such credential, or not started by systemd.
    """
    if not name.startswith(CREDENTIAL):
        return Path(name).expanduser()
    name = name.removeprefix(CREDENTIAL)
    given = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if not given:
        raise ConfigError(
            f"{key} is {CREDENTIAL}{name}, but $CREDENTIALS_DIRECTORY is not set: systemd sets it for a service with "
            f"LoadCredential={name}:/path; elsewhere name a file"
        )
    try:
        there = sorted(os.listdir(given))  # noqa: PTH208 (names, not paths)
    except OSError as error:
        raise ConfigError(f"{key}: $CREDENTIALS_DIRECTORY {given}: {error.strerror}") from None
    if name not in there:
        raise ConfigError(
            f"{key}: systemd hands over no credential {name!r}, only {', '.join(there) or 'none'}; "
            f"add LoadCredential={name}:/path to the service"
        )
    return Path(given) / name


def read(key: str, name: str, *, private: bool) -> bytes:
    """What is in the file that a setting names, symbolic links followed.

    private  nobody but its owner, who is root or us, may read or change it; else nobody else may change it.
             Files in systemd's folder of credentials are fine as they are: systemd sees to them.

    Raises:
        ConfigError: naming the setting and what to type.
    """
    path = place(key, name)
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())  # of what is read, whatever the name leads to a moment later
            if stat.S_ISREG(status.st_mode) and not _is_credential(path):
                _check(key, path, status, private)
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{key} {name}: cannot be read: {error.strerror}") from None
    except ValueError:  # a null byte
        raise ConfigError(f"{key} {name!r}: no such file") from None
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{key} {name}: has more than {MAX_BYTES >> 20} MiB; is it the right file?")
    return content


def first_line(key: str, name: str) -> str:
    """The password in a private file.

    Raises:
        ConfigError: naming the setting and what to type.
    """
    try:
        lines = read(key, name, private=True).decode().splitlines()
    except UnicodeDecodeError:
        raise ConfigError(f"{key} {name}: not UTF-8 text") from None
    if not lines or not lines[0]:
        raise ConfigError(f"{key} {name}: its first line is empty; write the password there")
    return lines[0]


def _is_credential(path: Path) -> bool:
    given = os.environ.get("CREDENTIALS_DIRECTORY", "")
    return bool(given) and path.resolve().is_relative_to(Path(given).resolve())


def _check(key: str, path: Path, status: os.stat_result, private: bool) -> None:
    mode = stat.S_IMODE(status.st_mode)
    unwanted, others, remedy = (0o077, "read or change", "600") if private else (0o022, "change", "go-w")
    if mode & unwanted:
        raise ConfigError(f"{key} {path}: others may {others} it (mode {mode:04o}); type: chmod {remedy} {path}")
    if private and status.st_uid not in (0, os.geteuid()):
        raise ConfigError(
            f"{key} {path}: belongs to user {status.st_uid}, expected root or who runs edgepose ({os.geteuid()}); "
            f"type: sudo chown {os.geteuid()} {path}"
        )


def private(path: str | os.PathLike[str], flags: int) -> int:
    """Opener for files with personal data: `open(path, "w", opener=private)`; a new one is for its owner alone."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
