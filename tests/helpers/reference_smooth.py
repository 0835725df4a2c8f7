"""Slow twins of the filters, written from their papers: one coordinate, plain Python."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi

import numpy as np


def one_euro(
    times: Sequence[float], values: Sequence[float], min_cutoff: float, beta: float, d_cutoff: float
) -> list[float]:
    """Algorithm 1 of Casiez, Roussel, Vogel: 1 euro filter, CHI 2012; the speed counts from the last filtered value."""
    filtered = [values[0]]
    speed = 0.0
    for before, now, value in zip(times, times[1:], values[1:], strict=False):
        period = now - before
        speed += _alpha(period, d_cutoff) * ((value - filtered[-1]) / period - speed)
        cutoff = min_cutoff + beta * abs(speed)
        filtered.append(filtered[-1] + _alpha(period, cutoff) * (value - filtered[-1]))
    return filtered


def _alpha(period: float, cutoff: float) -> float:
    tau = 1 / (2 * pi * cutoff)
    return 1 / (1 + tau / period)


def constant_velocity(
    times: Sequence[float], values: Sequence[float], push: float, noise: float, swift: float
) -> list[float]:
    """The textbook's Kalman filter of a place and a speed driven by white acceleration: its places."""
    state = np.array((values[0], 0.0))
    spread = np.diag((noise, swift))
    seen = np.array((1.0, 0.0))
    told = [values[0]]
    for before, now, value in zip(times, times[1:], values[1:], strict=False):
        dt = now - before
        moves = np.array(((1.0, dt), (0.0, 1.0)))
        state = moves @ state
        spread = moves @ spread @ moves.T + push * np.array(((dt**3 / 3, dt**2 / 2), (dt**2 / 2, dt)))
        gain = spread @ seen / (seen @ spread @ seen + noise)
        state = state + gain * (value - seen @ state)
        spread = spread - np.outer(gain, seen) @ spread
        told.append(float(state[0]))
    return told
