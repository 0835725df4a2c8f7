"""Everything that reads bytes from outside, each as one call that must not raise: `tools/fuzz` and test_fuzz run them.

Bytes may be refused with the documented exceptions only, in one line of text that is safe in a log.
"""

from __future__ import annotations

import contextlib
import json
import random
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from edgepose import wire
from edgepose.commands.status import _text as as_text
from edgepose.commands.top import table
from edgepose.core import config
from edgepose.core.errors import ConfigError, ModelError, SourceError
from edgepose.engine.flatfile import read_ends, read_graph
from edgepose.engine.manifest import read_manifest
from edgepose.lab.meaning import judge
from edgepose.lift.fuse import read_calibration
from edgepose.meaning import rules_of, taught
from edgepose.pipeline.fuse import messages
from edgepose.service.control import Control
from edgepose.service.fleet import Device
from edgepose.service.fleet import _take as take
from edgepose.sink.jsonl import JsonlSink
from edgepose.sink.mqtt.numbering import MOST_BELOW, Bound
from edgepose.sink.mqtt.spool.queue import Spool
from edgepose.source.header import picture_kind, picture_size
from edgepose.source.picture import MOST_PIXELS, require_size
from edgepose.wire.recording import frame_of, read
from edgepose.wire.recording.chunks import DEFLATED, FRAMES, HEAD, MAGIC, SYNC, session_id

LONGEST_ERROR = 4000
"""Characters of a message; it may hold one refused value, cut."""

CORPUS = Path(__file__).resolve().parents[1] / "tests" / "corpus"
"""A .zip of inputs for each target, written by `tools/fuzz --keep`."""


def kept(name: str) -> dict[str, bytes]:
    """The inputs kept for a target, by name."""
    with zipfile.ZipFile(CORPUS / f"{name}.zip") as inputs:
        return {each: inputs.read(each) for each in sorted(inputs.namelist())}


class Target(NamedTuple):
    """One reader."""

    read: Callable[[bytes], object]
    refuses: type[Exception]
    longest: int
    """Bytes of an input that are worth trying."""
    words: tuple[str, ...] = ()
    """What an input is made of."""

    def __call__(self, data: bytes) -> str:
        """Why it was refused, empty: it was not; AssertionError or another exception is a bug."""
        try:
            self.read(data)
        except self.refuses as error:
            text = str(error)
            assert text, "no message"
            assert len(text) <= LONGEST_ERROR, f"a message of {len(text)} characters: {text[:100]!r}"
            assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text), f"no one line: {text[:400]!r}"
            return text
        return ""


def _file(data: bytes, name: str) -> Path:
    """A file in memory, where there is one."""
    path = Path(_folder.name) / name
    path.write_bytes(data)
    return path


_memory = Path("/dev/shm")
_folder = tempfile.TemporaryDirectory(dir=_memory if _memory.is_dir() else None)


def _command(data: bytes) -> object:
    """NAME, a null byte, payload."""
    name, _, payload = data.partition(b"\0")
    return wire.decode_command(name.decode(errors="replace"), payload)


class _Inline(Control):
    """Without the threads for what takes long."""

    def _aside(self, does: Callable[[Callable[..., None]], None], respond: Callable[..., None]) -> None:
        respond({})


_stages = SimpleNamespace(tracker=object())
_loop: Any = SimpleNamespace(
    source=SimpleNamespace(live=True),
    control=SimpleNamespace(ask=lambda act: act(), pause=lambda _: None, stages=lambda: _stages),
)
_service: Any = SimpleNamespace(
    cfg=config.convert({"control": {"snapshot": True, "per_minute": 6000}}, config.Config, "fuzz"),
    pipeline=_loop,
    settings=SimpleNamespace(soon=lambda edit, then: (edit(config.Config()), then())),
    restart=lambda: None,
)
_reporter: Any = SimpleNamespace(status=lambda: None, health=lambda: None)


