"""A camera's lens, from pictures of a flat board: a checkerboard, or a ChArUco board, which may be seen in part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgepose.core.errors import ConfigError
from edgepose.lift.camera import Camera

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]
LEAST_VIEWS, MOST_VIEWS, LEAST_CORNERS = 8, 40, 8
NEW = 0.04
"""Of the picture's diagonal: how far corners must lie from where another view had them for a view to teach anything."""
CELLS = 5
"""The picture is covered cell by cell of so many each way."""
GOOD_PX, GOOD_COVER, GOOD_FOCAL = 1.0, 0.6, 0.01


class View(NamedTuple):
    """A board in a picture."""

    board: NDArray[np.float32]
    """(P, 3) corners on the board, in squares."""
    xy: NDArray[np.float32]
    """(P, 2) the same in the picture, pixels."""


Finds = Callable[[Picture], View | None]
"""Takes a grey picture."""


def finder(board: str, dictionary: str = "4x4_50", marker: float = 0.75) -> Finds:
    """What finds a board.

    board       checkerboard:COLUMNSxROWS, its inner corners; or charuco:COLUMNSxROWS, its squares
    dictionary  of ChArUco's markers, as OpenCV names them
    marker      side of a marker, in squares

    Raises:
        ConfigError: no such board.
    """
    kind, _, size = board.partition(":")
    try:
        columns, rows = (int(side) for side in size.split("x"))
    except ValueError:
        columns = rows = 0
    if kind not in ("checkerboard", "charuco") or min(columns, rows) < 3 or max(columns, rows) > 50:
        raise ConfigError(
            f"--board {board}: is no board; say checkerboard:9x6 (inner corners) or charuco:7x5 (squares)"
        )
    return _checkerboard(columns, rows) if kind == "checkerboard" else _charuco(columns, rows, dictionary, marker)


def _checkerboard(columns: int, rows: int) -> Finds:
    from edgepose.core.opencv import cv2

    corners = np.zeros((rows * columns, 3), np.float32)
    corners[:, :2] = np.mgrid[:columns, :rows].T.reshape(-1, 2)

    def find(grey: Picture) -> View | None:
        found, xy = cv2.findChessboardCornersSB(grey, (columns, rows))
        return View(corners, np.asarray(xy, np.float32).reshape(-1, 2)) if found else None

    return find


def _charuco(columns: int, rows: int, dictionary: str, marker: float) -> Finds:
    from edgepose.core.opencv import cv2

    aruco: Any = getattr(cv2, "aruco", None)
    if not hasattr(aruco, "CharucoDetector"):
        raise ConfigError("--board charuco: this OpenCV knows no ChArUco, 4.7 does; use a checkerboard")
    number = getattr(aruco, f"DICT_{dictionary.upper()}", None)
    if number is None or not 0 < marker < 1:
        raise ConfigError(f"--dictionary {dictionary} or --marker {marker}: none; say 4x4_50, and a part of a square")
    board = aruco.CharucoBoard((columns, rows), 1.0, marker, aruco.getPredefinedDictionary(number))
    detector, corners = aruco.CharucoDetector(board), np.asarray(board.getChessboardCorners(), np.float32)

    def find(grey: Picture) -> View | None:
        xy, numbers, _, _ = detector.detectBoard(grey)
        if numbers is None or len(numbers) < LEAST_CORNERS:
            return None
        return View(corners[np.asarray(numbers).ravel()], np.asarray(xy, np.float32).reshape(-1, 2))

    return find


