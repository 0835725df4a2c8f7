"""A Hailo chip, by a stand-in for HailoRT's package on which picamera2's own class runs too."""

from __future__ import annotations

import os
import stat
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import ConfigError, EngineError, FrameLostError, ModelError
from edgepose.core.poses import Frame
from edgepose.engine import open_engine
from edgepose.engine.chips import manifest_of
from edgepose.engine.delegate import devices, hailo, report
from edgepose.engine.surgery.manifest_text import toml
from edgepose.estimate import Estimate, open_estimate
from edgepose.pipeline.build import build, described
from edgepose.source import ListSource
from edgepose.wire.reading import read
from tests.helpers import real_picamera2
from tests.helpers.broker import Broker, Subscriber, wait_until
from tests.helpers.fake_hailo import hailo_platform
from tests.helpers.fake_hailo.hailo_platform import hef_of

F = np.float32
FAKE = Path(hailo_platform.__file__).parent
GREY = Frame(np.full((480, 640, 3), 128, np.uint8), "bgr", 1.0, 1.0, 0)


def answers(people: int = 2) -> dict[str, NDArray[np.float32]]:
    """Nine layers as yolov8s_pose gives them, with people at cells of stride 16: boxes 6 cells wide."""
    layers = {}
    for stride in (8, 16, 32):
        cells = 640 // stride
        for layer, channels in ((10, 64), (11, 1), (12, 51)):
            layers[f"yolov8s_pose/conv{layer}_{stride}"] = np.zeros((cells, cells, channels), F)
    for person in range(people):
        row, column = 20, 10 + 15 * person
        layers["yolov8s_pose/conv10_16"][row, column, [3, 19, 35, 51]] = 20  # all of each side's chance at 3 cells
        layers["yolov8s_pose/conv11_16"][row, column] = 0.9 - 0.1 * person
        joint = layers["yolov8s_pose/conv12_16"][row, column].reshape(17, 3)
        joint[:, 0], joint[:, 1], joint[:, 2] = np.linspace(-1, 1, 17), np.linspace(1, -1, 17), 3
    return layers


def expected(person: int) -> NDArray[np.float64]:
    """(17, 2) pixels of a 640x480 frame, letterboxed into 640x640: 80 rows of bar above."""
    column, row = 10 + 15 * person, 20
    x, y = (np.linspace(-1, 1, 17) * 2 + column) * 16, (np.linspace(1, -1, 17) * 2 + row) * 16
    return np.stack([x - 0.5, y - 80 - 0.5], axis=1)


