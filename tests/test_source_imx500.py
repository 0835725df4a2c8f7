"""The AI Camera, on a fake sensor that is held against picamera2's source, and against picamera2's own decoding."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import ConfigError, EngineError, FrameLostError, ModelError, SourceError
from edgepose.core.poses import COCO17, Frame, HeadSpec, Poses, Sensed
from edgepose.engine.chips import HIGHERHRNET, NETWORKS, POSENET, manifest_of
from edgepose.estimate import open_estimate
from edgepose.estimate.decode import open_decoder
from edgepose.pipeline.build import build
from edgepose.sink import MemorySink
from edgepose.source import imx500, open_source
from edgepose.wire.reading import read
from samples.crowds import AS_IS, FRAME, crowd, heatmaps
from tests.helpers import fake_imx500, fake_picamera2, real_picamera2
from tests.helpers.broker import Broker, Subscriber, wait_until
from tests.helpers.fake_imx500 import Intrinsics, Sensor, metadata_of
from tests.helpers.fake_picamera2 import Hardware
from tests.helpers.picamera2_signatures import signatures_in

F = np.float32
GRID_WH = 192, 144
"""Of HigherHRNet in the sensor: 2 pixels of its 384x288 a cell."""


def people(count: int, seed: int = 3) -> NDArray[np.float64]:
    """(count, 17, 2) in cells of the grid."""
    return crowd(count, GRID_WH, seed=seed, skeleton=COCO17, tall=56, apart=6)


def raw_tensors(cells: NDArray[Any]) -> list[NDArray[np.float32]]:
    """(72, 96, 34) heatmaps and tags, (144, 192, 17) heatmaps, as a perfect HigherHRNet gives them."""
    tag = np.zeros((72, 96, 17), F)
    rows, columns = np.mgrid[:72, :96]
    for number, person in enumerate(cells):
        for joint, (x, y) in enumerate((person - 0.5) / 2):
            tag[np.hypot(columns - x, rows - y) < 3, joint] = 4.0 * number
    coarse = heatmaps((cells - 0.5) / 2, (96, 72), sigma=1.0)
    return [np.concatenate([coarse, tag], axis=2), heatmaps(cells, GRID_WH, sigma=2.0)]


def grouped_tensors(cells: NDArray[Any], most: int = 30) -> list[NDArray[np.float32]]:
    """(30, 17) tags, cells and scores, as the sensor finds them itself: weak noise in the places left."""
    rng = np.random.default_rng(1)
    tag, index, score = (np.zeros((most, 17), F) for _ in range(3))
    score[:] = rng.uniform(0, 0.1, score.shape)
    for number, person in enumerate(np.rint(cells).astype(int)):
        order = rng.permutation(17)  # each joint's best cells lie in an order of their own
        tag[number, order], score[number] = 4.0 * number, 0.9 - 0.02 * number
        index[number] = person[:, 1] * GRID_WH[0] + person[:, 0]
    return [tag, index, score]


@pytest.fixture
def hardware(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hardware]:
    """An AI Camera, reached through the fake package."""
    fresh = Hardware()
    monkeypatch.setattr(fake_picamera2, "hardware", fresh)
    monkeypatch.setattr(fake_imx500, "sensor", Sensor())
    monkeypatch.setitem(sys.modules, "picamera2", fake_picamera2)
    monkeypatch.setitem(sys.modules, "picamera2.devices.imx500", fake_imx500)
    yield fresh
    deadline = time.monotonic() + 20
    while fresh.opened != fresh.closed:
        assert time.monotonic() < deadline, "the camera was not given back"
        time.sleep(0.01)


def network(tmp_path: Path, name: str = "imx500_network_higherhrnet_coco") -> str:
    path = tmp_path / f"{name}.rpk"
    path.write_bytes(b"9464 as if")
    return str(path)


def settings(tmp_path: Path, name: str = "imx500_network_higherhrnet_coco", **changed: Any) -> config.Config:
    source = config.Source(
        **{"uri": "imx500", "network": network(tmp_path, name), "reconnect": False, "stall_s": 0.2, **changed}
    )
    return config.Config(source=source, smooth=config.Smooth(preset="off"))


def shown(hardware: Hardware, *tensors: list[NDArray[Any]] | None) -> None:
    """Let the camera give a grey frame for each answer; None: a frame without one."""
    grey = np.full((720, 640), 128, np.uint8)
    hardware.frames = [grey.copy() for _ in tensors]
    hardware.metadata = [metadata_of(each) if each else {"ScalerCrop": (0, 0, 4056, 3040)} for each in tensors]


def frames(cfg: config.Config) -> list[Frame]:
    """Those of the camera, until it ends."""
    found: list[Frame] = []
    with open_source(cfg.source) as source, contextlib.suppress(SourceError):
        found.extend(source)
    return found


def seen(frame: Frame, cfg: config.Config) -> Poses:
    estimate = open_estimate(cfg)
    try:
        return estimate(frame, None).poses
    finally:
        estimate.close()


def matches(poses: Poses, cells: NDArray[Any], near_px: float) -> bool:
    """Whether these are the people, each once, in pixels of a frame that the network saw whole."""
    scale = 640 / GRID_WH[0]
    wanted = (cells + 0.5) * scale - 0.5
    away = np.hypot(*np.moveaxis(poses.xy[:, None] - wanted[None], -1, 0)).max(axis=2)
    return (
        len(poses) == len(cells)
        and sorted(away.argmin(axis=0)) == list(range(len(cells)))
        and (away.min(axis=0) <= near_px).all()
    )


# ------------------------------------------------------------------------------------------------ the fake is true


@pytest.mark.parametrize("release", ["0.3.24", "0.3.38"])
def test_the_fake_has_the_signatures_of_the_real_class(release: str) -> None:
    package = real_picamera2.packages().get(release)
    if package is None:
        pytest.skip(f"picamera2 {release} is not at hand; ./tools/test fetches the source of the releases")
    real = signatures_in((package / "devices/imx500/imx500.py").read_text(encoding="utf-8"), ("IMX500",))
    fake = signatures_in(Path(fake_imx500.__file__).read_text(encoding="utf-8"), ("IMX500",))
    assert "IMX500.get_outputs" in fake
    fake["IMX500.__init__"].pop("tensor_injection")  # not in 0.3.24, and not used
    real["IMX500.__init__"].pop("tensor_injection", None)
    assert {name: real.get(name) for name in fake} == fake


def test_the_real_class_reads_the_same_outputs_from_the_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    real = real_picamera2.loaded("devices/imx500/imx500.py", monkeypatch)
    told = metadata_of(raw_tensors(people(2)))
    theirs = real.IMX500.get_outputs(real.IMX500.__new__(real.IMX500), told)
    ours = fake_imx500.IMX500("x").get_outputs(told)
    assert [each.shape for each in theirs] == [(72, 96, 34), (144, 192, 17)]
    assert all((mine == its).all() for mine, its in zip(ours, theirs, strict=True))


# ------------------------------------------------------------------------------------------------ poses


def test_people_whose_joints_the_sensor_found_are_grouped(hardware: Hardware, tmp_path: Path) -> None:
    cells = people(4)
    shown(hardware, grouped_tensors(cells))
    (frame,) = frames(settings(tmp_path))
    poses = seen(frame, settings(tmp_path))
    assert matches(poses, np.rint(cells), near_px=0.01)
    assert poses.ran_on == "imx500"


def test_the_part_that_the_network_saw_is_where_its_people_are(hardware: Hardware, tmp_path: Path) -> None:
    """The middle 480 of 640 columns: a cell is 2.5 pixels wide and 10/3 high there."""
    fake_imx500.sensor.roi_xywh = (80, 0, 480, 480)
    cells = np.rint(people(1))
    shown(hardware, grouped_tensors(cells))
    (frame,) = frames(settings(tmp_path))
    wanted = (cells[0] + 0.5) * (480 / 192, 480 / 144) + (80 - 0.5, -0.5)
    assert np.abs(seen(frame, settings(tmp_path)).xy[0] - wanted).max() < 0.01


def sensed(tensors: list[NDArray[Any]]) -> Frame:
    grey = np.full((480, 640, 3), 128, np.uint8)
    return Frame(grey, "bgr", 1.0, 1.0, 0, sensed=Sensed(tuple(tensors), (0, 0, 640, 480)))


def test_posenet_in_the_sensor_is_decoded(tmp_path: Path) -> None:
    """One person: a peak for each joint, offsets that lead from each to the next along the bones."""
    from edgepose.estimate.decode.personlab import BONES

    heat, short, mid = (np.zeros(shape, F) for _, shape in POSENET.heads)
    heat[:] = -8
    joints = np.array([(4 + joint // 2, 6 + joint) for joint in range(17)])  # row, column of each
    for joint, (row, column) in enumerate(joints):
        heat[row, column, joint] = 5
    for bone, (a, b) in enumerate(BONES):
        for (start, end), first in (((a, b), 0), ((b, a), 32)):
            step = (joints[end] - joints[start]) * 16
            mid[joints[start][0], joints[start][1], [first + bone, first + 16 + bone]] = step
    poses = seen(sensed([heat, short, mid]), settings(tmp_path, "imx500_network_posenet"))
    wanted = (joints[:, ::-1] * 16 + 0.5) * (640 / 481, 480 / 353) - 0.5
    assert len(poses) == 1
    assert np.abs(poses.xy[0] - wanted).max() < 0.01


def yolo_tensors(anchor: int, xy: NDArray[Any]) -> list[NDArray[np.float32]]:
    """Boxes as distances in cells, a score, and joints relative to cells, of one person at an anchor of stride 16."""
    boxes, scores, joints = np.zeros((4, 8400), F), np.zeros((1, 8400), F), np.zeros((51, 8400), F)
    row, column = divmod(anchor - 6400, 40)
    boxes[:, anchor], scores[0, anchor] = 3, 0.8
    joints[0::3, anchor] = (xy[:, 0] / 16 - column) / 2
    joints[1::3, anchor] = (xy[:, 1] / 16 - row) / 2
    joints[2::3, anchor] = 4
    return [boxes, scores, joints]


def test_yolo_in_the_sensor_says_what_picamera2_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    xy = np.random.default_rng(2).uniform(250, 390, (17, 2))
    tensors = yolo_tensors(6400 + 20 * 40 + 20, xy)
    poses = seen(sensed(tensors), settings(tmp_path, "imx500_network_yolov8n_pose"))
    wanted = xy * (640 / 640, 480 / 640) - 0.5
    assert len(poses) == 1
    assert np.abs(poses.xy[0] - wanted).max() < 0.01
    nms = real_picamera2.loaded("devices/imx500/postprocess.py", monkeypatch)
    real = real_picamera2.loaded(
        "devices/imx500/postprocess_yolov8.py", monkeypatch, {"picamera2.devices.imx500.postprocess": nms}
    )
    _, score, joints = real.postprocess_yolov8_keypoints([tensor[None] for tensor in tensors])
    theirs = joints.reshape(17, 3)
    assert np.abs(theirs[:, :2] * (1, 0.75) - 0.5 - poses.xy[0]).max() < 0.01
    assert np.abs(theirs[:, 2] - poses.score[0]).max() < 1e-5
    assert score[0] == pytest.approx(poses.person_score[0])


# ------------------------------------------------------------------------------------------------ the outside judge


def theirs(tensors: list[NDArray[Any]], judge: Any, grouped: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """(N, 17, 2) cells and (N,) scores of picamera2's own decoding; joints it lacks are NaN."""
    joints, scores, _ = judge.postprocess_higherhrnet(
        [tensor[None] for tensor in tensors], (288, 384), (0, 0), (0, 0), network_postprocess=grouped
    )
    found = np.reshape(joints, (-1, 17, 3)).astype(float)
    if grouped:  # theirs divides cells by columns and keeps the fraction: rows are off by the column's share
        found[..., 1] = np.floor(found[..., 1] / 2) * 2
    return np.where(found[..., 2:] > 0, found[..., :2] / 2, np.nan), np.array(scores)


