"""Numbers of events never go back: not with a new disk, not with a clock that is behind, not after a recording."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgepose import wire
from edgepose.core.config import Mqtt
from edgepose.sink.mqtt import target as target_module
from edgepose.sink.mqtt.numbering import BLOCK, MOST_BELOW, SETTLE_S, Bound
from edgepose.sink.mqtt.sink import MqttSink, Timing
from edgepose.sink.mqtt.spool import queue
from edgepose.wire.messages import renumbered
from samples.people import frame, fresh
from tests.helpers import scripted
from tests.helpers.broker import Broker, Subscriber, wait_until
from tests.helpers.scripted import Scripted

FAST = Timing(
    answer_s=1.0, stall_s=1.0, probe_s=0.1, hold_s=0.2, retry_s=0.3, backoff_s=(0.1, 0.3), patience_s=0.5,
    close_s=1.0, drain_s=8.0,
)  # fmt: skip
ROOT = "edgepose/board/door"
MONTH = 30 * 86400


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path) as started:
        yield started


@pytest.fixture(autouse=True)
def _listen_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edgepose")


def sink(url: str, folder: Path, *, live: bool = True, **settings: Any) -> MqttSink:
    return MqttSink(Mqtt(broker=url, spool=str(folder), **settings), "board", "door", live=live, timing=FAST)


def numbers(subscriber: Subscriber) -> list[int]:
    return [json.loads(payload)["number"] for payload in subscriber.payloads("/events")]


def told(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(text in message for message in caplog.messages)


def life(broker: Broker, folder: Path, subscriber: Subscriber, first_id: int, *, live: bool = True) -> None:
    """One run in which three people come."""
    known = len(numbers(subscriber))
    with sink(broker.url, folder, live=live) as publisher:
        for id_ in range(first_id, first_id + 3):
            publisher.write(replace(fresh(id_), entered=(id_,)), frame())
        wait_until(lambda: len(numbers(subscriber)) == known + 3, "the events")


def behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "_clock", lambda: int((1_790_000_000 - MONTH) * 1e6))


def test_a_new_disk_and_a_clock_that_is_behind_do_not_take_numbers_back(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that drops what is not above the highest it has seen gets all of all three lives."""
    with Subscriber(broker.port, f"{ROOT}/#") as subscriber:
        life(broker, tmp_path / "a", subscriber, 1)
        behind(monkeypatch)
        life(broker, tmp_path / "b", subscriber, 4)
        shutil.rmtree(tmp_path / "b")
        life(broker, tmp_path / "b", subscriber, 7)

    assert numbers(subscriber) == sorted(set(numbers(subscriber)))
    assert [json.loads(event)["id"] for event in subscriber.payloads("/events")] == list(range(1, 10))


def test_with_the_same_disk_numbers_rise_by_one(broker: Broker, tmp_path: Path) -> None:
    with Subscriber(broker.port, f"{ROOT}/#") as subscriber:
        life(broker, tmp_path, subscriber, 1)
        life(broker, tmp_path, subscriber, 4)
    first = numbers(subscriber)[0]
    assert numbers(subscriber) == list(range(first, first + 6))


