"""What a frame shows of each body: middles, scale, tilt; every feature is made from it."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from edgepose import kernels
from edgepose.meaning import joints as j

Floats = NDArray[np.float64]

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
GROW_S, SHRINK_S = 0.4, 6.0
"""How fast a body's scale follows one that looks larger, and one that looks smaller: turned away, bent forward."""
BONE_FADE_S = 20.0
"""How fast the longest a bone was ever seen is forgotten."""


LEAST = 0.9 * PROPORTION
"""In torso lengths, what each bone is at least."""


class Body:
    """Everybody of one frame."""

    __slots__ = (
        "centre", "dt", "error_m", "hip", "kept", "length", "looks", "loops", "middles", "place_m", "shoulder", "size",
        "size_wh", "slots", "t", "trunk", "xy",
    )  # fmt: skip

    def __init__(
        self,
        xy: Floats,
        size_wh: tuple[int, int],
        t: float,
        loops: ModuleType | None = None,
        placed: tuple[Floats, Floats] | None = None,
    ) -> None:
        """Take (N, 17, 2) pixels.

        loops   the kernels that measure it
        placed  (N, 2) and (N,) metres: where people of a room stand, and how sure that is
        """
        self.place_m: Floats | None = placed[0] if placed else None
        self.error_m: Floats | None = placed[1] if placed else None
        self.xy, self.size_wh, self.t, self.dt = np.ascontiguousarray(xy), size_wh, t, 0.0
        self.loops = loops or kernels.family("bodies")
        count = len(xy)
        self.middles = np.empty((count, 4, 2))
        """(N, 4, 2) pixels, between left and right; where one is missing, the other."""
        self.centre = np.empty((count, 2))
        """(N, 2) pixels: the hips, else the shoulders, else the middle of what is there."""
        self.length = np.empty((count, len(BONES)))
        """(N, 10) pixels, length of each bone as seen."""
        self.looks = np.empty(count)
        """(N,) torso length, pixels, this frame alone would say: the second largest that bones ask for."""
        self.loops.look(self.xy, BONES, PROPORTION, self.middles, self.centre, self.length, self.looks)
        self.shoulder, self.hip = self.middles[:, SHOULDER], self.middles[:, HIP]
        self.trunk = self.shoulder - self.hip
        """(N, 2) pixels, upwards when upright."""
        self.size = np.full(count, np.nan)
        """(N,) torso length, pixels, as it would be seen from the side; `Scale` fills it in."""
        self.slots = np.zeros(0, np.int64)
        self.kept: dict[str, Floats] = {}
        """What was made of it and is asked for again."""

    def __len__(self) -> int:
        return len(self.xy)


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

    def update(self, body: Body, slots: NDArray[np.int64], dt: float) -> None:
        """Fill in the body's `size`, from what it looks like."""
        body.slots, body.dt = slots, dt
        grow, shrink = 1 - math.exp(-dt / GROW_S), 1 - math.exp(-dt / SHRINK_S)
        body.loops.scale(body.looks, slots, grow, shrink, self.size, body.size)

    def in_plane(self, body: Body) -> Floats:
        """(N, 10) how much of each bone's length is seen, 0..1: 1 lies in the picture's plane.

        Length as seen over the longest it was seen lately, at least what the body's size lets one expect.
        """
        made = np.empty(body.length.shape)
        fade = math.exp(-body.dt / BONE_FADE_S)
        body.loops.in_plane(body.length, body.size, body.slots, fade, LEAST, self.longest, made)
        return made