@pytest.fixture
def chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Hailo-8 at /dev/hailo0, the package, and an empty folder for models."""
    monkeypatch.syspath_prepend(str(FAKE))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FAKE), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(devices, "ROOT", tmp_path)
    monkeypatch.setattr(hailo, "FOLDER", tmp_path / "models")
    for folder in ("dev", "models", "bin"):
        (tmp_path / folder).mkdir()
    (tmp_path / "dev/hailo0").touch()
    tool = tmp_path / "bin/hailortcli"
    tool.write_text('#!/bin/sh\necho "Board Name: Hailo-8"; echo "Device Architecture: ${FAKE_HAILO:-HAILO8}"\n')
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path / "models"


def shipped(folder: Path, name: str = "yolov8s_pose_h8", people: int = 2, **what: Any) -> Path:
    path = folder / f"{name}.hef"
    path.write_bytes(hef_of(answers(people), **what))
    return path


def settings(model: str = "default", **engine: Any) -> config.Config:
    return config.Config(
        engine=config.Engine(**{"delegate": "hailo", "model": model, "retry_s": 0.01, "check_s": 0.0, **engine})
    )


def seen(estimate: Estimate, frame: Frame = GREY) -> NDArray[np.float32]:
    return estimate(frame, None).poses.xy


# ------------------------------------------------------------------------------------------------ poses


def test_people_on_the_chip_are_where_its_heads_say(chip: Path) -> None:
    shipped(chip)
    estimate = open_estimate(settings())
    try:
        found = estimate(GREY, None).poses
        assert found.ran_on == "hailo"
        assert described(estimate.engines[0]) == "yolov8s_pose_h8 on hailo"
        assert len(found) == 2
        for person in range(2):
            assert np.abs(found.xy[person] - expected(person)).max() < 0.01
            assert found.person_score[person] == pytest.approx(0.9 - 0.1 * person)
        assert found.score[0] == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-5)
        black = Frame(np.zeros((480, 640, 3), np.uint8), "bgr", 2.0, 2.0, 1)
        black_in_bars = estimate.engines[0].input  # its bars are 114: no picture of a frame is all black
        assert black_in_bars.pad == 114
        assert len(seen(estimate, black)) == 2
    finally:
        estimate.close()


def test_picamera2s_own_class_gets_the_same_heads(chip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shipped(chip)
    real = real_picamera2.loaded("devices/hailo/hailo.py", monkeypatch, {"hailo_platform": hailo_platform})
    with real.Hailo(str(path)) as theirs:
        assert theirs.get_input_shape() == [640, 640, 3]
        heads = theirs.run(np.full((640, 640, 3), 128, np.uint8))
        assert real.hailo_architecture() == hailo.architecture() == "HAILO8"
    with open_engine(settings().engine) as engine:
        tensor = engine.input.tensor
        tensor.fill(128)
        ours = engine.run(tensor)
    by_shape = {each.shape: each for each in heads.values()}
    assert len(ours) == len(by_shape) == 9
    for role, head in ours.items():
        assert (head == by_shape[engine.heads[role].shape]).all()


# ------------------------------------------------------------------------------------------------ which file


@pytest.mark.parametrize(
    ("arch", "name"),
    [("HAILO8", "yolov8s_pose_h8"), ("HAILO8L", "yolov8s_pose_h8l_pi"), ("HAILO10H", "yolov8s_pose_h10")],
)
def test_by_default_the_file_for_the_chip_at_hand_runs(
    chip: Path, monkeypatch: pytest.MonkeyPatch, arch: str, name: str
) -> None:
    monkeypatch.setenv("FAKE_HAILO", arch)
    for each, kind in (("h8", "HAILO8"), ("h8l_pi", "HAILO8L"), ("h10", "HAILO10H")):
        shipped(chip, f"yolov8s_pose_{each}", arch=kind)
    assert hailo.find_hef("default").stem == name
    with open_engine(settings().engine) as engine:
        assert engine.manifest.name == name


REFUSED = {
    "none there": (
        "yolov8s_pose_h8",
        r"there is no .*yolov8s_pose_h8.hef; there could be yolov8s_pose_h8, .*hailo-all",
    ),
    "no file": ("/nowhere/a.hef", "/nowhere/a.hef: no such file"),
    "another kind": ("./model.tflite", "is no .hef file, and a Hailo chip runs nothing else"),
    "a pair": ("a+b", "runs one network that finds everybody, no pair"),
    "not known which": ("default", "name one of yolov8s_pose_h8l_pi, yolov8s_pose_h8, yolov8s_pose_h10"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_model_that_is_not_there_is_named(chip: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.setenv("FAKE_HAILO", "HAILO15H")
    model, says = REFUSED[case]
    with pytest.raises(ModelError, match=says):
        open_estimate(settings(model))


def test_a_file_of_ones_own_runs_by_the_manifest_beside_it(chip: Path) -> None:
    path = shipped(chip, "mine")
    with pytest.raises(ModelError, match=r"nobody knows what its heads mean.*write mine.toml beside it"):
        open_engine(settings(str(path)).engine)
    network, _ = manifest_of(shipped(chip))
    described_so = msgspec.json.decode(msgspec.json.encode(network)) | {
        "name": "mine", "file": path.name, "sha256": sha256(path.read_bytes()).hexdigest()
    }  # fmt: skip
    described_so.pop("score")
    described_so["delegates"] = {}
    path.with_suffix(".toml").write_text(toml(described_so))
    estimate = open_estimate(settings(str(path)))
    assert len(seen(estimate)) == 2
    estimate.close()


@pytest.mark.parametrize(
    ("name", "says"),
    [("a.hef", "set engine.delegate = 'hailo'"), ("dir/a.rpk", "use --source imx500 with source.network")],
)
def test_a_chips_file_on_the_cpu_says_where_it_runs(name: str, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        open_engine(config.Engine(model=name))


# ------------------------------------------------------------------------------------------------ what goes wrong


def test_a_file_for_another_chip_is_said_so(chip: Path) -> None:
    path = shipped(chip, "yolov8s_pose_h8l_pi", arch="HAILO8L")
    with pytest.raises(ConfigError, match=r"for another chip .*93.*yolov8s_pose_h8 for HAILO8.*fw-control identify"):
        open_engine(settings(str(path)).engine)


def test_a_file_with_other_heads_is_refused(chip: Path) -> None:
    path = chip / "yolov8s_pose_h8.hef"
    layers = answers()
    layers.pop("yolov8s_pose/conv12_8")
    path.write_bytes(hef_of(layers))
    with pytest.raises(ConfigError, match=r"the .hef gives .*, its manifest says"):
        open_engine(settings().engine)


def test_a_damaged_file_is_refused(chip: Path) -> None:
    path = chip / "yolov8s_pose_h8.hef"
    path.write_bytes(b"\x00 no hef")
    with pytest.raises(EngineError, match=r"hailo refuses the model: .*HAILO_INVALID_HEF"):
        open_engine(settings().engine)


@pytest.mark.parametrize("fails", ["crash", "hang", "throw"])
def test_a_chip_that_fails_loses_frames_and_is_started_again(chip: Path, fails: str) -> None:
    shipped(chip, fails=fails, after=2)  # one for the probe picture, one frame
    estimate = open_estimate(settings(deadline_ms=300.0, max_failures=1000))
    try:
        assert len(seen(estimate)) == 2
        with pytest.raises(FrameLostError, match="hailo"):
            estimate(GREY, None)
        until = time.monotonic() + 60
        while True:
            try:
                assert len(seen(estimate)) == 2
                break
            except FrameLostError:
                assert time.monotonic() < until, "it did not come back"
                time.sleep(0.02)
        assert estimate.engines[0].counts["restarts"] >= 1
    finally:
        estimate.close()


def test_without_a_chip_or_its_package_one_line_says_what_to_do(chip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped(chip)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="no Python package hailo_platform; `sudo apt install python3-hailort`"):
        open_engine(settings().engine)
    (chip.parent / "dev/hailo0").unlink()
    with pytest.raises(EngineError, match=r"no Hailo chip is here: there is no /dev/hailo0; .*hailo-all"):
        open_engine(settings().engine)


def test_it_does_not_run_in_this_process(chip: Path) -> None:
    shipped(chip)
    with pytest.raises(ConfigError, match="a Hailo chip is driven by a child process"):
        open_engine(settings(delegate_process="inline").engine)


def test_what_is_found_out_about_it_is_one_line(chip: Path) -> None:
    shipped(chip)
    asked, *_ = report.examine(settings().engine)
    assert (asked.name, asked.state) == ("hailo", "ok")
    assert asked.reason.startswith("hailo takes 1 of 1 operators")
    (other,) = (each for each in report.examine(config.Engine(model="movenet_lightning_192")) if each.name == "hailo")
    assert (other.state, other.reason) == ("ok", "there is a Hailo chip on an AI HAT+ or AI Kit, not in use")


# ------------------------------------------------------------------------------------------------ all of it


def test_the_chips_poses_reach_a_broker(chip: Path, tmp_path: Path) -> None:
    shipped(chip)
    with Broker(tmp_path) as broker, Subscriber(broker.port) as subscriber:
        cfg = msgspec.structs.replace(
            settings(), sink=config.Sink(mqtt=config.Mqtt(broker=f"mqtt://127.0.0.1:{broker.port}"))
        )
        with build(cfg, ListSource([GREY.image] * 3, still=True)) as pipeline:
            pipeline.run()
        wait_until(lambda: len(subscriber.payloads()) == 3, "poses at the broker")
        message = read(subscriber.payloads()[0])
    assert message.ran_on == "hailo"
    assert np.abs(message.xy[1] - expected(1)).max() < 0.1
