"""Loops of track: people move on, are compared with detections, and follow theirs.

joints (M, K, 6)  x, y, coarse x, coarse y in pixels, score, seconds since seen; NaN in x: not known
motion (M, 8)     size in pixels; speed x, y in pixels / s; pixels moved unseen x, y; variance of the position in
                  sizes^2, its covariance with the speed in sizes^2 / s, the speed's variance in sizes^2 / s^2
seen   (N, K, 5)  as joints, without the last
laws   (11,)      how people move, in the order of LAWS in edgepose/follow/track/motion.py

All float64 but for what a frame gives. The body moves, the joints go with it: one Kalman filter per person, of a speed
that is constant and slowly forgotten.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def read(xy, coarse_xy, score, seen, known):
    """Put a frame's people together; a joint whose x or y is not finite has neither.

    xy, coarse_xy  (N, K, 2)  float32
    score          (N, K)     float32
    seen           (N, K, 5)  out
    known          (N,)       out: number of joints that are there
    """
    for n in range(xy.shape[0]):
        known[n] = 0
        for k in range(xy.shape[1]):
            there = np.isfinite(xy[n, k, 0]) and np.isfinite(xy[n, k, 1])
            known[n] += there
            seen[n, k, 0] = xy[n, k, 0] if there else np.nan
            seen[n, k, 1] = xy[n, k, 1] if there else np.nan
            seen[n, k, 2] = coarse_xy[n, k, 0]
            seen[n, k, 3] = coarse_xy[n, k, 1]
            seen[n, k, 4] = score[n, k]


@njit(cache=True, nogil=True)
def move(joints, motion, unseen_s, step, width, height, laws):
    """Let `step` seconds pass, nobody seen yet; who was out of sight before stays inside the picture.

    joints, motion    changed
    unseen_s  (M,)    seconds unseen before the step
    """
    keep_s, unrest, coast_s = laws[0], laws[1], laws[2]
    kept = np.exp(-step / keep_s)
    reach = keep_s * (1 - kept)
    # a speed that is pushed at random and decays (Ornstein and Uhlenbeck 1930), integrated over the step: Singer 1970
    unsure_speed = keep_s / 2 * (1 - kept * kept)
    unsure_place = keep_s * keep_s * (step - 2 * reach + unsure_speed)
    for m in range(joints.shape[0]):
        own = motion[m]
        by_x, by_y = own[1] * reach, own[2] * reach
        if unseen_s[m] >= coast_s:
            by_x, by_y = 0.0, 0.0
        elif unseen_s[m] > 0:
            x, y, known = 0.0, 0.0, 0
            for k in range(joints.shape[1]):
                if joints[m, k, 0] == joints[m, k, 0]:
                    x += joints[m, k, 0]
                    y += joints[m, k, 1]
                    known += 1
            x, y = x / known, y / known
            by_x = min(max(x + by_x, 0.0), width) - x
            by_y = min(max(y + by_y, 0.0), height) - y
        for k in range(joints.shape[1]):
            joints[m, k, 0] += by_x
            joints[m, k, 1] += by_y
            joints[m, k, 2] += by_x
            joints[m, k, 3] += by_y
        own[3] += by_x
        own[4] += by_y
        own[1] *= kept
        own[2] *= kept
        own[5] += reach * (2 * own[6] + reach * own[7]) + unrest * unsure_place
        own[6] = kept * (own[6] + reach * own[7]) + unrest * reach * reach / 2
        own[7] = kept * kept * own[7] + unrest * unsure_speed


@njit(cache=True, nogil=True)
def alike(joints, motion, unseen_s, trust, seen, looseness, laws, value, off, common):
    """Compare everybody with every detection.

    unseen_s, trust (M,)  seconds since last seen; factor on a person's values
    looseness  (K,)       variance of each joint within like poses, sizes^2
    value      (M, N)     out: likeness of place and pose, 0..1; 0 where there is too little
    off        (M, N, 2)  out: seen minus expected pixels, mean over the joints known on both sides
    common     (M, N)     out: number of those
    """
    most_lost, slack, stopped, least, limb_s = laws[3], laws[4], laws[5], laws[6], laws[7]
    for m in range(joints.shape[0]):
        size2 = motion[m, 0] * motion[m, 0]
        spread = -0.5 / ((min(motion[m, 5], most_lost) + slack) * size2)
        limb = min(1 + unseen_s[m] / limb_s, 3.0)
        pose = -0.5 / (limb * limb * size2)
        for n in range(seen.shape[0]):
            x, y, known = 0.0, 0.0, 0
            for k in range(joints.shape[1]):
                if joints[m, k, 0] == joints[m, k, 0] and seen[n, k, 0] == seen[n, k, 0]:
                    x += seen[n, k, 0] - joints[m, k, 0]
                    y += seen[n, k, 1] - joints[m, k, 1]
                    known += 1
            if known > 0:
                x, y = x / known, y / known
            off[m, n, 0] = x
            off[m, n, 1] = y
            common[m, n] = known
            on, still_x, still_y = x * x + y * y, x + motion[m, 3], y + motion[m, 4]
            place = max(np.exp(spread * on), stopped * np.exp(spread * (still_x * still_x + still_y * still_y)))
            likeness = trust[m] * place * known / (known + 1)
            value[m, n] = 0.0
            if likeness < least:
                continue
            total = 0.0
            for k in range(joints.shape[1]):
                if joints[m, k, 0] == joints[m, k, 0] and seen[n, k, 0] == seen[n, k, 0]:
                    dx = seen[n, k, 0] - joints[m, k, 0] - x
                    dy = seen[n, k, 1] - joints[m, k, 1] - y
                    total += np.exp(pose / looseness[k] * (dx * dx + dy * dy))
            likeness *= 0.5 + 0.5 * total / known
            if likeness >= least:
                value[m, n] = likeness


@njit(cache=True, nogil=True)
def follow(joints, motion, unseen_s, seen, of, off, common, laws):
    """Take everybody who is seen to where they are seen.

    joints, motion    changed
    unseen_s  (M,)    seconds since last seen, this frame's step included
    of        (M,)    index of each one's detection, -1 where there is none
    off, common       as alike gave them
    """
    noise, joint_s, shrink_s = laws[8], laws[9], laws[10]
    joint_count = joints.shape[1]
    for m in range(joints.shape[0]):
        n = of[m]
        if n < 0:
            continue
        own = motion[m]
        x, y = off[m, n, 0], off[m, n, 1]
        certain = 1 / (own[5] + noise * joint_count / common[m, n])
        gain, gain_speed = own[5] * certain, own[6] * certain
        low_x, low_y, high_x, high_y = np.inf, np.inf, -np.inf, -np.inf
        for k in range(joint_count):
            joint = joints[m, k]
            joint[2] = seen[n, k, 2]
            joint[3] = seen[n, k, 3]
            if seen[n, k, 0] == seen[n, k, 0]:
                joint[0] = seen[n, k, 0] - (1 - gain) * x
                joint[1] = seen[n, k, 1] - (1 - gain) * y
                joint[4] = seen[n, k, 4]
                joint[5] = 0.0
            else:
                joint[0] += gain * x
                joint[1] += gain * y
                joint[5] += unseen_s[m]
                if joint[5] > joint_s:
                    joint[0] = np.nan
                    joint[1] = np.nan
            if joint[0] == joint[0]:
                low_x, high_x = min(low_x, joint[0]), max(high_x, joint[0])
                low_y, high_y = min(low_y, joint[1]), max(high_y, joint[1])
        own[0] = max(own[0] * 0.5 ** (unseen_s[m] / shrink_s), max(high_x - low_x, high_y - low_y))
        own[1] += gain_speed * x
        own[2] += gain_speed * y
        own[3] = 0.0
        own[4] = 0.0
        own[7] -= gain_speed * own[6]
        own[5] *= 1 - gain
        own[6] *= 1 - gain


EXPORTS = {
    "read": "void(float32[:,:,::1], float32[:,:,::1], float32[:,::1], out float64[:,:,::1], out int64[::1])",
    "move": "void(out float64[:,:,::1], out float64[:,::1], float64[::1], float64, float64, float64, float64[::1])",
    "alike": (
        "void(float64[:,:,::1], float64[:,::1], float64[::1], float64[::1], float64[:,:,::1], float64[::1], "
        "float64[::1], out float64[:,::1], out float64[:,:,::1], out float64[:,::1])"
    ),
    "follow": (
        "void(out float64[:,:,::1], out float64[:,::1], float64[::1], float64[:,:,::1], int64[::1], float64[:,:,::1], "
        "float64[:,::1], float64[::1])"
    ),
}
"""What is compiled ahead of time: tools/kernels_build/signature.py says how to read it."""
