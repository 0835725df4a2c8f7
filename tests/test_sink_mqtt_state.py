"""What the MQTT sink decides without a broker: settings, queue, pauses, what is told once."""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgepose.core.config import Mqtt
from edgepose.core.errors import ConfigError
from edgepose.sink.mqtt.lanes import MessageProperties, PosesLane
from edgepose.sink.mqtt.state import MOST_IDS, Backoff, Changes, Outbox
from edgepose.sink.mqtt.target import board, target
from samples.people import poses
from tests.helpers.broker import secret_file


def taken(outbox: Outbox) -> list[int]:
    seqs = []
    while (made := outbox.take()) is not None:
        seqs.append(made.seq)
    return seqs


def test_live_the_newest_win() -> None:
    outbox = Outbox(2, None)
    for seq in range(5):
        outbox.put(poses(0, seq=seq))

    assert taken(outbox) == [3, 4]
    assert outbox.dropped == 3


def test_who_entered_and_left_in_dropped_poses_is_told_with_the_next() -> None:
    outbox = Outbox(2, None)
    for seq, (entered, left) in enumerate([((1,), ()), ((2,), (1,)), ((), ()), ((3,), (2,))]):
        outbox.put(replace(poses(0, seq=seq), entered=entered, left=left))

    made = [outbox.take(), outbox.take()]
    assert [(one.entered, one.left) for one in made if one is not None] == [((1, 2), (1,)), ((3,), (2,))]


def test_what_did_not_go_out_comes_back_in_front_unless_newer_ones_fill_the_queue() -> None:
    outbox = Outbox(2, None)
    for seq in (0, 1):
        outbox.put(poses(0, seq=seq))
    unsent = [outbox.take(), outbox.take()]
    outbox.put(poses(0, seq=2))
    outbox.put_back(made for made in unsent if made is not None)

    assert taken(outbox) == [1, 2]
    assert outbox.dropped == 1


def test_from_a_file_put_waits_for_room_and_nothing_is_dropped() -> None:
    outbox = Outbox(3, 30)
    got: list[int] = []

    def drain() -> None:
        while len(got) < 50:
            made = outbox.take()
            if made is not None:
                got.append(made.seq)

    reader = threading.Thread(target=drain)
    reader.start()
    for seq in range(50):
        outbox.put(poses(0, seq=seq))
        assert len(outbox) <= 3
    reader.join(30)

    assert got == list(range(50))
    assert outbox.dropped == 0


def test_from_a_file_a_queue_that_never_empties_is_given_up_until_something_went_out() -> None:
    outbox = Outbox(2, 0.01)
    for seq in range(4):
        outbox.put(poses(0, seq=seq))
    assert outbox.stuck
    assert outbox.dropped == 2

    outbox.went_out()
    assert not outbox.stuck
    assert taken(outbox) == [2, 3]


def test_what_is_given_up_at_the_end_is_counted() -> None:
    outbox = Outbox(2, None)
    outbox.put(poses(0))

    assert (outbox.drop_all(), outbox.dropped, len(outbox)) == (1, 1, 0)


def test_what_waited_too_long_is_dropped_and_who_entered_is_told_with_the_next() -> None:
    outbox = Outbox(2, None)
    outbox.put(poses(0, seq=0, entered=(1,)))
    outbox.put(poses(0, seq=1, entered=(2,), left=(1,)))
    outbox.expire(time.monotonic() - 10)
    assert len(outbox) == 2, "something came since"
    outbox.expire(time.monotonic() + 10)
    assert (len(outbox), outbox.dropped) == (0, 2)
    outbox.put(poses(0, seq=2, entered=(3,)))

    made = outbox.take()
    assert made is not None
    assert (made.seq, made.entered, made.left) == (2, (1, 2, 3), (1,))


@pytest.mark.parametrize(("live", "again"), [(True, [4]), (False, [1, 4])], ids=["live", "recording"])
def test_what_was_on_its_way_when_the_connection_ended_comes_again_live_only_the_newest(
    live: bool, again: list[int]
) -> None:
    outbox = Outbox(2, None) if live else Outbox(9, 1.0)
    lane = PosesLane(outbox, lambda _poses, _t: b"", "poses", MessageProperties(), 1, 0.0, 2.0 if live else None)
    outs = []
    for seq in range(5):
        outbox.put(poses(0, seq=seq, entered=(seq,)))
        out = lane.take(0.0)
        assert out is not None
        lane.handed(out, 0.0, written=True)
        outs.append(out)
    for at in (0, 2, 3):
        lane.acknowledged(outs[at], "", told=True)
    lane.lost([outs[1], outs[4]])

    assert taken(outbox) == again
    assert outbox.dropped == (1 if live else 0)
    assert lane.sent == 3


def test_who_entered_is_not_collected_without_end() -> None:
    outbox = Outbox(2, None)
    for seq in range(1000):
        outbox.put(poses(0, seq=seq, entered=(seq,), left=(seq,)))

    made = outbox.take()
    assert made is not None
    assert made.entered == made.left == tuple(range(999 - MOST_IDS, 999))


