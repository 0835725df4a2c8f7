"""Everything edgepose raises on purpose, each with the exit code of the command it ends.

EdgeposeError           1   something failed while running; a supervisor may restart it
 |- SourceError         1   a camera, stream or recording cannot be read (any more)
 |- EngineError         1   the interpreter failed while running
 |   `- FrameLostError  1   this frame got no result; the next one may
 |- SinkError           1   poses cannot be handed on: a full disk
 |   `- ReaderLeftError 0   whoever read them simply left (`| head`): a clean end
 `- ConfigError        78   wrong setting, file or model: restarting cannot help (EX_CONFIG)
     `- ModelError     78   a model file or its manifest is missing, damaged or contradicts itself

A caller's own mistake (a wrong shape, an impossible argument) is a plain ValueError.
Each message is one line: where it is, what is wrong, what to do next.
"""

from __future__ import annotations

import errno
import re

LONGEST_LINE = 1000
"""Characters of a message."""


class EdgeposeError(Exception):
    """Base of the tree above."""

    exit_code = 1


class SourceError(EdgeposeError):
    """Frames cannot be read (any more)."""


class EngineError(EdgeposeError):
    """Inference failed while running."""


class FrameLostError(EngineError):
    """Inference gave nothing for this frame: skip it, count it, go on with the next."""


class SinkError(EdgeposeError):
    """Poses cannot be handed on."""

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable
        """Opening the same sink again may work later: a disk that is full, away or read-only."""


class ReaderLeftError(SinkError):
    """Whoever read the output simply left: nothing to complain about."""

    exit_code = 0


class ConfigError(EdgeposeError):
    """A setting or a file named by one is wrong; restarting cannot help, unless it `passes`: then exit 1."""

    exit_code = 78

    def __init__(self, message: str, *, passes: bool = False) -> None:
        super().__init__(message)
        self.passes = passes
        """What is in the way may go by itself: a disk that does not answer, too many open files."""
        if passes:
            self.exit_code = EdgeposeError.exit_code


class ModelError(ConfigError):
    """A model file or its manifest is missing, damaged, or contradicts itself."""


NEVER = frozenset((errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.ENXIO))
"""What opening a file fails with for good: the name itself is wrong. All else may pass: a disk is mounted, freed."""

WRONG_INPUT = NEVER | {errno.ENOENT, errno.EACCES, errno.EPERM}
"""The same of a file that is read: one that is not there, or not for us, is a wrong setting."""


def passes(error: OSError) -> bool:
    """Whether reading a file may work later, although nobody changes the settings."""
    return error.errno not in WRONG_INPUT


def not_opened(message: str, error: OSError) -> ConfigError | SinkError:
    """What to raise where an output cannot be opened: a wrong setting, or something that may pass."""
    return ConfigError(message) if error.errno in NEVER else SinkError(message)


CONTROLS = r"\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
"""Characters that end a line, move a cursor or turn text around, and halves of characters."""


def printable(text: str) -> str:
    """The same without an end to it."""
    return re.sub(f"[{CONTROLS}]", lambda found: repr(found[0])[1:-1], text)


def one_line(text: str) -> str:
    """Text that may hold what somebody else wrote, safe in a log or a terminal: escaped, and with an end to it."""
    text = printable(text)
    return text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]}..."
