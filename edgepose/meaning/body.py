"""What a frame shows of each body: middles, scale, tilt; every feature is made from it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgepose.meaning import joints as j

Floats = NDArray[np.float64]

LEFTS = np.array((j.LEFT_SHOULDER, j.LEFT_HIP, j.LEFT_KNEE, j.LEFT_ANKLE))
RIGHTS = LEFTS + 1
SHOULDER, HIP, KNEE, ANKLE = range(4)
"""Rows of `middles`."""

BONES = np.array((
    (j.LEFT_SHOULDER, j.LEFT_HIP), (j.RIGHT_SHOULDER, j.RIGHT_HIP),
    (j.LEFT_HIP, j.LEFT_KNEE), (j.RIGHT_HIP, j.RIGHT_KNEE),
    (j.LEFT_KNEE, j.LEFT_ANKLE), (j.RIGHT_KNEE, j.RIGHT_ANKLE),
    (j.LEFT_SHOULDER, j.LEFT_ELBOW), (j.RIGHT_SHOULDER, j.RIGHT_ELBOW),
    (j.LEFT_ELBOW, j.LEFT_WRIST), (j.RIGHT_ELBOW, j.RIGHT_WRIST),
))  # fmt: skip
"""Pairs of joints whose distance stays."""
PROPORTION = np.array((1.0, 1.0, 0.85, 0.85, 0.85, 0.85, 0.63, 0.63, 0.52, 0.52))
"""Length of each in torso lengths: Drillis and Contini 1966, in Winter; a torso is 0.288 of the height."""
BONE_A, BONE_B = BONES[:, 0].copy(), BONES[:, 1].copy()

GROW_S, SHRINK_S = 0.4, 6.0
"""How fast a body's scale follows one that looks larger, and one that looks smaller: turned away, bent forward."""
BONE_FADE_S = 20.0
"""How fast the longest a bone was ever seen is forgotten."""


class Body:
    """Everybody of one frame; what few rules need is made when it is first asked for."""

    __slots__ = ("bone_px", "dt", "hip", "kept", "middles", "shoulder", "size", "size_wh", "slots", "t", "trunk", "xy")

    def __init__(self, xy: Floats, size_wh: tuple[int, int], t: float) -> None:
        self.xy, self.size_wh, self.t, self.dt = xy, size_wh, t, 0.0
        left, right = xy[:, LEFTS], xy[:, RIGHTS]
        middles = (left + right) * 0.5
        if np.isnan(middles).any():
            middles = np.where(np.isnan(middles), np.where(np.isnan(left), right, left), middles)
        self.middles = middles
        """(N, 4, 2) pixels, between left and right; where one is missing, the other."""
        self.shoulder, self.hip = middles[:, SHOULDER], middles[:, HIP]
        self.trunk = self.shoulder - self.hip
        """(N, 2) pixels, upwards when upright."""
        span = xy[:, BONE_A] - xy[:, BONE_B]
        self.bone_px = np.sqrt(np.einsum("nbd,nbd->nb", span, span))
        """(N, 10) pixels, length of each bone as seen."""
        self.size = np.full(len(xy), np.nan)
        """(N,) torso length, pixels, as it would be seen from the side; `Scale` fills it in."""
        self.slots = np.zeros(0, np.intp)
        self.kept: dict[str, Floats] = {}
        """What was made of it and is asked for again."""

    def __len__(self) -> int:
        return len(self.xy)

    @property
    def centre(self) -> Floats:
        """(N, 2) pixels: the hips, else the shoulders, else the middle of what is there."""
        centre = np.where(np.isnan(self.hip), self.shoulder, self.hip)
        if np.isnan(centre).any():
            known = np.isfinite(self.xy[:, :, :1])
            count = np.maximum(known.sum(1), 1)
            spread = np.where(known, self.xy, 0.0).sum(1) / count
            spread[~known[:, :, 0].any(1)] = np.nan
            centre = np.where(np.isnan(centre), spread, centre)
        return centre

    @property
    def looks(self) -> Floats:
        """(N,) torso length, pixels, this frame alone would say: the second largest that bones ask for."""
        asked = np.where(np.isnan(self.bone_px), 0.0, self.bone_px) / PROPORTION
        second = np.partition(asked, -2, axis=1)[:, -2:]
        looks = np.where(second[:, 0] > 0, second[:, 0], second[:, 1])
        return np.asarray(np.where(looks > 0, looks, np.nan), np.float64)


class Scale:
    """How large each body is, calm: state of a station."""

    def __init__(self) -> None:
        self.size = np.zeros(0)
        self.longest = np.zeros((0, len(BONES)))
        """(S, 10) in torso lengths, the longest each bone was seen lately."""

    def grow(self, room: int) -> None:
        """Room for so many stations."""
        more = room - len(self.size)
        self.size = np.concatenate((self.size, np.full(more, np.nan)))
        self.longest = np.concatenate((self.longest, np.zeros((more, len(BONES)))))

    def reset(self, slot: int) -> None:
        """Somebody new."""
        self.size[slot], self.longest[slot] = np.nan, 0.0

    def update(self, body: Body, looks: Floats, slots: NDArray[np.intp], dt: float) -> None:
        """Fill in the body's `size`; `looks` is `body.looks`."""
        body.slots, body.dt = slots, dt
        old = self.size[slots]
        share = np.where(looks > old, 1 - np.exp(-dt / GROW_S), 1 - np.exp(-dt / SHRINK_S))
        new = old + (looks - old) * share
        new = np.where(np.isnan(new), np.where(np.isnan(old), looks, old), new)
        self.size[slots] = body.size = new

    def in_plane(self, body: Body) -> Floats:
        """(N, 10) how much of each bone's length is seen, 0..1: 1 lies in the picture's plane.

        Length as seen over the longest it was seen lately, at least what the body's size lets one expect.
        """
        ratio = body.bone_px / body.size[:, None]
        faded = self.longest[body.slots] * np.exp(-body.dt / BONE_FADE_S)
        longest = np.fmax(faded, ratio)
        longest = np.where(np.isnan(longest), faded, longest)
        self.longest[body.slots] = longest
        return np.asarray(np.minimum(ratio / np.maximum(longest, 0.9 * PROPORTION), 1.0), np.float64)
