"""Pictures held still: what the camera adds is known, and who is reported is counted as a person would."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgepose.commands.cli import main
from edgepose.lab.eval.held import Camera, held

GREY = np.full((64, 96, 3), 100, np.uint8)
QUIET = Camera(noise=0, drift=0, shake_px=0, quality=0)


def test_a_perfect_camera_shows_the_picture_at_its_times() -> None:
    frames = list(held(GREY, Camera(fps=5, noise=0, drift=0, shake_px=0, quality=0), 2.0, 0))
    assert [frame.t for frame in frames] == pytest.approx([0.2 * index for index in range(10)])
    assert all((frame.image == GREY).all() for frame in frames)


def test_noise_is_as_strong_as_said_and_another_in_each_frame() -> None:
    first, second = (
        frame.image.astype(float) for frame in held(GREY, Camera(noise=5, drift=0, shake_px=0, quality=0), 0.2, 0)
    )
    assert first.std() == pytest.approx(5, rel=0.05)
    assert (first - second).std() == pytest.approx(5 * 2**0.5, rel=0.05)


def test_the_same_seed_gives_the_same_frames() -> None:
    one, other = ([frame.image for frame in held(GREY, Camera(), 0.5, 7)] for _ in range(2))
    assert all((a == b).all() for a, b in zip(one, other, strict=True))


def test_at_night_it_is_dark_and_in_infrared_grey() -> None:
    red = np.zeros((64, 96, 3), np.uint8)
    red[..., 2] = 200
    (night,) = held(red, Camera(noise=0, drift=0, shake_px=0, quality=0, light=0.2), 0.1, 0)
    (infrared,) = held(red, Camera(noise=0, drift=0, shake_px=0, quality=0, grey=True), 0.1, 0)
    assert night.image[..., 2].max() == 40
    assert (infrared.image[..., 0] == infrared.image[..., 2]).all()


def test_an_empty_folder_held_still_has_no_ghosts_and_a_person_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    ramp = np.broadcast_to(np.linspace(0, 255, 320, dtype=np.uint8)[None, :, None], (240, 320, 3))
    cv2.imwrite(str(empty / "ramp.png"), ramp)
    told = tmp_path / "told.json"
    words = ["--still", str(empty), "--json", str(told), "--seconds", "1", "--decode.kernels", "numpy"]
    assert main(["eval", *words]) == 0
    numbers = json.loads(told.read_text())
    assert (numbers["scenes"], numbers["empty_scenes"], numbers["ghosts"]) == (1, 1, 0)
    assert numbers["hours"] * 3600 == pytest.approx(1.0)
    assert "ghosts_per_100" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--still", "absent"], "--still absent: no such folder"),
        (["--still", ".", "--video", "x.avi"], "--video has no meaning with --still"),
    ],
)
def test_what_cannot_be_held_is_said(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", *words]) == 78
    assert message in capsys.readouterr().err
