"""People followed through a video: motion whose answers are known, and the whole command on a drawn film."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.commands.cli import main
from edgepose.core.errors import ConfigError
from edgepose.core.poses import COCO17, Frame, Poses
from edgepose.lab.demo.scene import MARKED, marked_xy
from edgepose.lab.eval.video import Track, jitter, lag_ms, tracks_of
from edgepose.lab.eval.video_truth import Film, followed, read_film
from edgepose.lab.eval.watch import STILLS, Stills
from samples.shared import shared
from tests.helpers.eval_scene import PICTURES, person
from tests.helpers.motion import Scene, Walker, at_rate, poses_of, standing, swaying, walking

pytestmark = pytest.mark.slow

HZ = 30.0


def frame_of(people: dict[int, NDArray[Any]], seq: int) -> Poses:
    """Poses whose identities are known."""
    poses = poses_of(np.array(list(people.values())).reshape(-1, 17, 2), [0.9] * len(people), seq / HZ, seq)
    return replace(poses, track_id=np.array(list(people), np.int32))


def body(x: float) -> NDArray[np.float64]:
    """Somebody around x, 160 px tall."""
    return Walker(standing(x)).joints(0.0)


def film_of(frames: Iterable[dict[int, NDArray[Any]]]) -> Film:
    return Film(COCO17, {seq: [(who, person(xy, seq)) for who, xy in one.items()] for seq, one in enumerate(frames)})


def told_of(frames: Iterable[dict[int, NDArray[Any]]]) -> list[Poses]:
    return [frame_of(one, seq) for seq, one in enumerate(frames)]


A, B = body(150), body(450)


def test_everybody_followed_is_no_switch_no_fragmentation_and_all_found() -> None:
    found = followed(film_of([{1: A, 2: B}] * 10), told_of([{7: A, 4: B}] * 10))
    assert found.events == []
    assert found.numbers["switches"] == found.numbers["fragmentations"] == 0
    assert found.numbers["mota"] == found.numbers["recall"] == found.numbers["precision"] == 1
    assert found.numbers["mean_oks"] == pytest.approx(1, abs=1e-4)
    assert found.numbers["error_px"] == pytest.approx(0, abs=1e-3)


def test_two_who_swap_ids_are_two_switches() -> None:
    found = followed(film_of([{1: A, 2: B}] * 10), told_of([{7: A, 4: B}] * 5 + [{4: A, 7: B}] * 5))
    assert [(round(t * HZ), kind) for t, _, kind in found.events] == [(5, "switch"), (5, "switch")]
    assert found.numbers["mota"] == pytest.approx(1 - 2 / 20)


def test_a_new_id_after_a_pause_is_a_fragmentation_and_a_switch() -> None:
    found = followed(film_of([{1: A}] * 9), told_of([{7: A}] * 3 + [{}] * 3 + [{8: A}] * 3))
    assert [(round(t * HZ), who, kind) for t, who, kind in found.events] == [
        (6, 1, "fragmentation"), (6, 1, "switch"),
    ]  # fmt: skip
    assert found.numbers["recall"] == pytest.approx(6 / 9)
    assert found.numbers["mota"] == pytest.approx(1 - (3 + 1) / 9)


def test_somebody_out_of_the_picture_is_not_missed_and_may_come_back() -> None:
    truth = film_of([{1: A}] * 3 + [{}] * 3 + [{1: A}] * 3)
    found = followed(truth, told_of([{7: A}] * 3 + [{}] * 3 + [{7: A}] * 3))
    assert found.events == []
    assert found.numbers["recall"] == 1


def test_false_people_lower_precision_and_frames_without_truth_are_not_judged() -> None:
    film = film_of([{1: A}, {1: A}])
    found = followed(film, told_of([{7: A, 8: B}, {7: A}, {8: B}, {8: B}]))
    assert found.numbers["precision"] == pytest.approx(2 / 3)
    assert found.numbers["mota"] == 0.5


def test_whose_it_was_stays_so_while_it_fits_even_when_another_is_nearer() -> None:
    # two people 6 px apart: who is told of first must not decide
    near = A + np.array([6, 0])
    found = followed(film_of([{1: A, 2: near}] * 4), told_of([{7: A, 8: near}] * 2 + [{8: A, 7: near}] * 2))
    assert found.numbers["switches"] == 0


def test_boxes_alone_can_be_the_truth() -> None:
    low, high = A.min(axis=0), A.max(axis=0)
    one = person(np.full((17, 2), np.nan), box=(*low, *(high - low)))
    found = followed(Film(COCO17, {0: [(1, one)], 1: [(1, one)]}), told_of([{7: A}, {7: B}]))
    assert found.numbers["recall"] == 0.5
    assert found.numbers["mean_oks"] is None


def tracks(xy: NDArray[np.float64]) -> dict[int, Track]:
    """One track of (n, K, 2) at HZ."""
    return {1: Track(np.arange(len(xy)) / HZ, np.arange(len(xy)), xy)}


def moving(delay_s: float = 0.0, seconds: float = 4.0) -> NDArray[np.float64]:
    walker = Walker(swaying(320, 120, 0.7))
    return np.array([walker.joints(t - delay_s) for t in at_rate(HZ, seconds)])


@pytest.mark.parametrize("late_ms", [0, 20, 50, 100, 200, -40])
def test_lag_is_how_much_later_the_same_motion_comes(late_ms: float) -> None:
    assert lag_ms(tracks(moving()), tracks(moving(late_ms / 1e3))) == pytest.approx(late_ms, abs=3)


def test_nothing_that_moves_has_no_lag() -> None:
    still = np.repeat(A[None], 90, axis=0)
    assert lag_ms(tracks(still), tracks(still)) is None
    assert lag_ms(tracks(moving(seconds=0.2)), tracks(moving(seconds=0.2))) is None


def test_jitter_is_the_noise_of_joints_at_rest() -> None:
    # 2 px of noise each way is 2 * sqrt(2) px of distance; half of it is left after smoothing
    random = np.random.default_rng(1)
    noise = random.normal(0, 2, (300, 17, 2))
    before, after, relative = jitter(tracks(A + noise), tracks(A + noise / 2))
    assert np.median(before) == pytest.approx(2 * 2**0.5, rel=0.05)
    assert np.median(after) == pytest.approx(2**0.5, rel=0.05)
    assert np.median(relative) == pytest.approx(2**0.5 / tracks(A + noise)[1].size, rel=0.05)


def test_joints_in_motion_do_not_jitter() -> None:
    walker = Walker(walking(50, 150))
    xy = np.array([walker.joints(t) for t in at_rate(HZ, 3)])
    assert jitter(tracks(xy), tracks(xy))[0] == []


def test_tracks_know_when_somebody_was_there() -> None:
    there = [{1: A}] * 30 + [{2: B}] * 30 + [{1: A, 2: B}] * 15
    found = tracks_of(told_of(there))
    assert list(found) == [1, 2]
    assert np.array(found[1].intervals) * HZ == pytest.approx(np.array([[0, 29], [60, 74]]))
    assert np.array(found[2].intervals) * HZ == pytest.approx(np.array([[30, 74]]))
    assert found[1].size == pytest.approx(float(np.ptp(A, axis=0).max()), abs=0.01)


def test_few_frames_a_second_are_no_gaps_and_still_have_jitter() -> None:
    random = np.random.default_rng(2)
    slow = Track(np.arange(60) / 3, np.arange(60), A + random.normal(0, 2, (60, 17, 2)))
    assert slow.intervals == [(0.0, 59 / 3)]
    assert np.median(jitter({1: slow}, {1: slow})[0]) == pytest.approx(2 * 2**0.5, rel=0.1)


def test_people_without_identity_are_no_track() -> None:
    scene = Scene([Walker(standing(200))])
    assert tracks_of([poses for poses, _ in scene.film(at_rate(HZ, 1))]) == {}


# ------------------------------------------------------------------------------------------------ truth files


def truth_file(folder: Path, content: Any) -> Path:
    path = folder / "truth.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_truth_is_a_list_of_people_for_each_frame(tmp_path: Path) -> None:
    keypoints = np.column_stack((A, np.full(17, 2))).reshape(-1).tolist()
    content = {
        "frames": [[{"id": 3, "keypoints": keypoints}], {"frame": 5, "people": [{"id": 4, "box": [1, 2, 3, 4]}]}]
    }
    film = read_film(truth_file(tmp_path, content))
    assert sorted(film.frames) == [0, 5]
    ((identity, one),) = film.frames[0]
    assert identity == 3
    assert one.xy == pytest.approx(A)
    ((identity, other),) = film.frames[5]
    assert (identity, other.box_xywh, other.counts) == (4, (1, 2, 3, 4), False)


def test_truth_may_have_joints_of_its_own(tmp_path: Path) -> None:
    film = read_film(
        truth_file(tmp_path, {"joints": ["Nose", "tail"], "frames": [[{"id": 1, "keypoints": [5, 6, 2, 0, 0, 0]}]]})
    )
    assert film.skeleton.joints == ("nose", "tail")
    ((_, one),) = film.frames[0]
    assert one.labelled.tolist() == [True, False]


WRONG: dict[str, tuple[Any, str]] = {
    "not json": ("[", "not valid JSON"),
    "no frames": ({"people": []}, 'expected {"frames"'),
    "a frame that is none": ({"frames": [3]}, r"frames\[0\]: expected a list of people"),
    "nobody's id": ({"frames": [[], [{"box": [1, 2, 3, 4]}]]}, r"frames\[1\]: a person without a whole number"),
    "an id twice": ({"frames": [[{"id": 1, "box": [1, 2, 3, 4]}] * 2]}, "has an id twice"),
    "half a joint": ({"frames": [[{"id": 1, "keypoints": [1, 2]}]]}, "keypoints are not 17 of x, y, visibility"),
    "nothing": ({"frames": [[{"id": 1}]]}, "has neither keypoints nor a box"),
    "words": ({"frames": [[{"id": 1, "box": ["a", 1, 2, 3]}]]}, "keypoints are not 17|a box"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_truth_that_is_none_is_refused_with_its_place(tmp_path: Path, case: str) -> None:
    content, message = WRONG[case]
    with pytest.raises(ConfigError, match=message):
        read_film(truth_file(tmp_path, content))


# ------------------------------------------------------------------------------------------------ the command


def drawn_video(path: Path, frames: int = 24) -> NDArray[np.float64]:
    """A photograph that is panned slowly; returns (frames, 17, 2) where its joints are."""
    name = next(iter(MARKED))
    image = cv2.imread(str(PICTURES / name))
    assert image is not None
    shown = cv2.resize(image, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    height, width = shown.shape[:2]
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12.0, (480, 320))
    assert video.isOpened()
    joints = []
    for index in range(frames):
        offset = np.array([60.0 + 4 * index, 8.0])
        matrix = np.array([[1.0, 0, offset[0]], [0, 1, offset[1]]])
        video.write(cv2.warpAffine(shown, matrix, (480, 320)))
        joints.append(marked_xy(name) * 0.6 + offset)
    video.release()
    assert (width, height) != (480, 320)
    return np.array(joints)


def test_a_video_with_truth_gives_every_number_and_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    joints = drawn_video(tmp_path / "film.avi")
    people = []
    for xy in joints:
        known = ~np.isnan(xy[:, 0])
        table = np.column_stack((np.where(known[:, None], xy, 0), np.where(known, 2, 0)))
        people.append([{"id": 9, "keypoints": table.reshape(-1).tolist()}])
    truth = truth_file(tmp_path, {"frames": people})
    told, report = tmp_path / "told.json", tmp_path / "report.html"
    words = ["--video", str(tmp_path / "film.avi"), "--truth", str(truth), "--json", str(told), "--report", str(report)]
    assert main(["eval", *words, "--model", "movenet_lightning_192", "--decode.kernels", "numpy"]) == 0
    numbers = json.loads(told.read_text())
    assert numbers["frames"] == 24
    assert numbers["tracks"] == 1
    assert numbers["switches"] == numbers["fragmentations"] == 0
    assert numbers["recall"] >= 0.8  # told of when seen twice
    assert numbers["precision"] == 1
    assert numbers["mean_oks"] > 0.5
    assert list(numbers["ids"]) == ["1"]
    printed = capsys.readouterr().out
    assert "id 1: " in printed
    page = report.read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == STILLS
    assert "Who was there when" in page
    assert "film.avi" in page


def test_a_limit_ends_after_so_many_frames(tmp_path: Path) -> None:
    drawn_video(tmp_path / "film.avi", frames=12)
    told = tmp_path / "told.json"
    words = ["--video", str(tmp_path / "film.avi"), "--limit", "5", "--json", str(told)]
    assert main(["eval", *words, "--model", "movenet_lightning_192", "--decode.kernels", "numpy"]) == 0
    assert json.loads(told.read_text())["frames"] == 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--video", "absent.avi"], "absent.avi"),
        (["--video", "x.avi", "--compare", "a", "b"], "--compare is for pictures"),
        (["--video", "x.avi", "--truth", "absent.json"], "absent.json: cannot be read"),
    ],
)
def test_what_a_video_cannot_do_is_said(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", *words]) != 0
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("frames", [1, 7, 16, 17, 100, 1000])
def test_stills_are_spread_evenly_and_few(frames: int) -> None:
    stills = Stills()
    image = np.zeros((8, 8, 3), np.uint8)
    for seq in range(frames):
        stills.add(Frame(image, "bgr", seq / 30, 0.0, seq))
    kept = sorted(stills.kept)
    assert min(frames, STILLS) <= len(kept) <= 2 * STILLS
    assert kept[0] == 0
    assert len(set(np.diff(kept))) <= 1
    assert frames - 1 - kept[-1] < stills.every


def test_the_reference_keypoints_of_a_video_are_met(tmp_path: Path) -> None:
    video, reference = shared("data/video/tfjs_pose_1.mp4"), shared("data/golden/tfjs/pose_1.json")
    frames = [
        [{"id": 1, "keypoints": [value for joint in COCO17.joints for value in (*one[joint].values(), 2)]}]
        for one in json.loads(reference.read_text())
    ]
    told = tmp_path / "told.json"
    words = ["--video", str(video), "--truth", str(truth_file(tmp_path, {"frames": frames})), "--json", str(told)]
    assert main(["eval", *words, "--model", "light"]) == 0
    numbers = json.loads(told.read_text())
    assert numbers["tracks"] == 1
    assert numbers["switches"] == 0
    assert numbers["recall"] > 0.95
    assert numbers["mean_oks"] > 0.8
    assert abs(numbers["lag_truth_ms"]) < 25


def test_three_dancers_are_three_identities(tmp_path: Path) -> None:
    video = shared("data/video/three_dancers.avi")
    told = tmp_path / "told.json"
    assert main(["eval", "--video", str(video), "--model", "default", "--limit", "60", "--json", str(told)]) == 0
    numbers = json.loads(told.read_text())
    assert numbers["tracks"] == 3
    assert numbers["people_per_frame"] > 2.8
