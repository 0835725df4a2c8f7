"""What rules say, drawn on a picture: zones, how each rule stands, what just happened and by how much."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from edgepose.core.opencv import cv2
from edgepose.core.poses import Poses
from edgepose.sink.draw import DARK, FONT, WHITE, Image

SHOWN_S = 3.0
"""An event stays so long."""
MOST_LINES = 14
ZONE = (0, 200, 255)
SKIPPED = ("kind", "people", "safety_rated")


class RulesOnPicture:
    """Keeps what rules said last, and draws it on the next picture."""

    def __init__(self) -> None:
        self._told: Any = None
        self._stand: Mapping[str, Mapping[str, Any]] = {}
        self._events: deque[tuple[float, str]] = deque(maxlen=6)

    def take(self, told: Any, poses: Poses) -> None:
        """Note events and how rules stand."""
        self._told = told
        if told.rules is not None:
            self._stand = told.rules
        self._events.extend((poses.t, _said(event)) for event in told.events)

    def draw(self, image: Image, t: float) -> None:
        """Draw on the picture itself; t is its time, seconds."""
        if self._told is None:
            return
        for name, polygon in self._told.zones:
            corners = np.array(polygon, np.int32).reshape(-1, 1, 2)
            cv2.polylines(image, [corners], True, ZONE, 1, cv2.LINE_AA)
            _write(image, name, (int(polygon[0][0]) + 3, int(polygon[0][1]) + 14), 0.4)
        scale = max(min(image.shape[:2]) / 900, 0.38)
        step = round(30 * scale) + 2
        lines = [*self._lines(), *(said for when, said in self._events if 0 <= t - when <= SHOWN_S)]
        for at, line in enumerate(lines[:MOST_LINES]):
            _write(image, line, (6, (at + 1) * step), scale)

    def _lines(self) -> Iterator[str]:
        for name, rule in self._stand.items():
            values = [f"{key} {_short(value)}" for key, value in rule.items() if key not in SKIPPED]
            unknown = next((person["unknown"] for person in rule.get("people", ()) if "unknown" in person), "")
            told = ", ".join(values) or _first_person(rule)
            yield f"{name}: {told}{f' ({unknown})' if unknown else ''}"


def _first_person(rule: Mapping[str, Any]) -> str:
    people: Any = rule.get("people") or ({},)
    shown = {key: value for key, value in people[0].items() if key not in ("station", "id", "unknown")}
    return ", ".join(f"{key} {_short(value)}" for key, value in list(shown.items())[:4])


def _said(event: Any) -> str:
    """An event with its evidence, value against limit."""
    shown = ", ".join(f"{name} {_short(value)}/{_short(limit)}" for name, (value, limit) in event.evidence.items())
    return f"> {event.rule} {event.what} {event.phase}: {shown}"


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key} {_short(inner)}" for key, inner in value.items())
    return f"{value:.3g}" if isinstance(value, float) else "-" if value is None else str(value)


def _write(image: Image, text: str, at: tuple[int, int], scale: float) -> None:
    plain = text.encode("ascii", "replace").decode()  # all that the font has
    for colour, by in ((DARK, 1), (WHITE, 0)):  # not thicker: some fonts grow wider then
        cv2.putText(image, plain, (at[0] + by, at[1] + by), FONT, scale, colour, 1, cv2.LINE_AA)
