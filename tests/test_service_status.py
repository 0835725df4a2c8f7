"""`edgepose status` and `edgepose top`, against real services at a real broker, and services that misbehave."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from edgepose import wire
from edgepose.commands.cli import main
from edgepose.commands.status import _text, duration
from edgepose.commands.top import bars, table
from edgepose.service.fleet import Device, _take, names_in, pattern
from edgepose.service.reporting import Presence
from edgepose.service.run import Service
from tests.helpers.broker import Broker, Subscriber, wait_until
from tests.helpers.service import Asker, Camera, picture, running, settings

STATUS = wire.Status(
    schema="edgepose.status/1", version="1.2.3", device="kitchen", camera="door", run="0a1b2c3d",
    since="2026-11-22T10:00:00.000000Z", state="running", source="/dev/video0", model="default",
    engines=["m on litert"],
    skeleton="coco17", joints=["nose"], bones=[], format="json", smoothing="light",
)  # fmt: skip
HEALTH = wire.Health(
    schema="edgepose.health/1", device="kitchen", camera="door", run="0a1b2c3d", at="2026-11-22T10:00:00.000000Z",
    uptime_s=90061.0, people=2, fps=14.96,
    counts={"frames": 1500, "looked": 1490, "dropped": 7, "lost": 2, "late": 1, "skipped": 50, "sent": 1480},
    latency_ms={"latency": {"p50": 21.4, "p95": 30.2, "p99": 41.0}}, spool={"kept": 3, "dropped": 0, "failed": 0},
    temperature_c=54.2, throttled=True, memory_mib=171.3,
)  # fmt: skip


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Broker, list[Service]]]:
    """Two services at a broker, and what a third one left there."""
    folder = tmp_path_factory.mktemp("houses")
    with ExitStack() as stack:
        broker = stack.enter_context(Broker(folder))
        services = []
        for device, more in (("kitchen", {}), ("hall", {"control": {"on": False}})):
            cfg = settings(folder, broker.url, device=device, service={"max_fps": 5}, **more)
            services.append(stack.enter_context(running(cfg, Camera(picture()))))
        subscriber = stack.enter_context(Subscriber(broker.port))
        publish = subscriber._client.publish
        root = "edgepose/attic/camera"
        publish(f"{root}/availability", b"offline", 1, True)
        publish(f"{root}/status", wire.encode_struct(_renamed(STATUS, "attic", "camera")), 1, True)
        publish(f"{root}/presence", b"{}", 1, True)
        publish("edgepose/odd/camera/status", b"not JSON", 1, True)
        wait_until(lambda: all(service.pipeline.control.looked > 3 for service in services), "frames", 20)
        wait_until(lambda: len([m for m in subscriber.messages if m.topic.endswith("/health")]) > 2, "health")
        yield broker, services


def _renamed(status: wire.Status, device: str, camera: str) -> wire.Status:
    import msgspec

    return msgspec.structs.replace(status, device=device, camera=camera)


Houses = tuple[Broker, list[Service]]


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(list(words))
    out, err = capsys.readouterr()
    return code, out, err


def test_status_shows_a_device_that_is_well(houses: Houses, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = told(capsys, "status", "--broker", houses[0].url, "kitchen")
    assert (code, err) == (0, "")
    assert out.startswith("kitchen/door  running, edgepose ")
    assert "at most 5 frames a second" in out
    assert "movenet_lightning_192 on" in out
    assert "1 person" in out
    assert "hall" not in out


def test_status_asks_who_can_be_asked_and_shows_what_others_told(
    houses: Houses, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = told(capsys, "status", "--broker", houses[0].url, "--json", "--timeout", "1")
    assert code == 1  # one of them is offline
    devices = {device["name"]: device for device in json.loads(out)}
    assert set(devices) == {"attic/camera", "hall/door", "kitchen/door", "odd/camera"}
    assert [devices[name]["well"] for name in sorted(devices)] == [False, True, True, False]
    assert devices["kitchen/door"]["health"]["counts"]["looked"] > 0
    assert devices["attic/camera"]["health"] is None


def test_status_says_when_a_device_does_not_answer(houses: Houses, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = told(capsys, "status", "--broker", houses[0].url, "--timeout", "0.5", "hall/door")
    assert code == 0
    assert "does not answer: commands are off" in out


def test_status_of_nobody_is_an_error(houses: Houses, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = told(capsys, "status", "--broker", houses[0].url, "garage")
    assert (code, out) == (1, "")
    assert "nothing is known of garage" in err
    code, out, err = told(capsys, "status", "--broker", houses[0].url, "--sink.mqtt.topic", "other/{device}")
    assert (code, out) == (1, "")
    assert "sink.mqtt.topic" in err


def test_status_without_a_broker_says_what_to_type(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = told(capsys, "status")
    assert code == 78
    assert "--broker mqtt://" in err
    code, _, err = told(capsys, "status", "--broker", "mqtt://127.0.0.1:1")
    assert code == 1
    assert "cannot be reached" in err


def test_top_shows_a_line_for_each(houses: Houses, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = told(capsys, "top", "--broker", houses[0].url, "--once", "--every", "1")
    assert code == 0
    head, *lines = out.splitlines()
    assert head.split()[:4] == ["device", "state", "fps", "people"]
    assert [line.split()[:2] for line in lines] == [
        ["attic/camera", "offline"], ["hall/door", "running"], ["kitchen/door", "running"], ["odd/camera", "unknown"],
    ]  # fmt: skip
    kitchen = lines[-2].split()
    assert 1 < float(kitchen[2]) < 8
    assert kitchen[3] == "1"


def test_who_is_gone_is_forgotten_by_broker_and_home_assistant(
    houses: Houses, capsys: pytest.CaptureFixture[str]
) -> None:
    broker, _ = houses
    with Subscriber(broker.port) as seen:
        wait_until(lambda: seen.messages, "what is kept")
        code, _, err = told(capsys, "status", "--broker", broker.url, "--forget", "kitchen/door")
        assert code == 78
        assert "is online" in err
        code, out, _ = told(capsys, "status", "--broker", broker.url, "--forget", "attic")
        assert (code, out) == (0, "attic/camera: forgotten\n")
        topics = {"edgepose/attic/camera/" + suffix for suffix in ("status", "presence", "availability")}
        topics |= {"homeassistant/device/edgepose_attic_camera/config", "edgepose/attic/camera/numbering"}
        wait_until(lambda: topics <= {m.topic for m in seen.messages if not m.payload}, "empty messages")
        first = next(m.topic for m in seen.messages if not m.payload)
        assert first.startswith("homeassistant/"), "its entities would complain of empty messages"
    assert told(capsys, "status", "--broker", broker.url, "attic")[0] == 1
    assert told(capsys, "status", "--broker", broker.url, "--forget", "attic")[0] == 78


# ------------------------------------------------------------------------------------------------ without a broker


def device(**more: Any) -> Device:
    return Device("edgepose/kitchen/door", "online", STATUS, None, HEALTH, **more)


EVIL = "\x1b]0;pwned\x07\x1b[2Jdoor\n\nkitchen/door  running, all well\u2028\u202e\x9b2J"


def replaced(message: Any, **fields: Any) -> bytes:
    return (
        wire.encode_struct(message)
        if not fields
        else json.dumps({**json.loads(wire.encode_struct(message)), **fields}).encode()
    )


HOSTILE = {
    "escapes": {
        "status": {
            **dict.fromkeys(("device", "source", "reason", "model", "state", "version", "format"), EVIL),
            "engines": [EVIL], "troubles": [EVIL],
        },
    },
    "a wide name": {"status": {"device": "W" * 20_000, "source": "W" * 20_000}},
    "no p50": {"health": {"latency_ms": {"latency": {"p95": 1.0}, "infer": {}}}},
    "negative": {"health": {"fps": -1e9}},
    "negative time": {"health": {"uptime_s": -5.0}},
    "huge": {"health": {"fps": 1e308, "uptime_s": 1e308, "memory_mib": 1e308, "temperature_c": 1e308}},
    "many digits": {"health": {"counts": {"dropped": int("9" * 4200)}}},
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE.values(), ids=HOSTILE)
def test_what_a_hostile_device_says_forges_and_breaks_nothing(case: dict[str, dict[str, Any]]) -> None:
    one = Device("edgepose/porch/door", "online")
    for suffix, message in (("status", STATUS), ("health", HEALTH)):
        with contextlib.suppress(ValueError):
            _take(one, suffix, replaced(message, **case.get(suffix, {})))
    text = _text(one)

    assert text.startswith("porch/door  "), "names come from the topic"
    assert not set(text) & set("\x1b\x07\x9b\u2028\u202e")
    assert not [line for line in text.splitlines() if line.startswith("kitchen")]
    assert all(len(line) < 1100 for line in text.splitlines())
    shown = table([one, device()])
    assert len(shown.splitlines()) == 3
    assert max(map(len, shown.splitlines())) < 200
    assert not set(shown) & set("\x1b\x07\x9b\u2028\u202e")


def test_what_a_hostile_device_answers_is_one_line() -> None:
    one = Device("edgepose/porch/door", "online")
    answer = wire.Answer(schema="edgepose.answer/1", command="status", ok=False, error=EVIL)
    _take(one, "control/answer", wire.encode_struct(answer))
    assert len(_text(one).splitlines()) == 2
    assert "\x1b" not in _text(one)


@pytest.mark.parametrize(
    ("template", "root", "names"),
    [
        ("edgepose/{device}/{camera}", "edgepose/pi/door", ("pi", "door")),
        ("house/{camera}-of-{device}/poses", "house/door-of-pi/poses", ("pi", "door")),
        ("{device}", "pi", ("pi", "")),
        ("fixed", "fixed", ("", "")),
        ("a.b/{device}/{device}", "a.b/x/x", ("x", "")),
        ("a.b/{device}/{device}", "a.b/x/y", ("", "")),
    ],
)
def test_names_are_read_from_the_topic(template: str, root: str, names: tuple[str, str]) -> None:
    assert names_in(template, root) == names


def test_a_table_leaves_columns_away_that_do_not_fit() -> None:
    wide = table([device(history=[1.0, 15.0])])
    assert wide.splitlines()[1].split() == [
        "kitchen/door", "running", "15.0", "2", "21", "30", "10", "3", "54!", "171", "1", "d", "1", "h", "·", "·", "▁█",
    ]  # fmt: skip
    narrow = table([device()], width=40)
    assert all(len(line) <= 40 for line in narrow.splitlines())
    assert narrow.split()[:3] == ["device", "state", "fps"]
    assert table([]) == "no device there (yet)\n"


def test_colours_change_nothing_else() -> None:
    import re

    coloured = table([device(), Device("edgepose/x/y", "offline")], colours=True)
    assert "\033[32m" in coloured
    assert "\033[31m" in coloured
    assert re.sub(r"\033\[\d+m", "", coloured) == table([device(), Device("edgepose/x/y", "offline")])


@pytest.mark.parametrize(
    ("seconds", "text"), [(5.9, "5 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (90000, "1 d 1 h"), (0, "0 s")]
)
def test_a_duration_is_told_in_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_bars_go_from_nothing_to_the_highest() -> None:
    assert bars([0, 5, 10]) == "▁▅█"
    assert bars([]) == ""
    assert bars([0.0]) == "▁"


@pytest.mark.parametrize(
    ("topic", "wanted"),
    [
        ("edgepose/{device}/{camera}", "edgepose/+/+"),
        ("home/{device}-{camera}/", "home/+"),
        ("poses", "poses"),
        ("{camera}/x/{device}", "+/x/+"),
    ],
)
def test_every_device_is_found_whatever_the_topic(topic: str, wanted: str) -> None:
    assert pattern(topic) == wanted


def test_presence_rises_at_once_and_falls_when_it_is_sure() -> None:
    presence = Presence()
    first = presence.change(0.0, looking=False)
    assert first is not None
    assert (first.people, first.present) == (None, None)
    assert presence.change(0.1, looking=False) is None
    told_people = []
    for now, people in [(1.0, 0), (1.1, 2), (1.2, 1), (1.3, 2), (1.9, 0), (2.1, 0), (2.5, 1), (3.6, 1)]:
        presence.saw(people, now)
        change = presence.change(now, looking=True)
        if change is not None:
            told_people.append((now, change.people, change.present))
    assert told_people == [(1.0, 0, False), (1.1, 2, True), (2.5, 1, True)]
    assert presence.change(3.7, looking=False) is not None


def test_an_asker_finds_its_own_answer(houses: Houses) -> None:
    with Subscriber(houses[0].port) as subscriber:
        asker = Asker(subscriber)
        began = time.monotonic()
        assert asker.ask("status")["result"]["status"]["device"] == "kitchen"
        assert time.monotonic() >= began
