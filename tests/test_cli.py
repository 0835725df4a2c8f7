"""The command a person types: what it prints, what it refuses, and how it ends."""

from __future__ import annotations

import inspect
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from edgepose import wire
from edgepose.commands import cli
from edgepose.commands.cli import main
from edgepose.commands.flags import SHORT_FLAGS, SHOWN
from edgepose.core import config

PICTURES = Path(__file__).resolve().parents[1] / "edgepose" / "lab" / "demo" / "pictures"
SMALL = "movenet_lightning_192"
EDGEPOSE = [sys.executable, "-m", "edgepose"]


def edgepose(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*EDGEPOSE, *args], capture_output=True, text=True, timeout=120, cwd=cwd)


def write_video(path: Path, frames: int) -> None:
    """A short film: the camera picture, moving sideways."""
    picture = cv2.imread(str(PICTURES / "camera.jpg"))
    assert picture is not None
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (320, 240))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(np.ascontiguousarray(picture[100:340, number : number + 320]))
    writer.release()


def test_help_teaches_every_command_and_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "edgepose demo" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["run", "--help-all"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for setting in config.settings():
        assert f"--{setting.key}" in text


def test_help_shows_the_flags_people_need_and_says_how_to_see_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "--help"])
    assert ended.value.code == 0
    flags = set(re.findall(r"^  (?:-h, )?--([a-z0-9_.-]+)", capsys.readouterr().out, re.MULTILINE))
    assert flags == {"help", "help-all", "config", *(flag[2:] for flag in SHORT_FLAGS), *SHOWN}


def test_every_short_flag_is_a_setting() -> None:
    keys = {setting.key for setting in config.settings()}
    assert {*SHORT_FLAGS.values(), *SHOWN} <= keys


