"""`edgepose eval` on two photographs with hand-marked joints: numbers, files, going on, comparing, the page."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from edgepose.commands.cli import main
from edgepose.core import config
from edgepose.core.poses import AIC14, COCO17
from edgepose.lab.eval import video
from edgepose.lab.eval.find import RANKED_FROM, Seen, for_candidates, open_finder, places
from edgepose.lab.eval.measure import MEANINGS
from edgepose.lab.eval.partial import Partial
from samples.shared import shared
from tests.helpers.eval_scene import photographs, write_set

pytestmark = pytest.mark.slow

pytest.importorskip("pycocotools", reason="pycocotools judges here")

QUICK = ["--decode.kernels", "numpy", "--model", "movenet_lightning_192"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    return folder


def evaluated(folder: Path, *flags: str, data: dict[str, Any] | None = None) -> dict[str, Any]:
    """The metrics of one run on the photographs."""
    annotations, images = write_set(folder / "set", data)
    told = folder / "told.json"
    words = ["eval", "--annotations", str(annotations), "--images", str(images), "--json", str(told), *QUICK, *flags]
    assert main(words) == 0
    metrics: dict[str, Any] = json.loads(told.read_text())
    return metrics


def test_photographs_give_every_metric(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = evaluated(tmp_path)
    assert set(MEANINGS) <= set(told)
    assert told["counts"]["pictures"] == 3
    assert told["counts"]["people"] == 2
    assert told["recall"] == 1
    assert told["AP50"] == 1
    assert told["mean_oks"] > 0.6  # of the one with 8 marked joints
    assert told["false_people_per_empty"] == 0
    assert told["invokes_per_picture"] >= 1
    assert told["joints"]["nose"]["labelled"] == 2
    assert told["joints"]["left_knee"]["pck"] is None
    assert told["settings"]["decode"]["kernels"] == "numpy"
    printed = capsys.readouterr().out
    assert "mean_oks" in printed
    assert MEANINGS["mean_oks"] in printed


def test_ground_truth_boxes_are_one_crop_a_person(tmp_path: Path) -> None:
    told = evaluated(tmp_path, "--boxes", "gt")
    assert told["counts"]["candidates"] == 2
    assert told["invokes_per_picture"] == pytest.approx(2 / 3)
    assert told["AP50"] == 1


def test_results_are_what_pycocotools_reads_and_give_the_same_ap(tmp_path: Path) -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    results = tmp_path / "results.json"
    told = evaluated(tmp_path, "--results", str(results))
    truth = COCO(str(tmp_path / "set" / "people.json"))
    judge = COCOeval(truth, truth.loadRes(str(results)), "keypoints")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    assert judge.stats[0] == pytest.approx(told["AP"])


def test_a_missing_picture_is_told_and_the_rest_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = photographs()
    data["images"].append({"id": 99, "file_name": "sub/gone.jpg"})
    told = evaluated(tmp_path, data=data)
    assert told["pictures_missing"] == ["sub/gone.jpg"]
    assert told["counts"]["pictures_missing"] == 1
    assert "1 of 4 pictures are not in" in capsys.readouterr().err


def test_a_damaged_picture_counts_as_nobody_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = photographs()
    data["images"][0]["file_name"] = "damaged.jpg"
    (tmp_path / "set" / "images").mkdir(parents=True)
    (tmp_path / "set" / "images" / "damaged.jpg").write_text("no picture")
    told = evaluated(tmp_path, data=data)
    assert told["counts"]["pictures_failed"] == 1
    assert told["recall"] == 0.5
    assert "damaged.jpg: is damaged or no picture" in capsys.readouterr().err


def test_settings_that_somebody_gave_hold_for_candidates_too() -> None:
    cfg = config.load(None, {"decode.min_person_score": 0.3})
    assert for_candidates(cfg, frozenset()).decode.min_person_score == RANKED_FROM
    assert for_candidates(cfg, frozenset({"decode.min_person_score"})).decode.min_person_score == 0.3
    assert for_candidates(cfg, frozenset()).decode.min_joint_score == 0


def test_a_threshold_on_the_command_line_is_kept(tmp_path: Path) -> None:
    told = evaluated(tmp_path, "--decode.min_person_score", "1.0")
    assert told["counts"]["candidates"] == told["counts"]["told"] == 0
    assert told["AP"] == 0


def test_joints_go_where_the_annotations_have_them() -> None:
    where = places(AIC14, COCO17)
    assert where[:5] == [-1] * 5
    assert [AIC14.joints[place] for place in where[5:]] == list(COCO17.joints[5:])


# ------------------------------------------------------------------------------------------------ going on


def interrupted(folder: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> tuple[int, list[str]]:
    """Run with Ctrl-C after some pictures; returns the exit code and the pictures looked at."""
    looked: list[str] = []

    def stopping(*args: Any) -> Any:
        finder = open_finder(*args)

        class Stops:
            joints, described, manifests, close = finder.joints, finder.described, finder.manifests, finder.close

            def __call__(self, picture: Any) -> Seen:
                if len(looked) == after:
                    raise KeyboardInterrupt
                looked.append(picture.name)
                seen: Seen = finder(picture)
                return seen

        return Stops()

    with monkeypatch.context() as patch:
        patch.setattr("edgepose.lab.eval.run.open_finder", stopping)
        code = main(["eval", "--annotations", str(folder / "people.json"), "--images", str(folder / "images"), *QUICK])
    return code, looked


def test_an_interrupted_run_goes_on_where_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_set(tmp_path / "set")
    code, looked = interrupted(tmp_path / "set", monkeypatch, after=2)
    assert (code, looked) == (130, ["sub/astronaut.jpg", "sub/camera.jpg"])
    assert "2 of 3 pictures are done, 1 are missing" in capsys.readouterr().err
    code, looked = interrupted(tmp_path / "set", monkeypatch, after=9)
    assert (code, looked) == (0, ["sub/nobody.png"])
    assert "2 of 3 pictures are there from an interrupted run" in capsys.readouterr().err
    _, looked = interrupted(tmp_path / "set", monkeypatch, after=9)
    assert len(looked) == 3  # what is whole is not kept


def test_other_settings_or_changed_pictures_start_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, images = write_set(tmp_path / "set")
    interrupted(tmp_path / "set", monkeypatch, after=2)
    (images / "sub" / "nobody.png").write_bytes((images / "sub" / "camera.jpg").read_bytes())
    _, looked = interrupted(tmp_path / "set", monkeypatch, after=2)
    assert looked == ["sub/astronaut.jpg", "sub/camera.jpg"]
    monkeypatch.setattr(sys.modules[__name__], "QUICK", [*QUICK, "--decode.max_people", "2"])
    _, looked = interrupted(tmp_path / "set", monkeypatch, after=1)
    assert looked == ["sub/astronaut.jpg"]


def test_a_line_cut_off_by_a_crash_is_done_again(own_cache: Path) -> None:
    one = Seen(picture_id=1, candidates=[], reported=[], ms=1, read_ms=1, invokes=1, crops=0, candidate_invokes=1)
    kept = Partial("key")
    kept.add(one)
    kept.close()
    with kept.path.open("ab") as file:
        file.write(b'{"picture_id": 2, "cand')
    again = Partial("key")
    assert list(again.seen) == [1]
    again.add(Seen(picture_id=3, candidates=[], reported=[], ms=1, read_ms=1, invokes=1, crops=0, candidate_invokes=1))
    again.close()
    assert list(Partial("key").seen) == [1, 3]
    assert Partial("key", fresh=True).seen == {}


# ------------------------------------------------------------------------------------------------ comparing


def test_two_settings_are_put_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = evaluated(
        tmp_path, "--compare", "movenet_lightning_192", "model=movenet_lightning_192,decode.min_person_score=1.0"
    )
    assert told["A"]["recall"] == 1
    assert told["B"]["recall"] == 0
    assert told["difference"]["recall"]["B-A"] == -1
    assert told["difference"]["recall"]["sure"]
    assert told["B"]["settings"]["decode"]["min_person_score"] == 1.0
    assert re.search(r"recall +1 +0 +-1 +-1 to -1 \*", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("side", "message"),
    [
        ("decode.max_peple=2", "did you mean decode.max_people"),
        ("decode.max_people=many", "not a value for it"),
        ("decode.max_people=0", "expected `int` >= 1|expected int >= 1"),
        ("no_such_model", "no model 'no_such_model'"),
    ],
)
def test_a_side_that_is_wrong_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], side: str, message: str
) -> None:
    annotations, images = write_set(tmp_path / "set")
    words = ["eval", "--annotations", str(annotations), "--images", str(images), "--compare", side, "light"]
    assert main(words) == 78
    assert re.search(message, capsys.readouterr().err)


# ------------------------------------------------------------------------------------------------ the page


class Page(HTMLParser):
    """Headings and addresses of a page; fails on tags that are not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)


