"""edgepose in a program: every snippet of docs/python.md, pictures of every kind, and poses from a real broker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

import edgepose
from edgepose import wire
from edgepose.core.config import Config
from edgepose.core.poses import COCO17, PER_PERSON, Frame, Poses
from edgepose.face.settings import made
from edgepose.face.watch import Handover
from edgepose.lab.demo import scene
from edgepose.source import ListSource
from edgepose.wire import binary
from edgepose.wire.reading import read
from samples.people import frame, poses
from tests.helpers.broker import Broker, wait_until

MANUAL = Path(__file__).resolve().parents[1] / "docs" / "python.md"
PHOTO = Path(scene.__file__).parent / "pictures" / "camera.jpg"
BLACK = np.zeros((48, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def light() -> Iterator[Any]:
    with edgepose.open("movenet_lightning_192", threads=1, kernels="numpy") as pose:
        yield pose


def photograph() -> Any:
    image = cv2.imread(str(PHOTO))
    assert image is not None
    return image


# ------------------------------------------------------------------------------------------------ the manual


@contextlib.contextmanager
def publishing(port: int, payloads: dict[str, bytes]) -> Iterator[None]:
    """Topic -> what is published on it, again and again."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    ended = threading.Event()

    def publish() -> None:
        while not ended.wait(0.02):
            for topic, payload in payloads.items():
                client.publish(topic, payload)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        client.disconnect()
        client.loop_stop()


def write_video(path: Path, frames: int) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (320, 240))
    for number in range(frames):
        writer.write(np.ascontiguousarray(photograph()[100:340, number : number + 320]))
    writer.release()


@pytest.mark.broker
@pytest.mark.video
def test_every_snippet_of_the_manual_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("photo.jpg", photograph())
    write_video(tmp_path / "walk.avi", 8)
    snippets = re.findall(r"```python\n(.*?)```", MANUAL.read_text(encoding="utf-8"), re.DOTALL)
    assert len(snippets) == 9
    payloads = {"edgepose/pi/door/poses": wire.encode(poses(), "pi", "door")}
    with Broker(tmp_path) as broker, publishing(broker.port, payloads):
        here = {'"mqtt://broker/': f'"mqtt://127.0.0.1:{broker.port}/', '"picamera2"': '"walk.avi"'}
        known: dict[str, Any] = {}
        for snippet in snippets:
            for there, instead in here.items():
                snippet = snippet.replace(there, instead)
            exec(compile(snippet, str(MANUAL), "exec"), known)  # noqa: S102 (our own manual)
    assert known["wrists"].shape == (1, 2)
    assert Path("drawn.jpg").is_file()
    assert len(Path("poses.jsonl").read_text().splitlines()) == 8


def test_importing_edgepose_loads_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import edgepose; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() in (["edgepose"], ["__future__", "edgepose"])


def test_every_name_is_there_and_the_rest_is_an_attribute_error() -> None:
    assert all(getattr(edgepose, name) is not None for name in edgepose.__all__)
    assert set(edgepose.__all__) <= set(dir(edgepose))
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        _ = edgepose.opne


# ------------------------------------------------------------------------------------------------ pictures


def test_a_picture_of_any_kind_has_the_same_people(light: Any) -> None:
    image = photograph()
    expected = light(image)
    assert len(expected) == 1
    wide = np.zeros((*image.shape[:2], 6), np.uint8)
    wide[:, :, ::2] = image
    kinds = {
        "a path": light(PHOTO),
        "its name": light(str(PHOTO)),
        "rgb": light(image[:, :, ::-1], colour="rgb"),
        "alpha": light(cv2.cvtColor(image, cv2.COLOR_BGR2BGRA)),
        "strided": light(wide[:, :, ::2]),
        "a frame": light(Frame(image, "bgr", 0.0, 0.0, 0)),
    }
    for kind, same in kinds.items():
        np.testing.assert_allclose(same.xy, expected.xy, atol=2, err_msg=kind)  # imread and PIL may decode apart
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    np.testing.assert_array_equal(light(grey).xy, light(grey[:, :, None]).xy)


