"""The demo is the main job: it must pass where all is well, and must not pass where something is not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgepose.core import config
from edgepose.core.errors import ConfigError, EdgeposeError, SinkError
from edgepose.core.poses import COCO17
from edgepose.lab.demo import broker, scene, show
from edgepose.lab.demo.listener import Listener
from edgepose.sink.mqtt.target import target
from tests.helpers.broker import program

pytestmark = pytest.mark.slow


def run_demo(cfg: config.Config, picture: Path, seconds: float = 2.0) -> int:
    return show.show(cfg, seconds, picture)


@pytest.mark.parametrize("name", ["mosquitto", "amqtt"])
def test_poses_come_back_right_through_either_broker(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "amqtt":
        pytest.importorskip("amqtt", reason="amqtt is not installed")
        monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    else:
        program("mosquitto")
    assert run_demo(config.Config(), tmp_path / "seen.png", seconds=5.0) == 0
    told = capsys.readouterr().out
    assert f"{name} at mqtt://127.0.0.1" in told
    assert "correct poses came back" in told
    seen = cv2.imread(str(tmp_path / "seen.png"))
    assert seen is not None
    assert seen.shape == (480, 1280, 3)


def test_wrong_poses_are_not_called_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mirrored truth stands for a decoder that swaps left and right."""
    right = scene.SceneSource.truth

    def mirrored(self: scene.SceneSource, seq: int) -> Any:
        return scene.SIZE_WH[0] - right(self, seq)

    monkeypatch.setattr(scene.SceneSource, "truth", mirrored)
    assert run_demo(config.Config(), tmp_path / "seen.jpg") == 1
    assert "FAILED" in capsys.readouterr().out


def test_nobody_in_view_is_not_called_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((100, 100, 3), np.uint8))
    cfg = config.Config(source=config.Source(uri=str(tmp_path / "black.png")))
    assert run_demo(cfg, tmp_path / "seen.jpg") == 1
    assert "nobody was seen" in capsys.readouterr().out
    assert not (tmp_path / "seen.jpg").exists()


def test_a_source_of_ones_own_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = Path(scene.__file__).parent / "pictures"
    cfg = config.Config(source=config.Source(uri=str(pictures), loop=True))
    assert run_demo(cfg, tmp_path / "seen.jpg", seconds=1.5) == 0
    assert (tmp_path / "seen.jpg").exists()
    assert str(pictures) in capsys.readouterr().out


def test_a_broker_that_is_not_there_is_told(tmp_path: Path) -> None:
    cfg = config.load(None, {"sink.mqtt.broker": "mqtt://127.0.0.1:9"})
    with pytest.raises(EdgeposeError, match=r"no broker at 127\.0\.0\.1:9"):
        run_demo(cfg, tmp_path / "seen.jpg")


def test_no_broker_at_all_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    monkeypatch.setitem(sys.modules, "amqtt", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="apt install mosquitto"), broker.local_broker():
        pass


def test_a_picture_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    message = {"seq": 0, "size_wh": [8, 8], "skeleton": "coco17", "joints": list(COCO17.joints), "people": []}
    image = np.zeros((8, 8, 3), np.uint8)
    for wrong in (tmp_path / "seen.noformat", tmp_path / "no folder" / "seen.jpg"):
        with pytest.raises(SinkError, match="--picture"):
            show.save([(image, message)], wrong)


def test_truth_moves_with_the_camera() -> None:
    """A mark painted into the photograph is seen where truth says it is."""
    source = scene.SceneSource(1.0)
    source.views[10] = source._view(10 / scene.FPS)
    name, _ = source.views[10]
    nose = scene.MARKED[name]["nose"]
    picture = np.zeros_like(source.pictures[name])
    cv2.circle(picture, (int(nose[0]), int(nose[1])), 3, (255, 255, 255), -1)
    source.pictures[name] = picture
    bright = source.image(10)[..., 0].astype(float)
    bright[source.image(10).sum(axis=2) < 600] = 0
    y, x = np.mgrid[: bright.shape[0], : bright.shape[1]]
    seen = np.array([(x * bright).sum(), (y * bright).sum()]) / bright.sum()
    assert np.abs(source.truth(10)[COCO17.joints.index("nose")] - seen).max() < 1


def test_likeness_counts_a_missing_joint_as_wrong() -> None:
    truth = scene.marked_xy("astronaut.jpg")
    rows = [None if np.isnan(joint).any() else [*joint.tolist(), 0.9] for joint in truth]
    message = {
        "seq": 0,
        "size_wh": [512, 512],
        "skeleton": "coco17",
        "joints": list(COCO17.joints),
        "people": [{"id": None, "score": 1.0, "keypoints": rows}],
    }
    assert show.likeness(truth, message) == pytest.approx(1)
    rows[0] = None
    assert show.likeness(truth, message) == pytest.approx(6 / 7)


def test_the_listener_sets_broken_messages_apart() -> None:
    class Arrived:
        def __init__(self, payload: bytes) -> None:
            self.payload = payload

    listener = Listener(target(config.Mqtt(broker="mqtt://127.0.0.1"), "pi", "camera"))
    for payload in (b"{", b"[]", b"{}", b'{"captured": "2026-01-01T00:00:00.000000Z", "seq": 3}'):
        listener._on_message(None, None, Arrived(payload))  # type: ignore[arg-type]
    assert list(listener.messages) == [3]
    assert len(listener.broken) == 3


def test_a_skeleton_of_the_models_own_is_judged_by_its_joints_names() -> None:
    """Joints in another order, and one that nobody marked: what is known counts, the rest does not."""
    truth = scene.marked_xy("astronaut.jpg")
    names = ["right_shoulder", "nose", "left_shoulder"]
    rows = [[*truth[COCO17.joints.index(name)].tolist(), 0.9] for name in names] + [[1.0, 2.0, 0.9]]
    message = {
        "seq": 0,
        "size_wh": [512, 512],
        "skeleton": "my4",
        "joints": [*names, "tail"],
        "people": [{"id": None, "score": 1.0, "keypoints": rows}],
    }
    assert show.likeness(truth, message) == pytest.approx(1)
    rows[0], rows[2] = rows[2], rows[0]
    assert show.likeness(truth, message) < 0.5
    assert show.poses_of(message).skeleton.joints[3] == "tail"


WRONG_SETTINGS = {
    "sink.mqtt.broker": ("http://127.0.0.1", "expected mqtt://host"),
    "sink.mqtt.topic": ("pose/{room}", "{room} is not known"),
    "sink.mqtt.password_file": ("no such file", "no such file: cannot be read"),
}


@pytest.mark.parametrize("key", WRONG_SETTINGS)
def test_a_wrong_broker_setting_is_told_by_its_key(key: str, tmp_path: Path) -> None:
    value, says = WRONG_SETTINGS[key]
    given = {"sink.mqtt.broker": "mqtt://127.0.0.1:9", "sink.mqtt.username": "pose", key: value}
    with pytest.raises(ConfigError) as caught:
        run_demo(config.load(None, given), tmp_path / "seen.jpg")
    assert key in str(caught.value)
    assert says in str(caught.value)
