"""Every skeleton is whole: a sigma and a bone for each joint, and left mirrors right."""

from __future__ import annotations

import pytest

from edgepose.core.poses import SKELETONS, Skeleton

ALL = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)


@ALL
def test_every_joint_has_one_name_a_sigma_and_a_bone(skeleton: Skeleton) -> None:
    assert f"{len(skeleton.joints)}" in skeleton.name
    assert len(set(skeleton.joints)) == len(skeleton.joints) == len(skeleton.sigmas)
    assert {joint for bone in skeleton.bones for joint in bone} == set(range(len(skeleton.joints)))
    assert len({frozenset(bone) for bone in skeleton.bones}) == len(skeleton.bones)
    assert all(0.01 < sigma < 0.2 for sigma in skeleton.sigmas)


def mirrored(name: str) -> str:
    sides = {"left": "right", "right": "left"}
    return "_".join(sides.get(word, word) for word in name.split("_"))


@ALL
def test_a_skeleton_seen_in_a_mirror_has_the_same_joints_and_bones(skeleton: Skeleton) -> None:
    assert {mirrored(name) for name in skeleton.joints} == set(skeleton.joints)
    bones = {frozenset(skeleton.joints[joint] for joint in bone) for bone in skeleton.bones}
    assert {frozenset(mirrored(name) for name in bone) for bone in bones} == bones
