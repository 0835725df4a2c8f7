"""Calibration files that people have: Pose2Sim's and Anipose's TOML, OpenCV's YAML and JSON, Qualisys' XML.

Each gives cameras with a name, a lens and a place in one world, in metres. What a camera's picture must look like is
checked against the size that the file names.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from edgepose.core import places
from edgepose.core.config import read_toml
from edgepose.core.errors import ConfigError, one_line
from edgepose.lift.camera import Camera

Array = NDArray[np.float64]
MAX_BYTES = 4_000_000
TURN_ERROR = 1e-3
"""How far a rotation matrix may be from one."""
FARTHEST_M = 1000.0
QUALISYS_STEPS = 64.0
"""Qualisys counts pixels in 64ths."""
QUALISYS_AXES = np.diag([1.0, -1.0, -1.0])
"""Its camera looks along -z, y up."""


@dataclass(frozen=True, slots=True, eq=False)
class PlacedCamera:
    """A camera and where it stands: camera = rotation @ (world - position)."""

    name: str
    camera: Camera
    rotation: Array
    """(3, 3) from the world's axes to the camera's."""
    position: Array
    """(3,) metres in the world."""

    def directions(self, xy: NDArray[np.floating]) -> Array:
        """(..., 3) unit vectors in the world along the rays through pixels (..., 2)."""
        rays = self.camera.rays(xy)
        ahead = np.concatenate([rays, np.ones((*rays.shape[:-1], 1))], axis=-1)
        direction: Array = (ahead / np.linalg.norm(ahead, axis=-1, keepdims=True)) @ self.rotation
        return direction

    def project(self, xyz: NDArray[np.floating]) -> Array:
        """(..., 2) pixels of points (..., 3) of the world; NaN behind the camera."""
        return self.camera.project((np.asarray(xyz, np.float64) - self.position) @ self.rotation.T)


def read_calibration(path: Path) -> tuple[PlacedCamera, ...]:
    """The cameras of a file; what kind it is shows in its content.

    Raises:
        ConfigError: it cannot be read, is of no known kind, or says what no camera can be.
    """
    where = str(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # a null byte in the name
        why = error.strerror if isinstance(error, OSError) else "is no name of a file"
        raise ConfigError(one_line(f"{where}: {why}; give the calibration file of the room")) from None
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{where}: is larger than {MAX_BYTES / 1e6:g} MB, so it is no calibration")
    try:
        text = places.text(content).strip()
        cameras = _reader(text)(text, path)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, SyntaxError) as error:
        raise ConfigError(one_line(f"{where}: is no calibration that edgepose reads: {_said(error)}")) from None
    return _checked(cameras, where)


def _reader(text: str) -> Callable[[str, Path], list[PlacedCamera]]:
    if text.startswith("<"):
        return _qualisys
    if text.startswith("{"):
        return _opencv_json
    if text.startswith("%YAML") or re.search(r"!!opencv-matrix", text):
        return _opencv_yaml
    return _pose2sim


def _said(error: Exception) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__


def _checked(cameras: list[PlacedCamera], where: str) -> tuple[PlacedCamera, ...]:
    if not cameras:
        raise ConfigError(f"{where}: has no camera")
    names = [camera.name for camera in cameras]
    for camera in cameras:
        at = f"{where}: camera {camera.name!r}"
        if names.count(camera.name) > 1:
            raise ConfigError(f"{at} is there {names.count(camera.name)} times; each needs a name of its own")
        numbers = [*camera.camera.focal_xy, *camera.camera.centre_xy, *camera.camera.distortion]
        if not np.isfinite([*numbers, *camera.rotation.ravel(), *camera.position]).all():
            raise ConfigError(f"{at}: has a number that is none")
        if min(camera.camera.focal_xy) <= 0 or min(camera.camera.size_wh) <= 0:
            raise ConfigError(f"{at}: focal length and picture size must be above 0")
        if np.abs(camera.rotation @ camera.rotation.T - np.eye(3)).max() > TURN_ERROR:
            raise ConfigError(f"{at}: its rotation is none; is the matrix complete?")
        if np.linalg.det(camera.rotation) < 0:
            raise ConfigError(f"{at}: its rotation mirrors the world, left is right in it; export it right-handed")
        if np.abs(camera.position).max() > FARTHEST_M:
            raise ConfigError(f"{at}: stands {np.abs(camera.position).max():.0f} m away; the file counts millimetres?")
    return tuple(cameras)


# ------------------------------------------------------------------------------------------------ Pose2Sim, Anipose


def _pose2sim(_text: str, path: Path) -> list[PlacedCamera]:
    """A table a camera: name, size, matrix, distortions, rotation (Rodrigues), translation, world to camera."""
    table = read_toml(path)
    rows = {key: row for key, row in table.items() if isinstance(row, Mapping) and "matrix" in row}
    if not rows:
        raise ValueError("no table has a matrix (Pose2Sim and Anipose have one a camera)")
    return [_pose2sim_camera(key, row) for key, row in rows.items()]


def _pose2sim_camera(key: str, row: Mapping[str, Any]) -> PlacedCamera:
    if row.get("fisheye"):
        raise ValueError(f"{key} is a fisheye, whose lens edgepose does not know; undistort its pictures first")
    rotation = rodrigues(_numbers(row["rotation"], 3))
    size = _numbers(row["size"], 2)
    return _placed(
        str(row.get("name", key)), _matrix(row["matrix"]), tuple(row.get("distortions", ())), size, rotation,
        _numbers(row["translation"], 3),
    )  # fmt: skip


def rodrigues(vector: Array) -> Array:
    """(3, 3) the rotation about a vector (3,) by its length, radians."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turned: Array = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    return turned


