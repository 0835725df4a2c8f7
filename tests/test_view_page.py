"""The live page in a headless Chromium: what is drawn is what was sent, by a real broker."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepose import wire
from edgepose.core import config
from edgepose.core.poses import COCO17, Space
from edgepose.lab.view.broker import BrokerFeed
from edgepose.lab.view.hub import Hub
from edgepose.lab.view.reel import Reel
from edgepose.lab.view.serve import no_picture, picture_route, routes
from edgepose.lab.view.server import Server
from edgepose.meaning import rules_of
from edgepose.pipeline.power.ignore import polygons_of
from edgepose.pipeline.replay.play import Plan
from samples.people import poses
from samples.toml import tomllib
from tests.helpers.broker import Broker, Subscriber, wait_until
from tests.helpers.chromium import Chromium
from tests.test_view import event, recording

EVIL = "<img src=x onerror=alert(1)>"
HELLO = "edgepose/hall/door"
NOTED = """
    const tile = edgepose.tiles.get(arguments[0]);
    const take = tile.take.bind(tile);
    window.took = [];
    tile.take = (news, way) => { if (news.poses) window.took.push(news.poses.seq); take(news, way); };
"""
"""Keeps the number of each frame that a tile gets."""
NAMELESS = """
    const controls = document.querySelectorAll('button, input, select, textarea, canvas, [role]:not([role=status])');
    return [...controls].filter((one) => !one.closest('[hidden]') && !one.getAttribute('aria-hidden')
      && !one.textContent.trim() && !one.ariaLabel && !one.title).map((one) => one.outerHTML.slice(0, 90));
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


def opened(browser: Chromium, url: str) -> None:
    browser.go(url)
    browser.wait("return Boolean(window.edgepose)", "the page to start")


@contextmanager
def watched(folder: Path, browser: Chromium) -> Iterator[Subscriber]:
    """A broker, the page that looks at it, and a client who is every board."""
    hub = Hub()
    with Broker(folder) as broker, Subscriber(broker.port) as boards:
        cfg = config.load(None, {"sink.mqtt.broker": broker.url})
        with (
            BrokerFeed(cfg, hub) as feed,
            Server("127.0.0.1:0", routes(hub), {"picture": picture_route(hub, feed.picture)}) as server,
        ):
            browser.size(1280, 900)
            browser.colours(dark=False)
            opened(browser, server.url)
            browser.log()
            yield boards
            hub.close()


def send(boards: Subscriber, seq: int, people: int = 2, root: str = HELLO, **fields: Any) -> wire.Message:
    device, camera = root.split("/")[1:]
    now = time.monotonic()
    fields.setdefault("track_id", np.arange(1, people + 1, dtype=np.int32))
    payload = wire.encode(poses(people, seq=seq, t=now, taken_t=now, **fields), device, camera, now, time.time())
    boards.publish(f"{root}/poses", payload)
    return wire.decode(payload)


def status(device: str, camera: str, bones: list[tuple[int, int]], state: str = "running", **also: Any) -> bytes:
    made: dict[str, Any] = {
        "schema": "edgepose.status/1", "version": "0", "device": device, "camera": camera, "run": "r",
        "since": "2026-01-01T00:00:00.000000Z", "state": state, "source": "0", "model": "light", "engines": ["cpu"],
        "skeleton": "coco17", "joints": list(COCO17.joints), "bones": bones, "format": "json", "smoothing": "light",
    }  # fmt: skip
    return wire.encode_struct(wire.Status(**made, **also))


def drawn(browser: Chromium, seq: int, root: str = HELLO) -> dict[str, Any]:
    script = f"const one = edgepose.drawn()[{json.dumps(root)}]; return one && one.seq === {seq} ? one : null;"
    found: dict[str, Any] = browser.wait(script, f"frame {seq} to be drawn")
    return found