def test_a_pil_image_is_read_upright(light: Any) -> None:
    pil = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    with pil.open(PHOTO) as image:
        np.testing.assert_allclose(light(image).xy, light(PHOTO).xy, atol=2)
        turned = image.rotate(90, expand=True)
        exif = turned.getexif()
        exif[0x0112] = 6  # to be shown turned a quarter clockwise
        assert len(light(turned)) == len(light(np.asarray(turned)[:, :, ::-1]))
        turned.info["exif"] = exif.tobytes()
        np.testing.assert_allclose(light(turned).xy, light(image).xy, atol=2)


WRONG = {
    "floats in 0..1": (np.zeros((48, 64, 3), np.float32), r"float32 .* \(picture \* 255\)"),
    "16 bit": (np.zeros((48, 64), np.uint16), "picture >> 8"),
    "a mask": (np.zeros((48, 64), bool), r"astype\(numpy.uint8\) \* 255"),
    "channels first": (np.zeros((3, 48, 64), np.uint8), r"transpose\(1, 2, 0\)"),
    "two channels": (np.zeros((48, 64, 2), np.uint8), "expected .height, width, 3"),
    "empty": (np.zeros((0, 64, 3), np.uint8), "is empty"),
    "a batch": (np.zeros((1, 48, 64, 3), np.uint8), "expected .height, width, 3"),
    "nothing": (None, "expected an array of uint8"),
}


