"""Every kind of rule: its settings and what carries it out. A new kind is a file here and a row in KINDS."""

from __future__ import annotations

from typing import NamedTuple

from edgepose.meaning import user
from edgepose.meaning.base import Rule
from edgepose.meaning.rules import (
    angle,
    attention,
    control,
    fall,
    gait,
    gesture,
    near,
    posture,
    reps,
    zone,
)
from edgepose.meaning.settings import Common


class Kind(NamedTuple):
    """One kind of rule."""

    settings: type[Common]
    rule: type[Rule]


KINDS: dict[str, Kind] = {
    "posture": Kind(posture.Settings, posture.Posture),
    "fall": Kind(fall.Settings, fall.Fall),
    "reps": Kind(reps.Settings, reps.Reps),
    "gesture": Kind(gesture.Settings, gesture.Gesture),
    "angle": Kind(angle.Settings, angle.Angle),
    "zone": Kind(zone.Settings, zone.ZoneRule),
    "near": Kind(near.Settings, near.Near),
    "gait": Kind(gait.Settings, gait.Gait),
    "attention": Kind(attention.Settings, attention.Attention),
    "control": Kind(control.Settings, control.Control),
    "user": Kind(user.Settings, user.UserRule),
}


def settings_of() -> dict[str, type[Common]]:
    """Kind -> its settings."""
    return {name: kind.settings for name, kind in KINDS.items()}