# ------------------------------------------------------------------------------------------------ OpenCV


def _opencv_json(text: str, path: Path) -> list[PlacedCamera]:
    """{"cameras": [{"name", "K", "dist", "R" or "rvec", "T", "image_size"}]}, or the one camera itself."""
    table = json.loads(text)
    rows = table.get("cameras", table)
    if isinstance(rows, Mapping):
        rows = [{"name": name, **row} for name, row in rows.items()] if _holds_rows(rows) else [rows]
    return [_opencv_camera({"name": path.stem, **row}) for row in rows]


def _holds_rows(rows: Mapping[str, Any]) -> bool:
    return all(isinstance(row, Mapping) for row in rows.values())


def _opencv_yaml(text: str, path: Path) -> list[PlacedCamera]:
    """FileStorage's: one camera a file, or keys with a number behind them (K1, R1, T1, ...)."""
    values = _file_storage(text)
    numbers = sorted({match[1] for key in values if (match := re.fullmatch(r"K_?(\w*)", key))})
    numbers = numbers or [""]
    rows = []
    for number in numbers:
        own = {re.sub(rf"_?{number}$", "", key): value for key, value in values.items() if key.endswith(number)}
        rows.append(_opencv_camera({"name": f"{path.stem}{number}" if number else path.stem, **values, **own}))
    return rows


MATRIX = r"^(\w+):\s*!!opencv-matrix\s+rows:\s*(\d+)\s+cols:\s*(\d+)\s+dt:\s*\S+\s+data:\s*\[([^\]]*)\]"


def _file_storage(text: str) -> dict[str, Any]:
    """Matrices, numbers and strings of OpenCV's YAML, which is a small part of YAML."""
    values: dict[str, Any] = {}
    matrix = re.compile(
        r"^(\w+):\s*!!opencv-matrix\s+rows:\s*(\d+)\s+cols:\s*(\d+)\s+dt:\s*\S+\s+data:\s*\[([^\]]*)\]", re.M
    )
    for key, rows, columns, data in matrix.findall(text):
        values[key] = np.array([float(item) for item in data.split(",")]).reshape(int(rows), int(columns))
    for key, data in re.findall(r"^(\w+):\s*\[([^\]]*)\]", text, re.M):
        values[key] = [float(item) for item in data.split(",")]
    for key, item in re.findall(r"^(\w+):[ \t]*([^\s!\[][^\n]*)$", text, re.M):
        values[key] = item.strip().strip('"')
    return values


NAMES = {
    "K": ("K", "camera_matrix", "cameraMatrix", "matrix", "intrinsic"),
    "dist": ("dist", "D", "distortion_coefficients", "distCoeffs", "distortions"),
    "R": ("R", "rotation", "rotation_matrix"),
    "rvec": ("rvec", "rotation_vector"),
    "T": ("T", "t", "tvec", "translation", "translation_vector"),
}
"""What each number is called in one program or another."""