def ours(tensors: list[NDArray[Any]], grouped: bool) -> Poses:
    names = ("tag", "index", "score") if grouped else ("tag", "heatmap")
    specs = {name: HeadSpec(name, each.shape, np.dtype(F), 1.0, 0) for name, each in zip(names, tensors, strict=True)}
    options = {**HIGHERHRNET.options, "stride": 1, "min_person_score": 0.0}
    if not grouped:
        options = {**options, "grid_wh": [], "average": True}
    decode = open_decoder("m", "ae", options, COCO17, specs, config.Decode(max_people=30))
    return decode(dict(zip(names, tensors, strict=True)), AS_IS, FRAME)


@pytest.mark.parametrize("grouped", [True, False], ids=["found in the sensor", "raw heads"])
@pytest.mark.parametrize("count", [0, 1, 3, 6])
def test_people_are_those_that_picamera2_finds(count: int, grouped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = real_picamera2.loaded("devices/imx500/postprocess_highernet.py", monkeypatch)
    cells = people(count) if count else np.zeros((0, 17, 2))
    tensors = grouped_tensors(cells) if grouped else raw_tensors(cells)
    if count and not grouped:  # noise between the joints, and a joint that nobody sees
        tensors[1] += np.random.default_rng(5).uniform(0, 0.2, tensors[1].shape).astype(F)
        tensors[0][..., 9], tensors[1][..., 9] = 0, 0
    their_xy, their_score = theirs(tensors, judge, grouped)
    poses = ours(tensors, grouped)
    assert len(poses) == len(their_xy) == count
    for xy, score in zip(their_xy, their_score, strict=True):
        away = np.hypot(*np.moveaxis(poses.xy - xy, -1, 0))
        same = (np.isnan(poses.xy[..., 0]) == np.isnan(xy[:, 0])).all(axis=1)
        best = int(np.where(same, np.nan_to_num(away).max(axis=1), np.inf).argmin())
        assert np.nanmax(away[best]) <= 0.75  # ours has fractions of a cell
        assert poses.person_score[best] == pytest.approx(score, abs=1e-5)


# ------------------------------------------------------------------------------------------------ the camera


def test_the_network_goes_to_the_sensor_first_and_the_aspect_is_kept(hardware: Hardware, tmp_path: Path) -> None:
    cfg = settings(tmp_path)
    shown(hardware, grouped_tensors(people(1)))
    frames(cfg)
    assert fake_imx500.sensor.loaded == [cfg.source.network]
    assert fake_imx500.sensor.aspects == 1


def test_a_network_that_wants_the_picture_stretched_gets_it_so(hardware: Hardware, tmp_path: Path) -> None:
    fake_imx500.sensor.intrinsics = Intrinsics(preserve_aspect_ratio=False)
    shown(hardware, grouped_tensors(people(1)))
    frames(settings(tmp_path))
    assert fake_imx500.sensor.aspects == 0


def test_the_camera_is_no_faster_than_its_network(hardware: Hardware, tmp_path: Path) -> None:
    fake_imx500.sensor.intrinsics = Intrinsics(inference_rate=10)
    shown(hardware, grouped_tensors(people(1)))
    frames(settings(tmp_path, fps=30))
    assert hardware.configured[0]["controls"] == {"FrameDurationLimits": (100000, 100000)}


@pytest.mark.parametrize(
    ("progress", "says"), [((1000, 2000), "50 % of the network"), (None, "the first upload takes minutes")]
)
def test_the_upload_is_told(
    hardware: Hardware, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    progress: Any, says: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(imx500, "LOOK_S", 0.001)
    fake_imx500.sensor.progress = progress
    caplog.set_level(logging.INFO)
    with open_source(settings(tmp_path, stall_s=5.0).source) as source:
        found = iter(source.each(lambda _: source.close() if says in caplog.text else None))
        assert next(found, None) is None
    assert says in caplog.text
    assert set(fake_imx500.sensor.asked) == {2}


# ------------------------------------------------------------------------------------------------ what goes wrong


def test_a_frame_without_an_answer_is_lost_and_no_empty_room(hardware: Hardware, tmp_path: Path) -> None:
    cells = people(2)
    shown(hardware, None)
    (frame,) = frames(settings(tmp_path))
    with pytest.raises(FrameLostError, match="no answer of imx500_network_higherhrnet_coco"):
        seen(frame, settings(tmp_path))
    answers = [sensed(grouped_tensors(cells)), frame, sensed(grouped_tensors(cells))]
    from edgepose.source import ListSource

    sink = MemorySink()
    with build(settings(tmp_path), ListSource(answers), [sink]) as pipeline:
        pipeline.run()
    assert [len(each) for each in sink.poses] == [2, 2]


def test_another_network_in_the_sensor_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"gives 3x3x2, but .*coco gives 30x17, .*: another network is in it"):
        seen(sensed([np.zeros((3, 3, 2), F)]), settings(tmp_path))


def test_without_a_sensor_or_its_firmware_one_line_says_what_to_do(hardware: Hardware, tmp_path: Path) -> None:
    fake_imx500.sensor.there = False
    with (
        open_source(settings(tmp_path).source) as source,
        pytest.raises(SourceError, match=r"dev-node not found; see `rpicam-hello --list`.*imx500-all"),
    ):
        next(iter(source))


def test_without_the_package_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2.devices.imx500", None)
    with pytest.raises(ConfigError, match=r"picamera2.devices.imx500 cannot be imported.*imx500-all"):
        open_source(settings(tmp_path).source)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        pytest.param({"network": "/nowhere/x.rpk"}, "/nowhere/x.rpk: no such file; `sudo apt", id="no file"),
        pytest.param({"rotate": 90}, "source.rotate and source.mirror", id="turned"),
        pytest.param({"uri": "/dev/video0", "kind": "imx500"}, "expected imx500 or imx500:ID", id="another address"),
    ],
)
def test_what_cannot_be_is_refused(hardware: Hardware, tmp_path: Path, changed: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        open_source(settings(tmp_path, **changed).source)


def test_a_model_beside_the_sensors_network_is_refused(tmp_path: Path) -> None:
    cfg = msgspec.structs.replace(settings(tmp_path), engine=config.Engine(model="best"))
    with pytest.raises(ConfigError, match=r"engine.model is 'best', but the AI Camera's sensor runs source.network"):
        open_estimate(cfg)


def test_a_network_that_nobody_knows_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"own.rpk: nobody knows .* write own.toml beside it, as docs/boards/ai-camera"
    ):
        open_estimate(settings(tmp_path, "own"))


