"""What a run records, replayed: the same bytes."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.commands import cli
from edgepose.core import config
from edgepose.core.errors import ConfigError, SourceError
from edgepose.core.poses import Frame, Poses, Skeleton
from edgepose.estimate import open_estimate
from edgepose.pipeline import build, publish
from edgepose.pipeline.replay.play import Plan, Replay, named_by, places, within
from edgepose.pipeline.replay.source import ReplaySource
from edgepose.service.signals import stops
from edgepose.sink import MemorySink, open_sinks
from edgepose.source import ListSource
from edgepose.wire.recording import Kept, Writer, read, text_of
from samples.people import poses
from tests.helpers.broker import Broker, Subscriber, wait_until
from tests.test_recording import OWN, session

PICTURES = Path(__file__).resolve().parents[1] / "edgepose" / "lab" / "demo" / "pictures"
Image = NDArray[np.uint8]


def moving(frames: int) -> list[Image]:
    """The astronaut, who drifts through the picture and is away for a while in the middle."""
    whole = np.asarray(cv2.imread(str(PICTURES / "astronaut.jpg"), cv2.IMREAD_COLOR), np.uint8)
    height, width = whole.shape[:2]
    cut = []
    for at in range(frames):
        x = round(at * (width // 5) / frames)
        image = np.ascontiguousarray(whole[: height // 2, x : x + width // 5 * 4 // 2 * 2])
        cut.append(image if not frames // 2 <= at < frames // 2 + 3 else np.zeros_like(image))
    return cut


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "walk.avi"
    frames = moving(30)
    out = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 15.0, frames[0].shape[1::-1])
    for image in frames:
        out.write(image)
    out.release()
    return path


def edgepose(*words: str | Path) -> int:
    return cli.main([*map(str, words), "--decode.kernels", "numpy", "--device", "board"])


@pytest.fixture(scope="module")
def recorded(video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """walk.epr and walk.jsonl of the same run."""
    folder = tmp_path_factory.mktemp("recorded")
    code = edgepose(
        "run", "--source", video, "--model", "light", "--record", folder / "walk.epr", "--jsonl", folder / "walk.jsonl",
    )  # fmt: skip
    assert code == 0
    return folder


def test_a_replayed_video_is_the_same_bytes_each_time_as_the_run_that_was_recorded(
    recorded: Path, tmp_path: Path
) -> None:
    live = (recorded / "walk.jsonl").read_bytes()
    assert live.count(b'"id":1') > 10
    for run in ("one", "two"):
        assert edgepose("replay", recorded / "walk.epr", "--speed", "0", "--jsonl", tmp_path / run) == 0
        assert (tmp_path / run).read_bytes() == live


def test_other_filters_tell_other_joints_and_the_same_people(recorded: Path, tmp_path: Path) -> None:
    edgepose("replay", recorded / "walk.epr", "--speed", "0", "--jsonl", tmp_path / "a", "--smooth.preset", "strong")
    edgepose("replay", recorded / "walk.epr", "--speed", "0", "--jsonl", tmp_path / "b", "--smooth.preset", "strong",
             "--as_recorded")  # fmt: skip
    live = (recorded / "walk.jsonl").read_bytes()
    assert (tmp_path / "a").read_bytes() != live
    assert (tmp_path / "b").read_bytes() == live
    ids = [[[one["id"] for one in json.loads(line)["people"]] for line in text.splitlines()]
           for text in (live, (tmp_path / "a").read_bytes())]  # fmt: skip
    assert ids[0] == ids[1]


def test_pictures_of_a_folder_replay_to_the_same_bytes(tmp_path: Path) -> None:
    edgepose("run", "--source", PICTURES, "--model", "light", "--record", tmp_path / "a.epr", "--jsonl", tmp_path / "a")
    edgepose("replay", tmp_path / "a.epr", "--jsonl", tmp_path / "b", "--speed", "0")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes().count(b'"source":"astronaut.jpg"') == 1


def test_runs_appended_to_one_file_replay_as_the_lines_they_appended(video: Path, tmp_path: Path) -> None:
    for source in (video, PICTURES):
        edgepose("run", "--source", source, "--model", "light", "--record", tmp_path / "a.epr", "--jsonl",
                 tmp_path / "a")  # fmt: skip
    edgepose("replay", tmp_path / "a.epr", "--jsonl", tmp_path / "b", "--speed", "0")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_predicted_joints_replay_to_the_same_bytes(video: Path, tmp_path: Path) -> None:
    edgepose("run", "--source", video, "--model", "light", "--record", tmp_path / "a.epr", "--jsonl", tmp_path / "a",
             "--smooth.predict", "fixed", "--smooth.predict_ms", "80")  # fmt: skip
    edgepose("replay", tmp_path / "a.epr", "--jsonl", tmp_path / "b", "--speed", "0", "--as_recorded")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert b'"predicted_ms":80.0' in (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("live", [True, False], ids=["camera", "file"])
def test_a_run_that_changed_its_model_replays_to_the_same_lines(
    live: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "LIVE_AHEAD", 1000)
    words = {
        "device": "board", "engine.model": "light", "decode.kernels": "numpy",
        "sink.jsonl.path": str(tmp_path / "live"), "sink.record.path": str(tmp_path / "a.epr"),
    }  # fmt: skip
    other = config.load(None, {**words, "engine.model": "movenet_lightning_192"})
    with build(config.load(None, words), source=ListSource(moving(10), live=live)) as run:

        def watch(told: Poses, _: Frame) -> None:
            if told.seq == 3:
                run.control.ask(lambda: run.change(other, open_estimate(other)))

        run.run(watch)
    assert len({kept.session.started for kept in read(tmp_path / "a.epr")}) == 2
    edgepose("replay", tmp_path / "a.epr", "--jsonl", tmp_path / "again", "--speed", "0")
    assert without_age((tmp_path / "live").read_bytes()) == (tmp_path / "again").read_bytes()


def without_age(lines: bytes) -> bytes:
    return re.sub(rb'"age_ms":[0-9.]+,', b"", lines)


def test_a_camera_replays_to_the_same_lines_but_for_their_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "LIVE_AHEAD", 1000)  # none is overtaken, however busy this machine is
    cfg = config.load(
        None,
        {
            "device": "board", "engine.model": "light", "decode.kernels": "numpy",
            "sink.jsonl.path": str(tmp_path / "live"), "sink.record.path": str(tmp_path / "a.epr"),
        },
    )  # fmt: skip
    with build(cfg, source=ListSource(moving(12), live=True)) as run:
        run.run()
        assert run.counts["unrecorded"] == 0
    edgepose("replay", tmp_path / "a.epr", "--jsonl", tmp_path / "again", "--speed", "0")
    live = (tmp_path / "live").read_bytes()
    without = without_age(live)
    assert without != live
    assert without.count(b'"captured":"20') == 12
    assert without == (tmp_path / "again").read_bytes()


@pytest.mark.parametrize("people", ["1", "6"])
def test_raw_heads_decode_anew_to_the_same(people: str, video: Path, tmp_path: Path) -> None:
    """Also where a crop follows the one person."""
    words = ("--decode.max_people", people)
    edgepose("run", "--source", video, "--model", "movenet_lightning_192", "--record", tmp_path / "a.epr",
             "--sink.record.heads", "--jsonl", tmp_path / "a", *words)  # fmt: skip
    edgepose("replay", tmp_path / "a.epr", "--decode", "--speed", "0", "--jsonl", tmp_path / "b", *words)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    edgepose("replay", tmp_path / "a.epr", "--speed", "0", "--jsonl", tmp_path / "c", *words)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "c").read_bytes()


def test_raw_heads_decoded_by_other_settings_tell_what_a_run_with_these_tells(video: Path, tmp_path: Path) -> None:
    run = ("run", "--source", video, "--model", "movenet_lightning_192", "--estimate.crops", "false")
    other = ("--decode.min_joint_score", "0.6")
    edgepose(*run, "--record", tmp_path / "a.epr", "--sink.record.heads")
    edgepose(*run, "--jsonl", tmp_path / "a", *other)
    edgepose("replay", tmp_path / "a.epr", "--decode", "--speed", "0", "--jsonl", tmp_path / "b", *other,
             "--estimate.crops", "false")  # fmt: skip
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert b"null" in (tmp_path / "a").read_bytes()


def test_an_overlay_of_a_replay_is_drawn_on_black_of_the_frames_size(recorded: Path, tmp_path: Path) -> None:
    edgepose("replay", recorded / "walk.epr", "--speed", "0", "--from", "0.2", "--to", "0.8", "--overlay", tmp_path)
    pictures = sorted(tmp_path.iterdir())
    assert [path.name for path in pictures] == [f"walk_{seq:06d}_poses.jpg" for seq in range(3, 13)]
    images = [cv2.imread(str(picture), cv2.IMREAD_COLOR) for picture in pictures]
    drawn = [float((image.max(axis=2) > 60).mean()) for image in images if image is not None]
    assert {image.shape for image in images if image is not None} == {moving(30)[0].shape}
    assert 0 < max(drawn) < 0.3, "the person is believed within these frames"


def test_recording_alone_writes_no_lines(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert edgepose("run", "--source", PICTURES, "--model", "light", "--record", tmp_path / "a.epr") == 0
    assert capfd.readouterr().out == ""
    assert len(list(read(tmp_path / "a.epr"))) == 2


def test_a_settings_file_that_records_does_not_record_the_replay(
    recorded: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    edgepose("replay", recorded / "walk.epr", "--speed", "0", "--record", tmp_path / "again.epr")
    assert not (tmp_path / "again.epr").exists()
    assert capfd.readouterr().out.count("\n") == 30  # JSON lines, as a run without a destination writes them


def test_no_address_no_password_and_no_picture_is_in_the_file(tmp_path: Path) -> None:
    words = {
        "source.uri": str(tmp_path / "hidden-folder" / "a.png"), "sink.mqtt.username": "hidden-user",
        "sink.mqtt.password_file": "/hidden-password", "sink.mqtt.topic": "hidden-topic",
        "sink.record.path": str(tmp_path / "a.epr"), "sink.jsonl.path": str(tmp_path / "hidden-lines"),
        "engine.model": "light", "decode.kernels": "numpy",
    }  # fmt: skip
    (tmp_path / "hidden-folder").mkdir()
    image = moving(30)[0]
    cv2.imwrite(words["source.uri"], image)
    with build(config.load(None, words)) as run:
        run.run()
    (kept,) = read(tmp_path / "a.epr")
    assert "hidden" not in str(kept)
    assert kept.poses.name == "a.png"
    assert (tmp_path / "a.epr").stat().st_size < 6000 < image.nbytes / 50


def test_a_full_disk_does_not_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.pwrite", full)
    memory = MemorySink()
    cfg = config.load(None, {"engine.model": "light", "decode.kernels": "numpy",
                             "sink.record.path": str(tmp_path / "a.epr")})  # fmt: skip
    run = build(cfg, source=ListSource(moving(4), live=True), sinks=[memory])
    with run:
        run.run()
    assert run.counts["unrecorded"] == 4
    assert len(memory.poses) == 4
    assert (tmp_path / "a.epr").stat().st_size == 0


# ------------------------------------------------------------------------------------------------ made by hand


def walk(skeleton: Skeleton, frames: int, *, start_t: float = 10.0, first_seq: int = 0) -> Iterator[Poses]:
    """Somebody with a third coordinate who goes to the right."""
    joints = len(skeleton.joints)
    place = np.stack((np.arange(joints) * 9.0, np.arange(joints) * 14.0), 1)
    for at in range(frames):
        t = start_t + at / 10
        yield poses(
            1, t=t, taken_t=t, seq=first_seq + at, skeleton=skeleton,
            xy=(place + np.array((50 + 4 * at, 60)))[None].astype(np.float32),
            score=np.full((1, joints), 0.8, np.float32), xyz=np.full((1, joints, 3), at / 7, np.float32),
        )  # fmt: skip


def file_of(path: Path, *parts: tuple[dict[str, Any], Iterator[Poses]]) -> Path:
    made = Writer(path, wait=True)
    for fields, frames in parts:
        made.begin(session(**fields))
        for one in frames:
            made.add(one, 1e9)
    made.close()
    return path


def played(path: Path, **plan: Any) -> list[Poses]:
    memory = MemorySink()
    cfg = config.load(None, {"decode.kernels": "numpy"})
    with read(path) as recording:
        Replay(recording, cfg, [memory], Plan(**plan)).run()
    assert not memory.closed
    return list(memory.poses)


def test_a_skeleton_of_ones_own_and_the_third_coordinate_go_through_tracker_and_smoother(tmp_path: Path) -> None:
    told = played(file_of(tmp_path / "a.epr", ({"skeleton": text_of(OWN)}, walk(OWN, 12))))
    assert [one.seq for one in told] == list(range(12))
    assert {one.skeleton for one in told} == {OWN}
    assert told[-1].track_id.tolist() == [1]
    assert told[-1].xyz is not None
    assert 1.0 < told[-1].xyz[0, 0, 0] <= 11 / 7 + 1e-6
    assert told[-1].taken_wall == 1e9 + told[-1].t


def test_each_run_begins_its_ids_anew_and_a_run_with_another_model_goes_on(tmp_path: Path) -> None:
    path = file_of(
        tmp_path / "a.epr",
        ({"started": 1.0}, walk(poses().skeleton, 5)),
        ({"started": 2.0, "continues": True}, walk(poses().skeleton, 5, start_t=10.5, first_seq=5)),
        ({"started": 3.0}, walk(poses().skeleton, 5, start_t=2.0)),
    )
    told = played(path)
    assert [one.entered for one in told if one.entered] == [(1,), (1,)]
    assert told[9].track_id.tolist() == [1]
    assert [one.left for one in told if one.left] == []


def test_places_count_on_from_run_to_run() -> None:
    runs = [session(started=1.0), session(started=2.0), session(started=3.0, continues=True)]
    kept = [Kept(runs[run], poses(0, t=t)) for run, t in ((0, 7.0), (0, 8.0), (1, 100.0), (1, 101.5), (2, 102.0))]
    assert [place for place, _ in places(kept)] == [0.0, 1.0, 1.0, 2.5, 3.0]
    assert [place for place, _ in within(places(kept), Plan(from_s=1.0, to_s=2.5))] == [1.0, 1.0, 2.5]


def test_a_window_is_played_alone(tmp_path: Path) -> None:
    path = file_of(tmp_path / "a.epr", ({}, walk(poses().skeleton, 20)))
    assert [one.seq for one in played(path, from_s=0.45, to_s=0.75)] == [5, 6, 7]
    with pytest.raises(SourceError, match="no frames"):
        played(path, from_s=100.0)


def test_a_replay_waits_as_long_as_it_took_and_hears_when_it_is_closed() -> None:
    waits: list[str] = []
    source = ReplaySource([(0.0, Kept(session(), poses())), (1e6, Kept(session(), poses()))], still=False, speed=1.0)
    frames = source.each(waits.append)
    next(frames)
    threading.Timer(0.05, source.close).start()
    assert list(frames) == []
    assert waits


def test_twice_the_speed_waits_half_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    due: list[float] = []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    frames = [(at / 4, Kept(session(), poses())) for at in range(4)]
    source = ReplaySource(frames, still=False, speed=2.0)
    monkeypatch.setattr(source, "_wait_until", lambda due_t: due.append(due_t))
    list(source)
    assert [b - a for a, b in pairwise(due)] == [0.125] * 3


def test_a_frame_of_any_size_takes_no_memory() -> None:
    (frame,) = ReplaySource([(0.0, Kept(session(), poses(0, size_wh=(1 << 20, 1 << 20))))], still=False)
    assert frame.size_wh == (1 << 20, 1 << 20)


def test_the_first_signal_ends_a_replay_after_the_frame_it_is_at(tmp_path: Path) -> None:
    path = file_of(tmp_path / "a.epr", ({}, walk(poses().skeleton, 3)), ({"started": 2.0}, walk(poses().skeleton, 3)))
    seen: list[int] = []

    def watch(told: Poses, _: Frame) -> None:
        seen.append(told.seq)
        if len(seen) == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with read(path) as recording:
        replay = Replay(recording, config.load(None, {"decode.kernels": "numpy"}), [MemorySink()], Plan(speed=0.02))
        with stops(replay.stop):
            replay.run(watch)
    assert len(seen) < 6


def test_the_recordings_names_are_told_where_the_settings_have_none() -> None:
    then = session(device="attic", camera="north")
    named = named_by(config.Config(), then)
    assert (named.device_name, named.camera) == ("attic", "north")
    named = named_by(msgspec.structs.replace(config.Config(), device="here", camera="south"), then)
    assert (named.device_name, named.camera) == ("here", "south")


WRONG: dict[str, tuple[list[str], int, str]] = {
    "no such file": (["none.epr"], 1, "No such file"),
    "no recording": (["text.epr"], 1, "no recording"),
    "nothing in it": (["empty.epr"], 1, "no frames"),
    "torn": (["torn.epr"], 1, "never finished"),
    "no heads": (["walk.epr", "--decode"], 78, "no raw heads"),
    "ends before it starts": (["walk.epr", "--from", "3", "--to", "2"], 78, "before"),
    "odd speed": (["walk.epr", "--speed", "-1"], 2, "from 0 up"),
}


@pytest.mark.parametrize(("words", "code", "says"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_played_is_told_in_a_line(
    words: list[str], code: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("text.epr").write_text("hello, this is text")
    whole = file_of(Path("walk.epr"), ({}, walk(poses().skeleton, 3))).read_bytes()
    Path("empty.epr").write_bytes(whole[:8])
    Path("torn.epr").write_bytes(whole[:50])
    if code == 2:
        with pytest.raises(SystemExit, match="2"):
            edgepose("replay", *words)
    else:
        assert edgepose("replay", *words, "--speed", "0", "--jsonl", os.devnull) == code
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error


def test_raw_heads_of_a_pair_are_refused_in_a_line(tmp_path: Path) -> None:
    cfg = config.load(
        None,
        {
            "engine.model": "movenet_multipose_192x256+movenet_lightning_192", "decode.kernels": "numpy",
            "sink.record.path": str(tmp_path / "a.epr"), "sink.record.heads": True,
        },
    )  # fmt: skip
    with pytest.raises(ConfigError, match="single model"):
        build(cfg, source=ListSource([]), sinks=[])
    assert not (tmp_path / "a.epr").exists()


def test_no_sink_is_opened_for_a_recording_alone() -> None:
    cfg = config.load(None, {"sink.record.path": "a.epr"})
    assert open_sinks(cfg, live=True) == []


def test_a_replay_tells_a_broker_who_is_present_and_how_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.epr"
    words = {"device": "board", "engine.model": "light", "decode.kernels": "numpy", "sink.record.path": str(path)}
    with build(config.load(None, words), source=ListSource(moving(10), live=True), sinks=[]) as run:
        run.run()
    with Broker(tmp_path) as broker, Subscriber(broker.port) as seen:
        edgepose("replay", path, "--broker", broker.url, "--sink.mqtt.spool", tmp_path, "--speed", "0.2")
        wait_until(lambda: any(b'"stopping"' in payload for payload in seen.payloads("/status")), "the last status")
        # at its end a recording clears what the broker keeps of it: empty payloads
        states = [json.loads(payload)["state"] for payload in seen.payloads("/status") if payload]
        people = [json.loads(payload)["people"] for payload in seen.payloads("/presence") if payload]
    assert {"running", "stopping"} <= set(states)
    assert 1 in people
    assert people[-1] is None
