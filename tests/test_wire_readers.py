"""The readers in the docs, fed with real messages and with broken ones: what they read is what ours reads."""

from __future__ import annotations

import ast
import base64
import json
import math
import random
import re
import shutil
import struct
import subprocess
import sys
import types
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

from edgepose import wire
from edgepose.core.poses import COCO17, Poses, Space
from edgepose.wire.binary import BinaryMessage
from samples.people import poses

READERS = Path(__file__).resolve().parents[1] / "docs" / "readers"
NOW = 2.0201, 1_790_000_000.25


def scenes() -> dict[str, Poses]:
    """Poses of every sort; a joint is missing in each person."""
    chance = np.random.default_rng(3)
    xy = (chance.random((3, 17, 2)) * 2 - 0.5).astype(np.float32) * np.asarray((320, 240), np.float32)
    score = chance.random((3, 17)).astype(np.float32)
    xy[:, 4], score[:, 4] = np.nan, 0
    xyz = (chance.random((3, 17, 3)) * 2 - 1).astype(np.float32)
    xyz[:, 4] = np.nan
    ids = np.array([7, 4_000, -1], np.int32)
    placed, sigma = xyz.copy(), chance.random((3, 17, 2)).astype(np.float32)
    placed[2], sigma[2], sigma[:, 4] = np.nan, np.nan, np.nan
    root = np.array([[0.25, -1.5, 4.125], [-30.0, 2.0, 0.0], [np.nan] * 3], np.float32)
    guessed = chance.random((3, 17)) < 0.2
    mixed = Space("lifted", "world", root, np.full(3, 0.2, np.float32), sigma, guessed, np.array([True, False, True]))
    space = Space("triangulated", "world", root, np.array([0.24, 1.5, np.nan], np.float32), sigma, guessed)
    return {
        "people": poses(3, xy=xy, score=score, track_id=ids, seq=70_000, entered=(7,), left=(3, 2**31 - 1)),
        "file": poses(2, t=61.25, name="straße.mp4", predicted_s=0.0503, ran_on="edgetpu"),
        "before its start": poses(1, t=-1.5),
        "third coordinate": poses(3, xy=xy, score=score, xyz=xyz, track_id=ids),
        "metres": poses(3, xy=xy, score=score, xyz=placed, track_id=ids, space=space),
        "some metres of one camera": poses(3, xy=xy, score=score, xyz=placed, track_id=ids, space=mixed),
        "held": poses(2, xy=xy[:2], score=score[:2], held=True),
        "nobody": poses(0),
    }


def broken(count: int) -> list[bytes]:
    """Real binary messages, cut anywhere or with bytes changed."""
    chance = random.Random(5)
    whole = [wire.binary.encode(made, *NOW) for made in scenes().values()]
    cut = [data[:length] for data in whole[:2] for length in range(len(data))]
    changed = []
    for _ in range(count):
        data = bytearray(chance.choice(whole))
        for _ in range(chance.randint(1, 3)):
            data[chance.randrange(chance.choice((len(data), min(42, len(data)))))] = chance.randrange(256)
        changed.append(bytes(data))
    return cut + changed


def ours(data: bytes) -> BinaryMessage | None:
    try:
        return wire.binary.decode(data)
    except ValueError:
        return None


def close(theirs: Any, own: Any) -> bool:
    """Numbers that a float32 holds alike; null or None is NaN."""
    flat = [math.nan if number is None else number for number in np.array(theirs, object).ravel().tolist()]
    return np.allclose(flat, np.ravel(own), rtol=1e-5, atol=2e-2, equal_nan=True)


# ------------------------------------------------------------------------------------------------ JavaScript