class Views:
    """Views that teach something, of one camera."""

    def __init__(self) -> None:
        self.kept: list[View] = []
        self.size_wh: tuple[int, int] | None = None

    @property
    def full(self) -> bool:
        """Whether more would change little."""
        return len(self.kept) >= MOST_VIEWS

    def add(self, view: View, size_wh: tuple[int, int]) -> bool:
        """Keep a view; False: it is like one before.

        Raises:
            ConfigError: the pictures are of several sizes.
        """
        if self.size_wh not in (None, size_wh):
            raise ConfigError(
                f"a picture is {size_wh}, those before are {self.size_wh}; calibrate one camera at a time"
            )
        self.size_wh = size_wh
        if any(_apart(view, other) < NEW * float(np.hypot(*size_wh)) for other in self.kept):
            return False
        self.kept.append(view)
        return True

    def cover(self) -> NDArray[np.bool_]:
        """(CELLS, CELLS) parts of the picture, row by row, where corners were seen."""
        covered = np.zeros((CELLS, CELLS), bool)
        for view in self.kept:
            cell = (view.xy / np.array(self.size_wh) * CELLS).astype(int).clip(0, CELLS - 1)
            covered[cell[:, 1], cell[:, 0]] = True
        return covered

    def missing(self) -> str:
        """What is still to be shown."""
        covered = self.cover()
        parts = [
            f"{row} {column}".replace("middle middle", "middle")
            for row, top in (("upper", 0), ("middle", 2), ("lower", CELLS - 1))
            for column, left in (("left", 0), ("middle", 2), ("right", CELLS - 1))
            if not covered[top, left]
        ]
        places = max(0, LEAST_VIEWS - len(self.kept))
        lacking = [f"{places} more places"] * bool(places) + [f"the {', '.join(parts)}"] * bool(parts)
        return f"missing: {' and '.join(lacking)}" if lacking else "nothing is missing; more places make it surer"


def _apart(one: View, other: View) -> float:
    """Mean distance of the corners that both have, pixels; far where these are few."""
    place = {tuple(corner): xy for corner, xy in zip(one.board.tolist(), one.xy, strict=True)}
    pairs = [xy - place[tuple(c)] for c, xy in zip(other.board.tolist(), other.xy, strict=True) if tuple(c) in place]
    return float(np.linalg.norm(pairs, axis=1).mean()) if len(pairs) >= LEAST_CORNERS else np.inf


@dataclass(frozen=True, slots=True)
class LensReport:
    """What a lens's calibration is worth."""

    views: int
    miss_px: float
    """Root mean square of corners."""
    cover: float
    """Share of the picture where corners were seen."""
    focal_sigma: float
    """Of the focal length, as a part of it."""

    @property
    def verdict(self) -> str:
        """In one line."""
        if self.miss_px > GOOD_PX:
            return "not to be trusted: corners miss; is the board flat, are the pictures sharp?"
        if self.focal_sigma > GOOD_FOCAL:
            return "not to be trusted: the focal length is not sure; tilt the board, come nearer"
        if self.cover < GOOD_COVER:
            return "usable: show the board in the picture's corners too, the lens bends most there"
        return "good"

    @property
    def trusted(self) -> bool:
        """Whether to use it."""
        return not self.verdict.startswith("not")

    def lines(self) -> list[str]:
        """As people read it."""
        return [
            f"{self.views} views; corners miss by {self.miss_px:.2f} px; "
            f"{100 * self.cover:.0f} % of the picture covered; focal length sure to {100 * self.focal_sigma:.2f} %",
            f"verdict: {self.verdict}",
        ]


def lens_of(views: Views) -> tuple[Camera, LensReport]:
    """The lens.

    Raises:
        ConfigError: the board was seen too seldom.
    """
    from edgepose.core.opencv import cv2

    calibrate: Any = cv2.calibrateCameraExtended
    if len(views.kept) < LEAST_VIEWS or views.size_wh is None:
        raise ConfigError(
            f"the board was seen in {len(views.kept)} different places, {LEAST_VIEWS} are needed; is --board right?"
        )
    flags = cv2.CALIB_FIX_K3 if len(views.kept) < 2 * LEAST_VIEWS else 0
    miss, matrix, lens, _, _, sigmas, _, _ = calibrate(
        [view.board for view in views.kept], [view.xy for view in views.kept], views.size_wh, None, None, flags=flags
    )
    focal = float(matrix[0, 0]), float(matrix[1, 1])
    camera = Camera(
        views.size_wh, focal, (float(matrix[0, 2]), float(matrix[1, 2])), tuple(float(k) for k in lens.ravel()[:5])
    )
    unsure = float(max(sigmas.ravel()[0] / focal[0], sigmas.ravel()[1] / focal[1]))
    return camera, LensReport(len(views.kept), float(miss), float(views.cover().mean()), unsure)
