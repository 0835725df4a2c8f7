"""A small annotated set: two photographs with the joints marked by hand, and a picture of nobody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import COCO17
from edgepose.lab.demo import scene
from edgepose.lab.demo.scene import MARKED, marked_xy
from edgepose.lab.eval.truth import Person, Picture, Truth

PICTURES = Path(scene.__file__).parent / "pictures"
CATEGORY = {"id": 1, "name": "person", "keypoints": list(COCO17.joints), "skeleton": [[16, 14]]}


def annotation(number: int, picture_id: int, xy: NDArray[Any], **more: Any) -> dict[str, Any]:
    """Of one person; NaN is not labelled."""
    known = ~np.isnan(xy[:, 0])
    table = np.zeros((len(xy), 3))
    table[known] = np.column_stack((xy[known], np.full(known.sum(), 2)))
    low, high = np.nanmin(xy, axis=0), np.nanmax(xy, axis=0)
    box = [*low.tolist(), *(high - low).tolist()]
    return {
        "id": number, "image_id": picture_id, "category_id": 1, "iscrowd": 0, "num_keypoints": int(known.sum()),
        "keypoints": table.reshape(-1).tolist(), "bbox": box, "area": 0.53 * box[2] * box[3], **more,
    }  # fmt: skip


def photographs() -> dict[str, Any]:
    """Annotations of the two photographs and of an empty picture, as a COCO file has them."""
    names = [*MARKED, "nobody.png"]
    return {
        "images": [{"id": 10 + index, "file_name": f"sub/{name}"} for index, name in enumerate(names)],
        "annotations": [annotation(1 + index, 10 + index, marked_xy(name)) for index, name in enumerate(MARKED)],
        "categories": [CATEGORY],
    }


def write_set(folder: Path, data: dict[str, Any] | None = None) -> tuple[Path, Path]:
    """The set as files: annotations, folder of pictures."""
    images = folder / "images"
    (images / "sub").mkdir(parents=True, exist_ok=True)
    for name in MARKED:
        (images / "sub" / name).write_bytes((PICTURES / name).read_bytes())
    cv2.imwrite(str(images / "sub" / "nobody.png"), np.full((120, 160, 3), 90, np.uint8))
    annotations = folder / "people.json"
    annotations.write_text(json.dumps(photographs() if data is None else data))
    return annotations, images


def person(xy: Any, picture_id: int = 1, area: float = 10000.0, crowd: bool = False, box: Any = None) -> Person:
    """One annotated person; xy (K, 2), NaN where not labelled."""
    xy = np.asarray(xy, np.float64)
    if box is None:
        low, high = np.nanmin(xy, axis=0), np.nanmax(xy, axis=0)
        box = (*low, *(high - low))
    x, y, width, height = map(float, box)
    return Person(picture_id, (x, y, width, height), area, xy, ~np.isnan(xy[:, 0]), crowd)


def truth_of(*pictures: list[Person], empties: int = 0) -> Truth:
    """Pictures 1, 2, ... with these people."""
    return Truth(
        skeleton=COCO17,
        category_id=1,
        pictures=tuple(
            Picture(number, f"{number}.jpg", Path(f"{number}.jpg"), (640, 480), tuple(people))
            for number, people in enumerate(pictures, start=1)
        ),
        empties=tuple(Picture(-1 - number, f"e{number}", Path("e"), None) for number in range(empties)),
    )


def random_truth(seed: int, pictures: int = 12) -> tuple[Truth, list[list[tuple[NDArray[np.float64], float]]]]:
    """People, crowds and people without joints; and per picture poses with scores, some near people."""
    random = np.random.default_rng(seed)
    people, poses = [], []
    for number in range(1, pictures + 1):
        here = []
        for _ in range(random.integers(0, 5)):
            xy = random.uniform(0, 400, 2) + random.uniform(0, random.choice([60, 200]), (17, 2))
            xy[random.random(17) < 0.3] = np.nan
            kind = random.random()
            box = (*np.nanmin(xy, axis=0), *np.ptp(xy[~np.isnan(xy[:, 0])], axis=0))
            if kind < 0.15:
                xy[:] = np.nan
            area = 0.5 * box[2] * box[3]
            here.append(person(xy, number, area, crowd=bool(kind > 0.9), box=box))
        found = []
        for one in here:
            for _ in range(random.integers(0, 3)):
                base = np.where(np.isnan(one.xy), one.box_xywh[:2], one.xy)
                shaken = base + random.normal(0, 0.06 * random.integers(1, 5) * one.area**0.5, (17, 2))
                found.append((shaken, float(random.random())))
        found += [(random.uniform(0, 500, (17, 2)), float(random.random())) for _ in range(random.integers(0, 3))]
        people.append(here)
        poses.append(sorted(found, key=lambda pose: -pose[1]))
    return truth_of(*people), poses
