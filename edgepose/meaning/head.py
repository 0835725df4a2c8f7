"""Which way a face looks, coarsely, from five points: turned and tilted can be told, nodding hardly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgepose.meaning import joints as j
from edgepose.meaning.body import Body

Floats = NDArray[np.float64]

HEADS = {
    "turned": ("1", "the nose towards one ear: -1 to the person's right, 0 facing the camera, 1 to the person's left"),
    "head_drop": ("torso", "nose above the shoulders' middle: small when the head hangs"),
    "head_roll_deg": ("deg", "eyes against the shoulders' line: head tilted to the person's left is positive"),
    "neck": ("deg", "head against the trunk: 0 in line"),
    "back_seen": ("1", "1 where the person's left shoulder is on the picture's left: seen from behind"),
}


def heads(body: Body) -> Floats:
    """(N, 5) in the order of HEADS."""
    xy = body.xy
    left, right = xy[:, j.LEFT_EAR, 0], xy[:, j.RIGHT_EAR, 0]
    left = np.where(np.isnan(left), xy[:, j.LEFT_EYE, 0], left)
    right = np.where(np.isnan(right), xy[:, j.RIGHT_EYE, 0], right)
    nose = xy[:, j.NOSE]
    span = left - right
    width = np.maximum(np.abs(span), 0.08 * body.size)
    turned = np.clip(2 * (nose[:, 0] - (left + right) / 2) / width, -1, 1)
    turned = np.where(span < 0, np.sign(turned), turned)
    one = np.where(np.isnan(left), -1.0, 1.0)
    turned = np.where(np.isnan(left) ^ np.isnan(right), one, turned)
    turned = np.where(np.isnan(nose[:, 0]), np.nan, turned)
    drop = (body.shoulder[:, 1] - nose[:, 1]) / body.size
    eyes = xy[:, j.LEFT_EYE] - xy[:, j.RIGHT_EYE]
    shoulders = xy[:, j.LEFT_SHOULDER] - xy[:, j.RIGHT_SHOULDER]
    roll = np.degrees(np.arctan2(eyes[:, 1], eyes[:, 0]) - np.arctan2(shoulders[:, 1], shoulders[:, 0]))
    roll = (roll + 180) % 360 - 180
    neck = nose - body.shoulder
    cross = neck[:, 0] * body.trunk[:, 1] - neck[:, 1] * body.trunk[:, 0]
    dot = (neck * body.trunk).sum(1)
    bend = np.degrees(np.arctan2(np.abs(cross), dot))
    back = np.where(np.isnan(shoulders[:, 0]), np.nan, shoulders[:, 0] < 0)
    return np.stack((turned, drop, roll, bend, back), axis=1)