def test_what_is_drawn_is_what_was_sent(tmp_path: Path, browser: Chromium) -> None:
    with watched(tmp_path, browser) as boards:
        xy = poses(2).xy.copy()
        xy[1, 4] = np.nan
        score = np.where(np.isnan(xy[..., 0]), 0, 0.5).astype(np.float32)
        sent = send(boards, 7, xy=xy, score=score)
        shown = drawn(browser, 7)
        assert [person["id"] for person in shown["people"]] == [1, 2]
        for person, told in zip(shown["people"], sent.people, strict=True):
            for joint, keypoint in zip(person["joints"], told.keypoints, strict=True):
                assert (joint is None) == (keypoint is None)
                if joint is not None and keypoint is not None:
                    back = [at / shown["scale"] - 0.5 for at in joint]  # (0, 0) is the centre of the first pixel
                    assert back == pytest.approx(keypoint[:2], abs=1e-6)
        missing = sum(4 in bone for bone in COCO17.bones)
        assert [person["lines"] for person in shown["people"]] == [len(COCO17.bones), len(COCO17.bones) - missing]
        joint = shown["people"][0]["joints"][0]
        pixel = "const c = edgepose.tiles.get(arguments[0]).canvas.getContext('2d');"
        pixel += "return [...c.getImageData(arguments[1], arguments[2], 1, 1).data];"
        assert browser.run(pixel, HELLO, *map(round, joint))[3] > 0
        assert browser.run(pixel, HELLO, 2, 2)[3] == 0
        assert browser.log() == []


def test_bones_are_those_of_the_status(tmp_path: Path, browser: Chromium) -> None:
    with watched(tmp_path, browser) as boards:
        boards.publish(f"{HELLO}/status", status("hall", "door", [(0, 1), (5, 6), (0, 99)]), retain=True)
        browser.wait(f"return edgepose.tiles.get('{HELLO}')?.known.status", "the status to come")
        send(boards, 1, people=1)
        assert drawn(browser, 1)["people"][0]["lines"] == 2  # there is no joint 99


def test_three_devices_are_three_tiles_that_say_how_they_are(tmp_path: Path, browser: Chromium) -> None:
    with watched(tmp_path, browser) as boards:
        for device, state, available in (
            ("a", "running", b"online"),
            ("b", "paused", b"online"),
            ("c", "running", b"offline"),
        ):
            boards.publish(f"edgepose/{device}/cam/status", status(device, "cam", [], state), retain=True)
            boards.publish(f"edgepose/{device}/cam/availability", available, retain=True)
            send(boards, 3, people=2, root=f"edgepose/{device}/cam")
        told = (
            "return [...document.querySelectorAll('.tile')].map((tile) => tile.getAttribute('aria-label')).join('; ')"
        )
        wanted = "a/cam, running, 2 people; b/cam, paused, 2 people; c/cam, offline, 2 people"
        browser.wait(f"return (() => {{{told}}})() === {json.dumps(wanted)}", f"tiles that say {wanted}")
        boards.publish("edgepose/b/cam/status", b"", retain=True)
        browser.wait("return document.querySelectorAll('.tile').length === 2", "the one that was cleared to go")


def test_how_much_the_camera_is_looked_at_is_said(tmp_path: Path, browser: Chromium) -> None:
    with watched(tmp_path, browser) as boards:
        boards.publish(f"{HELLO}/status", status("hall", "door", [], power="calm", limited="temperature"), retain=True)
        said = browser.wait("return document.querySelector('.numbers .power dd')?.textContent", "the power to be said")
        assert said == "calm, held down by temperature"


def test_names_are_text_and_never_markup(tmp_path: Path, browser: Chromium) -> None:
    with watched(tmp_path, browser) as boards:
        root = f"edgepose/{EVIL}/cam"
        meaning = {"schema": "edgepose.meaning/1", "device": EVIL, "camera": EVIL, "run": EVIL, "seq": 1, "age_ms": 1}
        rules = {EVIL: {"kind": EVIL, EVIL: EVIL, "on": True, "people": [{"id": 1, "unknown": EVIL}]}}
        told = json.dumps({**meaning, "captured": EVIL, "rules": rules})
        boards.publish(f"{root}/status", status(EVIL, EVIL, [], EVIL), retain=True)
        boards.publish(f"{root}/meaning", told.encode(), retain=True)
        boards.publish(f"{root}/events", event(1, EVIL))
        now = time.monotonic()
        boards.publish(f"{root}/poses", wire.encode(poses(1, seq=1, t=now, taken_t=now), EVIL, EVIL, now, time.time()))
        browser.wait("return document.querySelectorAll('#events li').length", "the event to come")
        browser.wait("return document.querySelectorAll('.gauge').length", "the gauge to come")
        assert browser.run("return document.querySelectorAll('main img, main script').length") == 0
        assert EVIL in browser.run("return document.querySelector('.tile h2').textContent")
        assert EVIL in browser.run("return document.querySelector('#events').textContent")
        assert browser.log() == []


