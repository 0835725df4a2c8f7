"""What wakes a camera, drawn: for whoever aims it, and draws masks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgepose.core import config
from edgepose.core.poses import COCO17, Frame, Poses
from edgepose.core.timing import StageTimes
from edgepose.pipeline.power.governor import Governor
from edgepose.pipeline.publish import Publisher, Seen, Unseen
from edgepose.pipeline.stages import Stages
from edgepose.sink import MemorySink, open_sinks
from edgepose.sink.base import GateView
from edgepose.sink.gate import draw_gate
from edgepose.sink.overlay import OverlaySink
from edgepose.sink.side import SideSink
from tests.test_power_hold import Looks

GREY = 100
CELL = 8


def view(changed: bool = True, ignored: bool = False, at_xy: tuple[int, int] | None = None) -> GateView:
    """Cell 2, 3 changed, cell 5, 6 ignored."""
    cells = np.zeros((12, 16), np.bool_)
    cells[2, 3] = True
    out = np.zeros((12, 16), np.bool_)
    out[5, 6] = True
    return GateView(CELL, cells if changed else None, out if ignored else None, at_xy, "empty: motion")


def picture() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((120, 160, 3), GREY, np.uint8)


def nobody(t: float = 1.0, seq: int = 1) -> tuple[Poses, Frame]:
    frame = Frame(picture(), "bgr", t, time.monotonic(), seq)
    none = np.zeros((0, 17), np.float32)
    return Poses.of(frame, COCO17, np.zeros((0, 17, 2), np.float32), none, none[:, 0]), frame


def test_cells_that_changed_are_tinted_where_they_are_and_nothing_else() -> None:
    image = picture()
    draw_gate(image, view())
    rows, columns = np.nonzero((image[:80] != GREY).any(axis=2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (16, 23, 24, 31)
    assert image[20, 28, 2] > GREY > image[20, 28, 0]  # reddish


def test_what_is_ignored_is_darker() -> None:
    image = picture()
    draw_gate(image, view(changed=False, ignored=True))
    assert (image[40:48, 48:56] < GREY / 2).all()
    assert (image[:40] == GREY).all()


def test_where_most_changed_is_ringed_and_why_is_written() -> None:
    image = picture()
    draw_gate(image, view(changed=False, at_xy=(60, 50)))
    assert (image[30:70, 40:80] != GREY).any()
    assert (image[100:] != GREY).any()


@pytest.mark.parametrize("size_hw", [(5, 7), (95, 127), (97, 1)], ids=str)
def test_a_picture_smaller_than_its_cells_is_drawn_on(size_hw: tuple[int, int]) -> None:
    image = np.full((*size_hw, 3), GREY, np.uint8)
    draw_gate(image, view(ignored=True, at_xy=(3, 3)))
    assert image.shape == (*size_hw, 3)


def drawn(folder: Path, least: int) -> list[str]:
    """Names of the pictures in a folder, once there are so many: a sink has a thread of its own."""
    until_t = time.monotonic() + 30
    while len(names := sorted(path.name for path in folder.iterdir())) < least and time.monotonic() < until_t:
        time.sleep(0.01)
    return names


def test_a_frame_that_nobody_looked_at_is_drawn_by_who_wants_it_alone(tmp_path: Path) -> None:
    memory = MemorySink()
    overlay = OverlaySink(str(tmp_path), live=True, fps=30, gate=True)
    poses, first = nobody()
    with Publisher([memory, overlay], True, StageTimes()) as publish:
        publish(Seen(poses, first, Stages(Looks()), view()))
        assert drawn(tmp_path, 1)[0] == "000001_poses.jpg"
        for seq in range(2, 40):
            publish.leave_out(Unseen(nobody(float(seq), seq)[1], False, view()))
            time.sleep(0.005)
        assert len(drawn(tmp_path, 2)) > 1
    overlay.close()
    assert len(memory.poses) == 1


@pytest.mark.parametrize(("live", "gate", "wanted"), [(True, True, True), (True, False, False), (False, True, False)])
def test_only_a_cameras_overlay_that_is_asked_shows_the_gate(
    tmp_path: Path, live: bool, gate: bool, wanted: bool
) -> None:
    sinks = config.Sink(overlay=config.Overlay(path=str(tmp_path), gate=gate))
    (sink,) = open_sinks(config.Config(sink=sinks), live)
    with sink:
        assert sink.wants_gate == wanted


def test_a_sink_beside_others_shows_it_too(tmp_path: Path) -> None:
    overlay = OverlaySink(str(tmp_path), live=True, fps=30, gate=True)
    with SideSink("sink.overlay", lambda _first: overlay, None) as side:
        assert side.wants_gate
        side.take_gate(view())
        side.write(*nobody())
    assert len(list(tmp_path.iterdir())) == 1


def scene(bar: bool) -> Iterator[Frame]:
    for seq in range(200):
        image = np.random.default_rng(seq).integers(80, 90, (120, 160), dtype=np.uint8)
        if bar and seq == 199:
            image[40:80, 100:120] = 200
        yield Frame(image, "gray", seq / 10, seq / 10, seq)


@pytest.mark.parametrize("ignore", [[], ["0.5,0 1,0 1,1 0.5,1"]], ids=["seen", "ignored"])
def test_the_view_says_what_moves_where_and_what_is_ignored(ignore: list[str]) -> None:
    governor = Governor(config.Power(ignore=ignore), 1.0)
    for frame in scene(bar=True):
        governor.wants(frame)
    told = governor.view()
    assert (told.ignored is not None) == bool(ignore)
    assert (told.changed is None) == bool(ignore)
    if told.changed is not None:
        assert told.changed[10:20, 25:30].all()
        assert told.at_xy is not None
        assert 96 <= told.at_xy[0] <= 124
        assert "motion" in told.text
    else:
        assert "still" in told.text


def test_what_does_not_move_has_no_cells() -> None:
    governor = Governor(config.Power(), 1.0)
    for frame in scene(bar=False):
        governor.wants(frame)
    assert governor.view().changed is None