def test_an_old_copy_of_a_disk_goes_on_above_what_came_after_it(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card is written anew from its backup: the same spool, thousands of events ago."""
    monkeypatch.setattr("edgepose.sink.mqtt.numbering.BLOCK", 2)
    with Subscriber(broker.port, f"{ROOT}/#") as subscriber:
        life(broker, tmp_path / "a", subscriber, 1)
        shutil.copytree(tmp_path / "a", tmp_path / "backup")
        for round_ in range(1, 5):
            life(broker, tmp_path / "a", subscriber, 1 + 3 * round_)
        life(broker, tmp_path / "backup", subscriber, 16)
    assert numbers(subscriber) == sorted(set(numbers(subscriber)))


def test_events_that_waited_while_no_broker_was_there_are_renumbered(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with Subscriber(broker.port, f"{ROOT}/#") as subscriber:
        life(broker, tmp_path / "a", subscriber, 1)
        behind(monkeypatch)
        with sink("mqtt://127.0.0.1:9", tmp_path / "b") as away:
            away.write(replace(fresh(4), entered=(4, 5)), frame())
            wait_until(lambda: away.spool_counts["kept"] == 2, "them to be on the disk")
        life_without_new = sink(broker.url, tmp_path / "b")
        with life_without_new:
            wait_until(lambda: len(numbers(subscriber)) == 5, "those that waited")
    assert numbers(subscriber) == sorted(set(numbers(subscriber)))
    assert told(caplog, "knows of higher numbers") == 1


def test_after_a_recording_under_its_name_a_camera_goes_on_above_it(broker: Broker, tmp_path: Path) -> None:
    with Subscriber(broker.port, f"{ROOT}/#") as subscriber:
        life(broker, tmp_path / "a", subscriber, 1)
        life(broker, tmp_path / "a", subscriber, 4, live=False)
        life(broker, tmp_path / "a", subscriber, 7)
    assert numbers(subscriber) == sorted(set(numbers(subscriber)))


def test_who_may_not_read_or_write_the_bound_still_gets_its_events_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    acl = f"topic write {ROOT}/events\ntopic read {ROOT}/events\ntopic write {ROOT}/availability\n"
    with Broker(tmp_path, acl=acl) as strict, Subscriber(strict.port, f"{ROOT}/#") as subscriber:
        life(strict, tmp_path, subscriber, 1)
    assert told(caplog, f"does not let us publish {ROOT}/numbering") == 1


def test_two_boards_of_one_name_do_not_end_each_other_and_are_told(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ids = iter(("aaaa", "bbbb"))
    monkeypatch.setattr(target_module, "board", lambda: next(ids))
    with sink(broker.url, tmp_path / "a") as one:
        wait_until(lambda: told(caplog, "connected"), "the first")
        with sink(broker.url, tmp_path / "b") as two:
            wait_until(lambda: told(caplog, "another edgepose (run ") == 2, "each to hear of the other")
            assert told(caplog, f"(run {one.run})") == told(caplog, f"(run {two.run})") == 1
            assert one.counts["reconnects"] == two.counts["reconnects"] == 0
    assert told(caplog, "give each board a name of its own") == 2


def test_a_subscription_that_is_refused_holds_nothing_back(tmp_path: Path) -> None:
    def answer(kind: int, content: bytes) -> bytes:
        if kind == scripted.SUBSCRIBE:
            return scripted.packet(9, content[:2] + b"\x00\x87")
        at = 2 + int.from_bytes(content[:2], "big")
        return {scripted.CONNECT: scripted.CONNACK, scripted.PUBLISH: scripted.packet(4, content[at : at + 2])}.get(
            kind, b""
        )

    with Scripted(answer) as refusing, sink(refusing.url, tmp_path) as publisher:
        publisher.write(replace(fresh(1), entered=(1,)), frame())
        wait_until(lambda: publisher.spool_counts["sent"] == 1, "the event")


# ------------------------------------------------------------------------------------------------------------ by hand


def bound(below: int, *, lineage: str = "other", run: str = "before") -> bytes:
    return wire.encode_struct(wire.Numbering(schema="edgepose.numbering/1", below=below, lineage=lineage, run=run))


def test_nothing_goes_out_before_what_is_kept_is_known() -> None:
    mine = Bound("me")
    mine.connected()
    assert not mine.settled(1e9)
    mine.subscribed(10.0)
    assert not mine.settled(10.0 + SETTLE_S / 2)
    assert mine.settled(10.0 + SETTLE_S)
    mine.connected()
    mine.subscribed(20.0)
    assert mine.heard(bound(500), True, "mine", 7) == (500, "")
    assert mine.settled(20.0)


@pytest.mark.parametrize(
    ("payload", "retained", "expected"),
    [
        pytest.param(bound(5000), True, 5000, id="another spool's"),
        pytest.param(bound(5000, lineage="mine"), True, 0, id="our own"),
        pytest.param(bound(5000 + 3 * BLOCK, lineage="mine"), True, 5000 + 3 * BLOCK, id="our own, of a copy"),
        pytest.param(bound(5000, run="me"), True, 0, id="what we said"),
        pytest.param(bound(MOST_BELOW + 1), True, 0, id="no room above it"),
        pytest.param(bound(-1), True, 0, id="negative"),
        pytest.param(bound(5000), False, 0, id="of somebody who is there now"),
        pytest.param(b"\xff{}", True, 0, id="nonsense"),
    ],
)
def test_only_a_bound_that_can_be_is_kept_to(payload: bytes, retained: bool, expected: int) -> None:
    assert Bound("me").heard(payload, retained, "mine", 4000)[0] == expected


def test_a_bound_goes_out_ahead_of_the_numbers_and_seldom() -> None:
    mine = Bound("me")
    said = [number for number in range(10 * BLOCK) if mine.message("mine", number)]
    assert said == [0, *range(BLOCK // 2, 10 * BLOCK, BLOCK // 2)]


def test_somebody_else_is_met_once_and_answered() -> None:
    mine = Bound("me")
    assert mine.message("mine", 1)
    assert not mine.message("mine", 2)
    assert mine.heard(bound(9, run="you"), False, "mine", 2) == (0, "you")
    assert mine.message("mine", 2), "so that they hear of us"
    assert mine.heard(bound(9, run="you"), False, "mine", 2) == (0, "")


def test_an_event_with_another_number_is_the_same_event() -> None:
    event = wire.event_of(fresh(1), "entered", 7, 1, "ab12", "board", "door", 1_790_000_000.25)
    assert wire.decode_event(renumbered(wire.encode_event(event), 99)) == wire.decode_event(
        wire.encode_event(wire.event_of(fresh(1), "entered", 7, 99, "ab12", "board", "door", 1_790_000_000.25))
    )
    with pytest.raises(ValueError, match="not an object"):
        renumbered(b"[]", 1)


def test_a_board_is_told_by_what_an_image_does_not_carry(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    for root, address in ((first, "dc:a6:32:00:00:01"), (second, "dc:a6:32:00:00:02")):
        (root / "etc").mkdir(parents=True)
        (root / "etc" / "machine-id").write_text("the same, for both have one image\n")
        (root / "sys/class/net/eth0/device").mkdir(parents=True)
        (root / "sys/class/net/eth0/address").write_text(address)
    assert target_module.board(first) == target_module.board(first) != target_module.board(second)
    assert len(target_module.board(tmp_path / "nothing")) == 8
