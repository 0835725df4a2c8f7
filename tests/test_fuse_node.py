"""`edgepose fuse` over a real mosquitto: devices of both wire forms become one more device, in metres."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import edgepose
from edgepose import wire
from edgepose.core.poses import COCO17, MPII16
from edgepose.lift.fuse import PlacedCamera, read_calibration
from edgepose.pipeline.fuse.clocks import Clocks
from edgepose.pipeline.fuse.messages import read
from edgepose.wire import binary
from samples.people import poses
from samples.shared import shared
from tests.helpers.broker import Broker, Subscriber, wait_until
from tests.test_fuse import RING, UPRIGHT, pose2sim, seen

WALL = 1_790_000_000.25


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("broker")) as running:
        yield running


# ------------------------------------------------------------------------------------------------ messages read back


@pytest.mark.parametrize("form", ["json", "binary"])
def test_both_forms_read_back_as_the_poses_they_were(form: str) -> None:
    made = seen(RING[0], [UPRIGHT, UPRIGHT + np.array((1, 0, 0))], 2.0, ids=[4, 9])
    made.xy[0, 3], made.score[0, 3] = np.nan, 0
    args = (2.5, WALL + 0.5)
    heard = read(wire.encode(made, "pi", "camera", *args) if form == "json" else binary.encode(made, *args))
    assert heard.taken_s == pytest.approx(WALL, abs=1e-4)
    assert heard.poses.track_id.tolist() == [4, 9]
    np.testing.assert_allclose(heard.poses.xy, made.xy, atol=0.06)
    np.testing.assert_allclose(heard.poses.score, made.score, atol=0.003)


WRONG = {
    "nothing": b"",
    "no message": b"{}",
    "without a time": wire.encode(poses(1), "pi", "camera"),
    "binary without a time": binary.encode(poses(1)),
    "cut off": binary.encode(poses(1), 2.5, WALL)[:-3],
    "another skeleton": wire.encode(
        replace(poses(1), skeleton=MPII16, xy=np.zeros((1, 16, 2), np.float32), score=np.ones((1, 16), np.float32)),
        "pi", "camera", 2.5, WALL,
    ),
}  # fmt: skip


@pytest.mark.parametrize("payload", WRONG.values(), ids=WRONG)
def test_what_cannot_be_fused_is_a_value_error(payload: bytes) -> None:
    with pytest.raises(ValueError, match="message"):
        read(payload)


# ------------------------------------------------------------------------------------------------ clocks

DELAYS: dict[str, tuple[dict[str, float], dict[str, str]]] = {
    "alike": ({"a": 0.02, "b": 0.05, "c": 0.03}, {}),
    "all of yesterday": ({"a": 86400.02, "b": 86400.05, "c": 86400.03}, {}),
    "one is behind": ({"a": 0.02, "b": 1.05, "c": 0.03}, {"b": "later than the others' by 1.0 s"}),
    "one is ahead": ({"a": 0.02, "b": -0.95, "c": 0.03}, {"b": "before the others' by 1.0 s"}),
    "one of two is ahead": ({"a": 0.02, "b": -0.95}, {"a": "later", "b": "before"}),
    "this machine is behind": ({"a": -3.0, "b": -3.01, "c": -3.0}, {}),
    "one alone": ({"a": -3.0}, {}),
}


@pytest.mark.parametrize(("delay", "says"), DELAYS.values(), ids=DELAYS)
def test_a_clock_that_is_not_like_the_others_is_named(delay: dict[str, float], says: dict[str, str]) -> None:
    clocks, random = Clocks("abc"), np.random.default_rng(0)
    usable = dict.fromkeys(delay, True)
    for frame in range(300):
        for name, least in delay.items():
            jitter = random.exponential(0.02) * (frame % 5 > 0)
            usable[name] = clocks.heard(name, 1000 + frame / 30 - least - jitter, 1000 + frame / 30)
    assert {line.split(":")[0][-1]: line for line in clocks.troubles}.keys() == says.keys()
    for line, what in zip(clocks.troubles, says.values(), strict=True):
        assert what in line
    assert [name for name, kept in usable.items() if not kept] == [
        name for name in says if delay[name] < 0
    ]  # none but one ahead


# ------------------------------------------------------------------------------------------------ the node


def test_four_devices_become_one_room(broker: Broker, tmp_path: Path) -> None:
    (tmp_path / "Calib.toml").write_text(pose2sim())
    command = [
        sys.executable, "-m", "edgepose", "fuse", "--calibration", str(tmp_path / "Calib.toml"), "--broker", broker.url,
        "--device", "hall", "--sink.mqtt.spool", str(tmp_path), "--jsonl", str(tmp_path / "room.jsonl"),
    ]  # fmt: skip
    walker = [UPRIGHT + np.array((0.4, -0.2, 0)), UPRIGHT + np.array((-0.8, 0.9, 0))]
    with Subscriber(broker.port) as there, subprocess.Popen(command, stderr=subprocess.PIPE) as node:
        try:
            wait_until(lambda: there.payloads("hall/room/availability"), "the node is there", 30)
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline and len(there.payloads("hall/room/poses")) < 10:
                now_t, now_wall = time.monotonic(), time.time()
                for place, camera in enumerate(RING):
                    made = replace(seen(camera, walker, now_t), seq=place)
                    form = binary.encode(made, now_t, now_wall) if place % 2 else wire.encode(
                        made, f"cam{place}", "camera", now_t, now_wall)  # fmt: skip
                    there.publish(f"edgepose/cam{place}/camera/poses", form)
                time.sleep(0.03)
            there.publish("edgepose/cam0/camera/poses", b"\xff not a message")
            node.send_signal(signal.SIGTERM)
            said = node.communicate(timeout=20)[1].decode()
        finally:
            node.kill()
        found = [wire.decode(payload) for payload in there.payloads("hall/room/poses")]
        presence = there.payloads("hall/room/presence")
    assert node.returncode == 0, said
    assert len(found) >= 10
    last = found[-1]
    assert (last.device, last.camera, last.space, last.frame) == ("hall", "room", "triangulated", "world")
    assert sorted(person.id or 0 for person in last.people) == [1, 2]
    for person, truth in zip(
        sorted(last.people, key=lambda one: one.id or 0), sorted_by_id(found, walker), strict=True
    ):
        assert person.xyz is not None
        assert person.root is not None
        places = np.array(person.xyz, float) + person.root[:3]
        assert np.abs(places - truth).max() < 0.02
    assert last.size_wh == RING[0].camera.size_wh
    assert last.skeleton == COCO17.name
    assert any(json.loads(payload)["people"] == 2 for payload in presence)
    assert (tmp_path / "room.jsonl").read_text().count('"space":"triangulated"') >= 5  # the newest wins


FRAMES = 24


def test_four_real_videos_played_as_four_devices_become_the_people_in_them(broker: Broker, tmp_path: Path) -> None:
    folder = shared("data/multiview/beam_4cam")
    cameras = read_calibration(folder / "Calib.qca.txt")
    films = [
        list(islice(edgepose.watch(folder / f"{camera.name}.mp4", model="light", threads=1), FRAMES))
        for camera in cameras
    ]
    command = [
        sys.executable, "-m", "edgepose", "fuse", "--calibration", str(folder / "Calib.qca.txt"), "--broker",
        broker.url, "--device", "beam", "--sink.mqtt.spool", str(tmp_path),
    ]  # fmt: skip
    with Subscriber(broker.port) as there, subprocess.Popen(command, stderr=subprocess.PIPE) as node:
        try:
            wait_until(lambda: there.payloads("beam/room/availability"), "the node is there", 30)
            for number in range(FRAMES):
                now_t, now_wall = time.monotonic(), time.time()
                for camera, film in zip(cameras, films, strict=True):
                    made = replace(film[number], t=now_t, taken_t=now_t, seq=number, name="")
                    there.publish(
                        f"edgepose/{camera.name}/camera/poses",
                        wire.encode(made, camera.name, "camera", now_t, now_wall),
                    )
                time.sleep(1 / 30)
            wait_until(lambda: len(there.payloads("beam/room/poses")) > FRAMES // 2, "people are fused", 30)
            node.send_signal(signal.SIGTERM)
            said = node.communicate(timeout=20)[1].decode()
        finally:
            node.kill()
        found = [wire.decode(payload) for payload in there.payloads("beam/room/poses")]
    assert node.returncode == 0, said
    peopled = [message for message in found if message.people]
    assert len(peopled) > FRAMES // 3
    seen_of = Counter(person.id for message in peopled for person in message.people)
    assert len(seen_of) <= 2  # who walks, and who looks on
    ((walker, times),) = seen_of.most_common(1)
    assert times > 0.8 * len(peopled)
    off = []
    for person, seq in ((one, each.seq) for each in peopled[3:] for one in each.people if one.id == walker):
        assert person.xyz is not None
        assert person.root is not None
        places = np.array([joint or [np.nan] * 3 for joint in person.xyz]) + person.root[:3]
        assert 0.6 < places[[11, 12], 2].mean() < 1.2  # hips, metres above the floor
        for camera, film in zip(cameras, films, strict=True):
            seen_there = film[min(seq, FRAMES - 1)].xy
            if len(seen_there):
                apart = np.linalg.norm(camera.project(places) - seen_there, axis=-1)
                off.append(float(np.nanmin(np.nanmedian(apart, axis=1))))
    assert np.median(off) < 60  # pixels of 1920; the frames are not matched exactly


MODEL, MOST_FPS = "light", "15"
"""Four devices share one machine here."""
AT_ONCE = """
import sys, time
from edgepose.core import config
from edgepose.pipeline import build
path, name, broker, model, most_fps = sys.argv[1:]
cfg = config.load(None, {"source.uri": path, "source.pace": "real", "device": name, "engine.model": model,
                         "sink.mqtt.broker": broker, "engine.threads": 1, "service.max_fps": float(most_fps),
                         "sink.mqtt.spool": "."})
