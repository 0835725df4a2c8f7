"""The same functions as `smooth`, in numpy: the same answer, bit for bit, where numba is absent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

TWO_PI = 2 * np.pi


def measure(points: Array, slots: Array, kept: Array, fallback: float, size: Array, sizes: Array) -> None:
    """As smooth.measure."""
    if not points.size:
        return
    good = np.isfinite(points)
    sides = (np.where(good, points, -np.inf).max(1) - np.where(good, points, np.inf).min(1)).max(1)
    old = size[slots]
    known = (kept > 0) & (old > 0)
    mixed = np.where(known, old * kept + sides * (1 - kept), sides)
    size[slots] = np.where(sides > 0, mixed, np.where(known, old, 0))
    sizes[:] = np.where(size[slots] > 0, size[slots], fallback)


def weigh(score: Array, slots: Array, kept: Array, doubt: float, floor: float, usual: Array, weights: Array) -> None:
    """As smooth.weigh."""
    kept = kept[:, None]
    old = usual[slots]
    known = (kept > 0) & (old > 0)
    some = score > 0
    value = np.where(some, score, 1)
    base = np.where(known, old, value)
    part = value / (base * doubt)
    weights[:] = np.where(some, np.clip(part * part, floor, 1), floor)
    usual[slots] = np.where(some, base * kept + value * (1 - kept), np.where(kept == 0, 0, old))


def one_euro(
    points: Array,
    weights: Array,
    sizes: Array,
    slots: Array,
    oldest: float,
    now: float,
    min_cutoff: float,
    beta: float,
    d_cutoff: float,
    place: Array,
    speed: Array,
    seen: Array,
    out: Array,
) -> None:
    """As smooth.one_euro."""
    there: Array = np.all(np.isfinite(points), axis=2)
    last = seen[slots]
    known = (last >= oldest)[..., None]
    step = np.where(there & known[..., 0], now - last, 1)[..., None]
    weight = weights[..., None]
    value = np.where(there[..., None], points, 0)
    old, rate = place[slots], speed[slots]
    slope = (value - old) / step
    share = weight / (1 + 1 / (TWO_PI * d_cutoff * step))
    new_rate = np.where(known, rate + share * (slope - rate), 0)
    cutoff = min_cutoff + beta * (np.abs(new_rate) / sizes[:, None, None])
    share = weight / (1 + 1 / (TWO_PI * cutoff * step))
    new = np.where(known, old + share * (value - old), value)
    place[slots] = np.where(there[..., None], new, old)
    speed[slots] = np.where(there[..., None], new_rate, rate)
    seen[slots] = np.where(there, now, last)
    out[:] = np.where(there[..., None], new, np.nan)


def kalman(
    points: Array,
    weights: Array,
    sizes: Array,
    slots: Array,
    steps: Array,
    oldest: float,
    now: float,
    tuning: Array,
    ahead: Array,
    place: Array,
    speed: Array,
    miss: Array,
    joint: Array,
    seen: Array,
    body: Array,
    work: Array,
    out: Array,
) -> None:
    """As smooth.kalman; work is not needed here."""
    joints, axes = points.shape[1:]
    step, joint_s, body_s, joint_kept, body_kept, memory = steps.T[:, :, None]
    size = sizes[:, None]
    area = size * size
    last = np.where(memory == 0, np.nan, seen[slots])
    there: Array = np.all(np.isfinite(points), axis=2)
    known = last >= oldest
    found, fresh = there & known, there & ~known
    seen[slots] = np.where(there, now, last)
    value = np.where(there[..., None], points, 0)

    whole = body[slots]
    begun = np.concatenate((np.zeros(axes), tuning[4] / np.array((1.0, joints, np.inf, np.inf))))
    begun[axes + 3] = tuning[9]
    push = tuning[2] + tuning[3] * (np.sqrt(_in_order(whole[:, :axes] ** 2))[:, None] / size)
    widened = _widen(whole[:, axes + 1 :].T[..., None], step, body_s, body_kept, push)
    whole[:, axes + 1 :] = np.stack(widened)[..., 0].T
    whole[memory[:, 0] == 0] = begun
    towards, noise = whole[:, None, :axes], whole[:, axes, None]

    # the joints go on, and are compared with what was seen
    at, rate, own = place[slots], speed[slots], joint[slots]
    push = tuning[0] + tuning[1] * (np.sqrt(_in_order(rate**2)) / size)
    pp, pv, vv = _widen(own[..., :3].transpose(2, 0, 1), step, joint_s, joint_kept, push)
    move = rate * joint_s[..., None] + towards * body_s[..., None]
    at = at + move
    wrong = value - at
    spread = axes * (pp + whole[:, axes + 1, None] + noise / weights) * area
    total = _in_order(wrong**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(total > 0, np.minimum(1, tuning[8] * np.sqrt(spread / total)), 1)
        over = (1 - part) * (1 - part) * total / (axes * size * size)
        agree = np.clip(_in_order(part[..., None] * wrong * miss[slots]) / spread, -2, 2)
        jump = found & (part < 1)
        pp = np.where(jump, pp + over, pp)
        vv = np.where(jump, vv + tuning[11] * over / (step * step), vv)
    clipped = part[..., None] * wrong
    came = own[..., 3] * memory + part * _in_order(move * (move + wrong)) / area
    meant = own[..., 4] * memory + part * _in_order(move * move) / area
    came, meant = np.where(found, came, own[..., 3]), np.where(found, meant, own[..., 4])
    rate = rate * joint_kept[..., None]

    # the body
    count = found.sum(1)[:, None]
    some = count > 0
    weight = np.where(some, _in_order(np.where(found, weights, 0))[:, None], 1)
    white = _in_order(np.where(found, agree, 0))[:, None]
    turn = tuning[7] * (white / np.where(some, count, 1)) / 2
    noise = np.clip(noise * (1 - turn) / (1 + turn), tuning[5], tuning[6])
    body_pp, body_pv, body_vv = (whole[:, axes + 1 + place_, None] for place_ in range(3))
    gain = np.where(some, body_pp / (body_pp + noise / weight), 0)
    jolt = np.where(some, body_pv / (body_pp + noise / weight), 0)
    shared = np.where(found[..., None], weights[..., None] * clipped, 0)
    together = _in_order(shared.transpose(0, 2, 1)) / weight
    whole[:, :axes] = whole[:, :axes] * body_kept + jolt * together
    whole[:, axes:] = np.concatenate(
        (noise, body_pp * (1 - gain), body_pv * (1 - gain), body_vv - jolt * body_pv), axis=1
    )
    body[slots] = whole

    # the joints
    total = pp + noise / weights
    own_gain, own_jolt = pp / total, pv / total
    at = at + (gain * together)[:, None]
    three, near = found[..., None], together[:, None]
    at = np.where(three, at + own_gain[..., None] * (wrong - near), at)
    rate = np.where(three, rate + own_jolt[..., None] * (clipped - near), rate)
    at = np.where(fresh[..., None], value, at)
    rate = np.where(fresh[..., None], 0, rate)
    untouched = ~(known | fresh)[..., None]
    place[slots] = np.where(untouched, place[slots], at)
    speed[slots] = np.where(untouched, speed[slots], rate)
    miss[slots] = np.where(untouched, miss[slots], np.where(three, clipped, 0))
    after = np.stack((pp * (1 - own_gain), pv * (1 - own_gain), vv - own_jolt * pv, came, meant), axis=-1)
    before = np.stack((pp, pv, vv, came, meant), axis=-1)
    new = np.zeros_like(after)
    new[..., 0], new[..., 2] = noise / weights, tuning[9]
    after = np.where(three, after, np.where(fresh[..., None], new, np.where(untouched, own, before)))
    joint[slots] = after

    trust = np.clip((after[..., 3] + noise) / (after[..., 4] + noise), 0, 1)[..., None]
    move = trust * (rate * ahead[0] + whole[:, None, :axes] * ahead[1])
    far = np.sqrt(_in_order(move * move)) / size
    part = np.where(far > tuning[10], tuning[10] / np.where(far > 0, far, 1), 1)
    out[:] = np.where(there[..., None], at + part[..., None] * move, np.nan)


def _widen(own: Array, step: Array, act: Array, kept: Array, push: Array) -> tuple[Array, Array, Array]:
    """As in smooth."""
    pp, pv, vv = own
    return (
        pp + 2 * act * pv + act * act * vv + push * step * step * step / 3,
        (pv + act * vv) * kept + push * step * step / 2,
        vv * kept * kept + push * step,
    )


def _in_order(terms: Array) -> Array:
    """Sum of the last axis, one after the other: numpy's own sum adds in pairs where it likes."""
    if not terms.shape[-1]:
        return np.zeros(terms.shape[:-1])
    total: Array = np.add.accumulate(terms, axis=-1)[..., -1]
    return total
