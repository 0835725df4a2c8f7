"""Bytes from anywhere: a reader of ours answers with what it read or with ValueError, nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepose import wire
from edgepose.wire import reading
from samples.people import poses

MESSAGE = wire.encode(poses(2), "board", "door", 2.5, 1_790_000_000.25)
EVENT = wire.encode_event(wire.event_of(poses(1), "entered", 7, 1, "run", "board", "door", 1_790_000_000.25))

READERS: dict[str, Callable[[bytes], object]] = {
    "poses": wire.decode,
    "binary": wire.binary.decode,
    "event": wire.decode_event,
    "status": lambda data: wire.decode_struct(wire.Status, data),
    "health": lambda data: wire.decode_struct(wire.Health, data),
    "answer": lambda data: wire.decode_struct(wire.Answer, data),
    **{f"control/{name}": lambda data, name=name: wire.decode_command(name, data) for name in wire.COMMANDS},  # type: ignore[misc]
}

DEEP = b"[" * 200_000
HOSTILE = {
    "nothing": b" ",
    "deep nesting": DEEP,
    "deep nesting in a key nobody knows": b'{"x":' + DEEP,
    "deep objects": b'{"a":' * 100_000,
    "a number of 5000 digits": b'{"seq":' + b"9" * 5000 + b',"number":1}',
    "a number beyond all": b'{"schema":1e999}',
    "NaN": b'{"age_ms":NaN,"max_fps":NaN}',
    "infinity": b'{"age_ms":Infinity,"max_fps":-Infinity}',
    "not UTF-8": b'{"schema":"\xff\xfe"}',
    "half a surrogate": b'{"schema":"\\ud800"}',
    "a key with a zero byte": b'{"sch\x00ema":1}',
    "null": b"null",
    "half an object": b'{"schema":"edgepose.poses/1"',
}


def read(reader: Callable[[bytes], object], data: bytes) -> None:
    with suppress(ValueError):
        reader(data)


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_bytes_are_a_value_error(reader: Callable[[bytes], object], data: bytes) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        reader(data)

    assert len(str(caught.value)) < 1000


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(READERS)), st.binary(max_size=200))
def test_any_bytes_are_read_or_a_value_error(name: str, data: bytes) -> None:
    read(READERS[name], data)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_message_with_one_value_changed_is_read_or_a_value_error(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["poses", "event"]))
    raw = json.loads(MESSAGE if name == "poses" else EVENT)
    at = raw
    while isinstance(at, (dict, list)) and at:
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        if not isinstance(at[key], (dict, list)) or data.draw(st.booleans()):
            at[key] = data.draw(VALUES)
            break
        at = at[key]

    read(READERS[name], json.dumps(raw).encode())


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["json", "binary"]), st.data())
def test_a_message_with_bytes_changed_or_cut_is_read_or_a_value_error(form: str, data: st.DataObject) -> None:
    whole = MESSAGE if form == "json" else wire.binary.encode(poses(2, entered=(1, 2)), 2.5, 1_790_000_000.25)
    broken = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    del broken[data.draw(st.integers(0, len(whole))) :]

    read(READERS["poses" if form == "json" else "binary"], bytes(broken))


def test_a_message_cut_anywhere_is_refused() -> None:
    for length in range(len(MESSAGE)):
        with pytest.raises(ValueError, match="message"):
            wire.decode(MESSAGE[:length])


def test_each_kind_is_read_back_and_not_as_another() -> None:
    answer = wire.Answer(schema="edgepose.answer/1", command="rate", ok=True, id="7", result={"max_fps": 5.0})
    assert wire.decode_struct(wire.Answer, wire.encode_struct(answer)) == answer
    assert wire.decode_event(EVENT).id == 7
    with pytest.raises(ValueError, match=r"^event: schema is 'edgepose.poses/1', expected 'edgepose.event/1'"):
        wire.decode_event(EVENT.replace(b"edgepose.event/1", b"edgepose.poses/1"))


@pytest.mark.parametrize(
    ("name", "payload", "read"),
    [
        ("pause", b"", {}),
        ("resume", b'{"id":"a"}', {"id": "a"}),
        ("rate", b'{"max_fps":2.5}', {"max_fps": 2.5}),
        ("rate", b'{"max_fps":0,"id":""}', {"max_fps": 0}),
        ("model", b'{"model":"people+best"}', {"model": "people+best"}),
        ("smoothing", b'{"preset":"strong"}', {"preset": "strong"}),
        ("snapshot", b"{}", {}),
        ("restart", b"{}", {}),
        ("status", b" {} ", {}),
    ],
)
def test_a_command_is_read(name: str, payload: bytes, read: dict[str, object]) -> None:
    command = wire.decode_command(name, payload)

    assert type(command) is wire.COMMANDS[name]
    assert msgspec.to_builtins(command) == read


@pytest.mark.parametrize(
    ("name", "payload", "complaint"),
    [
        ("fly", b"{}", "there is no command 'fly'; there are pause, resume"),
        ("pause", b'{"now":true}', "unknown field `now`"),
        ("pause", b'{"id":"' + b"x" * 65 + b'"}', "length <= 64"),
        ("pause", b'{"id":7}', "Expected `str`, got `int`"),
        ("pause", b"[]", "Expected `object`"),
        ("rate", b"{}", "missing required field `max_fps`"),
        ("rate", b'{"max_fps":-1}', ">= 0"),
        ("rate", b'{"max_fps":1001}', "<= 1000"),
        ("rate", b'{"max_fps":"5"}', "got `str`"),
        ("rate", b'{"max_fps":true}', "got `bool`"),
        ("model", b'{"model":"/etc/passwd"}', "regex"),
        ("model", b'{"model":"../evil"}', "regex"),
        ("model", b'{"model":"light\\n"}', "regex"),
        ("model", b'{"model":""}', "regex"),
        ("smoothing", b'{"preset":"most"}', "Invalid enum value 'most'"),
    ],
)
def test_a_command_that_does_not_fit_is_refused_in_one_line(name: str, payload: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=r"^control") as caught:
        wire.decode_command(name, payload)

    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_whose_name_is_not_text_is_still_told() -> None:
    made = poses(1, name="caf\udce9.mp4")

    assert json.loads(wire.encode(made, "board", "door"))["source"] == "caf?.mp4"
    assert wire.binary.decode(wire.binary.encode(made)).source == "caf?.mp4"


def test_a_number_that_would_be_infinite_is_refused_by_who_reads_people() -> None:
    raw = json.loads(wire.encode(poses(1), "board", "door"))
    raw["people"][0]["keypoints"][0] = [1e308, 1.0, 0.5]
    with pytest.raises(ValueError, match="larger than any place"):
        reading.read(json.dumps(raw).encode())