with build(cfg) as pipeline:
    print("ready", flush=True)
    begin_s = float(sys.stdin.readline())
    time.sleep(max(0.0, begin_s - time.time()))
    pipeline.run()
"""
"""Cameras of one room begin together, which four commands do not."""


@pytest.mark.slow
@pytest.mark.video
def test_four_real_videos_at_their_own_pace_on_four_devices_become_a_room(broker: Broker, tmp_path: Path) -> None:
    folder = shared("data/multiview/beam_4cam")
    cameras = read_calibration(folder / "Calib.qca.txt")
    (tmp_path / "device.py").write_text(AT_ONCE)
    node_command = [
        sys.executable, "-m", "edgepose", "fuse", "--calibration", str(folder / "Calib.qca.txt"), "--broker",
        broker.url, "--device", "live", "--sink.mqtt.spool", str(tmp_path),
    ]  # fmt: skip
    commands = [
        [sys.executable, "device.py", str(folder / f"{camera.name}.mp4"), camera.name, broker.url, MODEL, MOST_FPS]
        for camera in cameras
    ]
    with Subscriber(broker.port) as there, ExitStack() as running:
        node = running.enter_context(subprocess.Popen(node_command, stderr=subprocess.PIPE, text=True))
        running.callback(node.kill)
        devices = [
            running.enter_context(
                subprocess.Popen(one, cwd=tmp_path, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
            for one in commands
        ]
        for device in devices:
            running.callback(device.kill)
        wait_until(lambda: there.payloads("live/room/availability"), "the node is there", 60)
        for device in devices:
            assert device.stdout is not None
            assert device.stdout.readline() == "ready\n"
        begin_s = time.time() + 1.0
        for device in devices:
            assert device.stdin is not None
            device.stdin.write(f"{begin_s}\n")
            device.stdin.flush()
        for device in devices:
            device.communicate(timeout=120)
        wait_until(lambda: len(there.payloads("live/room/poses")) >= 5, "people are fused", 30)
        node.send_signal(signal.SIGTERM)
        said = node.communicate(timeout=20)[1]
        fused = [wire.decode(payload) for payload in there.payloads("live/room/poses")]
        seen_by = {camera.name: len(there.payloads(f"{camera.name}/camera/poses")) for camera in cameras}
    assert node.returncode == 0, said
    assert all(device.returncode == 0 for device in devices)
    numbers = told_of(fused, cameras, there)
    print("messages", seen_by, len(fused), numbers, said.splitlines()[-1])
    assert numbers["walker"] > 0.5, (numbers, said)
    assert 0.6 < numbers["hips_m"] < 1.2, numbers
    assert numbers["px"] < 60, numbers  # of 1920; what several cameras say, against each of them


def told_of(fused: list[wire.Message], cameras: tuple[PlacedCamera, ...], there: Subscriber) -> dict[str, float]:
    """Share of moments with the one who is there most, height of the hips, distance from what cameras saw then."""
    ids = Counter(person.id for message in fused for person in message.people)
    ((walker, times),) = ids.most_common(1)
    films = {
        camera.name: [decoded(payload) for payload in there.payloads(f"{camera.name}/camera/poses")]
        for camera in cameras
    }
    hips, off = [], []
    for message in fused:
        person = next((one for one in message.people if one.id == walker), None)
        if person is None or person.xyz is None or person.root is None:
            continue
        places = np.array([joint or [np.nan] * 3 for joint in person.xyz]) + person.root[:3]
        hips.append(places[[11, 12], 2].mean())
        for camera in cameras:
            then = captured_s(message)
            near = min(films[camera.name], key=lambda one: abs(one[0] - then))
            if abs(near[0] - then) < 0.03 and len(near[1]):
                apart = np.linalg.norm(camera.project(places) - near[1], axis=-1)
                off.append(float(np.nanmin(np.nanmedian(apart, axis=1))))
    kinds = Counter(person.space or message.space for message in fused for person in message.people)
    return {
        "walker": times / len(fused), "ids": len(ids), "hips_m": float(np.nanmedian(hips)), "px": float(np.median(off)),
        "triangulated": kinds["triangulated"] / sum(kinds.values()),
    }  # fmt: skip


def captured_s(message: wire.Message) -> float:
    return datetime.fromisoformat(message.captured.replace("Z", "+00:00")).timestamp()


def decoded(payload: bytes) -> tuple[float, np.ndarray]:
    heard = read(payload)
    return heard.taken_s, heard.poses.xy


def sorted_by_id(found: list[wire.Message], walker: list[np.ndarray]) -> list[np.ndarray]:
    """The walkers in the order of the ids that the room gave them."""
    people = sorted(found[-1].people, key=lambda one: one.id or 0)
    roots = [np.array((person.root or [np.nan] * 4)[:3]) for person in people]
    return [min(walker, key=lambda one: float(np.linalg.norm(one[[11, 12]].mean(axis=0) - root))) for root in roots]


@pytest.mark.parametrize(
    ("change", "says"),
    [({"name": "door"}, "is there 4 times"), ({"fisheye": True}, "fisheye")],
    ids=["two of one name", "a fisheye"],
)
def test_a_wrong_calibration_ends_in_one_line(change: dict[str, object], says: str, tmp_path: Path) -> None:
    (tmp_path / "Calib.toml").write_text(pose2sim(**change))
    command = [
        sys.executable,
        "-m",
        "edgepose",
        "fuse",
        "--calibration",
        "Calib.toml",
        "--broker",
        "mqtt://127.0.0.1:1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 78
    assert says in done.stderr
    assert "Traceback" not in done.stderr


# ------------------------------------------------------------------------------------------------ as any device


def rules_told(there: Subscriber) -> set[str]:
    return {json.loads(payload).get("rule") for payload in there.payloads("yard/room/events")}


def test_a_room_has_rules_entities_and_recordings_as_any_device(broker: Broker, tmp_path: Path) -> None:
    (tmp_path / "Calib.toml").write_text(pose2sim())
    (tmp_path / "rules.toml").write_text(
        '[[zone]]\nname = "desk"\npolygon_m = [[0.0, -1.0], [3.0, -1.0], [3.0, 1.0], [0.0, 1.0]]\n'
        '[[rule]]\nkind = "zone"\nzone = "desk"\n[[rule]]\nkind = "near"\nwarn_m = 3.0\nstop_m = 0.5\n'
    )
    command = [
        sys.executable, "-m", "edgepose", "fuse", "--calibration", "Calib.toml", "--broker", broker.url, "--device",
        "yard", "--sink.mqtt.spool", str(tmp_path), "--meaning.rules", "rules.toml", "--home_assistant.on",
        "--record", "yard.epr",
    ]  # fmt: skip
    people = [UPRIGHT + np.array((0.8, -0.2, 0)), UPRIGHT + np.array((-0.8, 0.9, 0))]
    with Subscriber(broker.port) as there, subprocess.Popen(command, stderr=subprocess.PIPE, cwd=tmp_path) as node:
        try:
            wait_until(lambda: there.payloads("yard/room/availability"), "the node is there", 30)
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline and not rules_told(there) >= {"zone", "near"}:
                now_t, now_wall = time.monotonic(), time.time()
                for place, camera in enumerate(RING):
                    made = wire.encode(seen(camera, people, now_t), f"cam{place}", "camera", now_t, now_wall)
                    there.publish(f"edgepose/cam{place}/camera/poses", made)
                time.sleep(0.03)
            there.publish("edgepose/yard/room/control/model", b'{"model": "light"}')
            wait_until(lambda: there.payloads("yard/room/control/answer"), "an answer", 20)
            answers = there.payloads("yard/room/control/answer")
            node.send_signal(signal.SIGTERM)
            said = node.communicate(timeout=20)[1].decode()
        finally:
            node.kill()
        told = rules_told(there)
        entities = [payload for payload in there.payloads("config") if b"yard" in payload]
    assert node.returncode == 0, said
    assert told >= {"zone", "near"}, said
    assert entities, said
    assert not any(b"control/model" in payload for payload in entities)
    assert any(b"no model runs here" in payload for payload in answers), answers
    out = tmp_path / "again.jsonl"
    replayed = subprocess.run(
        [sys.executable, "-m", "edgepose", "replay", "yard.epr", "--jsonl", str(out)],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert replayed.returncode == 0, replayed.stderr
    again = [wire.decode(line) for line in out.read_bytes().splitlines()]
    assert {person.id for message in again for person in message.people} == {1, 2}
    assert {message.frame for message in again} == {"world"}
    exported = subprocess.run(
        [sys.executable, "-m", "edgepose", "export", "yard.epr", "yard.trc"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert exported.returncode == 0, exported.stderr
    assert "p2_nose" in (tmp_path / "yard.trc").read_text()
