"""What the board can give: fewer frames are looked at, in steps, before it is too hot or takes more than its share."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import NamedTuple

from edgepose.core import config

log = logging.getLogger("edgepose.pipeline")

RATES = (math.inf, 20.0, 15.0, 10.0, 7.0, 5.0, 3.0, 2.0, 1.0, 0.5)
"""Frames looked at in a second, at most: one step after the other."""
WINDOW_S = 2.0
"""Over which CPU time is measured; a step is taken no sooner after another."""
HEAT_S = 10.0
"""The same where the board is hot: it takes a while to cool."""
RECOVERY_S = 20.0
"""All has to be well for so long before one step is taken back."""
COOLER_C = 3.0
"""So far below the limit it is well again, degrees."""
PI_C = 78.0
"""Limit of a board whose firmware tells that it slows down: a Raspberry Pi, which does so from 80."""
ROOM = 0.9
"""Share of what is allowed that the next faster step may be expected to take."""
UNDER_VOLTAGE, SLOWED = 1 << 0, 0b1110
"""Bits of the firmware: the supply is too weak; the clock is capped, throttled, or soon will be."""


class Board(NamedTuple):
    """How it is doing; None: it does not tell."""

    temperature_c: float | None = None
    throttled: int | None = None
    """The firmware's bits; the upper 16 are of the past."""


class Limits:
    """A closed loop over measured CPU time, temperature and the firmware's word.

    cpu_s  CPU seconds of the process so far
    """

    def __init__(self, cfg: config.Power, cpu_s: Callable[[], float] = time.process_time) -> None:
        self._cfg, self._cpu_s = cfg, cpu_s
        self._board = Board()
        self._step = 0
        self._looks = 0
        self._began_t, self._began_cpu_s = -math.inf, 0.0
        self._stepped_t = self._well_t = -math.inf
        self.cpu = math.nan
        """Share of one core that the process took lately; NaN: not known yet."""
        self.why = ""
        """cpu, temperature or throttled; empty: nothing limits."""

    @property
    def max_fps(self) -> float:
        """Most frames to look at in a second; inf: all."""
        return RATES[self._step]

    @property
    def under_voltage(self) -> bool | None:
        """Whether the supply is too weak now; None: the board does not tell."""
        bits = self._board.throttled
        return None if bits is None else bool(bits & UNDER_VOLTAGE)

    def board(self, board: Board) -> None:
        """How the board is doing now; any thread."""
        before = self.under_voltage
        self._board = board
        if self.under_voltage and not before:
            log.warning("power: under-voltage: use a stronger supply and a short, thick cable")
        elif before and not self.under_voltage:
            log.info("power: the voltage is right again")

    def looked(self) -> None:
        """One more frame was looked at."""
        self._looks += 1

    def tick(self, t: float) -> None:
        """Measure and take a step where it is time; t: monotonic seconds, rising."""
        since_s = t - self._began_t
        if 0 <= since_s < WINDOW_S:
            return
        now_s = self._cpu_s()
        if math.isfinite(since_s) and since_s > 0:
            self.cpu = (now_s - self._began_cpu_s) / since_s
            self._steer(self._looks / since_s, t)
        self._began_t, self._began_cpu_s, self._looks = t, now_s, 0

    def _steer(self, fps: float, t: float) -> None:
        why = self._too_much()
        if why:
            self._well_t = t
            if t - self._stepped_t >= (WINDOW_S if why == "cpu" else HEAT_S):
                slower = [step for step in range(self._step + 1, len(RATES)) if RATES[step] < 0.95 * fps]
                self._go(slower[0] if slower else self._step, why, t)
        elif self._step and t - self._well_t >= RECOVERY_S and self._room(fps):
            self._well_t = t
            self._go(self._step - 1, self.why if self._step > 1 else "", t)

    def _too_much(self) -> str:
        """What is beyond its limit; empty: nothing."""
        cfg, board = self._cfg, self._board
        limit_c = self._limit_c()
        if limit_c and board.temperature_c is not None and board.temperature_c >= limit_c:
            return "temperature"
        if board.throttled is not None and board.throttled & SLOWED:
            return "throttled"
        return "cpu" if cfg.max_cpu and self.cpu > cfg.max_cpu else ""

    def _limit_c(self) -> float:
        """0: none. Once slowed down, it has to become cooler than the limit before it is well."""
        told = self._board.throttled is not None
        limit_c = self._cfg.max_temp_c if self._cfg.max_temp_c is not None else PI_C if told else 0.0
        return max(0.0, limit_c - (COOLER_C if self.why == "temperature" else 0.0))

    def _room(self, fps: float) -> bool:
        """Whether the next faster step is likely to stay within the allowed CPU time."""
        faster = min(RATES[self._step - 1], 2 * RATES[self._step])
        busy = max(fps, 0.1) > 0.8 * RATES[self._step]  # else the limit does not hold it back
        return not self._cfg.max_cpu or not busy or self.cpu * faster / RATES[self._step] < ROOM * self._cfg.max_cpu

    def _go(self, step: int, why: str, t: float) -> None:
        if step == self._step:
            return
        self._step, self.why, self._stepped_t = step, why, t
        if step:
            log.warning("power: at most %g frames a second: %s", RATES[step], self._says(why))
        else:
            log.info("power: as many frames as the camera gives again")

    def _says(self, why: str) -> str:
        if why == "temperature":
            return f"{self._board.temperature_c:.0f} °C (power.max_temp_c)"
        if why == "throttled":
            return "the firmware slows the board down; see `edgepose doctor`"
        return f"{100 * self.cpu:.0f} % of a core, {100 * self._cfg.max_cpu:g} allowed (power.max_cpu)"
