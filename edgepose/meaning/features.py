"""What can be asked of a body in a frame, by name: each number in degrees, torso lengths or metres, NaN where unknown.

Features come in groups that are made together, for everybody at once, and only where a rule asks for one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgepose.meaning import angles, hands, head, posture
from edgepose.meaning import joints as j
from edgepose.meaning.body import Body, Scale
from edgepose.meaning.motion import MOTION, Motion
from edgepose.meaning.waves import WAVES, Waves

Floats = NDArray[np.float64]
ARMS = (j.LEFT_SHOULDER, j.RIGHT_SHOULDER, j.LEFT_ELBOW, j.RIGHT_ELBOW, j.LEFT_WRIST, j.RIGHT_WRIST)
TRUNK = (j.LEFT_SHOULDER, j.RIGHT_SHOULDER, j.LEFT_HIP, j.RIGHT_HIP)
LEGS = (j.LEFT_HIP, j.RIGHT_HIP, j.LEFT_KNEE, j.RIGHT_KNEE, j.LEFT_ANKLE, j.RIGHT_ANKLE)


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of the table."""

    group: str
    column: int
    unit: str
    """deg, torso (lengths), 1 (a share or yes and no), torso/s, m."""
    says: str
    needs: tuple[int, ...] = ()
    """Joints of which at least one side must be in the skeleton."""


HEIGHTS = {
    "hip_height": "hips above the lower ankle",
    "shoulder_height": "shoulders above the lower ankle",
    "knee_height": "knees above the lower ankle",
    "shoulder_over_wrist": "shoulders above the wrists: low in a push-up, high in a pull-up",
    "shoulder_over_elbow": "shoulders above the elbows",
    "nose_over_wrist": "nose above the wrists",
    "wrist_height": "wrists above the shoulders: negative while they hang",
    "feet_apart": "between the ankles, across the picture",
}


def _heights(body: Body) -> Floats:
    """(N, 8) in the order of HEIGHTS."""
    made = np.empty((len(body), len(HEIGHTS)))
    body.loops.heights(body.xy, body.middles, body.size, made)
    return made


def _there(body: Body) -> Floats:
    """(N, 2) share of the limbs' joints that are there; 1 where one lies at the picture's border."""
    made = np.empty((len(body), 2))
    width, height = body.size_wh
    body.loops.there(body.xy, float(width), float(height), made)
    return made


class Table:
    """The features of a stream of bodies; those with a memory keep it by slot."""

    def __init__(self, wanted: Iterable[str], scale: Scale) -> None:
        """Take the names in `wanted`, in the order in which `values` is to have them."""
        self.names = tuple(dict.fromkeys(wanted))
        groups: dict[str, list[tuple[int, int]]] = {}
        for place, name in enumerate(self.names):
            feature = FEATURES[name]
            groups.setdefault(feature.group, []).append((place, feature.column))
        self._scale = scale
        self._motion = Motion()
        self._waves = Waves()
        self._parts = [
            (group, np.array([to for to, _ in pairs]), np.array([column for _, column in pairs]))
            for group, pairs in groups.items()
        ]
        self._makers: dict[str, Callable[[Body], Floats]] = {
            "posture": posture.postures,
            "angles": self._angles,
            "segments": angles.segment_angles,
            "heights": _heights,
            "hands": hands.hands,
            "head": head.heads,
            "motion": self._motion.update,
            "waves": self._waves.update,
            "seen": _there,
        }

    def grow(self, room: int) -> None:
        """Room for so many slots."""
        self._motion.grow(room)
        self._waves.grow(room)

    def reset(self, slot: int) -> None:
        """Somebody new."""
        self._motion.reset(slot)
        self._waves.reset(slot)

    def values(self, body: Body) -> Floats:
        """(N, len(names)) of this frame."""
        made = np.empty((len(body), len(self.names)))
        for group, to, columns in self._parts:
            made[:, to] = self._makers[group](body)[:, columns]
        return made

    def _angles(self, body: Body) -> Floats:
        return angles.joint_angles(body, self._scale.in_plane(body))


def _features() -> dict[str, Feature]:
    made = {
        "tilt_deg": Feature("posture", 0, "deg", "trunk against the vertical: 0 upright, 90 level", TRUNK),
        "thigh_down": Feature("posture", 1, "torso", "knees below the hips", LEGS),
        "shank_down": Feature("posture", 2, "torso", "ankles below the knees", LEGS),
        "coverage": Feature("seen", 0, "1", "share of the twelve limb joints that are there"),
        "cut_off": Feature("seen", 1, "1", "a limb joint lies at the picture's border"),
    }
    for column, name in enumerate(posture.POSTURES):
        made[name] = Feature("posture", 4 + column, "1", f"is {name} in this frame", (*TRUNK, *LEGS[:4]))
    needs = {name: (a, a + 1, b, b + 1, c, c + 1) for name, (a, b, c, _, _) in angles._HINGES.items()}
    for column, name in enumerate(angles.JOINT_ANGLES):
        hinge = name.partition("_")[0]
        made[name] = Feature("angles", column, "deg", f"{name.replace('_', ', ')}", needs[hinge])
        made[f"{name}_plane"] = Feature("angles", 8 + column, "1", f"how much of {name} lies in the picture's plane")
    for column, name in enumerate(angles.MEANS):
        made[name] = Feature("angles", 16 + column, "deg", f"{name} of both sides", needs[name])
        made[f"{name}_plane"] = Feature("angles", 20 + column, "1", f"how much of {name} lies in the picture's plane")
        made[f"{name}_bend"] = Feature("angles", 24 + column, "deg", f"{name} as if seen from the side", needs[name])
    for column, name in enumerate(angles.SEGMENT_ANGLES):
        made[f"{name}_deg"] = Feature("segments", column, "deg", f"{name}, anticlockwise from the horizontal")
    for column, (name, says) in enumerate(HEIGHTS.items()):
        made[name] = Feature("heights", column, "torso", says)
    for group, table in (("hands", hands.HANDS), ("head", head.HEADS), ("motion", MOTION), ("waves", WAVES)):
        for column, (name, (unit, says)) in enumerate(table.items()):
            needed = ARMS if group in ("hands", "waves") else ()
            made[name] = Feature(group, column, unit, says, needed)
    return made


FEATURES = _features()
