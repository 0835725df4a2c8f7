"""How far off lifted joints are on people the network never saw."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lifter.skeleton import load
from lifter.views import Views, make

BODY = [0, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
"""The nose and the limbs: what errors are told of."""
Array = NDArray[np.float64]


def held_out(noise: float, gravity: float, views: int = 4, every: int = 4, seed: int = 7) -> Views:
    """Views of the held-out subjects from cameras all around."""
    mocap = load(held_out=True)
    frames = np.repeat(np.arange(0, len(mocap.joints), every), views)
    random = torch.Generator().manual_seed(seed)
    return make(mocap.joints[frames], random, augment=False, noise=noise, gravity=gravity)


def aligned(found: Array, truth: Array) -> Array:
    """The poses (N, J, 3), each brought onto its truth by turning, scaling and shifting (Procrustes)."""
    middle_f, middle_t = found.mean(1, keepdims=True), truth.mean(1, keepdims=True)
    f, t = found - middle_f, truth - middle_t
    u, s, vt = np.linalg.svd(np.einsum("nji,njk->nik", f, t))
    sign = np.ones_like(s)
    sign[:, -1] = np.sign(np.linalg.det(u @ vt))
    scale = (s * sign).sum(1) / np.maximum((f**2).sum((1, 2)), 1e-9)
    return scale[:, None, None] * np.einsum("nji,nik,nk,nkl->njl", f, u, sign, vt) + middle_t


def errors(found: Array, truth: Array) -> dict[str, float]:
    """Millimetres: mean per joint, after alignment, across and along the view."""
    found, truth = ((pose - (pose[:, 11:12] + pose[:, 12:13]) / 2)[:, BODY] for pose in (found, truth))
    off = found - truth
    return {
        "mpjpe": float(np.linalg.norm(off, axis=2).mean() * 1000),
        "aligned": float(np.linalg.norm(aligned(found, truth) - truth, axis=2).mean() * 1000),
        "across": float(np.linalg.norm(off[..., :2], axis=2).mean() * 1000),
        "along": float(np.abs(off[..., 2]).mean() * 1000),
    }


def sigmas(found: Array, sigma: Array, truth: Array) -> dict[str, Any]:
    """Share of errors within one sigma, across and along; error of the most and least sure fifth."""
    off = np.abs(found - truth)
    both = np.sqrt(2 * sigma[..., 0] ** 2 + sigma[..., 1] ** 2)
    error = np.linalg.norm(found - truth, axis=2) * 1000
    low, high = np.quantile(both, [0.2, 0.8])
    return {
        "within_across": float((off[..., :2] < sigma[..., :1]).mean()),
        "within_along": float((off[..., 2] < sigma[..., 1]).mean()),
        "least_sure_over_most": float(error[both >= high].mean() / error[both <= low].mean()),
    }
