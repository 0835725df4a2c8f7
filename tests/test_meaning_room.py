"""Rules in a room of several cameras: zones and distances in metres, falls, whoever is looked at from wherever."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.core.poses import COCO17, Poses
from edgepose.lift.fuse import Room
from edgepose.meaning import Meaning, rules_of
from edgepose.meaning.records import Event
from edgepose.pipeline.stages import stages_of
from samples.people import poses as flat
from tests.test_fuse import RING, UPRIGHT, seen

Array = NDArray[np.float64]
ZONE = {"name": "desk", "polygon_m": [[1.0, -1.0], [3.0, -1.0], [3.0, 1.0], [1.0, 1.0]]}


def made(*rules: dict[str, Any], zones: tuple[dict[str, Any], ...] = (), room: bool = True) -> Meaning:
    return Meaning(rules_of({"rule": list(rules), "zone": list(zones)}, "room.toml"), COCO17, (1280, 720), room=room)


def events(meaning: Meaning, film: list[list[Array]], hz: float = 15.0) -> tuple[list[Event], list[Poses]]:
    """What a room's rules say of people who are seen by all its cameras."""
    room, all_of_them = Room(RING, COCO17), list[Poses]()
    found: list[Event] = []
    for frame, people in enumerate(film):
        for camera in RING:
            fused = room.add(camera.name, frame / hz, seen(camera, people, frame / hz))
            if fused is not None:
                found += meaning.update(fused).events
                all_of_them.append(fused)
    return found, all_of_them


def test_a_zone_in_metres_is_entered_and_left() -> None:
    film = [[UPRIGHT + np.array((x, 0, 0))] for x in np.concatenate([np.linspace(0, 2, 45), np.linspace(2, 0, 45)])]
    found, _ = events(made({"kind": "zone", "zone": "desk"}, zones=(ZONE,)), [*film, *([[UPRIGHT]] * 15)])
    assert [event.what for event in found] == ["entered", "left"]
    assert found[0].t == pytest.approx(1.5 + 0.3, abs=0.35)  # at 1 m after half of the way, and 0.3 s inside
    assert found[0].facts["by"] == "ankles"


def test_distances_between_people_are_metres() -> None:
    meaning = made({"kind": "near", "warn_m": 2.0, "stop_m": 0.5})
    found, _ = events(meaning, [[UPRIGHT, UPRIGHT + np.array((x, 0.0, 0))] for x in np.linspace(3.2, 1.2, 60)])
    assert [event.what for event in found] == ["warn", "warn"]
    assert meaning.moment is not None
    assert meaning.moment.value(0, "distance:near") == pytest.approx(1.2, abs=0.05)
    assert found[0].facts["distance_m"] == pytest.approx(2.0, abs=0.1)
    assert found[0].facts["safety_rated"] is False


def test_a_robots_place_is_in_metres() -> None:
    robot = {"name": "arm", "kind": "robot", "polygon_m": [[2.0, -0.5], [3.0, -0.5], [3.0, 0.5], [2.0, 0.5]]}
    meaning = made({"kind": "near", "zone": "arm", "warn_m": 1.5, "stop_m": 0.5}, zones=(robot,))
    events(meaning, [[UPRIGHT]] * 30)
    assert meaning.moment is not None
    assert meaning.moment.value(0, "distance:near") == pytest.approx(2.0, abs=0.05)


def test_somebody_falls() -> None:
    def tilted(share: float) -> Array:
        angle = share * np.pi / 2
        turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
        fallen: Array = UPRIGHT @ turn.T + np.array((0, 0, 0.12 * share))
        return fallen

    film = [*([0.0] * 45), *np.linspace(0, 1, 10), *([1.0] * 60)]
    found, _ = events(made({"kind": "fall"}), [[tilted(share)] for share in film])
    assert [event.what for event in found][:2] == ["suspected", "confirmed"]


def test_nobody_is_no_trouble() -> None:
    found, fused = events(made({"kind": "near"}, {"kind": "zone", "zone": "desk"}, zones=(ZONE,)), [[]] * 20)
    assert found == []
    assert len(fused) == 20


WRONG: dict[str, tuple[dict[str, Any], bool, str]] = {
    "metres of one camera": (ZONE, False, "one camera knows no metres"),
    "both": ({**ZONE, "polygon_px": [[1, 1], [9, 1], [9, 9]]}, True, "polygon_px and polygon_m"),
    "a line": ({"name": "desk", "polygon_m": [[0, 0], [1, 1], [2, 2]]}, True, "encloses nothing"),
    "a robot in pixels": (
        {"name": "desk", "kind": "robot", "polygon_px": [[1, 1], [9, 1], [9, 9]]}, True, "needs its polygon_m",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("zone", "room", "says"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_refused(zone: dict[str, Any], room: bool, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        made({"kind": "near", "zone": "desk"}, zones=(zone,), room=room)


def test_a_zone_in_metres_works_with_ground_too() -> None:
    ground = {"points_px": [[0, 700], [1280, 700], [1280, 100], [0, 100]],
              "points_m": [[0, 0], [12.8, 0], [12.8, 6], [0, 6]]}  # fmt: skip
    zone = {"name": "left", "polygon_m": [[0, 0], [6.4, 0], [6.4, 6], [0, 6]]}
    rules = rules_of({"rule": [{"kind": "zone", "zone": "left"}], "zone": [zone], "ground": ground}, "a.toml")
    meaning = Meaning(rules, COCO17, (1280, 720))
    xy = np.array([[300.0, 300.0]]) + np.random.default_rng(0).normal(0, 20, (17, 2))
    xy[[15, 16]] = (290, 400), (310, 400)
    people = [flat(1, t=n / 15, xy=xy[None].astype(np.float32), track_id=np.array([1], np.int32)) for n in range(20)]
    assert [event.what for poses in people for event in meaning.update(poses).events] == ["entered"]


def test_a_pipeline_of_a_room_judges_rules_and_follows_nobody_anew(tmp_path: Any) -> None:
    from types import SimpleNamespace

    rules = tmp_path / "rules.toml"
    rules.write_text('[[rule]]\nkind = "posture"\n')
    cfg = config.Config(meaning=config.Meaning(rules=str(rules)))
    source: Any = SimpleNamespace(still=False, live=True, followed=True)
    stages = stages_of(cfg, source, SimpleNamespace(skeleton=COCO17))
    assert stages.meaning is not None
    assert (stages.tracker, stages.smoother, stages.lift) == (None, None, None)
