"""Quiet hours: times of the day at which a camera is not looked at, or seldom."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from edgepose.core.errors import ConfigError

FORM = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d) (?:(pause)|(\d+(?:\.\d+)?) ?fps)")
DAY = 24 * 60


class Hours(NamedTuple):
    """Part of a day."""

    from_min: int
    """Minutes after midnight, the board's time."""
    until_min: int
    """Before it, also on the next day."""
    max_fps: float
    """0: nothing is looked at."""
    text: str

    def holds(self, minute: int) -> bool:
        """Whether a minute of the day lies in it."""
        if self.from_min < self.until_min:
            return self.from_min <= minute < self.until_min
        return minute >= self.from_min or minute < self.until_min


def hours_of(texts: Sequence[str], where: str = "power.schedule") -> list[Hours]:
    """Read "22:00-06:30 pause" or "12:00-13:00 2 fps".

    Raises:
        ConfigError: not of that form, no such time, or nothing between the two.
    """
    return [_hours(text, f"{where}[{index}]") for index, text in enumerate(texts)]


def _hours(text: str, where: str) -> Hours:
    found = FORM.fullmatch(text)
    if found is None:
        raise ConfigError(f'{where} is {text[:80]!r}, expected "22:00-06:30 pause" or "22:00-06:30 2 fps"')
    hour, minute, until_hour, until_minute = (int(number) for number in found.groups()[:4])
    if max(hour, until_hour) > 23 or max(minute, until_minute) > 59:
        raise ConfigError(f"{where} is {text!r}: there is no such time; a day goes from 00:00 to 23:59")
    begin, end = 60 * hour + minute, 60 * until_hour + until_minute
    max_fps = 0.0 if found[5] else float(found[6])
    if begin == end or not (found[5] or 0 < max_fps <= 1000):
        raise ConfigError(f"{where} is {text!r}: expected two different times, and more than 0 fps")
    return Hours(begin, end, max_fps, text)


def now_in_force(hours: Sequence[Hours], minute: int) -> Hours | None:
    """The strictest that hold at a minute of the day."""
    return min((each for each in hours if each.holds(minute)), key=lambda each: each.max_fps, default=None)


def limit(hours: Hours | None) -> float:
    """Most frames a second; inf: all."""
    return math.inf if hours is None else hours.max_fps
