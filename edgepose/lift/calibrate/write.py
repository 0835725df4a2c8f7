"""Calibrations as files that `edgepose fuse`, Pose2Sim and OpenCV's users read."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from edgepose.lift.camera import Camera
from edgepose.lift.fuse.calibration import PlacedCamera


def _matrix(camera: Camera) -> list[list[float]]:
    (fx, fy), (cx, cy) = camera.focal_xy, camera.centre_xy
    return [[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]


def lens_json(name: str, camera: Camera) -> str:
    """One camera's lens, standing at the world's origin."""
    row = {
        "name": name, "image_size": list(camera.size_wh), "K": _matrix(camera), "dist": list(camera.distortion),
        "R": np.eye(3).tolist(), "T": [0.0, 0.0, 0.0],
    }  # fmt: skip
    return json.dumps({"cameras": [row]}, indent=1) + "\n"


def pose2sim(cameras: Sequence[PlacedCamera]) -> str:
    """A room, as Pose2Sim's and Anipose's TOML."""
    return "\n".join([*(_table(camera) for camera in cameras), "[metadata]", "adjusted = false", "error = 0.0", ""])


def _table(placed: PlacedCamera) -> str:
    from edgepose.core.opencv import cv2

    lens = placed.camera
    distortion = [*lens.distortion, 0.0, 0.0, 0.0, 0.0, 0.0][:5]
    rows = {
        "name": placed.name, "size": [float(side) for side in lens.size_wh], "matrix": _matrix(lens),
        "distortions": distortion if distortion[4] else distortion[:4],
        "rotation": cv2.Rodrigues(placed.rotation)[0].ravel().tolist(),
        "translation": (-placed.rotation @ placed.position).tolist(), "fisheye": False,
    }  # fmt: skip
    lines = [f"{key} = {json.dumps(value)}" for key, value in rows.items()]
    return "\n".join([f"[{json.dumps(placed.name)}]", *lines, ""])
