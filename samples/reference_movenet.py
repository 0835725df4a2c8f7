"""What MoveNet's own graphs do with their heads, in plain numpy: the slow, obvious way to read float heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Heads = Mapping[str, NDArray[Any]]
"""Role -> (H, W, C), real values."""


def read_single(heads: Heads, distance_bias: float = 1.8) -> NDArray[np.float64]:
    """(17, 3) row, column in cells and score of the person nearest the middle."""
    center, heatmap = heads["center"][..., 0].astype(np.float64), heads["heatmap"].astype(np.float64)
    height, width, count = heatmap.shape
    rows, columns = np.mgrid[:height, :width]
    nearness = np.hypot(rows - height / 2, columns - width / 2) + distance_bias
    row, column = np.unravel_index(np.argmax(center / nearness), center.shape)
    start = np.array([row, column]) + heads["regress"][row, column].reshape(-1, 2)
    joints = np.zeros((count, 3))
    for joint, (start_y, start_x) in enumerate(start):
        likely = heatmap[..., joint] / (np.hypot(rows - start_y, columns - start_x) + distance_bias)
        y, x = np.unravel_index(np.argmax(likely), likely.shape)
        joints[joint] = *_moved(heads, joint, int(y), int(x)), heatmap[y, x, joint]
    return joints


def read_multi(
    heads: Heads, people: int = 6, sigma: float = 0.3, min_joint_mean: float = 0.127
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Joints (N, 17, 3) row, column in cells and score; boxes (N, 4) y0, x0, y1, x1 in cells; person scores (N,)."""
    center = heads["center"][..., 0].astype(np.float64)
    height, width = center.shape
    padded = np.pad(center, 2, constant_values=-1)
    highest = np.lib.stride_tricks.sliding_window_view(padded, (5, 5)).max((2, 3))
    peaks = np.where(center >= highest - 1e-6, center, 0)
    order = np.argsort(-peaks, axis=None, kind="stable")[:people]
    at = [(int(cell) // width, int(cell) % width) for cell in order]
    boxes = np.array([_box(heads, row, column) for row, column in at])
    spread = sigma * min(height, width)
    likely = np.array([_likely(heads, cell, box, spread) for cell, box in zip(at, boxes, strict=True)])

    joints, scores = np.zeros((people, 17, 3)), np.zeros(people)
    for person, cell in enumerate(at):
        for joint in range(17):
            y, x = divmod(int(np.argmax(likely[person, ..., joint])), width)
            # not a slip: the original takes the score at the cell from whichever person likes it most
            joints[person, joint] = *_moved(heads, joint, y, x), likely[:, y, x, joint].max()
        counted = joints[person, joints[person, :, 2] > min_joint_mean, 2]
        scores[person] = center[cell] * (counted.mean() if len(counted) else 0)
    return joints, boxes, scores


def _box(heads: Heads, row: int, column: int) -> NDArray[np.float64]:
    """(4,) y0, x0, y1, x1 in cells of the person whose centre is in a cell."""
    height, width = heads["center"].shape[:2]
    middle = np.array([row, column]) + heads["box_offset"][row, column]
    half = np.maximum(heads["box_scale"][row, column], 0) / 2
    return np.asarray(np.clip([*(middle - half), *(middle + half)], 0, [height, width, height, width]))


def _likely(heads: Heads, at: tuple[int, int], box: NDArray[np.float64], spread: float) -> NDArray[np.float64]:
    """(H, W, 17) heatmaps weighted by the distance to the regressed joints, zero outside the box."""
    heatmap = heads["heatmap"].astype(np.float64)
    rows, columns = np.mgrid[: heatmap.shape[0], : heatmap.shape[1]]
    inside = (rows >= box[0]) & (rows < box[2]) & (columns >= box[1]) & (columns < box[3])
    start = np.array(at) + heads["regress"][at].reshape(-1, 2)
    distance2 = (rows[..., None] - start[:, 0]) ** 2 + (columns[..., None] - start[:, 1]) ** 2
    return np.asarray(heatmap * np.exp(-distance2 / spread) * inside[..., None])


def _moved(heads: Heads, joint: int, y: int, x: int) -> tuple[float, float]:
    """Where the joint is, in cells, that the cell (y, x) has."""
    move_y, move_x = heads["offset"][y, x, 2 * joint : 2 * joint + 2]
    return y + float(move_y), x + float(move_x)