def test_every_shipped_network_opens(tmp_path: Path) -> None:
    for stem, row in NETWORKS.items():
        path = tmp_path / f"{stem}{'.rpk' if stem.startswith('imx500') else '.hef'}"
        path.write_bytes(b"x")
        manifest, _ = manifest_of(path)
        specs = {role: HeadSpec(role, shape, np.dtype(F), 1.0, 0) for role, shape in row.heads}
        open_decoder(stem, manifest.decoder.name, manifest.decoder.options, manifest.joints, specs, config.Decode())


# ------------------------------------------------------------------------------------------------ all of it


def test_the_sensors_poses_reach_a_broker(hardware: Hardware, tmp_path: Path) -> None:
    cells = people(3)
    shown(hardware, *[grouped_tensors(cells)] * 4)
    with Broker(tmp_path) as broker, Subscriber(broker.port) as subscriber:
        cfg = msgspec.structs.replace(
            settings(tmp_path),
            track=config.Track(mode="off"),
            sink=config.Sink(mqtt=config.Mqtt(broker=f"mqtt://127.0.0.1:{broker.port}")),
        )
        with build(cfg) as pipeline, pytest.raises(SourceError):
            pipeline.run(lambda _poses, _frame: time.sleep(0.02))
        wait_until(lambda: subscriber.payloads(), "poses at the broker")
        message = read(subscriber.payloads()[0])
    assert message.ran_on == "imx500"
    assert matches(message, np.rint(cells), near_px=0.1)
