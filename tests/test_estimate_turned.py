"""A turned or mirrored look gives people back where they are in the frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.poses import COCO17, Frame, Poses
from edgepose.engine import open_engine
from edgepose.estimate.predictor import Predictor, new_counts
from edgepose.estimate.turned import Turn, partners, placed
from tests.helpers.eval_scene import PICTURES


def test_the_other_side_of_a_joint_is_found_by_name_and_twice_is_itself() -> None:
    other = partners(COCO17)
    assert [COCO17.joints[at] for at in other[:4]] == ["nose", "right_eye", "left_eye", "right_ear"]
    assert other[other].tolist() == list(range(17))


@pytest.mark.parametrize(
    ("turn", "right_of_middle"),
    [
        (Turn(), (1, 0)),
        (Turn(mirror=True), (-1, 0)),
        (Turn(90), (0, 1)),
        (Turn(180), (-1, 0)),
        (Turn(90, True), (0, -1)),
    ],
)
def test_the_middle_stays_and_the_models_right_points_where_it_should(
    turn: Turn, right_of_middle: tuple[int, int]
) -> None:
    affine = placed((0, 0, 99, 99), (100, 100), turn)
    middle = np.array([49.5, 49.5])
    assert affine[:, :2] @ middle + affine[:, 2] == pytest.approx(middle, abs=1e-9)
    assert affine[:, 0] == pytest.approx(0.99 * np.array(right_of_middle), abs=1e-9)


@pytest.fixture(scope="module")
def look() -> Predictor:
    engine = open_engine(config.Engine(model="movenet_lightning_192", threads=1))
    return Predictor(engine, config.Decode(max_people=1, min_person_score=0.0, kernels="numpy"), new_counts())


def picture() -> NDArray[np.uint8]:
    image = cv2.imread(str(PICTURES / "astronaut.jpg"))
    assert image is not None
    return np.asarray(image, np.uint8)


def frame_of(image: NDArray[np.uint8], layout: str = "bgr") -> Frame:
    return Frame(np.ascontiguousarray(image), layout, 0.0, 0.0, 0)  # type: ignore[arg-type]


def sure(poses: Poses) -> NDArray[np.bool_]:
    return np.asarray(poses.score[0] > 0.3)


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_a_turned_picture_looked_at_turned_gives_the_upright_pose(look: Predictor, quarter: int) -> None:
    image = picture()
    height, width = image.shape[:2]
    box = (20.0, 10.0, width - 21.0, height - 11.0)
    upright = look.turned(frame_of(image), box, Turn()).poses
    turned = np.rot90(image, -quarter)  # clockwise

    def there(xy: NDArray[np.floating]) -> NDArray[np.floating]:
        for side in [height, width, height][:quarter]:
            xy = np.stack((side - 1 - xy[..., 1], xy[..., 0]), axis=-1)
        return xy

    corners = there(np.array([box[:2], box[2:]]))
    around = (*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist())
    again = look.turned(frame_of(turned), around, Turn(90 * quarter)).poses
    assert sure(upright).sum() >= 4
    assert np.abs(there(upright.xy) - again.xy)[0][sure(upright)].max() < 0.01 * height


def test_a_mirrored_look_at_a_mirrored_picture_is_the_pose_with_sides_changed(look: Predictor) -> None:
    image = picture()
    height, width = image.shape[:2]
    box = (20.0, 10.0, width - 21.0, height - 11.0)
    plain = look.turned(frame_of(image), box, Turn()).poses
    mirrored = look.turned(frame_of(image[:, ::-1]), box, Turn(mirror=True)).poses
    other = partners(COCO17)
    as_plain = np.stack((width - 1 - mirrored.xy[0, other, 0], mirrored.xy[0, other, 1]), axis=-1)
    assert np.abs(plain.xy[0] - as_plain)[sure(plain)].max() < 0.01 * height
    assert plain.score[0] == pytest.approx(mirrored.score[0, other], abs=0.15)  # pixels between pixels round


def test_other_layouts_are_turned_like_colour(look: Predictor) -> None:
    image = picture()
    image = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
    height, width = image.shape[:2]
    box = (20.0, 10.0, width - 21.0, height - 11.0)
    plain = look.turned(frame_of(image), box, Turn(180)).poses
    planar = look.turned(frame_of(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), "i420"), box, Turn(180)).poses  # type: ignore[arg-type]
    grey = look.turned(frame_of(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), "gray"), box, Turn(180)).poses  # type: ignore[arg-type]
    sides = plain.score[0] > 0.4
    assert np.abs(plain.xy - planar.xy)[0][sides].max(initial=0) < 0.05 * height
    assert grey.xy.shape == plain.xy.shape