def test_the_page_obeys_its_own_policy(tmp_path: Path, browser: Chromium) -> None:
    with watched(tmp_path, browser):
        browser.run(
            "const one = document.createElement('script'); one.textContent = 'window.broken = 1';"
            "document.body.append(one);"
        )
        browser.run("const one = new Image(); one.src = 'http://127.0.0.1:9/x.png'; document.body.append(one);")
        assert browser.run("return fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')") == "refused"
        assert browser.run("return window.broken ?? null") is None
        told: list[str] = []

        def refused() -> bool:
            told.extend(browser.log())
            return len(told) >= 3

        wait_until(refused, "all three to be refused")
        assert all("Content Security Policy" in line for line in told)


def test_a_page_that_stalls_is_current_when_it_wakes(tmp_path: Path, browser: Chromium) -> None:
    with watched(tmp_path, browser) as boards:
        send(boards, 0)
        drawn(browser, 0)
        browser.run(NOTED, HELLO)
        ended = threading.Event()

        def board() -> None:
            for seq in range(1, 120):
                send(boards, seq)
                time.sleep(0.02)
            ended.set()

        thread = threading.Thread(target=board)
        thread.start()
        browser.run(
            "const until = performance.now() + 1500; while (performance.now() < until);"
        )  # nothing runs meanwhile
        seqs = browser.wait("return window.took.includes(119) && window.took", "the newest to be drawn")
        thread.join()
        gaps = np.diff(seqs)
        assert gaps.max() > 20  # what came while it stalled is left out ...
        assert (gaps > 0).all()  # ... and nothing old comes after


def test_a_room_can_be_turned_where_there_are_metres(tmp_path: Path, browser: Chromium) -> None:
    with watched(tmp_path, browser) as boards:
        body = np.zeros((1, 17, 3), np.float32)
        body[0, :, 1] = np.linspace(-0.8, 0.9, 17)
        root = np.full((1, 3), 3, np.float32)
        unsure = np.zeros(1, np.float32), np.zeros((1, 17, 2), np.float32)
        space = Space("triangulated", "camera", root, *unsure, np.zeros((1, 17), bool))
        for seq in range(8):
            send(boards, seq, people=1, xyz=body, space=space)
            time.sleep(0.05)
        browser.run(
            "edgepose.focus(edgepose.tiles.get(arguments[0])); edgepose.tiles.get(arguments[0]).show('room')", HELLO
        )
        room = f"edgepose.tiles.get('{HELLO}').room"
        browser.wait(f"return {room}.drawn", "the room to be drawn")
        before = browser.run(f"return {room}.yaw")
        browser.run(f"{room}.canvas.focus()")
        browser.keys("\ue014")  # arrow right
        assert browser.run(f"return {room}.yaw") > before
        height = browser.run(f"return edgepose.tiles.get('{HELLO}').rows[0].height")
        # 1.7 m from the nose to the last ankle, and what is above the one and below the other
        assert height == pytest.approx(1.59 + 0.11 + 0.08 + 0.11, abs=0.12)


