"""Sets of joints, by name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A named set of joints."""

    name: str
    joints: tuple[str, ...]
    """K names, in the order of the keypoint axis."""
    bones: tuple[tuple[int, int], ...]
    """Joint pairs to draw a line between."""
    sigmas: tuple[float, ...]
    """(K,) spread of each joint in OKS: COCO's per-keypoint sigmas, k = 2 * sigma."""

    def index(self, joint: str) -> int:
        """Where a joint is on the keypoint axis.

        Raises:
            KeyError: there is none of that name.
        """
        try:
            return self.joints.index(joint)
        except ValueError:
            import difflib

            near = difflib.get_close_matches(joint, self.joints, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(self.joints)}"
            raise KeyError(f"{joint}: {self.name} has no such joint; {hint}") from None


COCO17 = Skeleton(
    name="coco17",
    joints=(
        "nose", "left_eye", "right_eye", "left_ear", "right_ear",
        "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
        "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    bones=(
        (0, 1), (0, 2), (1, 3), (2, 4), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10),
        (5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16),
    ),
    sigmas=(
        0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072,
        0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089,
    ),
)  # fmt: skip

OPENPOSE18 = Skeleton(
    name="openpose18",
    joints=(
        "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
        "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
        "right_eye", "left_eye", "right_ear", "left_ear",
    ),
    bones=(
        (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
        (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
    ),
    sigmas=(
        0.026, 0.079, 0.079, 0.072, 0.062, 0.079, 0.072, 0.062,
        0.107, 0.087, 0.089, 0.107, 0.087, 0.089, 0.025, 0.025, 0.035, 0.035,
    ),
)  # fmt: skip
"""The 18 parts of OpenPose's COCO model; the neck's sigma is the shoulders'."""

AIC14 = Skeleton(
    name="aic14",
    joints=(
        "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
        "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "head_top", "neck",
    ),
    bones=(
        (12, 13), (13, 0), (0, 1), (1, 2), (13, 3), (3, 4), (4, 5),
        (0, 6), (6, 7), (7, 8), (3, 9), (9, 10), (10, 11), (6, 9),
    ),
    sigmas=(
        0.01388152, 0.01515228, 0.01057665, 0.01417709, 0.01497891, 0.01402144, 0.03909642, 0.03686941,
        0.01981803, 0.03843971, 0.03412318, 0.02415081, 0.01291456, 0.01236173,
    ),
)  # fmt: skip
"""AI Challenger 2017, numbered from 0, with the spreads of its own evaluation; order and spreads as in mmpose's aic."""

MPII16 = Skeleton(
    name="mpii16",
    joints=(
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax",
        "upper_neck", "head_top", "right_wrist", "right_elbow", "right_shoulder",
        "left_shoulder", "left_elbow", "left_wrist",
    ),
    bones=(
        (0, 1), (1, 2), (2, 6), (6, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9),
        (8, 12), (12, 11), (11, 10), (8, 13), (13, 14), (14, 15),
    ),
    sigmas=(
        0.089, 0.087, 0.107, 0.107, 0.087, 0.089, 0.107, 0.079,
        0.079, 0.079, 0.062, 0.072, 0.079, 0.079, 0.072, 0.062,
    ),
)  # fmt: skip
"""MPII Human Pose. It has no spreads of its own: COCO's for the joints both have, hips' for the pelvis, shoulders' for
thorax, neck and head."""

BODY13 = Skeleton(
    name="body13",
    joints=(
        "nose", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
        "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    bones=(
        (0, 1), (0, 2), (1, 2), (1, 3), (3, 5), (2, 4), (4, 6), (1, 7), (2, 8), (7, 8),
        (7, 9), (9, 11), (8, 10), (10, 12),
    ),
    sigmas=(0.026, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)  # fmt: skip
"""COCO without eyes and ears, as STMicroelectronics trains its small networks; COCO's spreads."""

H36M17 = Skeleton(
    name="h36m17",
    joints=(
        "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
        "spine", "thorax", "neck", "head_top", "left_shoulder", "left_elbow", "left_wrist",
        "right_shoulder", "right_elbow", "right_wrist",
    ),
    bones=(
        (0, 1), (1, 2), (2, 3), (0, 4), (4, 5), (5, 6), (0, 7), (7, 8), (8, 9), (9, 10),
        (8, 11), (11, 12), (12, 13), (8, 14), (14, 15), (15, 16),
    ),
    sigmas=(
        0.107, 0.107, 0.087, 0.089, 0.107, 0.087, 0.089, 0.107, 0.079, 0.079, 0.079,
        0.079, 0.072, 0.062, 0.079, 0.072, 0.062,
    ),
)  # fmt: skip
"""The 17 of Human3.6M's 32 joints that 3D networks use, right leg first, as in Martinez et al. 2017 and VideoPose3D.
It has no spreads: chosen as for MPII, hips' for the spine."""

BLAZEPOSE33 = Skeleton(
    name="blazepose33",
    joints=(
        "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
        "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder",
        "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky",
        "left_index", "right_index", "left_thumb", "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee",
        "left_ankle", "right_ankle", "left_heel", "right_heel", "left_foot_index", "right_foot_index",
    ),
    bones=(
        (0, 1), (1, 2), (2, 3), (3, 7), (0, 4), (4, 5), (5, 6), (6, 8), (9, 10), (11, 12),
        (11, 13), (13, 15), (15, 17), (15, 19), (15, 21), (17, 19), (12, 14), (14, 16), (16, 18), (16, 20), (16, 22),
        (18, 20), (11, 23), (12, 24), (23, 24), (23, 25), (24, 26), (25, 27), (26, 28), (27, 29), (28, 30),
        (29, 31), (30, 32), (27, 31), (28, 32),
    ),
    sigmas=(
        0.026, 0.025, 0.025, 0.025, 0.025, 0.025, 0.025, 0.035, 0.035, 0.025, 0.025, 0.079, 0.079, 0.072, 0.072,
        0.062, 0.062, 0.062, 0.062, 0.062, 0.062, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087,
        0.089, 0.089, 0.089, 0.089, 0.089, 0.089,
    ),
)  # fmt: skip
"""MediaPipe's PoseLandmark. Spreads: COCO's where it has the joint, its eye's for eyes and mouth, wrist's for the hand,
ankle's for the foot."""

BLAZEPOSE4 = Skeleton(
    name="blazepose4",
    joints=("mid_hip", "full_body", "mid_shoulder", "upper_body"),
    bones=((0, 1), (0, 2), (2, 3)),
    sigmas=(0.107, 0.107, 0.079, 0.079),
)
"""What BlazePose's detector says of a person: where, how large, how tilted. Spreads: the hips' and the shoulders'."""

SKELETONS = {
    skeleton.name: skeleton for skeleton in (COCO17, OPENPOSE18, AIC14, BODY13, MPII16, H36M17, BLAZEPOSE33, BLAZEPOSE4)
}