@pytest.mark.parametrize(("picture", "says"), WRONG.values(), ids=WRONG)
def test_what_is_no_picture_is_refused_in_one_line(light: Any, picture: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refused:
        light(picture)
    assert "\n" not in str(refused.value)
    with pytest.raises(ValueError, match=says):
        edgepose.draw(picture, poses(0))


@pytest.mark.parametrize("layout", ["bgr", "gray", "nv12"])
def test_a_frame_is_of_bytes_in_its_layout(layout: Any) -> None:
    """A float picture given to a model would leave the picture before it in the input."""
    shape: tuple[int, ...] = {"bgr": (48, 64, 3)}.get(layout, (72, 64))
    wrong: Any
    Frame(np.zeros(shape, np.uint8), layout, 0.0, 0.0, 0)
    for wrong in (np.zeros(shape, np.float32), np.zeros((*shape, 1), np.uint8), np.zeros((0, *shape[1:]), np.uint8)):
        with pytest.raises(ValueError, match="expected uint8 of shape"):
            Frame(wrong, layout, 0.0, 0.0, 0)


def test_a_closed_model_says_so_and_what_it_found_stays() -> None:
    pose = edgepose.open("movenet_lightning_192", threads=1, kernels="numpy")
    found = pose(PHOTO)
    kept = found.xy.copy()
    pose(BLACK)
    pose.close()
    pose.close()
    np.testing.assert_array_equal(found.xy, kept)
    assert "closed" in repr(pose)
    with pytest.raises(ValueError, match="closed"):
        pose(PHOTO)


def test_calls_from_several_threads_take_turns(light: Any) -> None:
    expected = light(PHOTO).xy
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(light(PHOTO).xy)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for xy in found:
        np.testing.assert_array_equal(xy, expected)


def test_drawing_leaves_the_picture_alone_and_wants_its_size() -> None:
    image = np.full((240, 320, 3), 128, np.uint8)
    drawn = edgepose.draw(image, poses(2))
    assert (image == 128).all()
    assert (drawn != 128).any()
    with pytest.raises(ValueError, match="the picture is 64x48, the poses are of one of 320x240"):
        edgepose.draw(BLACK, poses())


# ------------------------------------------------------------------------------------------------ records


def test_joints_have_names_and_people_identities() -> None:
    two = poses(2, track_id=np.array([3, 7], np.int32))
    assert two["nose"].tolist() == [[10, 20], [50, 20]]
    assert two.by_id(7)["nose"].tolist() == [50, 20]
    assert [person.id for person in two] == [3, 7]
    assert not two.by_id(4)
    assert not poses().by_id(-1)
    assert np.isnan(two.by_id(4)["left_wrist"]).all()
    with pytest.raises(KeyError, match="did you mean left_wrist"):
        two["left_wirst"]


def test_poses_say_what_they_are_in_one_line() -> None:
    assert repr(poses(2, track_id=np.array([3, -1]))) == "<Poses: 2 people, id 3; coco17, 320x240, seq 0, t 2.000 s>"
    assert repr(poses().by_id(4)) == "<person 4: not there>"
    assert repr(next(iter(poses()))) == "<person: score 0.90, 17 of 17 joints>"


def test_plain_values_say_none_where_a_joint_was_not_found() -> None:
    one = poses(xyz=np.ones((1, 17, 3), np.float32))
    one.xy[0, 9] = np.nan
    (row,) = one.to_dicts()
    assert (row["t"], row["seq"], row["id"]) == (2.0, 0, None)
    assert row["joints"]["nose"] == (10, 20, 0.5)
    assert row["joints"]["left_wrist"] is None
    assert row["xyz"]["nose"] == (1, 1, 1)


def test_a_table_has_a_row_for_each_person_and_joint() -> None:
    columns = poses(2, track_id=np.array([3, 7], np.int32)).to_columns()
    assert {len(column) for column in columns.values()} == {34}
    assert (columns["id"][17], columns["joint"][17], columns["x"][17], columns["y"][17]) == (7, "nose", 50, 20)
    assert {len(column) for column in poses(0).to_columns().values()} == {0}


def test_a_table_of_pandas_is_those_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        poses().to_pandas()
    monkeypatch.undo()
    pytest.importorskip("pandas", reason="pandas is not installed")
    table = poses(2).to_pandas()
    assert list(table.columns) == list(poses(2).to_columns())
    assert len(table) == 34


def test_rows_takes_people_from_every_array() -> None:
    arrays = {field.name for field in fields(Poses) if "NDArray" in str(field.type)}
    assert set(PER_PERSON) == arrays
    three = poses(3, xyz=np.arange(153, dtype=np.float32).reshape(3, 17, 3))
    some = three.rows(np.array([True, False, True]), entered=(1,))
    assert some.xy[:, 0, 0].tolist() == [10, 90]
    assert some.xyz is not None
    assert some.xyz[:, 0, 0].tolist() == [0, 102]
    assert some.coarse_xy is None
    assert some.entered == (1,)


def test_poses_of_a_frame_fit_together() -> None:
    xy, score = np.zeros((2, 17, 2), np.float32), np.zeros((2, 17), np.float32)
    made_ = Poses.of(frame(seq=4), COCO17, xy, score, np.zeros(2, np.float32))
    assert (made_.seq, made_.size_wh, made_.track_id.tolist()) == (4, (320, 240), [-1, -1])
    with pytest.raises(ValueError, match=r"expected \(1, 17, 2\)"):
        Poses.of(frame(), COCO17, xy, score, np.zeros(1, np.float32))


# ------------------------------------------------------------------------------------------------ settings


def test_a_keyword_is_a_setting_by_any_of_its_names() -> None:
    cfg = made(None, {"threads": 2, "engine__delegate": "cpu", "decode.max_people": 3, "model": "light", "camera": "c"})
    assert (cfg.engine.threads, cfg.decode.max_people, cfg.engine.model, cfg.camera) == (2, 3, "light", "c")
    assert made(Config(device="pi"), {"camera": "c"}).device == "pi"


UNKNOWN = {
    "misspelt": ({"thread": 2}, "did you mean engine.threads?"),
    "of two": ({"on": True}, "control__on or home_assistant__on"),
    "out of range": ({"threads": 900}, "engine.threads is 900, expected int <= 64"),
}


@pytest.mark.parametrize(("given", "says"), UNKNOWN.values(), ids=UNKNOWN)
def test_a_wrong_keyword_is_named(given: dict[str, Any], says: str) -> None:
    with pytest.raises(edgepose.ConfigError, match=re.escape(says)):
        edgepose.open("light", **given)


# ------------------------------------------------------------------------------------------------ watch


QUICK: dict[str, Any] = {"model": "movenet_lightning_192", "threads": 1, "kernels": "numpy"}


def test_everybody_in_a_recording_is_followed_and_nothing_is_dropped() -> None:
    seen = list(edgepose.watch([photograph()] * 12, **QUICK))
    assert [poses.seq for poses in seen] == list(range(12))
    assert {id_ for poses in seen for id_ in poses.track_id.tolist()} == {1}


def test_leaving_the_loop_ends_every_thread() -> None:
    before = set(threading.enumerate())
    for found, picture in edgepose.watch([photograph()] * 500, frames=True, **QUICK):
        assert found.size_wh == picture.size_wh
        break
    wait_until(lambda: not [t for t in set(threading.enumerate()) - before if "kernels" not in t.name], "threads end")


def test_what_fails_while_it_runs_ends_the_loop(tmp_path: Path) -> None:
    class Breaks(ListSource):
        def __iter__(self) -> Iterator[Frame]:
            yield from super().__iter__()
            raise edgepose.SourceError("the cable was pulled")

    taken = iter(edgepose.watch(Breaks([photograph()] * 3), **QUICK))
    assert next(taken).seq == 0
    with pytest.raises(edgepose.SourceError, match="cable"):
        list(taken)
    with pytest.raises(edgepose.ConfigError, match="no such file"):
        edgepose.watch(tmp_path / "nothing.mp4")


def test_of_a_camera_the_newest_wins_and_whoever_left_meanwhile_is_not_lost() -> None:
    handover = Handover(live=True)
    for seq in range(4):
        handover.write(poses(seq=seq, entered=(seq,), left=(10 + seq,)), frame(seq=seq))
    found, picture = next(iter(handover.queue))
    assert (found.seq, picture.seq, found.entered, found.left) == (3, 3, (0, 1, 2, 3), (10, 11, 12, 13))


def test_watching_in_asyncio_leaves_the_loop_free() -> None:
    async def watched() -> tuple[int, int]:
        turns = frames = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        other = asyncio.create_task(turn())
        async for _ in edgepose.watch([photograph()] * 5, **QUICK):
            frames += 1
        other.cancel()
        return frames, turns

    frames, turns = asyncio.run(watched())
    assert frames == 5
    assert turns > frames


# ------------------------------------------------------------------------------------------------ listen


def published() -> Poses:
    """Two people, one of whose wrists was not found, who entered, in a frame of a camera."""
    two = poses(2, track_id=np.array([3, 7], np.int32), entered=(7,), left=(1,), t=5.0, taken_t=5.0, seq=42)
    two.xy[1, 9], two.score[1, 9] = np.nan, 0
    return two


@pytest.mark.parametrize("form", ["json", "binary"])
def test_a_message_of_either_form_is_the_same_record(form: str) -> None:
    two, wall = published(), 1_700_000_000.0
    data = wire.encode(two, "pi", "door", 5.25, wall) if form == "json" else binary.encode(two, 5.25, wall)
    heard = read(data, ("pi", "door"))
    assert (heard.device, heard.camera, heard.seq, heard.size_wh) == ("pi", "door", 42, (320, 240))
    assert (heard.skeleton, heard.entered, heard.left) == (COCO17, (7,), (1,))
    np.testing.assert_allclose(heard.xy, two.xy, atol=0.05)
    np.testing.assert_allclose(heard.score, two.score, atol=1 / 255)
    np.testing.assert_allclose(heard.person_score, two.person_score, atol=1e-3)
    assert heard.track_id.tolist() == [3, 7]
    assert heard.taken_wall == pytest.approx(wall - 0.25, abs=1e-6)
    assert heard.t == heard.taken_wall
    assert heard.age_s(0.0, wall) == pytest.approx(0.25, abs=1e-6)


def test_an_id_too_large_for_poses_is_the_largest_there_is() -> None:
    (one,) = json.loads(wire.encode(poses(1), "pi", "door"))["people"]
    message = json.loads(wire.encode(poses(1), "pi", "door")) | {"people": [one | {"id": 2**80}]}
    assert read(json.dumps(message).encode()).track_id.tolist() == [2**31 - 1]
    data = bytearray(binary.encode(poses(1)))
    start = int.from_bytes(data[4:6], "little")
    data[start : start + 4] = (2**32 - 1).to_bytes(4, "little")
    assert read(bytes(data)).track_id.tolist() == [2**31 - 1]


def test_a_skeleton_of_its_own_has_the_joints_that_are_said() -> None:
    own = edgepose.Skeleton("hand2", ("thumb", "palm"), bones=((0, 1),), sigmas=(0.1, 0.1))
    one = replace(
        poses(), skeleton=own, xy=np.ones((1, 2, 2), np.float32), score=np.ones((1, 2), np.float32), t=1.5
    )  # of a file
    assert read(wire.encode(one, "pi", "door")).skeleton.joints == ("thumb", "palm")
    assert read(wire.encode(one, "pi", "door")).t == 1.5
    assert read(binary.encode(one)).skeleton.joints == ("joint_0", "joint_1")


@pytest.mark.broker
def test_both_forms_are_heard_of_every_camera(tmp_path: Path) -> None:
    payloads = {
        "edgepose/pi/door/poses": wire.encode(poses(1), "pi", "door"),
        "edgepose/pi/gate/poses": binary.encode(poses(2)),
        "edgepose/pi/gate/health": b"{}",
        "edgepose/pi/shed/poses": b"no poses",
    }
    with Broker(tmp_path) as broker, publishing(broker.port, payloads):
        with edgepose.listen(f"mqtt://127.0.0.1:{broker.port}") as stream:
            counts: dict[str, int] = {}
            for heard in stream:
                counts[f"{heard.device}/{heard.camera}"] = len(heard)
                if len(counts) == 2 and stream.unreadable:
                    break
        assert counts == {"pi/door": 1, "pi/gate": 2}


@pytest.mark.broker
def test_a_slow_listener_gets_the_newest_with_all_who_entered(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker, edgepose.listen(f"mqtt://127.0.0.1:{broker.port}/edgepose/#") as stream:
        client = paho.Client(CallbackAPIVersion.VERSION2)
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        for seq in range(5):
            client.publish("edgepose/pi/door/poses", wire.encode(poses(seq=seq, entered=(seq,)), "pi", "door"))
        wait_until(lambda: stream.dropped == 4, "all five came")
        heard = next(iter(stream))
        client.disconnect()
        client.loop_stop()
    assert (heard.seq, heard.entered) == (4, (0, 1, 2, 3, 4))


@pytest.mark.broker
def test_a_listener_that_is_cancelled_comes_back(tmp_path: Path) -> None:
    async def waits(url: str) -> None:
        async for _ in edgepose.listen(url):
            pytest.fail("nobody publishes")

    async def cancelled(url: str) -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(waits(url), 0.3)

    with Broker(tmp_path) as broker:
        asyncio.run(cancelled(f"mqtt://127.0.0.1:{broker.port}"))


REFUSED = {
    "no scheme": ("broker/edgepose", "did you mean mqtt://broker"),
    "a login": ("mqtt://me:secret@broker", "sink.mqtt.username"),
    "certificate without tls": ("mqtt://broker", "not mqtts://"),
}


@pytest.mark.parametrize(("url", "says"), REFUSED.values(), ids=REFUSED)
def test_an_address_that_cannot_work_is_refused(url: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(edgepose.ConfigError, match=re.escape(says)) as refused:
        edgepose.listen(url, **({"ca_file": str(tmp_path)} if "mqtts" in says else {}))
    assert "secret@" not in str(refused.value)


def test_a_broker_that_is_not_there_is_a_source_that_cannot_be_read() -> None:
    with pytest.raises(edgepose.SourceError, match="cannot be reached"):
        edgepose.listen("mqtt://127.0.0.1:9")


def test_metres_come_back_with_what_they_are_worth() -> None:
    place, distance = np.array([[0.5, -0.25, 3.0]], np.float32), np.array([0.125], np.float32)
    guessed = np.arange(17)[None] == 16
    metres = edgepose.Space("lifted", "camera", place, distance, np.full((1, 17, 2), 0.0625, np.float32), guessed)
    one = poses(xyz=np.full((1, 17, 3), 0.25, np.float32), space=metres)
    for data in (wire.encode(one, "pi", "door"), binary.encode(one)):
        heard = read(data).space
        assert heard is not None
        assert (heard.kind, heard.frame) == ("lifted", "camera")
        np.testing.assert_allclose(heard.root, place, atol=1e-3)
        np.testing.assert_allclose(heard.root_sigma, distance, atol=1e-3)
        np.testing.assert_allclose(heard.sigma, metres.sigma, atol=1e-3)
        np.testing.assert_array_equal(heard.guessed, guessed)
    both = one.rows(np.array([0, 0])).space
    assert both is not None
    assert len(both.root) == 2
