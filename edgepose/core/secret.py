"""Secrets: read from files that nobody else may read, and left out of what is shown."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from edgepose.core import places
from edgepose.core.errors import ConfigError, passes

CREDENTIAL = "credential:"
"""Before the name of a credential that systemd hands to the service."""

MAX_BYTES = 1 << 20
"""Of a password, key or certificate file."""


SCHEMES = "rtsps?|rtspu|https?|rtmps?|rtmpe|srt|udp|tcp|rtp|rist|mqtts?|wss?|ftps?"
LOGIN = rf"(?is)((?:(?<![^\s=(\"'\[,])(?:{SCHEMES}):?[\\/]+)|://).*@"
"""From an address's start to its last @: the password may hold spaces, quotes, / and @; slashes may be mistyped."""

HIDDEN = "pas|psw|pwd|pw|pin|token|key|auth|secret|sig|cred|cookie|session|access|header|passcode"
NAME = "user|usr|login|account"
NAMED = (
    rf"(?is)([\w-]{{0,32}}(?:{HIDDEN}|{NAME})[\w-]{{0,32}}\s{{0,4}}(?:=|%3d)\s{{0,4}}(?:\([\w/-]{{1,32}}\)\s{{0,4}})?)"
    r"(\"(?:\\.|[^\"\\])*\"?|'(?:\\.|[^'\\])*'?|(?:\\.|[^&\s\\])+)"
)
"""NAME=VALUE where the name says that the value is nobody's business; it may be quoted, or have a GStreamer type."""

HARMLESS_NAME = (
    "(?i)action|bitrate|cam|camera|camid|ch|channel|codec|compression|format|fps|framerate|height|latency|mode|profile|"
    "proto|protocol|quality|rate|res|resolution|size|stream|streamtype|subtype|transport|type|unicast|videocodec|width"
)
HARMLESS = r"(?i)\d{0,4}|\d+x\d+|true|false|on|off|yes|no"
"""Names and values of a query that cannot be a secret."""

WORD = (
    "av|axis|cam|camera|cgi|channels?|ch|h|hls|index|jpe?g|live|main|media|mjpe?g|mp|mpeg|onvif|picture|preview|profile|"
    "rtsp|snapshot|stream|streaming|sub|track|unicast|video|vod|x"
)
"""What paths of cameras are made of, besides numbers."""
TOKEN_LENGTH = 8
"""Characters from which on letters with digits may be a key."""
FILE = r"(?i).{1,60}\.(?:mp4|mkv|avi|mov|webm|ts|m4v|mpe?g|jpe?g|png)"


def masked(text: str) -> str:
    """An address or pipeline as it may be shown and logged: no user name, password or token.

    What might be one is left out too: the value of an unknown parameter, a part of a path that looks like a key.
    """
    return " ! ".join(_masked(part) for part in text.split(" ! "))


def _masked(text: str) -> str:
    text = re.sub(NAMED, r"\1***", re.sub(LOGIN, r"\1***@", text))
    return re.sub(r"(?<=://)([^\s/?\"']*)(/[^\s?\"']*)?(\?[^\s\"']*)?", _address, text)


def _address(found: re.Match[str]) -> str:
    """HOST/PATH?QUERY without what may be a token."""
    host, path, query = (part or "" for part in found.groups())
    path = "/".join(_part(part, host.endswith(":7441")) for part in path.split("/"))
    return host + path + re.sub(r"([?&;])([^=&;]*)(=?)([^&;]*)", _parameter, query)


def _part(part: str, secret: bool) -> str:
    """A part of a path; `secret` where cameras of that port have nothing but a key there."""
    if not part or "***" in part:
        return part
    key = secret or (not re.fullmatch(FILE, part) and any(map(_looks_like_a_key, re.split(r"[-_.,;:=]", part))))
    return "***" if key else part


def _looks_like_a_key(piece: str) -> bool:
    words = [word for word in re.split(r"\d+", piece.lower()) if word]
    digits = len(piece) - sum(map(len, words))
    plain = digits < TOKEN_LENGTH and all(re.fullmatch(WORD, word) for word in words)
    return len(piece) >= TOKEN_LENGTH and 0 < digits < len(piece) and not plain


def _parameter(found: re.Match[str]) -> str:
    mark, name, equals, value = found.groups()
    if not equals:
        name, colon, rest = name.partition(":")
        return mark + _part(name, secret=False) + colon + "***" * bool(rest)
    shown = re.fullmatch(HARMLESS_NAME, name) or re.fullmatch(HARMLESS, value) or value == "***"
    return f"{mark}{name}={value if shown else '***'}"


def holds_password(text: str) -> bool:
    """Whether an address or pipeline holds a password or token; a user name alone is none."""
    if re.search(rf"(?is)(?:(?:\A|[\s=\"'])(?:{SCHEMES}):?[\\/]+|://)[^/@]*:.*@", text):
        return True
    return any(re.search(rf"(?i)(?:{HIDDEN})[\w-]*\s*(?:=|%3d)", found[0]) for found in re.finditer(NAMED, text))


def place(key: str, name: str) -> Path:
    """Where the file is that a setting names: a path, or credential:NAME, one of systemd's.

    Raises:
        ConfigError: naming the setting: no such credential, or not started by systemd.
    """
    if not name.startswith(CREDENTIAL):
        return places.at_home(name)
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
        raise ConfigError(f"{key}: $CREDENTIALS_DIRECTORY {given}: {error.strerror}", passes=passes(error)) from None
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
        raise ConfigError(f"{key} {name}: cannot be read: {error.strerror}", passes=passes(error)) from None
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
        lines = places.text(read(key, name, private=True)).splitlines()
    except UnicodeDecodeError:
        raise ConfigError(f"{key} {name}: not UTF-8 text; save it as UTF-8") from None
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
