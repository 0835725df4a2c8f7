"""OSC and VMC: golden packets of another program's tests, python-osc as the receiver, avatars that are none."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.sink import open_sinks
from edgepose.sink.export.rig import BONES
from edgepose.sink.osc import OscSink
from edgepose.sink.osc.avatar import rest_places
from edgepose.sink.osc.packet import bundles, message
from edgepose.sink.osc.trackers import Trackers, euler
from edgepose.sink.osc.vmc import Vmc
from tests.helpers.people import frame
from tests.helpers.people import poses as flat
from tests.helpers.shared import shared
from tests.test_export_motion import solid
from tests.test_lift import STANDING

GOLDEN: dict[str, tuple[Any, ...]] = {
    "/VMC/Ext/OK": (1,),
    "/VMC/Ext/T": (5.0,),
    "/VMC/Ext/Root/Pos": ("tst", 1.1, 1.2, 1.3, 2.1, 2.2, 2.3, 2.4),
    "/VMC/Ext/Bone/Pos": ("tst", 1.1, 1.2, 1.3, 2.1, 2.2, 2.3, 2.4),
}


@pytest.mark.parametrize(("address", "arguments"), GOLDEN.items(), ids=GOLDEN)
def test_packets_are_byte_for_byte_those_of_another_program(address: str, arguments: tuple[Any, ...]) -> None:
    text = shared("data/uses/vmc/marionette_test.go.txt").read_text()
    quoted = next(part for part in re.findall(r'\[\]byte\("([^\n]*)"\)', text) if part.startswith(address + "\\x00"))
    assert message(address, *arguments) == quoted.encode().decode("unicode_escape").encode("latin-1")


def test_bundles_stay_below_what_receivers_take_and_lose_nothing() -> None:
    osc = pytest.importorskip("pythonosc.osc_bundle", reason="pip install python-osc: another reader of OSC")
    sent = [message("/VMC/Ext/Bone/Pos", f"Bone{n}", *np.arange(7.0).tolist()) for n in range(60)]
    packets = list(bundles(sent))
    assert max(map(len, packets)) <= 1500
    names = [each.params[0] for packet in packets for each in osc.OscBundle(packet)]
    assert names == [f"Bone{n}" for n in range(60)]
    assert list(bundles([])) == []


def vrm(path: Path, version: int = 0, **change: Any) -> Path:
    """An avatar whose bones are a tenth of a metre from each other, to the left, up and ahead of each other."""
    ahead = -0.3 if version == 0 else 0.3  # VRM 0 looks against z, its left is -x; VRM 1 along z, its left is x
    left = -0.1 if version == 0 else 0.1
    nodes = [{"name": bone.name, "translation": [left, 0.2, ahead]} for bone in BONES]
    names = [bone.name[:1].lower() + bone.name[1:] for bone in BONES]
    old = {"VRM": {"humanoid": {"humanBones": [{"bone": name, "node": n} for n, name in enumerate(names)]}}}
    new = {"VRMC_vrm": {"humanoid": {"humanBones": {name: {"node": n} for n, name in enumerate(names)}}}}
    table = {"asset": {"version": "2.0"}, "nodes": nodes, "extensions": new if version else old} | change
    text = json.dumps(table).encode()
    text += b" " * (-len(text) % 4)
    path.write_bytes(struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text), len(text), b"JSON") + text)
    return path


@pytest.mark.parametrize("version", [0, 1])
def test_an_avatars_bones_rest_where_unity_has_them(version: int, tmp_path: Path) -> None:
    places = rest_places(vrm(tmp_path / "a.vrm", version))
    assert set(places) == {bone.name for bone in BONES}
    assert places["LeftUpperArm"] == pytest.approx((-0.1, 0.2, 0.3))  # left is -x, ahead z


NO_AVATARS: dict[str, Any] = {
    "nothing": b"",
    "a picture": b"\x89PNG" + bytes(40),
    "cut off": struct.pack("<4sIII4s", b"glTF", 2, 900, 800, b"JSON") + b'{"nodes":[',
    "no humanoid": {"extensions": {}},
    "no hips": {"extensions": {"VRM": {"humanoid": {"humanBones": []}}}},
    "a node that is not there": {"extensions": {"VRM": {"humanoid": {"humanBones": [{"bone": "hips", "node": 99}]}}}},
}


@pytest.mark.parametrize("wrong", NO_AVATARS.values(), ids=NO_AVATARS)
def test_what_is_no_avatar_is_refused_in_one_line(wrong: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.vrm"
    path.write_bytes(wrong) if isinstance(wrong, bytes) else vrm(path, **wrong)
    with pytest.raises(ConfigError, match=r"a\.vrm") as refused:
        rest_places(path)
    assert "\n" not in str(refused.value)


def bones_of(vmc: Vmc, *frames: Any) -> dict[str, list[float]]:
    osc = pytest.importorskip("pythonosc.osc_message", reason="pip install python-osc: another reader of OSC")
    for poses in frames:
        last = [osc.OscMessage(each) for each in vmc.messages(poses)]
    return {each.params[0]: each.params[1:] for each in last if each.address == "/VMC/Ext/Bone/Pos"}


def test_a_raised_left_arm_is_the_avatars_left_arm_and_bones_keep_their_places(tmp_path: Path) -> None:
    t_pose = STANDING.copy()
    t_pose[[7, 9]] = t_pose[5] + np.array([[0.25, 0, 0], [0.5, 0, 0]])
    raised = t_pose.copy()
    raised[[7, 9]] = raised[5] + np.array([[0, -0.25, 0], [0, -0.5, 0]])  # y is down for a camera
    bones = bones_of(Vmc(rest_places(vrm(tmp_path / "a.vrm"))), solid(0.0, t_pose), solid(0.1, raised))
    assert set(bones) == {bone.name for bone in BONES}
    for name, values in bones.items():
        np.testing.assert_allclose(values[:3], (-0.1, 0.2, 0.3), atol=1e-6)
        assert np.linalg.norm(values[3:]) == pytest.approx(1, abs=1e-6), name
    x, y, z, w = bones["LeftUpperArm"][3:]
    assert z * w < -0.3  # in Unity left is -x: up is the way of -z
    assert abs(x) + abs(y) < 0.3
    assert abs(bones["RightUpperLeg"][6]) > 0.9


def test_nobody_moves_nothing(tmp_path: Path) -> None:
    vmc = Vmc(rest_places(vrm(tmp_path / "a.vrm")))
    assert bones_of(vmc, flat(0)) == {}
    assert bones_of(vmc, flat(1)) == {}  # without metres there is nothing to move


# ------------------------------------------------------------------------------------------------ VRChat


def trackers_of(trackers: Trackers, *frames: Any) -> dict[str, list[float]]:
    """Address after /tracking/trackers/ -> numbers, of the last frame; as python-osc reads the packets."""
    osc = pytest.importorskip("pythonosc.osc_bundle", reason="pip install python-osc: another reader of OSC")
    for poses in frames:
        packets = list(bundles(trackers.messages(poses)))
    assert all(len(packet) <= 1500 for packet in packets)
    every = [each for packet in packets for each in osc.OscBundle(packet)]
    return {each.address.removeprefix("/tracking/trackers/"): each.params for each in every}


def test_vrchats_trackers_are_where_the_person_is() -> None:
    told = trackers_of(Trackers(), solid(0.0, STANDING))
    assert set(told) == {f"{name}/{what}" for name in ("1", "2", "3", "4", "head") for what in ("position", "rotation")}
    up = -(STANDING[:, 1] - STANDING[[15, 16], 1].max()) + 0.08  # above the floor that the ankles tell
    assert told["1/position"] == pytest.approx((0.0, up[[11, 12]].mean(), 0.0), abs=0.02)
    assert told["2/position"][1] == pytest.approx(up[[5, 6]].mean(), abs=0.02)
    assert told["head/position"][1] > told["2/position"][1] > told["1/position"][1] > told["3/position"][1] > 0
    left = STANDING[15, 0] - STANDING[[11, 12], 0].mean()  # towards the camera's right: they face it
    assert told["3/position"][0] == pytest.approx(-left, abs=0.02)  # Unity's left is -x of who looks along z
    for name in ("1", "2"):
        assert np.abs(told[f"{name}/rotation"]).max() < 25  # upright, looking along z


def test_a_tracker_whose_joint_is_hidden_is_not_sent_and_nothing_lies_at_the_origin() -> None:
    hidden = STANDING.copy()
    hidden[[15, 3]] = np.nan
    told = trackers_of(Trackers(), solid(0.0, STANDING), solid(0.1, hidden))
    assert not {"3/position", "3/rotation", "head/position"} & set(told)
    assert all(np.linalg.norm(told[name]) > 0.01 for name in told if name.endswith("position"))
    assert trackers_of(Trackers(), flat(0)) == {}
    assert trackers_of(Trackers(), flat(1)) == {}  # without metres
    assert trackers_of(Trackers(), solid(0.0, np.full((17, 3), np.nan))) == {}


def test_who_turns_turns_as_unity_has_it() -> None:
    angle = np.radians(40)  # to their left, seen from above
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    turned = STANDING @ turn.T
    plain, told = (trackers_of(Trackers(), solid(0.0, person)) for person in (STANDING, turned))
    assert abs(told["1/rotation"][1] - plain["1/rotation"][1]) == pytest.approx(40, abs=2)


def test_unitys_angles_make_the_turn_they_came_from() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        q = np.linalg.qr(random.normal(size=(3, 3)))[0]
        turn = q * np.sign(np.linalg.det(q))
        x, y, z = np.radians(euler(turn))
        about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
        about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
        about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
        np.testing.assert_allclose(about_y @ about_x @ about_z, turn, atol=1e-9)


NODE_OSC = """
const { Server } = require("node-osc");
const server = new Server(0, "127.0.0.1", () => console.log(server._sock.address().port));
server.on("bundle", (bundle) => bundle.elements.forEach((each) => console.log(JSON.stringify(each))));
setTimeout(() => process.exit(0), 30000);
"""


@pytest.mark.slow
def test_node_osc_reads_the_same(tmp_path: Path) -> None:
    node = shutil.which("node")
    folder = os.environ.get("EDGEPOSE_NODE_MODULES", "")
    if node is None or not (Path(folder) / "node-osc").is_dir():
        pytest.skip("needs node, and EDGEPOSE_NODE_MODULES naming a node_modules with node-osc (npm install node-osc)")
    script = tmp_path / "listen.js"
    script.write_text(NODE_OSC)
    with subprocess.Popen(
        [node, str(script)], stdout=subprocess.PIPE, text=True, env={**os.environ, "NODE_PATH": folder}
    ) as receiver:
        try:
            assert receiver.stdout is not None
            port = int(receiver.stdout.readline())
            sink = OscSink(config.Osc(to=f"127.0.0.1:{port}", kind="vrchat"), "door")
            sink.write(solid(0.0, STANDING), frame())
            got = dict(_plain(json.loads(receiver.stdout.readline())) for _ in range(10))
            sink.close()
        finally:
            receiver.kill()
    ours = trackers_of(Trackers(), solid(0.0, STANDING))
    assert set(got) == {f"/tracking/trackers/{name}" for name in ours}
    for name, numbers in ours.items():
        assert got[f"/tracking/trackers/{name}"] == pytest.approx(numbers, abs=1e-5)


def _plain(told: list[Any]) -> tuple[str, list[float]]:
    return told[0], told[1:]


def test_the_sink_sends_each_joint_that_was_found() -> None:
    osc = pytest.importorskip("pythonosc.osc_bundle", reason="pip install python-osc: another reader of OSC")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        made = flat(1)
        made.xy[0, 3], made.score[0, 3] = np.nan, 0
        settings = config.Config(sink=config.Sink(osc=config.Osc(to=f"127.0.0.1:{receiver.getsockname()[1]}")))
        (sink,) = open_sinks(settings, live=True)
        with sink:
            sink.write(made, frame())
            assert sink.counts["sent"] == 1
        got: dict[str, Any] = {}
        while len(got) < 17:
            got |= {each.address: each.params for each in osc.OscBundle(receiver.recv(2000))}
    assert got.pop("/edgepose/camera/people") == [1]
    root = f"/edgepose/camera/person/{made.track_id[0]}"
    assert f"{root}/{made.skeleton.joints[3]}" not in got
    x, y, score = got[f"{root}/nose"]
    np.testing.assert_allclose((x, y), made.xy[0, 0] / np.array(made.size_wh), atol=1e-6)
    assert score == pytest.approx(float(made.score[0, 0]))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (config.Osc(to="nowhere"), "HOST:PORT"),
        (config.Osc(to="127.0.0.1:99999"), "HOST:PORT"),
        (config.Osc(to="127.0.0.1:39539", kind="vmc"), "needs the avatar"),
        (config.Osc(to="127.0.0.1:39539", kind="vmc", avatar="none.vrm"), "No such file"),
    ],
)
def test_a_sink_that_cannot_work_is_refused(settings: config.Osc, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        OscSink(settings, "door")
