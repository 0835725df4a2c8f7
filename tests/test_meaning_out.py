"""Rules in a run: what reaches a broker, a file, a page; what the command says of recordings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgepose import wire
from edgepose.commands.cli import main
from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.meaning import KINDS
from edgepose.meaning.shipped import shipped
from edgepose.pipeline.meaning import MeaningStage, read_rules
from edgepose.service.homeassistant import discovery
from edgepose.service.prometheus import as_text, rule_families
from edgepose.sink.jsonl import JsonlSink
from edgepose.sink.rules import RulesOnPicture
from samples.bodies import STANDING, film, one, seen, told
from samples.people import frame
from tests.test_meaning_rules import fall, squat
from tests.test_recording import file_of

FALL = '[[rule]]\nkind = "fall"\n[[rule]]\nname = "squats"\nkind = "reps"\nsignal = "knee"\nenter = 70\nexit = 30\n'


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.toml"
    path.write_text(FALL)
    return path


def test_events_and_how_rules_stand_are_lines_of_a_file_and_valid(tmp_path: Path, rules: Path) -> None:
    stage, path = MeaningStage(read_rules(str(rules))), tmp_path / "out.jsonl"
    with JsonlSink(str(path), "board", "door", live=False) as sink:
        for poses in film(lambda t: one(fall(t, up=8.0)), 12.0):
            sink.write(poses, frame())
            sink.write_meaning(stage.update(poses), poses)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    events = [wire.decode_event(json.dumps(line).encode()) for line in lines if line["schema"] == "edgepose.event/1"]
    assert [(event.what, event.phase) for event in events] == [
        ("suspected", "begin"), ("confirmed", "begin"), ("ended", "end"),
    ]  # fmt: skip
    assert [event.number for event in events] == [1, 2, 3]
    stand = [line["rules"]["fall"]["on"] for line in lines if line["schema"] == "edgepose.meaning/1"]
    assert stand[0] is False
    assert True in stand
    assert stand[-1] is False  # clears when the person gets up


def test_how_rules_stand_is_told_at_most_twice_a_second(rules: Path) -> None:
    stage = MeaningStage(read_rules(str(rules)))
    told = [stage.update(poses).rules is not None for poses in film(lambda t: one(squat(t)), 10.0)]
    assert 1 <= sum(told) <= 21


def test_a_settings_file_with_rules_is_its_own_file_of_rules(tmp_path: Path) -> None:
    path = tmp_path / "edgepose.toml"
    path.write_text('camera = "hall"\n' + FALL)
    cfg = config.load(path)
    assert (cfg.camera, cfg.meaning.rules) == ("hall", str(path))
    assert [rule.called for rule in read_rules(cfg.meaning.rules).rules] == ["fall", "squats"]


def test_a_shipped_name_that_is_wrong_says_which_was_meant() -> None:
    with pytest.raises(ConfigError, match="did you mean care-room"):
        read_rules("careroom")


def test_home_assistant_gets_a_fall_that_clears_and_a_count(rules: Path) -> None:
    cfg = msgspec.structs.replace(config.Config(), meaning=config.Meaning(rules=str(rules)))
    entities = discovery(cfg, "edgepose/board/door", has_temperature=False)["cmps"]
    assert entities["rule_fall"]["p"] == "binary_sensor"
    assert entities["rule_fall"]["state_topic"] == "edgepose/board/door/meaning"
    assert "rules['fall'].on" in entities["rule_fall"]["value_template"]
    assert entities["rule_squats"]["p"] == "sensor"
    assert len({entity["unique_id"] for entity in entities.values()}) == len(entities)


def test_prometheus_counts_what_a_rule_could_not_judge() -> None:
    text = as_text(rule_families({"fall": {"fired": 2, "suppressed": 1, "judged_s": 60.5, "unjudged_s": 3.0}}))
    assert 'edgepose_rule_events_total{rule="fall"} 2' in text
    assert 'edgepose_rule_unjudged_seconds_total{rule="fall"} 3' in text
    assert as_text(rule_families({})) == "\n"


def test_rules_are_drawn_on_the_next_picture(rules: Path) -> None:
    stage, drawn = MeaningStage(read_rules(str(rules))), RulesOnPicture()
    image = np.zeros((480, 640, 3), np.uint8)
    drawn.draw(image, 0.0)
    assert not image.any()
    poses = seen(one(STANDING), 1.0)
    drawn.take(stage.update(poses), poses)
    drawn.draw(image, 1.0)
    assert image.any()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Somebody who falls at 3 s and gets up at 8 s, as a run keeps it."""
    poses = film(lambda t: one(fall(t, up=8.0)), 12.0)
    films = [replace(one_, track_id=np.full(len(one_), -1, np.int32)) for one_ in poses]
    path = tmp_path / "day.epr"
    path.write_bytes(file_of(films, per_block=64))
    return path


