"""What may be asked on `control/NAME`: one strict struct per command. A command that does not fit changes nothing.

The payload is a JSON object; an empty payload is the same as {}. Unlike in everything that is published, a key nobody
knows is an error here: a command that is only half understood must not be half done.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from edgepose.core.errors import one_line

MIN_FPS = 1e-3
"""Least max_fps, but for 0."""
ID_CHARS = 64
"""Longest `id` of a command."""
_NAME = "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
"""Of a model, as in its manifest."""


class Command(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What all commands share."""

    id: Annotated[str, Meta(max_length=ID_CHARS)] = ""
    """Comes back in the answer, so that the asker knows which it is."""


class Pause(Command, frozen=True, kw_only=True):
    """Look at no more frames until `resume`; the camera may be let go. Pausing twice is fine."""

    on: bool = True
    """False does what `resume` does: for a switch that has one topic."""


class Resume(Command, frozen=True, kw_only=True):
    """Go on after `pause`."""


class Rate(Command, frozen=True, kw_only=True):
    """Look at fewer frames of a camera, or at all again; refused for a file, of which every frame is taken."""

    max_fps: Annotated[float, Meta(ge=0, le=1000)]
    """Most frames looked at in a second, Hz; 0 is all."""

    def __post_init__(self) -> None:
        if 0 < self.max_fps < MIN_FPS:
            raise ValueError(f"max_fps is {self.max_fps:g}, expected 0 for all or at least {MIN_FPS:g}")


class Model(Command, frozen=True, kw_only=True):
    """Use another model: loaded and checked while the old one goes on, which stays if anything is wrong."""

    model: Annotated[str, Meta(pattern=rf"^{_NAME}(\+{_NAME})?$(?!\n)")]
    """As engine.model: a name from the model folders or FINDER+REFINER, never a path."""


class Smoothing(Command, frozen=True, kw_only=True):
    """Take out more jitter or less."""

    preset: Literal["off", "light", "strong", "custom"]
    """As smooth.preset; custom is what the settings file says."""


class Calibrate(Command, frozen=True, kw_only=True):
    """Take how everybody stands next, once still, as neutral: for the axes of the rule kind `control`."""


class SetPower(Command, frozen=True, kw_only=True):
    """Look at a camera less or more, until the next start; refused for a file. Without any key: how it stands."""

    mode: Literal["auto", "off"] | UnsetType = UNSET
    """As power.mode."""
    max_cpu: Annotated[float, Meta(ge=0, le=64)] | UnsetType = UNSET
    """As power.max_cpu: share of one core; 0 is no limit."""
    max_temp_c: Annotated[float, Meta(ge=0, le=150)] | UnsetType = UNSET
    """As power.max_temp_c: degrees Celsius; 0 is no limit."""
    wake: bool = False
    """Look at every frame for a while."""


class Snapshot(Command, frozen=True, kw_only=True):
    """Fetch one picture; refused unless control.snapshot is on, because pictures stay on the device otherwise."""


class Restart(Command, frozen=True, kw_only=True):
    """End with what is left sent; whoever supervises the service starts it again."""


class GetStatus(Command, frozen=True, kw_only=True):
    """Say what `status` and `health` say, at once."""


COMMANDS: dict[str, type[Command]] = {
    "pause": Pause,
    "resume": Resume,
    "rate": Rate,
    "model": Model,
    "smoothing": Smoothing,
    "calibrate": Calibrate,
    "power": SetPower,
    "snapshot": Snapshot,
    "restart": Restart,
    "status": GetStatus,
}
"""Last part of the topic -> what its payload must be."""

_decoders = {name: msgspec.json.Decoder(struct) for name, struct in COMMANDS.items()}


def decode_command(name: str, payload: bytes) -> Command:
    """Read a command; `name` is the last part of its topic, an empty payload is {}.

    Raises:
        ValueError: no such command, not JSON, a key too many or a value out of its range; one line.
    """
    decoder = _decoders.get(name)
    if decoder is None:
        raise ValueError(f"control: there is no command {name[:40]!r}; there are {', '.join(COMMANDS)}")
    try:
        return decoder.decode(payload or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(one_line(f"control/{name}: {error}")) from None
