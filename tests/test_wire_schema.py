"""The published files are what the code says, and real messages fit them for a validator that is not ours."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepose import meaning, wire
from edgepose.commands import schema as command
from edgepose.commands.cli import main
from edgepose.core.poses import SKELETONS
from edgepose.wire import asyncapi, reference, schema
from samples.people import poses

DOCS = Path(__file__).resolve().parents[1] / "docs"
AGAIN = "regenerate it: edgepose schema --out docs/schema"
NOW = "2026-01-02T12:00:00.000000Z"

STATUS = wire.Status(
    schema="edgepose.status/1", version="1.0", device="board", camera="door", run="ab12", since=NOW, state="running",
    source="picamera2", model="light", engines=["movenet: litert on cpu"], skeleton="coco17", joints=["nose", "eye"],
    bones=[(0, 1)], format="json", smoothing="light", troubles=["metrics.listen: no such address"],
)  # fmt: skip
HEALTH = wire.Health(
    schema="edgepose.health/1", device="board", camera="door", run="ab12", at=NOW, uptime_s=12.5, people=2, fps=14.9,
    counts={"frames": 200}, latency_ms={"infer": {"p50": 20.5, "p95": 30.0, "p99": 31.0}}, spool={"kept": 1},
    temperature_c=61.2, throttled=False, memory_mib=88.0, cpu=0.11,
    power=wire.Power(state="empty", shares={"empty": 0.9, "active": 0.1, "calm": 0.0}, woke="motion", woke_at=(3, 4)),
)  # fmt: skip
NAN = float("nan")
EVENT = wire.event_of(poses(1), "entered", 7, 1, "ab12", "board", "door", 1_790_000_000.25)
FELL = meaning.Event(
    2.5, 7, "fall", "fall", "confirmed", "begin", 3, 1, "room", 1.25, 0.9, {"tilt_deg": (74.0, 50.0), "x": (NAN, 1.0)},
    {"count": 2},
)  # fmt: skip
MESSAGES: dict[str, list[bytes]] = {
    "poses": [
        wire.encode(poses(2), "board", "door", 2.5, 1_790_000_000.25),
        wire.encode(poses(0), "board", "door", 2.5, 1_790_000_000.25),
        wire.encode(poses(1, xy=np.full((1, 17, 2), np.nan, np.float32)), "board", "door"),
        wire.encode(
            poses(
                2, t=1.5, name="a.mp4", entered=(1, 2), left=(3,), predicted_s=0.05, ran_on="edgetpu",
                xyz=np.zeros((2, 17, 3), np.float32), track_id=np.array([1, 2], np.int32),
            ),
            "board", "door", 2.5, 1_790_000_000.25,
        ),
    ],
    "event": [wire.encode_event(EVENT), wire.encode_event(wire.event_of(
        poses(0, t=0.5, name="a.mp4"), "left", 7, 2, "ab12", "board", "door", 1_790_000_000.0
    )), wire.encode_event(wire.event_of_rule(FELL, poses(1), 3, "ab12", "board", "door", 1_790_000_000.0))],
    "meaning": [wire.encode_struct(wire.meaning_of(
        {"fall": {"kind": "fall", "on": True, "people": [{"station": 1, "id": 3, "unknown": "hidden"}]}},
        poses(1), "ab12", "board", "door", 1_790_000_000.0, 0.04,
    ))],
    "status": [wire.encode_struct(STATUS)],
    "health": [wire.encode_struct(HEALTH)],
    "presence": [
        wire.encode_struct(wire.Presence(schema="edgepose.presence/1", people=2, present=True, since=NOW)),
        wire.encode_struct(wire.Presence(schema="edgepose.presence/1", people=None, present=None, since=NOW)),
    ],
    "numbering": [wire.encode_struct(wire.Numbering(
        schema="edgepose.numbering/1", below=1001, lineage="ab12", run="cd34"
    ))],
    "answer": [
        wire.encode_struct(wire.Answer(schema="edgepose.answer/1", command="rate", ok=True, result={"max_fps": 5.0})),
        wire.encode_struct(wire.Answer(schema="edgepose.answer/1", command="fly", ok=False, error="no", id="7")),
    ],
    "control-pause": [b"{}", b'{"id":"1"}'],
    "control-resume": [b"{}"],
    "control-rate": [b'{"max_fps":5}', b'{"max_fps":0,"id":"x"}'],
    "control-model": [b'{"model":"light"}', b'{"model":"people+best"}'],
    "control-smoothing": [b'{"preset":"strong"}'],
    "control-calibrate": [b"{}"],
    "control-power": [b"{}", b'{"mode":"off"}', b'{"max_cpu":0.5,"max_temp_c":70,"wake":true}'],
    "control-snapshot": [b"{}"],
    "control-restart": [b"{}"],
    "control-status": [b"{}"],
}  # fmt: skip
REAL = [pytest.param(kind, data, id=f"{kind}-{at}") for kind, many in MESSAGES.items() for at, data in enumerate(many)]


def validator(document: dict[str, Any]) -> Any:
    """Of another library; dates are looked at too where it can."""
    jsonschema = pytest.importorskip("jsonschema", reason="the independent validator, jsonschema, is not installed")
    kind = jsonschema.validators.validator_for(document)
    kind.check_schema(document)
    return kind(document, format_checker=kind.FORMAT_CHECKER)


@pytest.mark.parametrize("name", sorted(command.files()))
def test_the_published_file_is_what_the_code_says(name: str) -> None:
    assert (DOCS / "schema" / name).read_text(encoding="utf-8") == command.files()[name], AGAIN


def test_no_other_files_are_published() -> None:
    assert {path.name for path in (DOCS / "schema").iterdir()} == set(command.files())


def test_the_reference_of_topics_and_keys_is_what_the_code_says() -> None:
    page = (DOCS / "stream.md").read_text(encoding="utf-8")
    again = "regenerate it: python -c 'from edgepose.wire import reference; reference.rewrite(\"docs/stream.md\")'"

    assert all(f"<!-- {name} -->" in page and f"<!-- end of {name} -->" in page for name in reference.TABLES)
    assert page == reference.between_markers(page), again


def test_the_page_says_what_every_topic_and_command_is() -> None:
    page = (DOCS / "stream.md").read_text(encoding="utf-8")

    assert not [topic.suffix for topic in wire.TOPICS if f"| `{topic.suffix}` |" not in page]
    assert not [name for name in wire.COMMANDS if f"| `control/{name}` |" not in page]


@pytest.mark.parametrize(("kind", "data"), REAL)
def test_a_real_message_fits_its_schema(kind: str, data: bytes) -> None:
    validator(schema.json_schema(kind)).validate(json.loads(data))


@pytest.mark.parametrize(("kind", "data"), [one for one in REAL if "control" not in str(one.values[0])])
def test_a_published_message_fits_the_schema_of_all_and_stays_so_with_a_new_key(kind: str, data: bytes) -> None:
    raw = json.loads(data)
    validator(schema.any_published()).validate({**raw, "room": "hall"})


@pytest.mark.parametrize(("kind", "data"), REAL)
def test_a_message_without_a_key_that_is_always_there_does_not_fit(kind: str, data: bytes) -> None:
    document = schema.json_schema(kind)
    check = validator(document)
    for key in document.get("required", ()):
        raw = json.loads(data)
        del raw[key]
        assert not check.is_valid(raw), key
    for key, value in json.loads(data).items():
        assert not check.is_valid({**json.loads(data), key: [{}] if not isinstance(value, list) else {}}), key


@pytest.mark.parametrize("kind", [kind for kind in MESSAGES if kind.startswith("control")])
def test_a_command_with_a_key_too_many_does_not_fit(kind: str) -> None:
    raw = json.loads(MESSAGES[kind][0])
    assert not validator(schema.json_schema(kind)).is_valid({**raw, "surprise": 1})


@pytest.mark.parametrize("model", ["light\n", "../light", "/light", "", "a+b+c"])
def test_the_schema_refuses_the_models_that_the_code_refuses(model: str) -> None:
    assert not validator(schema.json_schema("control-model")).is_valid({"model": model})
    with pytest.raises(ValueError, match="regex"):
        wire.decode_command("model", json.dumps({"model": model}).encode())


def test_every_struct_that_is_published_or_taken_has_a_real_message_here() -> None:
    assert set(MESSAGES) == set(schema.KINDS)


@pytest.mark.parametrize("name", sorted(schema.KINDS))
def test_every_key_says_what_it_means(name: str) -> None:
    document = schema.json_schema(name)
    for struct in [document, *document.get("$defs", {}).values()]:
        assert struct["description"]
        assert not [key for key, about in struct["properties"].items() if not about.get("description")]


UNITS = {"_s": "second", "_ms": "millisecond", "_wh": "pixel", "_c": "degree", "_mib": "MiB", "fps": "Hz"}


@pytest.mark.parametrize("name", sorted(schema.KINDS))
def test_a_key_whose_name_has_a_unit_says_it(name: str) -> None:
    for key, about in schema.json_schema(name)["properties"].items():
        for ending, unit in UNITS.items():
            if key.endswith(ending):
                assert unit in about["description"], key


def test_the_asyncapi_document_has_every_topic_and_refers_to_nothing_that_is_not_there() -> None:
    document = asyncapi.document()
    addresses = {channel["address"].partition("{camera}/")[2] for channel in document["channels"].values()}

    assert addresses == {topic.suffix for topic in wire.TOPICS if "+" not in topic.suffix} | {
        f"control/{name}" for name in wire.COMMANDS
    }
    assert {key for key, made in document["operations"].items() if made["action"] == "receive"} == {
        f"control_{name}" for name in wire.COMMANDS
    }
    for reference_ in references(document):
        at: Any = document
        for step in reference_.removeprefix("#/").split("/"):
            at = at[step]


def references(at: Any) -> list[str]:
    """Every $ref inside."""
    inner = list(at.values()) if isinstance(at, dict) else at if isinstance(at, list) else []
    own = [at["$ref"]] if isinstance(at, dict) and isinstance(at.get("$ref"), str) else []
    return own + [found for one in inner for found in references(one)]


def test_the_asyncapi_document_fits_the_official_schema() -> None:
    folder = os.environ.get("EDGEPOSE_ASYNCAPI", "")
    official = Path(folder) / "schemas" / "3.0.0-without-$id.json"
    if not folder or not official.is_file():
        pytest.skip("EDGEPOSE_ASYNCAPI does not name the unpacked package @asyncapi/specs")
    check = validator(json.loads(official.read_text(encoding="utf-8")))

    assert [error.message for error in check.iter_errors(asyncapi.document())] == []
    broken = asyncapi.document()
    del broken["info"]
    assert not check.is_valid(broken)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_poses_of_every_skeleton_fit(skeleton: Any) -> None:
    joints = len(skeleton.joints)
    made = poses(1, skeleton=skeleton, xy=np.ones((1, joints, 2), np.float32), score=np.ones((1, joints), np.float32))
    validator(schema.json_schema("poses")).validate(json.loads(wire.encode(made, "board", "door", 2.5, 1.79e9)))


def test_the_command_prints_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "event"]) == 0
    assert json.loads(capsys.readouterr().out) == schema.json_schema("event")
    assert main(["schema", "--format", "asyncapi"]) == 0
    assert json.loads(capsys.readouterr().out)["asyncapi"] == "3.0.0"
    assert main(["schema"]) == 0
    assert len(json.loads(capsys.readouterr().out)["oneOf"]) == len(schema.PUBLISHED)
    assert main(["schema", "--format", "markdown"]) == 0
    assert "| `control/+` |" in capsys.readouterr().out


def test_the_command_writes_files(tmp_path: Path) -> None:
    assert main(["schema", "--out", str(tmp_path / "new")]) == 0
    assert {path.name: path.read_text("utf-8") for path in (tmp_path / "new").iterdir()} == command.files()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["nothing"], "nothing: no such message or command; there are poses, event"),
        (["poses", "--format", "asyncapi"], "poses: asyncapi is of the whole contract; leave the name out"),
        (["--out", "/dev/null/x"], "give a folder that can be written"),
    ],
)
def test_what_cannot_be_written_is_told_in_one_line(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["schema", *words]) == 78
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize("name", wire.COMMANDS)
def test_the_example_of_a_command_is_one(name: str) -> None:
    assert type(wire.decode_command(name, reference.EXAMPLES[name].encode())) is wire.COMMANDS[name]
    assert reference.RESULTS[name].startswith("{")