def test_check_finds_the_fall_that_the_truth_has(
    recording: Path, rules: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth, page, picture = tmp_path / "truth.csv", tmp_path / "page.html", tmp_path / "sweep.svg"
    truth.write_text("recording,rule,begin_s,end_s\nday.epr,fall,3.0,3.7\n")
    asked = ["meaning", "check", str(recording), "--rules", str(rules), "--truth", str(truth), "--page", str(page)]
    assert main([*asked, "--sweep", "fall.drop_torso=0.5:3.0", "--picture", str(picture)]) == 0
    said = capsys.readouterr().out
    (row,) = [line.split() for line in said.splitlines() if line.startswith("fall ")]
    assert row[1:4] == ["1", "1", "0"]  # true, found, false
    swept = [line.split() for line in said.splitlines()[-9:]]
    assert (swept[0][1], swept[-1][1]) == ("1", "0")  # nobody drops three torso lengths
    assert "shoulder_drop" in page.read_text()
    assert picture.read_text().startswith("<svg")


def test_explain_says_which_condition_was_not_met(
    recording: Path, rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["meaning", "explain", str(recording), "--rules", str(rules), "--at", "2", "--rule", "fall"]) == 0
    said = capsys.readouterr().out
    assert "shoulder_drop is 0, wants >= 0.9: not met" in said
    assert main(["meaning", "explain", str(recording), "--rules", str(rules), "--at", "2", "--rule", "fal"]) == 78


def test_teach_makes_a_file_that_rules_take(recording: Path, tmp_path: Path) -> None:
    path = tmp_path / "gestures.json"
    asked = ["meaning", "teach", "down", str(recording), "--from", "5", "--until", "7", "--to", str(path)]
    assert main(asked) == 0
    assert main(asked) == 0  # more of the same
    toml = f'[[rule]]\nkind = "gesture"\ntaught = "{path}"\ngestures = ["down"]\n'
    events = told(toml, film(lambda t: one(fall(t)), 8.0))
    assert [event.what for event in events][:1] == ["down"]


@pytest.mark.parametrize(
    "words",
    [
        ["check"],
        ["check", "{recording}"],
        ["check", "{recording}", "--rules", "nowhere.toml"],
        ["check", "{recording}", "--rules", "{rules}", "--truth", "nowhere.csv"],
        ["check", "{recording}", "--rules", "{rules}", "--sweep", "fall"],
        ["check", "{recording}", "--rules", "{rules}", "--sweep", "fly.down_s=1:2"],
        ["teach", "one"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_is_a_line_and_78(
    words: list[str], recording: Path, rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [word.format(recording=recording, rules=rules) for word in words]
    assert main(["meaning", *given]) == 78
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_recording_that_was_cut_off_is_judged_as_far_as_it_goes(recording: Path, rules: Path) -> None:
    data = recording.read_bytes()
    recording.write_bytes(data[: len(data) * 2 // 3])
    assert main(["meaning", "check", str(recording), "--rules", str(rules)]) == 0


def test_shipped_rules_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["meaning", "rules"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in shipped())


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_of_a_kind_is_on_its_page(kind: str) -> None:
    if kind == "user":
        return  # in meaning.md
    page = (Path(__file__).parents[1] / "docs" / f"meaning-{kind}.md").read_text(encoding="utf-8")
    for field in msgspec.structs.fields(KINDS[kind].settings):
        assert field.name == "kind" or f"| `{field.name}` |" in page