def page_of(path: Path) -> tuple[Page, str]:
    page, text = Page(), path.read_text(encoding="utf-8")
    page.feed(text)
    assert page.open == []
    return page, text


def test_the_report_is_one_file_with_everything_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = tmp_path / "report.html"
    monkeypatch.setattr(sys, "argv", ["edgepose", "eval", "--report", "my report.html"])
    data = photographs()
    data["annotations"].append(
        {**data["annotations"][0], "id": 7, "image_id": 12, "keypoints": [5, 5, 2] * 17, "bbox": [5, 5, 50, 50]}
    )
    evaluated(tmp_path, "--report", str(report), data=data)
    page, text = page_of(report)
    assert page.headings[1:7] == ["Joints", "Can the score be trusted?", "Best", "Worst", "Missed", "False"]
    assert page.addresses  # pictures, all of them inside
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert "missed</b> 50 x 50 px" in text
    assert "edgepose eval --report &#x27;my report.html&#x27;" in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_names_from_outside_are_only_text_on_the_page(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    data = photographs()
    data["images"][0]["file_name"] = "<script>alert(1)</script>.jpg"
    _, images = write_set(tmp_path / "other", data)
    (images / "<script>alert(1)<").mkdir()
    (images / "<script>alert(1)<" / "script>.jpg").write_bytes((images / "sub" / "astronaut.jpg").read_bytes())
    words = ["eval", "--annotations", str(tmp_path / "other" / "people.json"), "--images", str(images)]
    assert main([*words, "--report", str(report), *QUICK]) == 0
    _, text = page_of(report)
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_the_report_of_two_shows_where_they_differ(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    sides = ["--compare", "movenet_lightning_192", "model=movenet_lightning_192,decode.min_person_score=1.0"]
    evaluated(tmp_path, "--report", str(report), *sides)
    page, _ = page_of(report)
    assert "What differs" in page.headings
    assert "Where they differ most" in page.headings


# ------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--images", "."], "needs --annotations"),
        (["--annotations", "x.json"], "needs --images"),
        (["--annotations", "x.json", "--images", ".", "--json", "no/such/folder/a.json"], "no folder no/such/folder"),
        (["--annotations", "x.json", "--images", ".", "--report", "."], "is a folder"),
    ],
)
def test_what_is_missing_is_said_before_the_run(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", *words]) == 78
    assert message in capsys.readouterr().err


def test_two_models_have_no_crops_to_be_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    annotations, images = write_set(tmp_path / "set")
    words = ["--annotations", str(annotations), "--images", str(images), "--boxes", "gt", "--model", "default"]
    assert main(["eval", *words]) == 78
    assert "--model movenet_lightning_192 is the second" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--limit", "-1"], ["--limit", "x"], ["--box_scale", "0"], ["--boxes", "mine"]])
def test_flags_without_sense_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["eval", *words])
    assert ended.value.code == 2