def test_pauses_double_up_to_the_longest_and_start_anew_after_a_reset() -> None:
    backoff = Backoff(1, 30, chance=lambda: 0.0)
    assert [backoff.next_s() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]

    backoff.reset()
    assert backoff.next_s() == 1


def test_chance_cuts_a_pause_by_up_to_half() -> None:
    backoff = Backoff(1, 30, chance=lambda: 1.0)

    assert [backoff.next_s(), backoff.next_s()] == [0.5, 1.0]


def test_a_state_is_told_once_per_change_and_subject(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    changes = Changes(logging.getLogger("edgepose.test"))
    for subject, state in (("a", "x"), ("a", "x"), ("b", "x"), ("a", "y"), ("a", "x")):
        changes.tell(subject, state, logging.WARNING, f"{subject} {state}")

    assert caplog.messages == ["a x", "b x", "a y", "a x"]


@pytest.mark.parametrize(
    ("url", "host", "port", "encrypted"),
    [
        ("mqtt://hub", "hub", 1883, False),
        ("mqtt://hub:99/", "hub", 99, False),
        ("mqtts://hub.example.org", "hub.example.org", 8883, True),
        ("mqtts://[fe80::1]:7", "fe80::1", 7, True),
        ("mqtt://[::1]", "::1", 1883, False),
    ],
)
def test_an_address_is_host_port_and_whether_it_is_encrypted(url: str, host: str, port: int, encrypted: bool) -> None:
    made = target(Mqtt(broker=url), "board", "door")

    assert (made.host, made.port, made.tls is not None) == (host, port, encrypted)


def test_topics_and_name_tell_device_and_camera() -> None:
    made = target(Mqtt(broker="mqtt://hub", topic="house/{camera}/{device}/"), "board", "door")

    assert (made.root, made.client_id) == ("house/door/board", f"edgepose-board-door-{board()}")


def test_the_password_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    secret_file(tmp_path / "word", "s3cret \nmore\n")

    made = target(Mqtt(broker="mqtt://hub", username="me", password_file=str(tmp_path / "word")), "board", "door")

    assert made.password == "s3cret "  # noqa: S105


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ({"broker": "localhost"}, "did you mean mqtt://localhost?"),
        ({"broker": "http://hub"}, "is 'http://hub', expected mqtt://host[:port]"),
        ({"broker": "mqtt://"}, "expected mqtt://host"),
        ({"broker": "mqtt://hub:0"}, "expected mqtt://host"),
        ({"broker": "mqtt://hub:99999"}, "not an address"),
        ({"broker": "mqtt://hub:x"}, "not an address"),
        ({"broker": "mqtt://[::1"}, "not an address"),
        ({"broker": "mqtt://a..b"}, "not an address"),
        ({"broker": "mqtt://hub/topic"}, "nothing after it"),
        ({"broker": "mqtt://me:s3cret@hub"}, "sink.mqtt.password_file"),
        ({"topic": "house/{room}"}, "{room} is not known"),
        ({"topic": "house/{}"}, "{} is not known"),
        ({"topic": "house/{device"}, "sink.mqtt.topic is 'house/{device'"),
        ({"topic": "/"}, "expected a topic such as"),
        ({"password_file": "FOLDER/word"}, "without sink.mqtt.username"),
        ({"username": "me", "password_file": "FOLDER/missing"}, "No such file"),
        ({"username": "me", "password_file": "FOLDER"}, "directory"),
        ({"username": "me", "password_file": "FOLDER/empty"}, "its first line is empty"),
        ({"username": "me", "password_file": "FOLDER/binary"}, "not UTF-8"),
        ({"ca_file": "FOLDER/word"}, "the broker is not mqtts://"),
        ({"broker": "mqtts://hub", "ca_file": "FOLDER/missing"}, "sink.mqtt.ca_file FOLDER/missing: cannot be read"),
        ({"broker": "mqtts://hub", "ca_file": "FOLDER/word"}, "not a PEM certificate"),
        ({"broker": "mqtts://hub", "cert_file": "FOLDER/word"}, "does not load with its key"),
        ({"broker": "mqtts://hub", "key_file": "FOLDER/word"}, "without sink.mqtt.cert_file"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_work_is_refused_in_one_line(
    tmp_path: Path, setting: dict[str, Any], complaint: str
) -> None:
    for name, text in {"word": "s3cret\n", "empty": "\n", "binary": ""}.items():
        secret_file(tmp_path / name, text)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\n")
    given = {key: value.replace("FOLDER", str(tmp_path)) for key, value in {"broker": "mqtt://hub", **setting}.items()}

    with pytest.raises(ConfigError) as caught:
        target(Mqtt(**given), "board", "door")

    said = str(caught.value)
    assert complaint.replace("FOLDER", str(tmp_path)) in said
    assert said.startswith("sink.mqtt.")
    assert "\n" not in said
    assert "s3cret" not in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_password_file_without_permission_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "word"
    file.write_text("s3cret\n")
    file.chmod(0)

    with pytest.raises(ConfigError, match="Permission denied"):
        target(Mqtt(broker="mqtt://hub", username="me", password_file=str(file)), "board", "door")