def _control(data: bytes) -> None:
    """NAME, a null byte, payload: one answer at most, which says no more than that it was refused."""
    name, _, payload = data.partition(b"\0")
    control = _Inline(_service, SimpleNamespace(), _reporter)
    control._does["status"] = lambda _, respond: respond({})
    answers: list[bytes] = []
    control.handle(payload, f"control/{name.decode(errors='replace')}", answers.append)
    assert len(answers) <= 1
    for raw in answers:
        answer = wire.decode_struct(wire.Answer, raw)
        assert not answer.error.startswith("unexpected"), answer
        assert len(raw) <= LONGEST_ERROR


def _device(data: bytes) -> None:
    """SUFFIX, a null byte, payload of somebody at the broker: what `status` and `top` show of it is its own lines."""
    suffix, _, payload = data.partition(b"\0")
    device = Device("edgepose/porch/door", "online")
    try:
        take(device, suffix.decode(errors="replace"), payload)
    finally:
        shown = as_text(device) + table([device])
        assert not [char for char in shown if (ord(char) < 32 and char != "\n") or 127 <= ord(char) < 160]
        assert shown.startswith("porch/door  ")
        assert len(shown) < 20_000


def _numbering(data: bytes) -> None:
    """What the broker keeps for us, whoever wrote it: a number that leaves room above it, or none."""
    wire.decode_struct(wire.Numbering, data)
    for retained in (True, False):
        wanted, other = Bound("run").heard(data, retained, "mine", 7)
        assert 0 <= wanted <= MOST_BELOW
        assert not (wanted and other)


def _recording(data: bytes) -> None:
    """What is read can be published."""
    with read(data) as recording, np.errstate(invalid="ignore"):  # a NaN that signals is a NaN
        assert recording.frames() >= 0
        for kept in recording:
            frame_of(kept, 0.0)
            wire.encode(kept.poses, "board", "camera", 1.0, 1.7e9)
            with contextlib.suppress(ValueError):  # a skeleton that does not fit the binary form
                wire.binary.encode(kept.poses, 1.0, 1.7e9)
        assert "\n" not in recording.warning


def _summed(data: bytes) -> None:
    """As _recording, with the lengths and checksums put right: as if another program had written it."""
    _recording(summed(data))


def summed(data: bytes) -> bytes:
    """The chunks of a recording with right lengths and checksums, each frame's session the one before it."""
    parts, session = [MAGIC], 0
    for piece in data.split(SYNC)[1:]:
        head = bytearray((SYNC + piece)[: HEAD.size].ljust(HEAD.size, b"\0"))
        stored = (SYNC + piece)[HEAD.size :]
        plain = stored
        if head[5] & DEFLATED:
            with contextlib.suppress(zlib.error):
                plain = zlib.decompressobj().decompress(stored, 1 << 16)
        if head[4] != FRAMES:
            session = session_id(plain)
        struct.pack_into("<III", head, 8, len(stored), len(plain), session)
        struct.pack_into("<I", head, 24, zlib.crc32(stored, zlib.crc32(bytes(head[:24]))))
        parts += [bytes(head), stored]
    return b"".join(parts)


def _config(data: bytes) -> None:
    """What loads is also written, and loads back the same."""
    cfg = config.load(_file(data, "edgepose.toml"))
    again = config.load(_file(config.to_toml(cfg).encode(), "again.toml"))
    assert again == cfg


def _manifest(data: bytes) -> object:
    return read_manifest(_file(data, "model.toml")).joints


def _model(data: bytes) -> None:
    read_graph(data, "model.tflite")
    read_ends(data, "model.tflite")


def _surgery(data: bytes) -> None:
    """As `edgepose models import`, without running anything: what is recognised is cut, written and read again."""
    from edgepose.engine.surgery.found import Shaped
    from edgepose.engine.surgery.net import Cut, Net
    from edgepose.engine.surgery.plan import recognise
    from edgepose.engine.surgery.writing import write_model

    read_graph(data, "model.tflite")
    net = Net(data, "model.tflite")
    found = recognise(net)
    cut = Cut(net, [net.picture.index])
    heads = [
        cut.reshape(head.tensor, head.shape) if isinstance(head, Shaped) else head for head in found.heads.values()
    ]
    read_graph(write_model(cut.model(heads)), "model.tflite, cut")


