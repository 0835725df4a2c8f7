"""Whether the devices' clocks agree: how long after it was taken each camera's message arrives."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

WINDOW_S = 10.0
APART_S = 0.1
"""Told beyond this; interpolation is worth its while within 0.01 s, as NTP keeps clocks of one network."""
AHEAD_S = 0.5
"""A message this far from the future is not used: it would make every other camera late."""


class Clocks:
    """Least delay of each camera in the last ten to twenty seconds: what is in it besides the network is the clock."""

    def __init__(self, names: Iterable[str]) -> None:
        self._windows: dict[str, list[tuple[float, float]]] = {name: [] for name in names}

    def heard(self, name: str, taken_s: float, now_s: float) -> bool:
        """Note a message; False: its clock is so far ahead that it cannot be used.

        taken_s, now_s  seconds since 1970, by the device's clock and by this machine's
        """
        windows = self._windows[name]
        if not windows or not 0 <= now_s - windows[-1][0] < WINDOW_S:
            windows.append((now_s, now_s - taken_s))
            del windows[:-2]
        else:
            windows[-1] = windows[-1][0], min(windows[-1][1], now_s - taken_s)
        return self._delay(name) > min(0.0, self._usual(name)) - AHEAD_S

    def _delay(self, name: str) -> float:
        return min(delay for _, delay in self._windows[name])

    def _usual(self, name: str) -> float:
        """Delay that a camera's is held against: the middle one of all; of two the other's."""
        delays = {other: self._delay(other) for other, windows in self._windows.items() if windows}
        if len(delays) == 2:
            del delays[name]
        return median(delays.values())

    @property
    def troubles(self) -> list[str]:
        """A line for each camera whose clock is not like the others'."""
        return [line for name, windows in self._windows.items() if windows and (line := self._trouble(name))]

    def _trouble(self, name: str) -> str:
        late = self._delay(name) - self._usual(name)
        if abs(late) <= APART_S:
            return ""
        what = "arrives later than the others'" if late > 0 else "arrives before the others'"
        return f"camera {name}: what it sees {what} by {abs(late):.1f} s: set its clock by NTP, or mend its network"
