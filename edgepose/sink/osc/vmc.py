"""One person as an avatar's bones: VMC's messages, in Unity's axes (x right, y up, z ahead, left-handed)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import COCO17, Poses
from edgepose.sink.export.gltf import quaternions
from edgepose.sink.export.motion import places
from edgepose.sink.export.rig import BONES, rigged
from edgepose.sink.osc.avatar import Place
from edgepose.sink.osc.packet import message

Array = NDArray[np.float64]


class Vmc:
    """Follows one person, the one of the lowest id; what is not seen of them stays as it was."""

    def __init__(self, rest: Mapping[str, Place]) -> None:
        self._rest, self._identity = rest, -1
        self._xyz, self._first = np.full((17, 3), np.nan), np.zeros(3)

    def messages(self, poses: Poses) -> Iterator[bytes]:
        """Of one frame; while nobody is there that the avatar is still loaded, and nothing else."""
        yield message("/VMC/Ext/OK", 1)
        yield message("/VMC/Ext/T", float(poses.t))
        if poses.skeleton != COCO17 or poses.space is None or not len(poses):
            return
        row = int(np.argmin(poses.track_id))
        if np.isnan(poses.space.root[row]).any():
            return
        yield from self._bones(int(poses.track_id[row]), places(poses, row))

    def _bones(self, identity: int, xyz: Array) -> Iterator[bytes]:
        if identity != self._identity:
            self._identity, self._xyz, self._first = identity, np.full((17, 3), np.nan), np.full(3, np.nan)
        self._xyz = np.where(np.isnan(xyz), self._xyz, xyz)
        rig = rigged(self._xyz[None], COCO17.joints)
        if np.isnan(self._first).any():
            self._first = rig.root[0]
        yield message("/VMC/Ext/Root/Pos", "root", 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
        moved = (rig.root[0] - self._first) * (-1, 1, 1)
        for number, bone in enumerate(BONES):
            if bone.name not in self._rest:
                continue
            place = np.array(self._rest[bone.name]) + (moved if bone.parent < 0 else 0.0)
            x, y, z, w = quaternions(rig.turn[:, number])[0].tolist()
            yield message("/VMC/Ext/Bone/Pos", bone.name, *place.tolist(), x, -y, -z, w)