def _named(row: Mapping[str, Any], what: str) -> Any:
    found = next((row[name] for name in NAMES[what] if name in row), None)
    return None if found is None else np.asarray(found, np.float64)


def _opencv_camera(row: Mapping[str, Any]) -> PlacedCamera:
    matrix, turn, vector, shift = (_named(row, what) for what in ("K", "R", "rvec", "T"))
    if matrix is None or shift is None or (turn is None and vector is None):
        raise ValueError(f"{row['name']}: needs K, T, and R or rvec (world to camera)")
    if turn is None or turn.size == 3:
        turn = rodrigues((vector if turn is None else turn).reshape(3))
    size = row.get("image_size", row.get("size", [row.get("image_width"), row.get("image_height")]))
    if None in size:
        raise ValueError(f"{row['name']}: needs the picture's size, image_size or image_width and image_height")
    distortion = _named(row, "dist")
    lens = () if distortion is None else tuple(distortion.reshape(-1))
    return _placed(str(row["name"]), _matrix(matrix), lens, _numbers(size, 2), turn.reshape(3, 3), shift.reshape(3))


# ------------------------------------------------------------------------------------------------ Qualisys


def _qualisys(text: str, _path: Path) -> list[PlacedCamera]:
    if "<!ENTITY" in text:
        raise ValueError("it defines entities, which no calibration does")
    root = ElementTree.fromstring(text)  # noqa: S314 - entities are refused above
    return [_qualisys_camera(row) for row in root.iter("camera")]


def _qualisys_camera(row: ElementTree.Element) -> PlacedCamera:
    lens, place, video = (row.find(name) for name in ("intrinsic", "transform", "fov_video"))
    if lens is None or place is None or video is None:
        raise ValueError("a camera has no intrinsic, transform or fov_video")

    def number(element: ElementTree.Element, name: str) -> float:
        return float(element.attrib[name])

    left, top = number(video, "left"), number(video, "top")
    focal = [number(lens, f"focalLength{axis}") / QUALISYS_STEPS for axis in "UV"]
    centre = [number(lens, f"centerPoint{axis}") / QUALISYS_STEPS for axis in "UV"]
    distortion = [number(lens, f"{name}Distortion{order}") for name in ("radial", "tangental") for order in "12"]
    size = number(video, "right") - left + 1, number(video, "bottom") - top + 1
    turn = QUALISYS_AXES @ np.array([[number(place, f"r{line}{column}") for column in "123"] for line in "123"])
    position = np.array([number(place, axis) for axis in "xyz"]) / 1000
    matrix = np.array([[focal[0], 0, centre[0] - left], [0, focal[1], centre[1] - top], [0, 0, 1]])
    name = row.attrib.get("serial") or row.attrib.get("model") or "camera"
    return _placed(name, matrix, tuple(distortion), np.array(size), turn, -turn @ position)


# ------------------------------------------------------------------------------------------------ made one


def _numbers(values: Any, count: int) -> Array:
    numbers = np.asarray(values, np.float64).reshape(-1)
    if len(numbers) != count:
        raise ValueError(f"{values} are {len(numbers)} numbers, expected {count}")
    return numbers


def _matrix(values: Any) -> Array:
    matrix = np.asarray(values, np.float64)
    if matrix.shape != (3, 3):
        raise ValueError(f"a camera matrix is {matrix.shape}, expected (3, 3)")
    return matrix


def _placed(
    name: str, matrix: Array, distortion: tuple[float, ...], size: Array, rotation: Array, translation: Array
) -> PlacedCamera:
    if len(distortion) > 5 and any(distortion[5:]):
        raise ValueError(f"{name}: its lens has {len(distortion)} numbers; edgepose knows OpenCV's first five")
    lens = Camera(
        (round(float(size[0])), round(float(size[1]))),
        (float(matrix[0, 0]), float(matrix[1, 1])),
        (float(matrix[0, 2]), float(matrix[1, 2])),
        tuple(float(number) for number in distortion[:5]),
    )
    return PlacedCamera(name, lens, rotation, -rotation.T @ translation)
