"""MOT: OpenSim's joint angles, a folder with a file for each person; degrees and metres, in the axes of our TRC.

These are the angles between the directions of bones, not OpenSim's inverse kinematics: nothing weighs markers against a
model's limits. What joints alone cannot tell is not in the file and stays at the model's default: the twist of limbs,
ankles, and how a bent trunk is shared between pelvis and spine, which is all the pelvis's here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import COCO17
from edgepose.sink.export.motion import Gathered, Motion
from edgepose.sink.export.motionfile import RigFolder
from edgepose.sink.export.rig import BONES, axes, posed, rigged

Array = NDArray[np.float64]
TO_OPENSIM = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
"""From the axes of a rig's bone, which faces z with its left along x, to those of OpenSim's: x ahead, y up, z right."""
NUMBER = {bone.name: number for number, bone in enumerate(BONES)}
NOTE = "Angles between bones as seen, no inverse kinematics. Knees bend to positive angles (Rajagopal, not Gait2392)."
PLANAR = "Planar: of a 2D recording, in thousands of pixels, z = 0. "


class MotFolder(RigFolder):
    """NAME/person_ID.mot, written when the recording ends."""

    ending = "mot"

    def text(self, motion: Motion, gathered: Gathered) -> str:
        """As RigFolder."""
        return mot(motion, gathered)


def mot(motion: Motion, gathered: Gathered) -> str:
    """One person's file."""
    table = coordinates(motion.xyz)
    times = (motion.first + np.arange(len(motion.xyz))) / gathered.fps
    lines = [
        "Coordinates", "version=1", f"nRows={len(times)}", f"nColumns={len(table) + 1}", "inDegrees=yes", "",
        (PLANAR if gathered.unit != "m" else "") + NOTE, "", "endheader", "\t".join(("time", *table)),
    ]  # fmt: skip
    rows = np.column_stack([times, *table.values()]).tolist()
    lines += ["\t".join(f"{number:.8f}" for number in row) for row in rows]
    return "\n".join(lines) + "\n"


def coordinates(xyz: Array) -> dict[str, Array]:
    """OpenSim's name -> (F,) degrees or metres of a person (F, 17, 3), y up."""
    rig = rigged(xyz, COCO17.joints)
    world, place = posed(rig)
    at = {name: place[:, number] for name, number in NUMBER.items()}
    trunk = world[:, NUMBER["Hips"]]
    shoulders = axes(at["LeftUpperArm"] - at["RightUpperArm"], at["Chest"] - at["Hips"], trunk)
    pelvis, chest = trunk @ TO_OPENSIM.T, shoulders @ TO_OPENSIM.T
    table = dict(zip(("pelvis_tilt", "pelvis_list", "pelvis_rotation"), _turn(pelvis), strict=True))
    table |= dict(zip(("pelvis_tx", "pelvis_ty", "pelvis_tz"), rig.root.T, strict=True))
    for side, letter in (("Left", "l"), ("Right", "r")):
        thigh, knee = _limb(at, pelvis, f"{side}UpperLeg", f"{side}LowerLeg", f"{side}Foot", letter)
        arm, elbow = _limb(at, chest, f"{side}UpperArm", f"{side}LowerArm", f"{side}Hand", letter)
        table |= {f"hip_flexion_{letter}": thigh[0], f"hip_adduction_{letter}": thigh[1], f"knee_angle_{letter}": knee}
        table |= {f"arm_flex_{letter}": arm[0], f"arm_add_{letter}": arm[1], f"elbow_flex_{letter}": elbow}
    names = "lumbar_extension", "lumbar_bending", "lumbar_rotation"
    return table | dict(zip(names, _turn(np.swapaxes(pelvis, 1, 2) @ chest), strict=True))


def _turn(matrix: Array) -> tuple[Array, Array, Array]:
    """Degrees about z, x and y of matrices (F, 3, 3) = Rz Rx Ry."""
    x = np.arcsin(matrix[:, 2, 1].clip(-1, 1))
    z = np.arctan2(-matrix[:, 0, 1], matrix[:, 1, 1])
    y = np.arctan2(-matrix[:, 2, 0], matrix[:, 2, 2])
    return np.degrees(z), np.degrees(x), np.degrees(y)


def _limb(
    at: dict[str, Array], carried: Array, first: str, second: str, third: str, letter: str
) -> tuple[tuple[Array, Array], Array]:
    """How far a limb is raised ahead and drawn to the middle of the body that carries it; how far its hinge bends."""
    upper, lower = (_unit(at[end] - at[start]) for start, end in ((first, second), (second, third)))
    x, y, z = np.einsum("fji,fj->if", carried, upper)
    inwards = np.degrees(np.arcsin(np.clip(z if letter == "l" else -z, -1, 1)))
    bend = np.degrees(np.arccos(np.clip((upper * lower).sum(axis=1), -1, 1)))
    return (np.degrees(np.arctan2(x, -y)), inwards), bend


def _unit(vector: Array) -> Array:
    length = np.linalg.norm(vector, axis=1, keepdims=True)
    unit: Array = vector / np.where(length > 0, length, 1.0)
    return unit
