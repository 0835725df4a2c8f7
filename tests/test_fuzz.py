"""The inputs that tools/fuzz kept, and changed ones: every reader takes them or refuses them as documented."""

from __future__ import annotations

import random
import zlib

import pytest

from edgepose.core import config
from edgepose.wire.recording import reader
from edgepose.wire.recording.chunks import HEAD, SYNC
from samples.fuzz_targets import CORPUS, JSON_TARGETS, TARGETS, kept, mutate, mutate_json

pytestmark = pytest.mark.slow

MUTATIONS = 2000
"""Of each target's inputs; `tools/fuzz` tries millions."""


@pytest.mark.parametrize("name", TARGETS)
def test_a_kept_input_is_taken_or_refused_as_documented(name: str) -> None:
    refused = {bool(TARGETS[name](data)) for data in kept(name).values()}

    assert refused == {True, False} or name in ("control", "recording-summed", "spool")  # they refuse in their own ways


@pytest.mark.parametrize("name", TARGETS)
def test_a_changed_input_is_taken_or_refused_as_documented(name: str) -> None:
    inputs = list(kept(name).values())
    rng = random.Random(zlib.crc32(name.encode()))
    words = TARGETS[name].words

    for number in range(MUTATIONS):
        data = rng.choice(inputs)
        data = mutate_json(data, rng) if name in JSON_TARGETS and number % 2 else mutate(data, rng, words)
        try:
            TARGETS[name](data)
        except Exception as error:
            raise AssertionError(f"{name}: {data!r}") from error


DEEP = {
    "config": (
        b"a = " + b"[" * 5000,
        b"a = " + b"{x=" * 3000,
        b"a = 1" + b"0" * 5000,
        b"x" * (config.MAX_FILE_BYTES + 1),
    ),
    "manifest": (b"a = " + b"[" * 5000, b"schema = 1" + b"0" * 5000),
    "poses": (b'{"people":' * 50_000, b"[" * 100_000, b'{"seq":' + b"9" * 100_000 + b"}"),
    "command": (b"pause\0" + b'{"id":' * 50_000, b'rate\0{"max_fps":1e' + b"9" * 10_000 + b"}"),
    "model": (b"\x1c\0\0\0TFL3" + b"\0" * 3_000_000,),
}


@pytest.mark.parametrize(("name", "data"), [(name, data) for name in DEEP for data in DEEP[name]], ids=lambda _: "")
def test_what_is_deep_or_long_beyond_reason_is_refused(name: str, data: bytes) -> None:
    assert TARGETS[name](data)


def test_a_recording_of_chunks_that_are_none_is_read_to_its_end_in_one_pass() -> None:
    assert TARGETS["recording"](b"\x89EPR\r\n\x1a\n" + b"EPCH" * 250_000) == ""


def test_a_recording_made_to_keep_its_reader_busy_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MOST_WASTED", 1 << 20)
    head = HEAD.pack(SYNC, 1, 0, 0, 1 << 25, 1 << 25, 0, 0, 0)

    assert "damaged throughout" in TARGETS["recording"](b"\x89EPR\r\n\x1a\n" + head * 1000)


def test_what_is_kept_stays_small_and_has_a_reader() -> None:
    assert {path.name for path in CORPUS.iterdir()} == {f"{name}.zip" for name in TARGETS}
    assert sum(len(data) for name in TARGETS for data in kept(name).values()) < 300_000


def test_a_reader_that_raises_something_else_is_found() -> None:
    broken = TARGETS["poses"]._replace(read=lambda data: [][len(data)])

    with pytest.raises(IndexError):
        broken(b"")


def test_a_refusal_of_two_lines_is_found() -> None:
    def refuse(data: bytes) -> None:
        raise ValueError("one\ntwo")

    with pytest.raises(AssertionError, match="no one line"):
        TARGETS["poses"]._replace(read=refuse)(b"")