def test_without_pycocotools_it_says_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools.cocoeval", None)
    annotations, images = write_set(tmp_path / "set")
    assert main(["eval", "--annotations", str(annotations), "--images", str(images)]) == 78
    assert "pip install 'edgepose[eval]'" in capsys.readouterr().err


def test_every_metric_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--explain"]) == 0
    printed = capsys.readouterr().out
    assert all(meaning in printed for meaning in (*MEANINGS.values(), *video.MEANINGS.values()))


# ------------------------------------------------------------------------------------------------ the baseline


def test_the_stock_model_on_the_same_crops_scores_what_is_known_of_it(tmp_path: Path) -> None:
    stock = shared("models/movenet_single_pose_lightning_ptq.tflite")
    folder = shared("data/sets/coco_mini_train")
    assert main(["models", "import", str(stock), "--to", str(tmp_path)]) == 0
    words = ["--annotations", str(folder / "person_keypoints.json"), "--images", str(folder / "images")]
    model = str(tmp_path / f"{stock.stem}.toml")
    assert main(["eval", *words, "--boxes", "gt", "--model", model, "--json", str(tmp_path / "told.json")]) == 0
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["AP"] == pytest.approx(0.280, abs=0.005)
    assert told["mean_oks"] == pytest.approx(0.585, abs=0.005)


@pytest.mark.parametrize("flag", ["--json", "--results", "--report"])
@pytest.mark.parametrize("place", ["people.json", "images/sub/camera.jpg", "link.html"])
def test_what_is_measured_with_is_never_written_over(tmp_path: Path, flag: str, place: str) -> None:
    annotations, images = write_set(tmp_path)
    (tmp_path / "link.html").hardlink_to(annotations)
    before = (tmp_path / place).read_bytes()

    words = ["eval", "--annotations", str(annotations), "--images", str(images), flag, str(tmp_path / place)]

    assert main(words) == 78
    assert (tmp_path / place).read_bytes() == before