def _header(data: bytes) -> None:
    """What a header claims is a size or nothing, and none that fills the memory."""
    kind, size_wh = picture_kind(data), picture_size(data)
    assert size_wh is None or (kind and len(size_wh) == 2)
    require_size(data, "picture")
    assert size_wh is None or size_wh[0] * size_wh[1] <= MOST_PIXELS


def _calibration(data: bytes) -> None:
    """Cameras that can see, or none."""
    for placed in read_calibration(_file(data, "room.toml")):
        assert np.isfinite(placed.directions(np.zeros((1, 2)))).all()


def _onnx(data: bytes) -> None:
    """What is converted is a model that can be read."""
    from edgepose.engine.onnx import convert
    from edgepose.engine.onnx.network import read_network

    with np.errstate(all="ignore"):
        made = convert(read_network(data, "model.onnx"), "model.onnx")
    read_graph(made.content, "model.tflite")


def _rules(data: bytes) -> object:
    return rules_of(config.read_toml(_file(data, "rules.toml")), "rules.toml").rules


def _taught(data: bytes) -> None:
    """What is read is written, and reads back as many."""
    known = taught.file_of(_file(data, "gestures.json"), "gestures.json")
    with np.errstate(invalid="ignore", over="ignore"):
        again = taught.read(taught.written(known), "again")
    assert {name: len(poses) for name, poses in again.items()} == {name: len(poses) for name, poses in known.items()}


def _truth(data: bytes) -> object:
    """Of recordings: the rows of a CSV."""
    return judge.truth_of(_file(data, "truth.csv"), _fall)


def _room(data: bytes) -> None:
    """What a camera of a room says, and who listens in Python: people that can be placed."""
    heard = messages.read(data)
    assert heard.poses.xy.shape[1] == 17
    assert np.isfinite(heard.taken_s)


def _meaning(data: bytes) -> object:
    return wire.decode_struct(wire.Meaning, data)


def _spool(data: bytes) -> None:
    """Bytes where a spool was: it keeps, and gives nothing but what it was given."""
    path = _file(data, "events.db")
    try:
        with Spool(path, 4096, retry_s=0) as spool:
            new = [spool.put("events", lambda number: b"%d" % number) for _ in range(3)]
            assert [item.number for item in spool.pending(100)][-3:] == new
            assert new == sorted(new)
    finally:
        for left in path.parent.glob("events.db*"):
            left.unlink()


def _lines(data: bytes) -> None:
    """A file that JSON lines are to be added to: refused, or added to, and never cut."""
    path = _file(data, "poses.jsonl")
    try:
        JsonlSink(str(path), "board", "camera").close()
    finally:
        assert path.read_bytes().startswith(data)


_keys = tuple(
    part
    for setting in config.settings()
    for part in (setting.key.rpartition(".")[2], f"[{setting.key.rpartition('.')[0]}]")
)
_toml = (
    "=",
    '"',
    "'",
    '"""',
    "[[",
    "]]",
    "{",
    "}",
    "true",
    "nan",
    "inf",
    "1e400",
    "1979-05-27T07:32:00Z",
    "0x",
    "\\u",
    "\n",
)
_json = ("{", "}", "[", "]", ":", ",", "null", "true", "1e400", '"\\ud800"', "-0.0", "9223372036854775808")
_message = tuple(f'"{name}"' for name in wire.Message.__struct_fields__ + wire.Person.__struct_fields__)
_event = tuple(f'"{name}"' for name in wire.Event.__struct_fields__)

_fall = rules_of({"rule": [{"kind": "fall"}]}, "fuzz")

_commands = (*wire.COMMANDS, '"id"', '"model"', '"preset"', '"max_fps"')