def test_what_is_drawn_on_the_picture_is_read_by_the_settings(tmp_path: Path, browser: Chromium) -> None:
    with watched(tmp_path, browser) as boards:
        send(boards, 1)  # 320x240
        drawn(browser, 1)
        browser.run("localStorage.clear(); edgepose.focus(edgepose.tiles.get(arguments[0]))", HELLO)
        browser.run("edgepose.tiles.get(arguments[0]).show('draw')", HELLO)
        box = browser.run("return edgepose.tiles.get(arguments[0]).over.getBoundingClientRect().toJSON()", HELLO)

        def press(kind: str, *corners: tuple[float, float]) -> None:
            browser.run("document.querySelector(`.alone [data-kind=${arguments[0]}]`).click()", kind)
            for x, y in corners:
                browser.click(box["x"] + (x + 0.5) / 320 * box["width"], box["y"] + (y + 0.5) / 240 * box["height"])
            if kind != "floor":
                browser.run("document.activeElement.blur()")
                browser.keys("\ue007")  # Enter

        press("area", (40, 40), (120, 40), (120, 100), (40, 100))
        press("ignore", (200, 10), (300, 10), (300, 60))
        press("floor", (60, 120), (200, 120), (260, 200), (20, 200))
        name = 'door "1" \\ <b>'
        field = "const field = document.querySelector('.alone .shapes input[type=text]'); field.value = arguments[0];"
        browser.run(f"{field} field.dispatchEvent(new Event('input'));", name)
        text = browser.run("return document.querySelector('.alone textarea').value")
        raw = tomllib.loads(text)
        rules = rules_of(raw, "drawn")
        assert rules.zones[0].name == name
        half = 320 / box["width"]  # a click is a whole pixel of the screen
        assert np.array(rules.zones[0].polygon_px) == pytest.approx(
            np.array([(40, 40), (120, 40), (120, 100), (40, 100)]), abs=half
        )
        assert rules.ground is not None
        assert rules.ground.size_wh == (320, 240)
        assert np.array(rules.ground.points_px)[2] == pytest.approx((260, 200), abs=half)
        polygon = np.array(polygons_of(config.convert(raw["power"], config.Power, "power").ignore)[0])
        assert polygon * (319, 239) == pytest.approx(np.array([(200, 10), (300, 10), (300, 60)]), abs=half)


def test_a_recording_is_stepped_scrubbed_and_compared(tmp_path: Path, browser: Chromium) -> None:
    names = ("before.epr", "after.epr")
    hub = Hub()
    with (
        Reel(recording(tmp_path / names[0], 150), config.Config(), Plan()) as one,
        Reel(recording(tmp_path / names[1], 90), config.Config(), Plan()) as two,
        Server("127.0.0.1:0", routes(hub, [one, two]), {"picture": picture_route(hub, no_picture)}) as server,
    ):
        opened(browser, server.url)
        at = "[...edgepose.tiles.values()].map((tile) => tile.drawn?.seq)"
        browser.wait(f"return {at}.join() === '0,0'", "the first frames")
        browser.wait("return edgepose.player.reels.every((reel) => reel.done)", "all to be read")
        browser.keys("\ue014\ue014\ue014\ue012")  # three on, one back
        browser.wait(f"return {at}.join() === '2,2'", "frame 2 of both")
        browser.run("edgepose.player.seek(7.05)")
        browser.wait(f"return {at}.join() === '70,70'", "second 7 of both")
        browser.keys("\ue010")  # End
        browser.wait(f"return {at}.join() === '149,89'", "the last of both")
        assert browser.run("return edgepose.player.seconds") == pytest.approx(14.9)
        browser.run("edgepose.player.seek(1); edgepose.player.speed = 8; edgepose.player.play(true)")
        browser.wait(f"return {at}[0] > 60", "it to play")
        browser.run(
            "[...document.querySelectorAll('#player button')].find((one) => one.title.includes('dotted')).click()"
        )
        assert browser.run("return edgepose.player.also(edgepose.player.reels[0].tile).message.seq") >= 0
        assert browser.log() == []
        hub.close()


@pytest.mark.parametrize("wide", [390, 1280], ids=["phone", "desk"])
def test_nothing_is_wider_than_the_screen(tmp_path: Path, browser: Chromium, wide: int) -> None:
    with watched(tmp_path, browser) as boards:
        browser.size(wide, 800)
        send(boards, 1, root=f"edgepose/{'long' * 20}/cam")
        browser.wait("return document.querySelectorAll('.people li').length === 2", "people to be listed")
        assert browser.run("return document.documentElement.scrollWidth") <= wide


def test_every_control_has_a_name_and_keys_reach_it(tmp_path: Path, browser: Chromium) -> None:
    with watched(tmp_path, browser) as boards:
        send(boards, 1)
        drawn(browser, 1)
        assert browser.run(NAMELESS) == []
        browser.run("document.querySelector('.tile').focus()")
        browser.keys("\ue007")  # Enter
        assert browser.run("return document.body.classList.contains('one')")
        browser.keys("\ue00c")  # Escape
        assert not browser.run("return document.body.classList.contains('one')")
        themes = []
        for _ in range(3):
            browser.keys("t")
            themes.append(browser.run("return getComputedStyle(document.body).backgroundColor"))
        assert themes[0] != themes[1]
        assert themes[1] == themes[2]  # light, as the system is