def by_node(messages: list[bytes]) -> list[Any]:
    """What the JavaScript reader makes of them."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    lines = "".join(base64.b64encode(data).decode() + "\n" for data in messages)
    answer = subprocess.run(
        [node, READERS / "javascript" / "print.mjs"],
        input=lines,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [json.loads(line) for line in answer.stdout.splitlines()]


def test_javascript_reads_json_as_it_is() -> None:
    sent = [wire.encode(made, "board", "door", *NOW) for made in scenes().values()]

    assert by_node(sent) == [json.loads(data) for data in sent]


def test_javascript_refuses_what_is_not_of_version_1() -> None:
    newer = wire.encode(poses(1), "board", "door").replace(b"edgepose.poses/1", b"edgepose.poses/2")
    later = b"EP\x02" + wire.binary.encode(poses(1))[3:]

    assert by_node([b"", b"{", b"null", b"7", b"EP", newer, later]) == [None] * 7


def test_javascript_reads_both_forms_into_the_same() -> None:
    made = scenes()
    sent = [wire.encode(one, "board", "door", *NOW) for one in made.values()]
    packed = [wire.binary.encode(one, *NOW) for one in made.values()]
    for plain, compact in zip(by_node(sent), by_node(packed), strict=True):
        people, short = plain.pop("people"), compact.pop("people")
        for gone in ("device", "camera", "joints"):
            del plain[gone]
        assert compact.pop("captured")[:22] == plain.pop("captured")[:22]
        assert compact.pop("age_ms") == pytest.approx(plain.pop("age_ms"), abs=0.051)
        assert compact == plain
        assert len(short) == len(people)
        for one, other in zip(short, people, strict=True):
            assert one["id"] == other["id"]
            assert one["score"] == pytest.approx(other["score"], abs=6e-4)
            assert ("xyz" in one) == ("xyz" in other)
            for joint, same in zip(one["keypoints"], other["keypoints"], strict=True):
                assert (joint is None) == (same is None)
                assert joint is None or joint == pytest.approx(same, abs=0.06)
            for key in ("xyz", "sigma"):
                for joint, same in zip(one.get(key, ()), other.get(key, ()), strict=True):
                    assert (joint is None) == (same is None)
                    assert joint is None or joint == pytest.approx(same, abs=6e-4)
            assert (one.get("root"), one.get("guessed")) == (other.get("root"), other.get("guessed"))


def test_javascript_reads_and_refuses_broken_messages_as_ours_does() -> None:
    messages = broken(1500)
    for data, theirs in zip(messages, by_node(messages), strict=True):
        own = ours(data)
        if data[:2] != b"EP" or own is None:
            assert theirs is None
            continue
        assert theirs is not None, data.hex()
        assert (theirs["seq"], tuple(theirs["size_wh"]), len(theirs["people"])) == (own.seq, own.size_wh, len(own.id))
        for at, person in enumerate(theirs["people"]):
            assert (person["id"] or 0) == own.id[at]
            found = [joint and joint[:2] for joint in person["keypoints"]]
            assert [joint is None for joint in found] == np.isnan(own.xy[at, :, 0]).tolist()
            assert close([joint or (None, None) for joint in found], own.xy[at])
            solid = [point or (None,) * 3 for point in person.get("xyz", ())]
            assert own.xyz is None or np.allclose(np.array(solid, float), own.xyz[at], rtol=1e-5, equal_nan=True)


# ------------------------------------------------------------------------------------------------ C++

STRICT = ("-std=c++11", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
WATCHED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.fixture(scope="module")
def cpp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C++ reader, built; with sanitizers where there are some."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("neither g++ nor clang++ is installed")
    program = tmp_path_factory.mktemp("cpp") / "edgepose_print"
    source = READERS / "cpp" / "main.cpp"
    for flags in (WATCHED, ()):
        built = subprocess.run(
            [compiler, *STRICT, *flags, "-o", program, source], capture_output=True, text=True, timeout=120
        )
        if built.returncode == 0 and subprocess.run([program], input=b"", timeout=20).returncode == 0:
            return program
    pytest.fail(built.stderr)


def by_cpp(program: Path, messages: list[bytes]) -> list[Any]:
    """What the C++ reader makes of them."""
    data = b"".join(struct.pack("<I", len(message)) + message for message in messages)
    answer = subprocess.run([program], input=data, capture_output=True, timeout=120)
    assert answer.returncode == 0, answer.stderr.decode()
    return [json.loads(line) for line in answer.stdout.splitlines()]


def assert_same(theirs: Any, own: BinaryMessage) -> None:
    assert (theirs["seq"], theirs["captured_us"], tuple(theirs["size_wh"])) == (own.seq, own.captured_us, own.size_wh)
    assert (theirs.get("age_us"), theirs.get("media_us")) == (own.age_us, own.media_us)
    assert theirs["predicted_ms"] == pytest.approx(own.predicted_ms)
    assert theirs.get("held", False) == own.held
    for name in ("skeleton", "ran_on", "source"):
        assert bytes.fromhex(theirs[name]).decode(errors="replace") == getattr(own, name)
    assert (tuple(theirs["entered"]), tuple(theirs["left"])) == (own.entered, own.left)
    assert len(theirs["people"]) == len(own.id)
    for at, person in enumerate(theirs["people"]):
        assert person["id"] == own.id[at]
        assert person["score"] == pytest.approx(own.person_score[at], abs=1e-6)
        joints = np.array(person["keypoints"], object).reshape(-1, 3)
        assert close(joints[:, :2], own.xy[at])
        assert close(joints[:, 2], own.score[at])
        assert bool(person["xyz"]) == (own.xyz is not None and own.xyz.shape[1] > 0)
        if own.xyz is not None:
            numbers = [math.nan if number is None else number for joint in person["xyz"] for number in joint]
            assert np.allclose(numbers, own.xyz[at].ravel(), rtol=1e-5, atol=1e-30, equal_nan=True)
        assert bool(person["space"]) == (own.space is not None and own.score.shape[1] > 0)
        if own.space is not None and person["space"]:
            told = np.array(person["space"], object).reshape(-1, 6)
            assert close(told[:, :3], np.tile(own.space.root[at], (len(told), 1)))
            assert close(told[:, 3:5], own.space.sigma[at])
            assert told[:, 5].astype(bool).tolist() == own.space.guessed[at].tolist()
            alone = own.space.kind == "lifted" and (own.space.measured is None or not own.space.measured[at])
            assert person["measured"] != alone


def test_cpp_reads_real_messages_as_ours_does(cpp: Path) -> None:
    sent = [wire.binary.encode(made, *NOW) for made in scenes().values()]
    sent += [wire.binary.encode(made) for made in scenes().values()]
    for data, theirs in zip(sent, by_cpp(cpp, sent), strict=True):
        assert_same(theirs, wire.binary.decode(data))


def test_cpp_reads_and_refuses_broken_messages_as_ours_does(cpp: Path) -> None:
    messages = [b"", b"{}", *broken(1500)]
    for data, theirs in zip(messages, by_cpp(cpp, messages), strict=True):
        own = ours(data)
        assert (theirs is None) == (own is None), data.hex()
        if own is not None:
            assert_same(theirs, own)


# ------------------------------------------------------------------------------------------------ Python, ROS 2


def python_example() -> str:
    (code,) = re.findall(r"```python\n(.*?)```", (READERS / "README.md").read_text(encoding="utf-8"), re.S)
    return str(code)


def test_the_python_example_reads_a_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = pytest.importorskip("paho.mqtt.client")
    monkeypatch.setattr(client, "Client", MagicMock())
    names: dict[str, Any] = {}
    exec(python_example(), names)  # noqa: S102 (our own page)

    payload = wire.encode(poses(1, track_id=np.array([7], np.int32)), "pi", "door", *NOW)
    names["on_message"](None, None, types.SimpleNamespace(payload=payload))

    assert capsys.readouterr().out == "pi door 7 [10.0, 20.0, 0.5]\n"
    assert names["client"].connect.called


def test_the_ros_node_is_python_and_does_its_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (READERS / "ros2" / "edgepose_node.py").read_text(encoding="utf-8")
    ast.parse(code)
    stand_ins = {name: MagicMock() for name in (
        "rclpy", "rclpy.duration", "rclpy.node", "rclpy.qos", "geometry_msgs", "geometry_msgs.msg", "std_msgs",
        "std_msgs.msg", "tf2_ros",
    )}  # fmt: skip
    stand_ins["rclpy.node"].Node = object
    for name, stand_in in stand_ins.items():
        monkeypatch.setitem(sys.modules, name, stand_in)
    names: dict[str, Any] = {"__name__": "edgepose_node"}
    exec(code, names)  # noqa: S102 (our own page)
    person = json.loads(wire.encode(scenes()["people"], "pi", "door"))["people"][0]

    joints = names["found_joints"](person)

    assert len(joints) == 16
    xy = np.array(joints)[:, :2].mean(axis=0)
    assert names["middle"](joints) == pytest.approx(tuple(xy))
    assert names["places"](person, COCO17.joints) == {}
    solid = scenes()["metres"]
    person = json.loads(wire.encode(solid, "hall", "room"))["people"][0]
    found = names["places"](person, COCO17.joints)
    assert solid.space is not None
    assert solid.xyz is not None
    assert len(found) == 1 + 16
    assert found["root"] == pytest.approx(solid.space.root[0])
    assert found["left_wrist"] == pytest.approx(solid.space.root[0] + solid.xyz[0, 9], abs=2e-3)


@pytest.mark.parametrize("paho", ["1.6", "2"])
def test_the_ros_node_takes_the_paho_that_is_there(paho: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (READERS / "ros2" / "edgepose_node.py").read_text(encoding="utf-8")
    client = types.SimpleNamespace(Client=MagicMock())
    if paho == "2":
        client.CallbackAPIVersion = types.SimpleNamespace(VERSION2=2)
    parts = "declare_parameter", "get_parameter", "create_publisher", "get_logger", "get_clock", "destroy_publisher"
    node = type("Node", (), {"__init__": lambda _self, _name: None, **{part: MagicMock() for part in parts}})
    ros: dict[str, Any] = {name: MagicMock() for name in (
        "rclpy", "rclpy.duration", "rclpy.qos", "geometry_msgs", "geometry_msgs.msg", "std_msgs", "std_msgs.msg",
        "tf2_ros",
    )}  # fmt: skip
    mqtt = types.SimpleNamespace(client=client)
    ros |= {"rclpy.node": MagicMock(Node=node), "paho": types.SimpleNamespace(mqtt=mqtt), "paho.mqtt": mqtt}
    ros |= {"paho.mqtt.client": client}
    for name, stand_in in ros.items():
        monkeypatch.setitem(sys.modules, name, stand_in)
    names: dict[str, Any] = {"__name__": "edgepose_node"}
    exec(code, names)  # noqa: S102 (our own page)
    made = names["EdgeposeNode"]()
    assert client.Client.call_args.args == ((2,) if paho == "2" else ())
    made.connected(made.client, None, {}, 0, *(() if paho == "1.6" else (None,)))
    assert made.client.subscribe.called
    payload = wire.encode(scenes()["metres"], "hall", "room", *NOW)
    made.received(None, None, types.SimpleNamespace(payload=payload))
    assert made.tf.sendTransform.call_count == 2 * 17  # two of the three have an identity
    assert len(made.bodies) == 2
    made.gone(7)
    assert len(made.bodies) == 1
    assert not made.get_logger().warning.called


def test_the_pages_link_to_files_that_are_there() -> None:
    for page in (READERS / "README.md", READERS / "ros2" / "README.md", READERS.parent / "stream.md"):
        for link in re.findall(r"\]\(([^)#:]+)[#)]", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
