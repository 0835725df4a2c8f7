"""Annotation files as they come: subfolders, missing pictures, unknown ids, crowds, other joints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgepose.core.errors import ConfigError
from edgepose.core.poses import AIC14, COCO17
from edgepose.lab.eval.find import read_image
from edgepose.lab.eval.truth import asked_of, read_truth, some
from tests.helpers.eval_scene import CATEGORY, annotation, person, photographs, truth_of, write_set


def test_people_and_pictures_are_read_with_their_subfolders(tmp_path: Path) -> None:
    truth = read_truth(*write_set(tmp_path))
    assert [picture.name for picture in truth.pictures] == ["sub/astronaut.jpg", "sub/camera.jpg", "sub/nobody.png"]
    assert [len(picture.people) for picture in truth.pictures] == [1, 1, 0]
    assert truth.skeleton is COCO17
    assert truth.notes == truth.missing == ()
    assert truth.pictures[2].empty
    assert not truth.pictures[0].empty


def test_names_may_leave_out_or_add_the_folder_itself(tmp_path: Path) -> None:
    annotations, images = write_set(tmp_path)
    assert len(read_truth(annotations, images / "sub").pictures) == 3


def test_pictures_that_are_not_there_are_named_and_left_out(tmp_path: Path) -> None:
    annotations, images = write_set(tmp_path)
    (images / "sub" / "camera.jpg").unlink()
    truth = read_truth(annotations, images)
    assert truth.missing == ("sub/camera.jpg",)
    assert len(truth.pictures) == 2
    assert len(truth.people) == 1


@pytest.mark.parametrize("name", ["../outside.jpg", "sub/../../outside.jpg", "{folder}/outside.jpg"])
def test_a_picture_outside_of_the_folder_is_not_read(tmp_path: Path, name: str) -> None:
    data = photographs()
    data["images"][0]["file_name"] = name.format(folder=tmp_path)
    annotations, images = write_set(tmp_path, data)
    (tmp_path / "outside.jpg").write_bytes((images / "sub" / "camera.jpg").read_bytes())

    truth = read_truth(annotations, images)

    assert len(truth.missing) == 1
    assert all(picture.path.resolve().is_relative_to(images.resolve()) for picture in truth.pictures)


def test_a_limit_takes_the_first_pictures(tmp_path: Path) -> None:
    assert [one.id for one in read_truth(*write_set(tmp_path), limit=2).pictures] == [10, 11]


MARKS = np.array([[10.0 + joint % 3, 10 + joint] for joint in range(17)])


def broken(**entry: Any) -> dict[str, Any]:
    data = photographs()
    data["annotations"].append({**annotation(9, 10, MARKS), **entry})
    return data


LEFT_OUT = {
    "unknown picture": (broken(image_id=77), "1 annotations of pictures that the file does not list"),
    "unknown category": (broken(category_id=3), "1 annotations of another category than 'person'"),
    "too few numbers": (broken(keypoints=[1, 2, 2]), "1 annotations with another number of keypoints than 17"),
    "words": (broken(keypoints=["a"] * 51), "1 annotations with another number of keypoints than 17"),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_what_cannot_be_used_is_left_out_and_said(tmp_path: Path, case: str) -> None:
    data, note = LEFT_OUT[case]
    truth = read_truth(*write_set(tmp_path, data))
    assert len(truth.people) == 2
    assert any(note in told for told in truth.notes), truth.notes


NEITHER: dict[str, dict[str, Any]] = {
    "a crowd": {"iscrowd": 1},
    "no keypoints": {"keypoints": None},
    "none labelled": {"num_keypoints": 0},
}


@pytest.mark.parametrize("case", NEITHER)
def test_crowds_and_people_without_joints_need_not_be_found(tmp_path: Path, case: str) -> None:
    truth = read_truth(*write_set(tmp_path, broken(**NEITHER[case])))
    assert len(truth.pictures[0].people) == 2
    assert len(truth.people) == 2
    assert not truth.pictures[0].empty


def test_a_missing_box_and_area_are_made_from_the_keypoints(tmp_path: Path) -> None:
    truth = read_truth(*write_set(tmp_path, broken(bbox=None, area=None)))
    added = truth.pictures[0].people[1]
    assert added.box_xywh == (10, 10, 2, 16)
    assert added.area == pytest.approx(0.53 * 32)
    assert len(truth.notes) == 2


def test_numbers_that_are_none_are_not_labelled(tmp_path: Path) -> None:
    keypoints = annotation(9, 10, MARKS)["keypoints"]
    keypoints[0] = float("nan")
    truth = read_truth(*write_set(tmp_path, broken(keypoints=keypoints)))
    assert truth.pictures[0].people[1].labelled.tolist() == [False] + [True] * 16


WRONG = {
    "not json": ("{", "not valid JSON"),
    "a list": ("[]", "holds a list"),
    "no annotations": (json.dumps({"images": [], "categories": []}), "annotations is missing"),
    "images are names": (json.dumps({"images": ["a"], "annotations": [], "categories": []}), "images is no list"),
    "boxes only": (json.dumps({"images": [], "annotations": [], "categories": [{"id": 1}]}), "boxes only"),
    "a joint twice": (
        json.dumps({"images": [], "annotations": [], "categories": [{"id": 1, "keypoints": ["nose", "Nose"]}]}),
        "names a joint twice",
    ),
    "no pictures": (json.dumps({"images": [], "annotations": [], "categories": [CATEGORY]}), "lists no pictures"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_file_that_is_none_is_refused_by_name(tmp_path: Path, case: str) -> None:
    content, message = WRONG[case]
    file = tmp_path / "people.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match=message) as error:
        read_truth(file, tmp_path)
    assert "people.json" in str(error.value)


def test_the_wrong_folder_is_said_with_an_example(tmp_path: Path) -> None:
    annotations, _ = write_set(tmp_path)
    (tmp_path / "other").mkdir()
    with pytest.raises(ConfigError, match=r"none of the 3 pictures of people.json, such as sub/astronaut.jpg"):
        read_truth(annotations, tmp_path / "other")
    with pytest.raises(ConfigError, match="no such folder"):
        read_truth(annotations, tmp_path / "absent")
    with pytest.raises(ConfigError, match="no such file"):
        read_truth(tmp_path / "absent.json", tmp_path)


def test_joints_are_known_by_name_whatever_their_order_and_spelling(tmp_path: Path) -> None:
    data = photographs()
    data["categories"] = [{"id": 1, "name": "person", "keypoints": ["Left Hip", "top-head", "tail"]}]
    data["annotations"] = [annotation(1, 10, np.array([[1.0, 2], [3, 4], [5, 6]]))]
    skeleton = read_truth(*write_set(tmp_path, data)).skeleton
    assert skeleton.joints == ("left_hip", "head_top", "tail")
    assert skeleton.sigmas == (0.107, AIC14.sigmas[AIC14.joints.index("head_top")], 0.08)


def test_joints_that_a_model_lacks_are_not_asked_for() -> None:
    asked = asked_of(truth_of([person(MARKS)]), AIC14.joints)
    assert asked.absent == COCO17.joints[:5]
    assert asked.people[0].labelled.tolist() == [False] * 5 + [True] * 12
    with pytest.raises(ConfigError, match="none of the annotated joints"):
        asked_of(truth_of([person(MARKS)]), ("tail",))


def test_somebody_with_nothing_left_to_ask_for_need_not_be_found() -> None:
    face = MARKS.copy()
    face[5:] = np.nan
    assert asked_of(truth_of([person(face)]), AIC14.joints).people == []


def test_more_pictures_without_people_are_taken_from_a_folder(tmp_path: Path) -> None:
    annotations, images = write_set(tmp_path)
    truth = read_truth(annotations, images, empty=images / "sub")
    assert [picture.name for picture in truth.empties] == ["astronaut.jpg", "camera.jpg", "nobody.png"]
    assert all(picture.empty for picture in truth.empties)
    (tmp_path / "bare").mkdir()
    with pytest.raises(ConfigError, match="has no pictures"):
        read_truth(annotations, images, empty=tmp_path / "bare")


def test_a_picture_annotated_as_stored_is_not_turned_upright(tmp_path: Path) -> None:
    annotations, images = write_set(tmp_path)
    data = photographs()
    path = images / "sub" / "nobody.png"
    done, jpeg = cv2.imencode(".jpg", np.zeros((120, 160, 3), np.uint8))
    assert done
    turned = b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    path.write_bytes(jpeg.tobytes()[:2] + turned + jpeg.tobytes()[2:])
    for size, shape, resized in (((160, 120), (120, 160), False), ((120, 160), (160, 120), False),
                                 ((99, 99), (160, 120), True)):  # fmt: skip
        data["images"][2] |= {"width": size[0], "height": size[1]}
        annotations.write_text(json.dumps(data))
        image, other = read_image(read_truth(annotations, images).pictures[2])
        assert (image.shape[:2], other) == (shape, resized)


def test_a_long_list_of_names_is_cut() -> None:
    assert some(["a", "b"]) == "a, b"
    assert some(list("abcdefg")) == "a, b, c, d, e and 2 more"
