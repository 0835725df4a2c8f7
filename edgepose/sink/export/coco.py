"""COCO keypoints: a whole file with images, annotations and the category, or the list of results that COCOeval takes.

Pixels are COCO's, whose top-left corner of the picture is (0, 0) as its own tools treat annotated joints: the same
numbers as ours. image_id is the number a picture is named by (000000000139.jpg: 139), else one that counts the frames
from 1. A joint that was not found is 0, 0, 0.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from edgepose.core.errors import SinkError
from edgepose.core.places import utf8
from edgepose.core.poses import Poses, Skeleton
from edgepose.sink.export.output import FileSink

VIDEOS = frozenset((".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".3gp", ".ogv", ".ts"))
"""Endings of files with many frames: each of these gets a name of its own."""
FOUND = 2
"""Visibility."""
LONGEST_NUMBER = 15
"""Digits that every reader of JSON keeps."""


class Numbers:
    """The id of each frame's picture."""

    def __init__(self) -> None:
        self._frames = 0

    def of(self, poses: Poses) -> int:
        """Of the next frame."""
        self._frames += 1
        stem = Path(poses.name).stem
        named = stem.isascii() and stem.isdigit() and len(stem) <= LONGEST_NUMBER
        return int(stem) if named else self._frames


def triples(poses: Poses, person: int, third: list[float]) -> list[float]:
    """x, y and a third number of each joint, in a row; to 0.001 pixels."""
    found = np.isfinite(poses.xy[person]).all(axis=1).tolist()
    xy = np.round(poses.xy[person].astype(np.float64), 3).tolist()
    return [
        number
        for there, (x, y), other in zip(found, xy, third, strict=True)
        for number in ((x, y, other) if there else (0.0, 0.0, 0))
    ]


def scores(poses: Poses, person: int) -> list[float]:
    """Of each joint, to 0.0001."""
    return np.round(np.nan_to_num(poses.score[person].astype(np.float64)), 4).tolist()  # type: ignore[no-any-return]


class CocoResults(FileSink):
    """[{image_id, category_id, keypoints, score, track_id}, ...]: the third number of a joint is its score."""

    def __init__(self, path: Path) -> None:
        self._numbers = Numbers()
        self._first = True
        super().__init__(path)

    def begin(self) -> str:
        """As FileSink."""
        return "["

    def text(self, poses: Poses) -> str:
        """As FileSink."""
        image_id = self._numbers.of(poses)
        rows = [
            {
                "image_id": image_id,
                "category_id": 1,
                "keypoints": triples(poses, person, scores(poses, person)),
                "score": round(float(np.nan_to_num(poses.person_score[person])), 4),
                **_identity(poses, person),
            }
            for person in range(len(poses))
        ]
        text = "".join(("\n" if self._first and not index else ",\n") + _json(row) for index, row in enumerate(rows))
        self._first = self._first and not rows
        return text

    def end(self) -> None:
        """As FileSink."""
        self.put("\n]\n")


class CocoFile(FileSink):
    """{images, annotations, categories}, as annotators and `pycocotools.coco.COCO` read them.

    Each annotation has its score, its joints' scores and its track_id besides what COCO asks for. A recording of one
    skeleton; images wait in a second file until all annotations are written.
    """

    def __init__(self, path: Path) -> None:
        self._numbers = Numbers()
        self._annotations = self._images = 0
        self._skeleton: Skeleton | None = None
        super().__init__(path)
        try:
            self._image_rows = tempfile.TemporaryFile("w+", encoding="utf-8", dir=path.parent)  # noqa: SIM115 (see close)
        except OSError as error:
            FileSink.abandon(self)
            raise self._full(error) from None

    def begin(self) -> str:
        """As FileSink."""
        return '{"annotations": ['

    def text(self, poses: Poses) -> str:
        """As FileSink."""
        if self._skeleton not in (None, poses.skeleton):
            self._failed = True
            raise SinkError(
                f"{self.path}: the recording goes on with another skeleton, {poses.skeleton.name}, and a COCO file "
                "has one; give --from and --to"
            )
        self._skeleton = poses.skeleton
        image_id = self._numbers.of(poses)
        width, height = poses.size_wh
        image = {
            "id": image_id, "file_name": _file_name(poses), "width": width, "height": height,
            "frame_id": poses.seq, "time_s": round(poses.t, 6),
        }  # fmt: skip
        try:
            self._image_rows.write(",\n" * (self._images > 0) + _json(image))
        except OSError as error:
            raise self._full(error) from None
        self._images += 1
        return "".join(self._annotation(poses, person, image_id) for person in range(len(poses)))

    def _annotation(self, poses: Poses, person: int, image_id: int) -> str:
        found = np.isfinite(poses.xy[person]).all(axis=1)
        x, y, width, height = _box(poses, person)
        self._annotations += 1
        row = {
            "id": self._annotations,
            "image_id": image_id,
            "category_id": 1,
            "keypoints": triples(poses, person, [FOUND] * len(found)),
            "num_keypoints": int(found.sum()),
            "bbox": [x, y, width, height],
            "area": round(width * height, 3),
            "iscrowd": 0,
            "score": round(float(np.nan_to_num(poses.person_score[person])), 4),
            "keypoint_scores": scores(poses, person),
            **_identity(poses, person),
        }
        return ("\n" if self._annotations == 1 else ",\n") + _json(row)

    def end(self) -> None:
        """As FileSink."""
        self.put('\n],\n"images": [\n')
        self._image_rows.seek(0)
        while rows := self._image_rows.read(1 << 16):
            self.put(rows)
        skeleton = self._skeleton
        category: dict[str, Any] = {
            "id": 1, "name": "person", "supercategory": "person",
            "keypoints": list(skeleton.joints) if skeleton else [],
            "skeleton": [[a + 1, b + 1] for a, b in skeleton.bones] if skeleton else [],
        }  # fmt: skip
        self.put(f'\n],\n"categories": [{_json(category)}]\n}}\n')

    def close(self) -> None:
        """As FileSink."""
        try:
            super().close()
        finally:
            if hasattr(self, "_image_rows"):
                with contextlib.suppress(OSError):  # what it holds is written, or told to be lost
                    self._image_rows.close()


def _box(poses: Poses, person: int) -> tuple[float, float, float, float]:
    """Left, top, width, height around the joints that were found."""
    xy = poses.xy[person].astype(np.float64)
    xy = xy[np.isfinite(xy).all(axis=1)]
    if not len(xy):
        return 0.0, 0.0, 0.0, 0.0
    low, size = np.round(xy.min(axis=0), 3), np.round(np.ptp(xy, axis=0), 3)
    return float(low[0]), float(low[1]), float(size[0]), float(size[1])


def _identity(poses: Poses, person: int) -> dict[str, int]:
    track_id = int(poses.track_id[person])
    return {"track_id": track_id} if track_id >= 0 else {}


def _file_name(poses: Poses) -> str:
    """A picture's own; frames of a video and of a camera have their number."""
    name = utf8(poses.name)
    if not name or PurePath(name).suffix.lower() in VIDEOS:
        return f"{PurePath(name).stem}_{poses.seq:06d}.jpg" if name else f"{poses.seq:012d}"
    return name


def _json(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False)
