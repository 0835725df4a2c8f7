"""Loops of matching: how far a pose is from every known view."""

from __future__ import annotations

from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def apart(views, xy, weight, off):
    """Squared distance of a pose from each view, over the joints that have weight.

    views   (K, 2, M)  float32: x and y of each joint of each view
    xy      (K, 2)     float32: of the pose, in the views' units
    weight  (K,)       float32: 0: the joint is not seen
    off     (M,)       float32, out
    """
    for m in range(views.shape[2]):
        off[m] = 0.0
    for k in range(views.shape[0]):
        if weight[k] > 0:
            x, y, share = xy[k, 0], xy[k, 1], weight[k]
            for m in range(views.shape[2]):
                dx = views[k, 0, m] - x
                dy = views[k, 1, m] - y
                off[m] += share * (dx * dx + dy * dy)


EXPORTS = {"apart": "void(float32[:,:,::1], float32[:,::1], float32[::1], out float32[::1])"}
"""What is compiled ahead of time: tools/kernels_build/signature.py says how to read it."""
