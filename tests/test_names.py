"""Names and texts from outside: what is no text, what another system encoded, and two names of one file."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

import edgepose
from edgepose import wire
from edgepose.commands import cli
from edgepose.core import config, places, secret
from edgepose.core.config import Config
from edgepose.core.errors import ConfigError, SinkError
from edgepose.lab.meaning import judge
from edgepose.lift.calibrate import lens_json, pose2sim
from edgepose.lift.camera import Camera
from edgepose.lift.fuse import read_calibration
from edgepose.lift.fuse.calibration import PlacedCamera
from edgepose.meaning import Rules, taught
from edgepose.sink.apart import inputs_of, outputs_of, require_apart
from edgepose.sink.jsonl import JsonlSink
from edgepose.source.detect import existing
from edgepose.wire.messages import PRESENCE, STATUS
from samples.people import frame, poses
from tests.helpers.broker import secret_file

CAFE = os.fsdecode(b"caf\xe9")
"""As Python has a name of bytes that are no UTF-8."""

ENCODINGS = {
    "utf-8": lambda text: text.encode(),
    "utf-8 with a mark, Notepad": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "utf-16 le, PowerShell": lambda text: b"\xff\xfe" + text.encode("utf-16-le"),
    "utf-16 be": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "utf-32 le": lambda text: b"\xff\xfe\0\0" + text.encode("utf-32-le"),
}


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
def test_settings_are_read_in_what_windows_saves(tmp_path: Path, encode) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "edgepose.toml"
    path.write_bytes(encode('camera = "Tür"\r\n[engine]\r\nthreads = 3\r\n'))

    loaded = config.load(path)

    assert (loaded.camera, loaded.engine.threads) == ("Tür", 3)


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
def test_a_password_is_read_in_what_windows_saves(tmp_path: Path, encode) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "word"
    path.touch(0o600)
    path.write_bytes(encode("gehäim\r\nrest"))

    assert secret.first_line("sink.mqtt.password_file", str(path)) == "gehäim"


def test_a_password_in_an_old_encoding_says_what_to_do(tmp_path: Path) -> None:
    path = Path(secret_file(tmp_path / "word", ""))
    path.write_bytes(b"geh\xe4im\n")

    with pytest.raises(ConfigError, match="not UTF-8 text; save it as UTF-8"):
        secret.first_line("sink.mqtt.password_file", str(path))


@pytest.mark.parametrize("key", ["device", "camera", "sink.mqtt.topic", "sink.mqtt.client_id"])
def test_a_setting_that_goes_out_in_messages_is_text(key: str) -> None:
    (setting,) = (one for one in config.settings() if one.key == key)

    assert config.parse_value(CAFE, setting) == "caf?"


@pytest.mark.parametrize("key", ["source.uri", "sink.jsonl.path", "sink.record.path", "engine.models_dir"])
def test_a_setting_that_names_a_file_stays_what_it_is(key: str) -> None:
    (setting,) = (one for one in config.settings() if one.key == key)

    assert config.parse_value(CAFE, setting) == CAFE


def test_every_setting_of_a_file_or_folder_is_one_whose_name_need_not_be_text() -> None:
    named = [one.key for one in config.settings() if one.meaning.startswith(("file", "folder", "a folder", "path"))]

    assert named
    assert {key.rpartition(".")[2] for key in named} <= set(config.PLACES)


def test_a_host_name_that_is_no_text_becomes_a_device_that_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.uname", lambda: SimpleNamespace(nodename=CAFE + "/\x1b[31m"))

    assert Config().device_name == "caf?--[31m"


def test_settings_with_such_a_name_are_printed_and_reach_a_child_as_they_are() -> None:
    cfg = config.load(None, {"source.uri": CAFE})

    assert 'uri = "caf?"' in config.to_toml(cfg)
    assert config.from_json(config.to_json(cfg)) == cfg


def test_a_message_with_such_a_name_goes_out_with_a_question_mark() -> None:
    presence = wire.Presence(schema=PRESENCE, people=1, present=True, since=CAFE)

    assert json.loads(wire.encode_struct(presence))["since"] == "caf?"
    assert json.loads(wire.encode(poses(1, name=CAFE), "board", "door"))["source"] == "caf?"


def test_a_status_with_such_a_source_is_read_back() -> None:
    fields = {field.name: "x" for field in msgspec.structs.fields(wire.Status)}
    status = msgspec.convert(
        {
            **fields,
            "schema": STATUS,
            "source": CAFE,
            "engines": [CAFE],
            "joints": [],
            "bones": [],
            "max_fps": 0.0,
            "troubles": [],
        },
        wire.Status,
    )

    read = wire.decode_struct(wire.Status, wire.encode_struct(status))

    assert (read.source, read.engines) == ("caf?", ["caf?"])


# ------------------------------------------------------------------------------------------------ what a file is


@pytest.mark.parametrize("link", ["itself", "hard link", "symbolic link", "another way"])
@pytest.mark.parametrize("key", ["sink.jsonl.path", "sink.overlay.path", "sink.record.path"])
def test_no_output_is_the_source_by_whatever_name(tmp_path: Path, key: str, link: str) -> None:
    source = tmp_path / "clip.mp4"
    source.write_bytes(b"the only copy")
    output = tmp_path / "out.mp4"
    if link == "hard link":
        output.hardlink_to(source)
    elif link == "symbolic link":
        output.symlink_to(source)
    else:
        output = source if link == "itself" else tmp_path / "sub" / ".." / "clip.mp4"
        (tmp_path / "sub").mkdir()
    cfg = config.load(None, {"source.uri": str(source), key: str(output)})

    with pytest.raises(ConfigError, match=rf"{key} .*: is the same as source\.uri .*clip\.mp4, which it would destroy"):
        require_apart(outputs_of(cfg), inputs_of(cfg))


def test_two_outputs_are_two_files(tmp_path: Path) -> None:
    cfg = config.load(None, {"sink.jsonl.path": str(tmp_path / "a"), "sink.record.path": str(tmp_path / "a")})

    with pytest.raises(ConfigError, match=r"sink\.record\.path .* is the same as sink\.jsonl\.path"):
        require_apart(outputs_of(cfg), inputs_of(cfg))


def test_pictures_are_not_drawn_into_the_folder_they_come_from(tmp_path: Path) -> None:
    cfg = config.load(None, {"source.uri": str(tmp_path), "sink.overlay.path": f"{tmp_path}/"})

    with pytest.raises(ConfigError, match=r"sink\.overlay\.path"):
        require_apart(outputs_of(cfg), inputs_of(cfg))


def test_devices_addresses_and_standard_output_are_shared_by_all() -> None:
    cfg = config.load(
        None, {"source.uri": "rtsp://cam/1", "sink.jsonl.path": "/dev/null", "sink.record.path": "/dev/null"}
    )

    require_apart(outputs_of(cfg), inputs_of(cfg))


def test_two_names_of_no_file_yet_are_one_where_they_lead_to_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)

    assert places.same(tmp_path / "new", tmp_path / "link" / "new")
    assert not places.same(tmp_path / "new", tmp_path / "other")


# ------------------------------------------------------------------------------------------------ JSON lines


STRANGE = {
    "video": b"\0\0\0\x18ftypmp42" + b"\0" * 500,
    "text": b"dear diary\n",
    "settings": b'[engine]\nmodel = "default"\n',
    "a long line of something": b"x" * (1 << 21),
    "json over many lines": b'{\n  "name": 1\n}\n',
}


@pytest.mark.parametrize("content", STRANGE.values(), ids=STRANGE)
@pytest.mark.parametrize("overwrite", [False, True])
def test_lines_are_not_added_to_what_is_something_else(tmp_path: Path, content: bytes, overwrite: bool) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match="holds no JSON lines"):
        JsonlSink(str(path), "board", "door", overwrite=overwrite)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "content", [b"", b'{"schema":"edge', b'{"a":1}\n', b'"half": 1}\n{"a":1}\n', b'{"a":1}\n{"b'], ids=repr
)
def test_lines_are_added_to_lines_whole_or_cut(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "poses.jsonl"
    path.write_bytes(content)

    with JsonlSink(str(path), "board", "door") as sink:
        sink.write(poses(1, seq=4), frame())

    assert path.read_bytes().startswith(content)
    assert wire.decode(path.read_bytes().splitlines()[-1]).seq == 4


def test_an_earlier_runs_lines_go_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "poses.jsonl"
    path.write_bytes(b'{"a":1}\n')

    with JsonlSink(str(path), "board", "door", overwrite=True) as sink:
        sink.write(poses(1, seq=4), frame())

    (line,) = path.read_bytes().splitlines()
    assert wire.decode(line).seq == 4


# ------------------------------------------------------------------------------------------------ what may pass


def test_a_folder_that_is_not_there_may_come_and_one_that_is_a_file_may_not(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SinkError) as away:
        JsonlSink(str(tmp_path / "usb" / "poses.jsonl"), "board", "door")
    assert (away.value.exit_code, away.value.retryable) == (1, True)
    with pytest.raises(ConfigError) as never:
        JsonlSink(str(tmp_path / "file" / "poses.jsonl"), "board", "door")
    assert never.value.exit_code == 78


@pytest.mark.parametrize(("number", "code"), [(5, 1), (24, 1), (116, 1), (2, 78), (13, 78)])
def test_a_secret_that_cannot_be_read_now_is_no_wrong_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    """Input/output error, too many open files, a stale mount: these pass. Not there, not for us: these do not."""
    file = secret_file(tmp_path / "word", "s3cret\n")

    def fails(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "open", fails)
    with pytest.raises(ConfigError, match=os.strerror(number)) as caught:
        secret.first_line("sink.mqtt.password_file", file)
    assert caught.value.exit_code == code


def test_a_name_of_nobodys_home_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert places.at_home("~/clip.mp4") == Path("/home/somebody/clip.mp4")
    Path("~$clip.mp4").touch()
    assert existing("~$clip.mp4") == Path("~$clip.mp4")


def test_every_file_asks_the_same_place_for_a_home() -> None:
    """Path.expanduser raises RuntimeError, which nobody expects of a name."""
    package = Path(edgepose.__file__).parent
    asks = {path.name for path in package.rglob("*.py") if re.search(r"\.expanduser\(\)|Path\.home", path.read_text())}
    assert not asks


def test_a_user_without_a_home_has_folders_that_are_never_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda name: name)
    assert places.state() == Path("/nonexistent/.local/state/edgepose")
    assert places.models() == Path("/nonexistent/.local/share/edgepose/models")


def test_a_wrong_argument_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["export", "a.epr", "b.csv", "--to", "\x1b[31mx\ny\u202e"])
    assert "\\x1b[31mx\\ny\\u202e" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ of commands

BOARD = ["calibrate", "intrinsics", "--board", "checkerboard:9x6"]
WALK = ["calibrate", "extrinsics", "--height", "1.8"]
OVER = {
    "a video": [*BOARD, "--source", "in.txt", "--out", "in.txt"],
    "a picture of a folder": [*BOARD, "--source", ".", "--out", "new.json", "--picture", "in.txt"],
    "a lens": [*WALK, "--lens", "in.txt", "cam0.jsonl", "--out", "in.txt"],
    "what a camera saw": [*WALK, "--lens", "lens.json", "in.txt", "--out", "in.txt"],
    "marks": [*WALK, "--lens", "lens.json", "cam0.jsonl", "--marks", "in.txt", "--out", "in.txt"],
    "a truth": ["meaning", "check", "day.epr", "--rules", "falls.toml", "--truth", "in.txt", "--page", "in.txt"],
    "rules": ["meaning", "check", "day.epr", "--rules", "in.txt", "--page", "in.txt"],
    "a recording": ["meaning", "check", "in.txt", "--rules", "falls.toml", "--sweep", "a.b=0:1", "--picture", "in.txt"],
    "what is taught from": ["meaning", "teach", "wave", "in.txt", "--to", "in.txt"],
    "annotations": ["eval", "--annotations", "in.txt", "--json", "in.txt"],
}


@pytest.mark.parametrize("link", ["", "soft", "hard"])
@pytest.mark.parametrize("words", OVER.values(), ids=OVER)
def test_no_command_writes_over_what_it_reads(
    words: list[str], link: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.txt").write_text("mine")
    written = "in.txt"
    if link:
        written = "link.txt"
        Path(written).symlink_to("in.txt") if link == "soft" else Path(written).hardlink_to("in.txt")
    assert cli.main([*words[:-1], written]) == 78
    assert "which it would destroy" in capsys.readouterr().err
    assert Path("in.txt").read_text() == "mine"


def test_what_is_no_text_is_not_written_over_by_a_calibration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("other.mp4").write_bytes(b"\0\0\0 ftyp")
    assert cli.main([*BOARD, "--source", "in.mp4", "--out", "other.mp4"]) == 78
    assert "is no text" in capsys.readouterr().err


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
def test_truths_examples_and_calibrations_are_read_in_what_windows_saves(tmp_path: Path, encode) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "in.txt"
    file.write_bytes(encode("recording,rule,begin_s\n"))
    assert judge.truth_of(file, Rules()) == []
    file.write_bytes(encode(taught.written({"wave": np.zeros((1, 12, 2))})))
    assert taught.file_of(file, "here")["wave"].shape == (1, 12, 2)
    lens = Camera((640, 480), (500.0, 500.0), (320.0, 240.0))
    for text in (pose2sim([PlacedCamera("café", lens, np.eye(3), np.zeros(3))]), lens_json("café", lens)):
        file.write_bytes(encode(text))
        assert [one.name for one in read_calibration(file)] == ["café"]


@pytest.mark.parametrize(
    "reads", [lambda path: judge.truth_of(path, Rules()), lambda path: taught.file_of(path, "here")]
)
def test_what_is_no_text_at_all_is_a_wrong_file(tmp_path: Path, reads) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "in.txt").write_bytes(b"\xff\x00\xfe\x81")
    with pytest.raises(ConfigError, match=r"in\.txt"):
        reads(tmp_path / "in.txt")
