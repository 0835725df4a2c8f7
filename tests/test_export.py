"""Recordings in other programs' files."""

from __future__ import annotations

import csv
import errno
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepose.commands import cli
from edgepose.commands.export import KINDS
from edgepose.core.errors import ConfigError, SinkError
from edgepose.core.poses import AIC14, BLAZEPOSE33, COCO17, OPENPOSE18, SKELETONS, Poses, Skeleton
from edgepose.sink.export import FORMATS, CocoFile, CsvFile
from edgepose.sink.export.openpose import BODY_25, body, places
from edgepose.wire.recording import text_of
from samples.people import frame, poses
from tests.test_recording import OWN
from tests.test_replay import file_of, played, walk


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Ten frames of one person, then one without; `id` 1 from the second on, in which it is seen again."""
    return file_of(tmp_path / "a.epr", ({}, _then_nobody()))


def _then_nobody() -> Iterator[Poses]:
    for one in walk(COCO17, 10):
        one.xy[0, 3] = np.nan
        one.score[0, 3] = 0
        yield one
    yield poses(0, t=11.0, taken_t=11.0, seq=10, xy=np.zeros((0, 17, 2), np.float32))


def export(kind: str, recording: Path, out: Path, *words: str) -> int:
    return cli.main(["export", str(recording), "--to", kind, str(out), "--decode.kernels", "numpy", *words])


def test_a_coco_file_is_read_by_pycocotools_and_says_what_a_replay_says(recording: Path, tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    out = tmp_path / "a.json"
    assert export("coco", recording, out) == 0
    read = coco.COCO(str(out))
    told = played(recording)
    assert len(read.getImgIds()) == len(told) == 11
    assert read.loadCats(read.getCatIds(["person"]))[0]["keypoints"] == list(COCO17.joints)
    assert read.loadCats([1])[0]["skeleton"] == [[a + 1, b + 1] for a, b in COCO17.bones]
    for image_id, one in zip(read.getImgIds(), told, strict=True):
        image = read.loadImgs([image_id])[0]
        assert (image["frame_id"], image["width"], image["height"]) == (one.seq, *one.size_wh)
        annotations = read.loadAnns(read.getAnnIds([image_id]))
        assert len(annotations) == len(one)
        for annotation, xy, track_id in zip(annotations, one.xy, one.track_id.tolist(), strict=True):
            points = np.array(annotation["keypoints"]).reshape(-1, 3)
            assert points[3].tolist() == [0, 0, 0]
            seen = points[:, 2] == 2
            assert seen.sum() == annotation["num_keypoints"] == 16
            np.testing.assert_allclose(points[seen, :2], xy[seen], atol=6e-4)
            assert annotation["track_id"] == track_id
            left, top, width, height = annotation["bbox"]
            np.testing.assert_allclose((left, top), np.nanmin(xy, axis=0), atol=1e-3)
            assert annotation["area"] == pytest.approx(width * height, abs=1e-2)


def test_coco_results_score_full_marks_against_their_own_coco_file(recording: Path, tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    export("coco", recording, tmp_path / "truth.json")
    export("coco-results", recording, tmp_path / "results.json")
    truth = coco.COCO(str(tmp_path / "truth.json"))
    measured = cocoeval.COCOeval(truth, truth.loadRes(str(tmp_path / "results.json")), "keypoints")
    measured.evaluate()
    measured.accumulate()
    measured.summarize()
    assert measured.stats[0] == pytest.approx(1.0)


def test_coco_results_hold_a_joints_score_and_nothing_for_nobody(recording: Path, tmp_path: Path) -> None:
    export("coco-results", recording, tmp_path / "r.json", "--track.mode", "off")
    rows = json.loads((tmp_path / "r.json").read_text())
    assert [row["image_id"] for row in rows] == list(range(1, 11))
    assert "track_id" not in rows[0]
    assert rows[0]["keypoints"][:3] == [50.0, 60.0, 0.8]
    assert rows[0]["keypoints"][9:12] == [0, 0, 0]
    assert rows[0]["score"] == 0.9


@pytest.mark.parametrize(("kind", "text"), [("coco-results", "[\n]\n"), ("csv", None)])
def test_nobody_at_all_is_a_whole_file_too(kind: str, text: str | None, tmp_path: Path) -> None:
    path = file_of(tmp_path / "a.epr", ({}, iter([poses(0)])))
    export(kind, path, tmp_path / "out")
    got = (tmp_path / "out").read_text()
    assert got == text or (text is None and got.startswith("frame,seq,") and got.count("\n") == 1)


def test_pictures_named_by_a_number_keep_it_as_their_id(tmp_path: Path) -> None:
    names = ("000000000139.jpg", "cat.jpg", "12.png")
    made = (poses(1, seq=at, t=float(at), name=name) for at, name in enumerate(names))
    path = file_of(tmp_path / "a.epr", ({"still": True, "live": False}, made))
    export("coco", path, tmp_path / "a.json")
    images = json.loads((tmp_path / "a.json").read_text())["images"]
    assert [(image["id"], image["file_name"]) for image in images] == list(zip((139, 2, 12), names, strict=True))


def test_csv_has_a_row_for_each_joint_and_empty_cells_for_what_is_not_known(recording: Path, tmp_path: Path) -> None:
    export("csv", recording, tmp_path / "a.csv", "--track.mode", "off")
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10 * 17
    first, missing = rows[0], rows[3]
    assert first == {
        "frame": "0", "seq": "0", "t_s": "10.000000", "captured": "2001-09-09T01:46:50.000000Z", "source": "", "id": "",
        "person_score": "0.9000", "joint": "nose", "x_px": "50.000", "y_px": "60.000", "score": "0.8000",
        "x": "0.000", "y": "0.000", "z": "0.000",
    }  # fmt: skip
    assert (missing["joint"], missing["x_px"], missing["y_px"], missing["score"]) == ("left_ear", "", "", "0.0000")
    export("csv", recording, tmp_path / "b.csv")
    with (tmp_path / "b.csv").open(newline="") as file:
        assert {row["id"] for row in csv.DictReader(file)} == {"1"}


def test_a_name_with_a_comma_is_one_cell(tmp_path: Path) -> None:
    path = file_of(tmp_path / "a.epr", ({}, iter([poses(1, name='a,"b".jpg')])))
    export("csv", path, tmp_path / "a.csv", "--track.mode", "off")
    with (tmp_path / "a.csv").open(newline="") as file:
        assert {row["source"] for row in csv.DictReader(file)} == {'a,"b".jpg'}


def test_openpose_has_a_file_a_frame_with_joints_in_the_order_of_body_25(recording: Path, tmp_path: Path) -> None:
    out = tmp_path / "json"
    export("openpose", recording, out, "--track.mode", "off")
    files = sorted(out.iterdir())
    assert [path.name for path in files] == [f"camera_{seq:012d}_keypoints.json" for seq in range(11)]
    first, last = (json.loads(path.read_text()) for path in (files[0], files[-1]))
    assert last["people"] == []
    points = np.array(first["people"][0]["pose_keypoints_2d"]).reshape(25, 3)
    joint = {name: np.array((50 + 9 * at, 60 + 14 * at)) for at, name in enumerate(COCO17.joints)}
    np.testing.assert_allclose(points[0, :2], joint["nose"])
    np.testing.assert_allclose(points[1, :2], (joint["left_shoulder"] + joint["right_shoulder"]) / 2)
    np.testing.assert_allclose(points[8, :2], (joint["left_hip"] + joint["right_hip"]) / 2)
    np.testing.assert_allclose(points[4, :2], joint["right_wrist"])
    np.testing.assert_allclose(points[15:17, :2], (joint["right_eye"], joint["left_eye"]))
    assert points[18].tolist() == [0, 0, 0]  # left ear: not found
    assert not points[19:].any()  # feet: COCO has none
    assert first["people"][0]["person_id"] == [-1]
    assert len(first["people"][0]["pose_keypoints_3d"]) == 100


def test_a_second_run_overwrites_no_file_of_the_first(tmp_path: Path) -> None:
    path = file_of(tmp_path / "a.epr", ({}, walk(COCO17, 2)), ({"started": 2.0}, walk(COCO17, 3)))
    export("openpose", path, tmp_path / "json")
    assert sorted(one.name for one in (tmp_path / "json").iterdir()) == [
        "camera_000000000000_keypoints.json", "camera_000000000001_keypoints.json",
        "camera_2_000000000000_keypoints.json", "camera_2_000000000001_keypoints.json",
        "camera_2_000000000002_keypoints.json",
    ]  # fmt: skip


HAS = {"coco17": 17 + 2, "openpose18": 18 + 1, "aic14": 12 + 1 + 1, "blazepose33": 17 + 2 + 4, "own": 3}


@pytest.mark.parametrize("skeleton", [COCO17, OPENPOSE18, AIC14, BLAZEPOSE33, OWN], ids=lambda one: one.name)
def test_each_skeleton_fills_the_places_of_body_25_that_it_has(skeleton: Skeleton) -> None:
    of = places(skeleton)
    assert sum(map(bool, of)) == HAS.get(skeleton.name, HAS["own"])
    assert len(of) == (len(OWN.joints) if skeleton is OWN else 25)
    for parts, names in zip(of, BODY_25 if len(of) == 25 else (), strict=len(of) == 25):
        if len(parts) == 1:
            assert skeleton.joints[parts[0]] in names


@pytest.mark.parametrize("kind", ["coco", "coco-results", "csv", "openpose"])
@pytest.mark.parametrize("skeleton", [*SKELETONS.values(), OWN], ids=lambda one: one.name)
def test_every_skeleton_is_exported_whole(kind: str, skeleton: Skeleton, tmp_path: Path) -> None:
    path = file_of(tmp_path / "a.epr", ({"skeleton": text_of(skeleton)}, walk(skeleton, 3)))
    assert export(kind, path, tmp_path / "out") == 0
    written = sorted((tmp_path / "out").iterdir()) if kind == "openpose" else [tmp_path / "out"]
    for one in written:
        text = one.read_text()
        assert text.count("\n") - 1 == 3 * len(skeleton.joints) if kind == "csv" else json.loads(text) is not None
    assert not list(tmp_path.glob("*.part"))


def test_a_coco_file_has_one_skeleton(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = file_of(tmp_path / "a.epr", ({}, walk(COCO17, 2)), ({"skeleton": text_of(OWN)}, walk(OWN, 2)))
    (tmp_path / "out").write_text("before")
    assert export("coco", path, tmp_path / "out") == 1
    assert "another skeleton" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "before"
    assert not list(tmp_path.glob("*.part"))
    assert export("csv", path, tmp_path / "out") == 0


def test_numbers_that_are_none_are_nowhere_written_as_such(tmp_path: Path) -> None:
    odd = poses(1, person_score=np.array([0.5], np.float32), score=np.full((1, 17), np.nan, np.float32))
    odd.xy[0, 0] = np.inf
    odd.person_score[0] = np.nan
    text = json.dumps(body(odd))
    for kind in ("coco", "coco-results", "csv"):
        with FORMATS[kind](tmp_path / kind) as sink:
            sink.write(odd, frame())
        text += (tmp_path / kind).read_text()
    assert "inf" not in text.lower()
    assert "nan" not in text.lower()


@pytest.mark.parametrize("kind", ["coco", "coco-results", "csv"])
def test_a_disk_that_fills_up_leaves_what_was_there(
    kind: str, recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.write_text("before")
    sink = FORMATS[kind](out)

    def full(_: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    file: Any = sink._file  # type: ignore[union-attr]
    sink._file = _Full(file, full)  # type: ignore[union-attr]
    with pytest.raises(SinkError, match="No space left"):
        sink.write(poses(1), frame())
    sink.abandon()
    assert out.read_text() == "before"
    assert not list(tmp_path.glob("*.part"))


class _Full:
    def __init__(self, file: Any, write: Any) -> None:
        self.write, self.close = write, file.close


def test_where_nothing_can_be_written_is_told(tmp_path: Path) -> None:
    for kind in ("coco", "csv"):
        with pytest.raises(ConfigError, match="No such file"):
            FORMATS[kind](tmp_path / "none" / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="File exists"):
        FORMATS["openpose"](tmp_path / "file")


@pytest.mark.parametrize("kind", [CocoFile, CsvFile])
def test_closing_twice_is_closing_once_and_then_nothing_is_taken(kind: type[CsvFile], tmp_path: Path) -> None:
    with kind(tmp_path / "out") as sink:
        sink.write(poses(1), frame())
        assert not (tmp_path / "out").exists()
    sink.close()
    assert (tmp_path / "out").exists()
    assert sink.counts == {"sent": 1}
    with pytest.raises(ValueError, match="closed"):
        sink.write(poses(1), frame())


def test_the_command_offers_every_format() -> None:
    assert tuple(FORMATS) == KINDS


def test_frames_of_a_video_and_of_a_camera_are_named_one_by_one(tmp_path: Path) -> None:
    names = ("walk.mp4", "walk.mp4", "")
    made = (poses(1, seq=at, t=float(at), name=name) for at, name in enumerate(names))
    path = file_of(tmp_path / "a.epr", ({"live": False}, made))
    export("coco", path, tmp_path / "a.json")
    images = json.loads((tmp_path / "a.json").read_text())["images"]
    assert [image["file_name"] for image in images] == ["walk_000000.jpg", "walk_000001.jpg", "000000000002"]


@pytest.mark.parametrize(
    ("out", "words", "kind"),
    [
        ("a.csv", (), "csv"),
        ("a.JSON", (), "coco"),
        ("a", (), "openpose"),
        ("a.txt", ("--format", "csv"), "csv"),
        ("a.json", ("--to", "coco-results"), "coco-results"),
    ],
)
def test_the_format_is_known_by_the_name_unless_it_is_said(
    recording: Path, tmp_path: Path, out: str, words: tuple[str, ...], kind: str
) -> None:
    assert cli.main(["export", str(recording), str(tmp_path / out), "--decode.kernels", "numpy", *words]) == 0
    assert export(kind, recording, tmp_path / "other") == 0

    if kind == "openpose":
        assert len(list((tmp_path / out).iterdir())) == len(list((tmp_path / "other").iterdir())) > 0
    else:
        assert (tmp_path / out).read_bytes() == (tmp_path / "other").read_bytes()


def test_a_name_that_says_no_format_names_those_there_are(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["export", str(recording), str(tmp_path / "a.txt")]) == 78
    says = "a.txt: .txt says no format; give --format, one of coco, coco-results, csv, openpose"
    assert says in capsys.readouterr().err


def test_from_and_to_are_seconds_as_they_are_for_a_replay(recording: Path, tmp_path: Path) -> None:
    """Frames lie 0.1 s apart."""
    words = ["--from", "0.25", "--to", "0.45", "--decode.kernels", "numpy"]
    assert cli.main(["export", str(recording), str(tmp_path / "a.csv"), *words]) == 0
    with (tmp_path / "a.csv").open() as file:
        assert {row["seq"] for row in csv.DictReader(file)} == {"3", "4"}


@pytest.mark.parametrize("name", ["x" * 3000 + ".jpg", "a\0b.jpg", "../../a.jpg", "\ud800.jpg"], ids=repr)
@pytest.mark.parametrize("kind", KINDS)
def test_a_recordings_names_of_files_are_believed_nowhere(tmp_path: Path, kind: str, name: str) -> None:
    sink = FORMATS[kind](tmp_path / "out")
    sink.write(poses(1, name=name), frame())
    sink.close()

    made = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(made) == 1
    assert made[0].read_bytes()


@pytest.mark.parametrize("kind", ["csv", "coco"])
def test_a_recording_is_not_written_over_by_its_export(recording: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "link.csv").hardlink_to(recording)
    before = recording.read_bytes()
    assert export(kind, recording, recording) == 78
    assert export(kind, recording, tmp_path / "link.csv") == 78
    assert recording.read_bytes() == before
