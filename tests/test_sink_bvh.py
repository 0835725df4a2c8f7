"""BVH over TCP: what a reader gets is a BVH file, at a steady rate, of bones of constant length."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest

from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.sink.live_bvh import LEARNT, LiveBvh
from samples.people import frame
from samples.people import poses as flat
from tests.test_export_motion import solid, sway
from tests.test_lift import STANDING


def connected(sink: LiveBvh) -> socket.socket:
    reader = socket.create_connection(sink.address, timeout=10)
    reader.settimeout(10)
    return reader


def taken(reader: socket.socket, sink: LiveBvh) -> str:
    sink.close()
    data = b""
    while more := reader.recv(65536):
        data += more
    reader.close()
    return data.decode("ascii")


def test_a_reader_gets_a_file_at_a_steady_rate(tmp_path: Path) -> None:
    sink = LiveBvh(config.Bvh(listen="127.0.0.1:0", fps=30))
    reader = connected(sink)
    for number in range(LEARNT):
        sink.write(solid(number / 20, sway(0.0)), frame())
    for number in range(20):  # of 20 Hz
        sink.write(solid(2 + number / 20, sway(number / 20)), frame())
    text = taken(reader, sink)
    hierarchy, _, motion = text.partition("MOTION\n")
    assert hierarchy.startswith("HIERARCHY\nROOT Hips")
    lines = motion.splitlines()
    assert lines[:2] == ["Frames: 0", "Frame Time: 0.03333333"]
    assert 28 <= len(lines) - 2 <= 30  # 0.95 s
    assert {len(line.split()) for line in lines[2:]} == {3 + 3 * 15}
    bvhio = pytest.importorskip("bvhio", reason="pip install bvhio: another reader of BVH")
    path = tmp_path / "live.bvh"
    path.write_text(text.replace("Frames: 0", f"Frames: {len(lines) - 2}"))
    assert bvhio.readAsBvh(str(path)).FrameCount == len(lines) - 2


def test_who_comes_later_gets_the_skeleton_too() -> None:
    sink = LiveBvh(config.Bvh(listen="127.0.0.1:0"))
    for number in range(LEARNT + 30):
        sink.write(solid(number / 30, STANDING), frame())
    reader = connected(sink)
    sink.write(solid((LEARNT + 30) / 30, STANDING), frame())
    assert taken(reader, sink).startswith("HIERARCHY")


def test_a_reader_that_does_not_read_is_let_go_and_nobody_waits() -> None:
    sink = LiveBvh(config.Bvh(listen="127.0.0.1:0", fps=240))
    reader = connected(sink)
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for number in range(30_000):
        sink.write(solid(number / 2, STANDING) if number < LEARNT else solid(15 + number * 1.9, STANDING), frame())
        if sink.counts["let_go"]:
            break
    assert sink.counts["let_go"] == 1
    reader.close()
    sink.close()


def test_nobody_and_people_without_metres_move_nothing() -> None:
    sink = LiveBvh(config.Bvh(listen="127.0.0.1:0"))
    for number in range(2 * LEARNT):
        sink.write(flat(0, t=number / 30), frame())
        sink.write(flat(1, t=number / 30), frame())
        sink.write(solid(number / 30, np.full((17, 3), np.nan)), frame())
    assert sink.counts["lines"] == 0
    sink.close()
    with pytest.raises(ValueError, match="closed"):
        sink.write(flat(0), frame())


@pytest.mark.parametrize("listen", ["7001", "127.0.0.1:99999", "nowhere.invalid:7001"])
def test_a_port_that_cannot_be_is_refused(listen: str) -> None:
    with pytest.raises(ConfigError, match=r"sink\.bvh\.listen"):
        LiveBvh(config.Bvh(listen=listen))