TARGETS: dict[str, Target] = {
    "poses": Target(wire.decode, ValueError, 4096, (*_json, *_message, wire.SCHEMA)),
    "binary": Target(wire.binary.decode, ValueError, 2048, ("EP\\x01",)),
    "event": Target(wire.decode_event, ValueError, 1024, (*_json, *_event, "edgepose.event/1", '"entered"', '"left"')),
    "command": Target(_command, ValueError, 1024, (*_json, *_commands)),
    "control": Target(_control, ValueError, 1024, (*_json, *_commands)),
    "device": Target(_device, ValueError, 2048, (*_json, "status", "health", "control/answer", "p50", "1e308")),
    "numbering": Target(_numbering, ValueError, 512, (*_json, "edgepose.numbering/1", "below", "lineage", "run")),
    "config": Target(_config, ConfigError, 4096, (*_toml, *dict.fromkeys(_keys))),
    "manifest": Target(_manifest, ModelError, 8192, (*_toml, *("schema", "name", "[[heads]]", "[input]", "[decoder]"))),
    "recording": Target(_recording, SourceError, 4096, ("EPCH",)),
    "recording-summed": Target(_summed, SourceError, 4096, ("EPCH",)),
    "model": Target(_model, ModelError, 1 << 14, ("TFL3",)),
    "header": Target(_header, SourceError, 4096, ("\xff\xd8", "GIF89a", "ftypheic", "P6 9 9 255 ", "RIFF", "ispe")),
    "lines": Target(_lines, ConfigError, 4096, ("{", "}", "\n", '{"a":1}\n')),
    "calibration": Target(
        _calibration, ConfigError, 4096, (*_toml, "matrix", "rotation", "translation", "size", "<calibration")
    ),
    "rules": Target(_rules, ConfigError, 4096, (*_toml, "[[rule]]", "[[zone]]", 'kind = "', "name", "schema")),
    "taught": Target(_taught, ConfigError, 4096, (*_json, "edgepose.taught/1", '"examples"')),
    "truth": Target(_truth, ConfigError, 1024, ("recording,rule,begin_s,end_s,count\n", "fall", "1e999", "nan", '"')),
    "room": Target(_room, ValueError, 4096, (*_json, *_message, wire.SCHEMA)),
    "meaning": Target(_meaning, ValueError, 2048, (*_json, "edgepose.meaning/1", '"rules"', '"people"')),
    "onnx": Target(_onnx, ModelError, 4096, ("Conv", "Resize", "Expand", "Reshape", "Transpose", "Concat", "pads")),
    "spool": Target(_spool, ConfigError, 1 << 15, ("SQLite format 3", "item", "about", "lineage")),
    "surgery": Target(_surgery, ModelError, 1 << 14, ("TFL3",)),
}

JSON_TARGETS = ("poses", "event", "command", "control", "taught", "room", "meaning")

ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1 << 63, 1 << 64, 0.5, 1e308, -0.0, "", "x" * 300, "\n\x1b[31m", "\u2028", [], {}, [[]], {"": 0},
)  # fmt: skip


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    """A value in it replaced, removed, doubled or nested; bytes that are no JSON come back as they are."""
    name, null, payload = data.rpartition(b"\0")
    try:
        root = [json.loads(payload)]
    except (ValueError, RecursionError):
        return data
    slots: list[tuple[Any, Any]] = []
    waiting: list[Any] = [root]
    while waiting and len(slots) < 500:
        here = waiting.pop()
        for key, value in here.items() if isinstance(here, dict) else enumerate(here):
            slots.append((here, key))
            if isinstance(value, (dict, list)):
                waiting.append(value)
    where, key = rng.choice(slots)
    how = rng.randrange(4)
    if how == 0 and where is not root:
        del where[key]
    elif how == 1 and isinstance(where, dict):
        where[rng.choice(("id", "schema", "x\n", "people"))] = where[key]
    elif how == 2:
        where[key] = [where[key]] * rng.randrange(4)
    else:
        where[key] = rng.choice(ODD)
    return name + null + json.dumps(root[0]).encode()


def mutate(data: bytes, rng: random.Random, words: tuple[str, ...]) -> bytes:
    """A few bytes changed, cut out, doubled, or a word put in."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(out) + 1)
        end = min(len(out), at + rng.choice((1, 2, 4, 40)))
        how = rng.randrange(5)
        if how == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            out[at:end] = bytes(rng.choice((0, 1, 0x7F, 0x80, 0xFF)) for _ in range(end - at))
        elif how == 2:
            del out[at:end]
        elif how == 3:
            out[at:at] = out[at:end] * rng.choice((1, 3))
        elif words:
            out[at:end] = rng.choice(words).encode()
    return bytes(out)