@pytest.mark.parametrize("name", cli.names())
def test_every_command_is_one_file_with_help_examples_arguments_and_run(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = cli.load(name)
    assert command.HELP.endswith(".")
    assert f"edgepose {name}" in command.EXAMPLES
    assert list(inspect.signature(command.run).parameters) == ["args"]
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert command.EXAMPLES in shown
    assert main([]) == 0
    assert re.search(rf"^    {name}( |$)", capsys.readouterr().out, re.MULTILINE)


def test_a_folder_of_pictures_becomes_a_line_of_json_each() -> None:
    done = edgepose("run", "--source", str(PICTURES))
    assert done.returncode == 0, done.stderr
    messages = [wire.decode(line.encode()) for line in done.stdout.splitlines()]
    assert [message.source for message in messages] == ["astronaut.jpg", "camera.jpg"]
    assert all(len(message.people) == 1 for message in messages)


def test_a_video_gives_every_frame_and_an_overlay(tmp_path: Path) -> None:
    write_video(tmp_path / "walk.avi", 30)
    done = edgepose("run", "--source", "walk.avi", "--jsonl", "poses.jsonl", "--overlay", "seen.avi", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    messages = [json.loads(line) for line in (tmp_path / "poses.jsonl").read_text().splitlines()]
    assert [message["seq"] for message in messages] == list(range(30))
    assert messages[25]["media_s"] == pytest.approx(1.0, abs=0.01)
    video = cv2.VideoCapture(str(tmp_path / "seen.avi"))
    assert (video.get(cv2.CAP_PROP_FRAME_COUNT), video.get(cv2.CAP_PROP_FRAME_WIDTH)) == (30, 320)
    video.release()


def test_settings_come_from_the_file_in_this_folder_and_flags_go_first(tmp_path: Path) -> None:
    (tmp_path / "edgepose.toml").write_text('camera = "door"\ndevice = "pi"\n')
    done = edgepose("run", "--source", str(PICTURES / "camera.jpg"), "--camera", "gate", cwd=tmp_path)
    message = wire.decode(done.stdout.encode())
    assert (message.device, message.camera) == ("pi", "gate")
    assert "settings from ./edgepose.toml" in done.stderr


def test_the_printed_config_is_in_force_and_loads_back(tmp_path: Path) -> None:
    done = edgepose("config", "--engine.threads", "3", "--source", "0")
    path = tmp_path / "edgepose.toml"
    path.write_text(done.stdout)
    assert config.load(path) == config.load(None, {"engine.threads": 3, "source.uri": "0"})


REFUSED = {
    "no command of that name": (["walk"], 2, "walk"),
    "unknown flag": (["run", "--engine.thread", "2"], 2, "did you mean --engine.threads?"),
    "value out of range": (["run", "--engine.threads", "900"], 78, "engine.threads is 900, expected int <= 64"),
    "no source": (["run"], 78, "source"),
    "missing source": (["run", "--source", "no/such.jpg"], 78, "no/such.jpg"),
    "missing settings file": (["run", "--config", "none.toml"], 78, "none.toml: no such file"),
    "unknown model": (["run", "--source", "x", "--model", "movenet"], 78, "there are: "),
    "broker without scheme": (["run", "--source", str(PICTURES), "--broker", "http://x"], 78, "mqtt://"),
    "model to show": (["models", "show"], 78, "edgepose models show NAME"),
}


@pytest.mark.parametrize(("args", "code", "says"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_work_is_one_line_and_an_exit_code(args: list[str], code: int, says: str, tmp_path: Path) -> None:
    done = edgepose(*args, cwd=tmp_path)
    assert done.returncode == code
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("edgepose")
    assert says in last
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_unreadable_picture_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").write_bytes(b"")
    done = edgepose("run", "--source", str(tmp_path / "empty.jpg"))
    assert done.returncode == 1
    assert "empty.jpg" in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_full_disk_under_the_json_lines_is_told() -> None:
    done = edgepose("run", "--source", str(PICTURES), "--jsonl", "/dev/full")
    assert done.returncode == 1
    assert "/dev/full" in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_ends_the_run_quietly(tmp_path: Path) -> None:
    write_video(tmp_path / "walk.avi", 60)
    command = " ".join((*EDGEPOSE, "run", "--source", str(tmp_path / "walk.avi"), "| head -n 1"))
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_cleanly_with_whole_lines(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [*EDGEPOSE, "run", "--source", str(PICTURES), "--source.loop", "--jsonl", str(tmp_path / "poses.jsonl")],
        stderr=subprocess.PIPE, text=True,
    ) as run:  # fmt: skip
        until = time.monotonic() + 60
        while not (tmp_path / "poses.jsonl").exists() or (tmp_path / "poses.jsonl").stat().st_size == 0:
            assert time.monotonic() < until
            time.sleep(0.05)
        run.send_signal(number)
        _, told = run.communicate(timeout=30)
    assert run.returncode == 0, told
    assert "done:" in told
    assert "Traceback" not in told
    for line in (tmp_path / "poses.jsonl").read_bytes().splitlines():
        wire.decode(line)


def test_a_second_signal_ends_the_process_at_once_without_a_crash(tmp_path: Path) -> None:
    hangs = (
        "import sys, time, edgepose.sink.jsonl as jsonl\n"
        "def hang(self, *_): print('hangs', file=sys.stderr, flush=True); time.sleep(60)\n"
        "jsonl.JsonlSink.write = hang\n"
        "from edgepose.commands.cli import main\n"
        "sys.exit(main())\n"
    )
    words = ["run", "--source", str(PICTURES), "--source.loop", "--jsonl", str(tmp_path / "poses.jsonl")]
    with subprocess.Popen([sys.executable, "-c", hangs, *words], stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        for waits_for in ("hangs", "once more to stop at once"):
            assert any(waits_for in line for line in run.stderr)
            run.send_signal(signal.SIGINT)
        _, told = run.communicate(timeout=30)
    assert run.returncode == 130, told
    assert "Traceback" not in told


@pytest.mark.slow
def test_a_recording_of_which_nothing_reached_the_broker_is_a_failure() -> None:
    done = subprocess.run(
        [*EDGEPOSE, "run", "--source", str(PICTURES), "--broker", "mqtt://127.0.0.1:1"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert "2 poses were not delivered" in done.stderr


def test_models_are_listed_shown_and_verified(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    assert "movenet_lightning_192" in capsys.readouterr().out
    assert main(["models", "show", "movenet_lightning_192"]) == 0
    shown = capsys.readouterr().out
    for part in ("sha256", "Apache-2.0", "heatmap", "192x192", "real = (raw - "):
        assert part in shown
    assert main(["models", "verify", "movenet_lightning_192"]) == 0
    assert capsys.readouterr().out.startswith("ok ")


def test_a_damaged_model_fails_verification(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from edgepose.engine.zoo import shipped_dir

    for suffix in (".toml", ".tflite"):
        content = (shipped_dir() / f"movenet_lightning_192{suffix}").read_bytes()
        (tmp_path / f"movenet_lightning_192{suffix}").write_bytes(content[: -1 if suffix == ".tflite" else None])
    assert main(["models", "verify", str(tmp_path / "movenet_lightning_192.toml")]) == 78
    assert "sha256" in capsys.readouterr().out


def test_the_parser_offers_what_the_readme_names() -> None:
    shipped = {"run", "demo", "models", "kernels", "doctor", "eval", "bench", "config", "replay", "export", "status"}
    assert set(cli.names()) >= shipped | {"top", "schema"}


def test_messages_are_plain_json() -> None:
    done = edgepose("run", "--source", str(PICTURES / "camera.jpg"))
    message = msgspec.json.decode(done.stdout)
    (person,) = message["people"]
    assert len(person["keypoints"]) == len(message["joints"]) == 17
    assert person["id"] is None
    for joint in person["keypoints"]:
        assert joint is None or (len(joint) == 3 and joint[:2] != [0, 0])


def test_a_settings_file_is_written_and_one_that_exists_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "edgepose.toml"
    assert main(["config", "--write", str(path), "--engine.threads", "3"]) == 0
    assert config.load(path).engine.threads == 3
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    assert main(["config", "--write", str(path)]) == 78
    assert path.read_bytes() == before
    assert f"--write {path}: exists, and stays as it is" in capsys.readouterr().err


def test_pictures_without_a_flag_are_read_one_after_another(tmp_path: Path) -> None:
    pictures = [str(PICTURES / "camera.jpg"), str(PICTURES / "astronaut.jpg")]
    assert main(["run", *pictures, "--model", SMALL, "--jsonl", str(tmp_path / "a.jsonl")]) == 0
    assert main(["run", f"{PICTURES}/*.jpg", "--model", SMALL, "--jsonl", str(tmp_path / "b.jsonl")]) == 0

    lines = [(tmp_path / name).read_bytes().splitlines() for name in ("a.jsonl", "b.jsonl")]
    told = [[wire.decode(line).source for line in each] for each in lines]
    assert told == [["camera.jpg", "astronaut.jpg"], ["astronaut.jpg", "camera.jpg"]]


def test_lines_of_an_earlier_run_go_with_overwrite(tmp_path: Path) -> None:
    words = [
        "run",
        str(PICTURES / "camera.jpg"),
        "--model",
        "movenet_lightning_192",
        "--jsonl",
        str(tmp_path / "a.jsonl"),
    ]
    counts = []
    for more in ([], [], ["--overwrite"]):
        assert main([*words, *more]) == 0
        counts.append(len((tmp_path / "a.jsonl").read_bytes().splitlines()))
    assert counts == [1, 2, 1]


def test_a_recording_of_another_name_is_questioned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.txt"
    assert main(["run", str(PICTURES / "camera.jpg"), "--model", SMALL, "--record", str(path)]) == 0
    assert f"sink.record.path {path}: recordings are called .epr" in capsys.readouterr().err


def test_drawn_pictures_do_not_replace_those_they_are_drawn_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = (PICTURES / "camera.jpg").read_bytes()
    for name in ("a.jpg", "a_poses.jpg"):
        (tmp_path / name).write_bytes(picture)
    words = ["--model", SMALL, "--overlay", str(tmp_path)]
    assert main(["run", str(tmp_path / "a.jpg"), str(tmp_path / "a_poses.jpg"), *words]) == 78
    assert "a picture drawn there may replace source.also" in capsys.readouterr().err
    assert main(["run", str(tmp_path / "a*.jpg"), *words]) == 78
    assert (tmp_path / "a_poses.jpg").read_bytes() == picture


@pytest.mark.parametrize(("rotate", "turn"), [(90, cv2.ROTATE_90_COUNTERCLOCKWISE), (180, cv2.ROTATE_180)])
def test_coordinates_and_overlays_of_a_turned_picture_are_those_of_an_upright_one(
    tmp_path: Path, rotate: int, turn: int
) -> None:
    picture = cv2.imread(str(PICTURES / "camera.jpg"))
    assert picture is not None
    for folder, image in {"upright": picture, "turned": cv2.rotate(picture, turn)}.items():
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "a.png"), image)
    for folder, words in {"upright": [], "turned": ["--source.rotate", str(rotate)]}.items():
        at = tmp_path / folder
        words += ["--model", SMALL, "--jsonl", str(at / "a.jsonl"), "--overlay", str(at / "drawn")]
        assert main(["run", str(at / "a.png"), *words]) == 0

    upright, turned = (tmp_path / folder for folder in ("upright", "turned"))
    assert (turned / "a.jsonl").read_bytes() == (upright / "a.jsonl").read_bytes()
    drawn = Path("drawn", "a_poses.jpg")
    assert (turned / drawn).read_bytes() == (upright / drawn).read_bytes()


def test_a_recording_that_could_not_be_made_beside_other_lines_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", SMALL, "--jsonl", str(tmp_path / "a.jsonl"), "--record", str(tmp_path / "usb" / "a.epr")]
    assert main(["run", str(PICTURES / "camera.jpg"), *words]) == 1
    assert len((tmp_path / "a.jsonl").read_bytes().splitlines()) == 1
    assert "1 poses were not delivered; the warnings above say why" in capsys.readouterr().err


def test_a_mistyped_command_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["rnu"])
    assert ended.value.code == 2
    assert "there is no command 'rnu'; did you mean run?" in capsys.readouterr().err


def test_a_mistyped_pair_is_answered_with_the_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", str(PICTURES / "camera.jpg"), "--model", "lite"]) == 78
    said = capsys.readouterr().err
    assert "did you mean light? there are: pairs default, landscape, best, light" in said


def test_more_threads_than_cores_are_questioned(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert (
        cli.main(["run", str(PICTURES / "camera.jpg"), "--model", "movenet_lightning_192", "--engine.threads", "3"])
        == 0
    )
    assert "engine.threads is 3, and this board has 2 cores" in capsys.readouterr().err
