"""Loops of the `smooth` stage: one person after the other, joint by joint, in float64.

Every array with S rows is state: row `slots[n]` belongs to person n and is written in place. Sums run over the joints
in their order, so that the numpy twin gives the same bits. A joint that is not there is NaN. `now` is in seconds and
rises from call to call; a joint last seen before `oldest` starts again.
"""

from __future__ import annotations

import numpy as np
from numba import njit

TWO_PI = 2 * np.pi

ABSENT, FRESH, FOUND, LOST = 0, 1, 2, 3
"""A joint in this frame: never seen or long ago; seen again after that; seen; not seen, but lately."""


@njit(cache=True, nogil=True)
def measure(points, slots, kept, fallback, size, sizes):
    """The longer side of the box round each person's joints, low-passed.

    points    (N, K, D)
    slots     (N,)
    kept      (N,)       share of the old size that stays, 0 for somebody new
    fallback  float      size of somebody of whom one joint at most was ever seen
    size      (S,)       state
    sizes     (N,)       out
    """
    for n in range(points.shape[0]):
        side = 0.0
        for d in range(points.shape[2]):
            low, high = np.inf, -np.inf
            for k in range(points.shape[1]):
                value = points[n, k, d]
                if np.isfinite(value):
                    low = min(low, value)
                    high = max(high, value)
            side = max(side, high - low)
        slot = slots[n]
        known = kept[n] > 0 and size[slot] > 0
        if side > 0:
            size[slot] = size[slot] * kept[n] + side * (1 - kept[n]) if known else side
        elif not known:
            size[slot] = 0
        sizes[n] = size[slot] if size[slot] > 0 else fallback


@njit(cache=True, nogil=True)
def weigh(score, slots, kept, doubt, floor, usual, weights):
    """How much each joint counts: 1, or the square of its score over `doubt` of what is usual for it, down to `floor`.

    score    (N, K)
    slots    (N,)
    kept     (N,)    share of the old usual score that stays, 0 for somebody new
    usual    (S, K)  state
    weights  (N, K)  out
    """
    for n in range(score.shape[0]):
        slot = slots[n]
        for k in range(score.shape[1]):
            value = score[n, k]
            weight = floor
            if value > 0:
                known = kept[n] > 0 and usual[slot, k] > 0
                base = usual[slot, k] if known else value
                part = value / (base * doubt)
                weight = min(max(part * part, floor), 1.0)
                usual[slot, k] = base * kept[n] + value * (1 - kept[n])
            elif kept[n] == 0:
                usual[slot, k] = 0
            weights[n, k] = weight


@njit(cache=True, nogil=True)
def one_euro(points, weights, sizes, slots, oldest, now, min_cutoff, beta, d_cutoff, place, speed, seen, out):
    """One Euro filter (Casiez, Roussel, Vogel, CHI 2012) of each coordinate; speed is the filtered derivative.

    points   (N, K, D)
    weights  (N, K)     1: as its authors have it; less moves the filter less
    sizes    (N,)       unit of the speed in the cutoff
    slots    (N,)
    place, speed  (S, K, D)  state
    seen     (S, K)     state, seconds; NaN: never
    out      (N, K, D)  out
    """
    for n in range(points.shape[0]):
        slot = slots[n]
        for k in range(points.shape[1]):
            there = True
            for d in range(points.shape[2]):
                there = there and np.isfinite(points[n, k, d])
            if not there:
                for d in range(points.shape[2]):
                    out[n, k, d] = np.nan
                continue
            fresh = not (seen[slot, k] >= oldest)
            step = now - seen[slot, k]
            seen[slot, k] = now
            weight = weights[n, k]
            for d in range(points.shape[2]):
                value = points[n, k, d]
                if fresh:
                    place[slot, k, d] = value
                    speed[slot, k, d] = 0
                else:
                    slope = (value - place[slot, k, d]) / step
                    share = weight / (1 + 1 / (TWO_PI * d_cutoff * step))
                    speed[slot, k, d] += share * (slope - speed[slot, k, d])
                    cutoff = min_cutoff + beta * (abs(speed[slot, k, d]) / sizes[n])
                    share = weight / (1 + 1 / (TWO_PI * cutoff * step))
                    place[slot, k, d] += share * (value - place[slot, k, d])
                out[n, k, d] = place[slot, k, d]


@njit(cache=True, nogil=True)
def kalman(
    points, weights, sizes, slots, steps, oldest, now, tuning, ahead, place, speed, miss, joint, seen, body, work, out
):  # fmt: skip
    """Constant-velocity Kalman filters, one a joint, and one for what all joints of a person do together.

    Variances are in body sizes and serve all axes. edgepose/follow/smooth/kalman.py says what the model is.

    points   (N, K, D)
    weights  (N, K)      the variance of a measurement is divided by it
    sizes    (N,)
    slots    (N,)
    steps    (N, 6)      seconds since the person was seen; those in which a joint's and the body's speed act; what
                         stays of both speeds and of the memory of how steps came true, the last 0 for somebody new
    tuning   (12,)       see TUNING there
    ahead    (2,)        seconds in which a joint's and the body's speed act until the moment asked for
    place, speed, miss   (S, K, D) state; miss is the last innovation, clipped
    joint    (S, K, 5)   state: variances of place, of both, of speed; how much of the steps came true, was meant
    seen     (S, K)      state, seconds; NaN: never
    body     (S, D + 4)  state: speed; variance of a measurement; variances of place, of both, of speed
    work     (K, D + 1)  scratch: innovation; what the joint is, ABSENT to LOST
    out      (N, K, D)   out
    """
    joints, axes = points.shape[1], points.shape[2]
    for n in range(points.shape[0]):
        slot, size, memory = slots[n], sizes[n], steps[n, 5]
        whole = body[slot]
        if memory == 0:
            _begin(whole, axes, joints, tuning)
            for k in range(joints):
                seen[slot, k] = np.nan
        else:
            _widen(
                whole, axes + 1, steps[n, 0], steps[n, 2], steps[n, 4], _push(whole, axes, size, tuning[2], tuning[3])
            )

        count, weight, white = 0.0, 0.0, 0.0
        for k in range(joints):
            there = True
            for d in range(axes):
                there = there and np.isfinite(points[n, k, d])
            known = seen[slot, k] >= oldest
            if there:
                seen[slot, k] = now
            if not known:
                work[k, axes] = FRESH if there else ABSENT
                continue
            work[k, axes] = FOUND if there else LOST
            own = joint[slot, k]
            push = _push(speed[slot, k], axes, size, tuning[0], tuning[1])
            _widen(own, 0, steps[n, 0], steps[n, 1], steps[n, 3], push)
            if there:
                spread = axes * (own[0] + whole[axes + 1] + whole[axes] / weights[n, k]) * (size * size)
                white += _compare(
                    points[n, k], whole, steps[n], spread, size, tuning, place[slot, k], speed[slot, k],
                    miss[slot, k], own, work[k],
                )  # fmt: skip
                count += 1
                weight += weights[n, k]
            else:
                for d in range(axes):
                    place[slot, k, d] += speed[slot, k, d] * steps[n, 1] + whole[d] * steps[n, 2]
                    miss[slot, k, d] = 0
            for d in range(axes):
                speed[slot, k, d] *= steps[n, 3]

        # innovations that keep their sign: the filter lags, so the noise is less than thought; and the other way round
        turn = tuning[7] * (white / count) / 2 if count > 0 else 0.0
        whole[axes] = min(max(whole[axes] * (1 - turn) / (1 + turn), tuning[5]), tuning[6])
        noise = whole[axes]
        gain = whole[axes + 1] / (whole[axes + 1] + noise / weight) if count > 0 else 0.0
        jolt = whole[axes + 2] / (whole[axes + 1] + noise / weight) if count > 0 else 0.0
        _narrow(whole, axes + 1, gain, jolt)
        for d in range(axes):
            together = 0.0
            for k in range(joints):
                if work[k, axes] == FOUND:
                    together += weights[n, k] * miss[slot, k, d]
            together = together / weight if count > 0 else 0.0
            whole[d] = whole[d] * steps[n, 4] + jolt * together
            for k in range(joints):
                own = joint[slot, k]
                if work[k, axes] >= FOUND:
                    place[slot, k, d] += gain * together
                if work[k, axes] == FOUND:
                    total = own[0] + noise / weights[n, k]
                    place[slot, k, d] += own[0] / total * (work[k, d] - together)
                    speed[slot, k, d] += own[1] / total * (miss[slot, k, d] - together)
                elif work[k, axes] == FRESH:
                    place[slot, k, d] = points[n, k, d]
                    speed[slot, k, d] = 0
                    miss[slot, k, d] = 0

        for k in range(joints):
            own = joint[slot, k]
            if work[k, axes] == FOUND:
                total = own[0] + noise / weights[n, k]
                _narrow(own, 0, own[0] / total, own[1] / total)
            elif work[k, axes] == FRESH:
                own[0], own[1], own[2], own[3], own[4] = noise / weights[n, k], 0, tuning[9], 0, 0
            else:
                for d in range(axes):
                    out[n, k, d] = np.nan
                continue
            trust = min(max((own[3] + noise) / (own[4] + noise), 0.0), 1.0)
            total = 0.0
            for d in range(axes):
                move = trust * (speed[slot, k, d] * ahead[0] + whole[d] * ahead[1])
                total += move * move
                out[n, k, d] = move
            far = np.sqrt(total) / size
            part = tuning[10] / far if far > tuning[10] else 1.0
            for d in range(axes):
                out[n, k, d] = place[slot, k, d] + part * out[n, k, d]


@njit(cache=True, nogil=True)
def _begin(whole, axes, joints, tuning):
    """Nothing is known of a body."""
    for d in range(axes):
        whole[d] = 0
    whole[axes] = tuning[4]
    whole[axes + 1], whole[axes + 2], whole[axes + 3] = tuning[4] / joints, 0, tuning[9]


@njit(cache=True, nogil=True)
def _push(speed, axes, size, rest, more):
    """Variance a speed gains in a second: what moves fast may turn fast."""
    total = 0.0
    for d in range(axes):
        total += speed[d] * speed[d]
    return rest + more * (np.sqrt(total) / size)


@njit(cache=True, nogil=True)
def _widen(own, at, step, act, kept, push):
    """Time passes: variances of place, of both, of speed, at own[at:]."""
    pp, pv, vv = own[at], own[at + 1], own[at + 2]
    own[at] = pp + 2 * act * pv + act * act * vv + push * step * step * step / 3
    own[at + 1] = (pv + act * vv) * kept + push * step * step / 2
    own[at + 2] = vv * kept * kept + push * step


@njit(cache=True, nogil=True)
def _narrow(own, at, gain, jolt):
    """A measurement came: the same variances afterwards."""
    pp, pv, vv = own[at], own[at + 1], own[at + 2]
    own[at] = pp * (1 - gain)
    own[at + 1] = pv * (1 - gain)
    own[at + 2] = vv - jolt * pv


@njit(cache=True, nogil=True)
def _compare(point, whole, steps, spread, size, tuning, place, speed, miss, own, work):
    """A joint goes on and is compared with what was seen; how much its innovation resembles the last, -2 to 2."""
    total = 0.0
    came, meant = 0.0, 0.0
    for d in range(point.shape[0]):
        move = speed[d] * steps[1] + whole[d] * steps[2]
        place[d] += move
        work[d] = point[d] - place[d]
        total += work[d] * work[d]
        came += move * (move + work[d])
        meant += move * move
    # a jump moves the place, says little of the speed, but makes it open to what comes next
    part = min(1.0, tuning[8] * np.sqrt(spread / total)) if total > 0 else 1.0
    if part < 1:
        over = (1 - part) * (1 - part) * total / (point.shape[0] * size * size)
        own[0] = own[0] + over
        own[2] = own[2] + tuning[11] * over / (steps[0] * steps[0])
    agree = 0.0
    for d in range(point.shape[0]):
        agree += part * work[d] * miss[d]
        miss[d] = part * work[d]
    own[3] = own[3] * steps[5] + part * came / (size * size)
    own[4] = own[4] * steps[5] + part * meant / (size * size)
    return min(max(agree / spread, -2.0), 2.0)


EXPORTS = {
    "measure": "void(float64[:,:,::1], int64[::1], float64[::1], float64, out float64[::1], out float64[::1])",
    "weigh": "void(float64[:,::1], int64[::1], float64[::1], float64, float64, out float64[:,::1], out float64[:,::1])",
    "one_euro": (
        "void(float64[:,:,::1], float64[:,::1], float64[::1], int64[::1], float64, float64, float64, float64, float64, "
        "out float64[:,:,::1], out float64[:,:,::1], out float64[:,::1], out float64[:,:,::1])"
    ),
    "kalman": (
        "void(float64[:,:,::1], float64[:,::1], float64[::1], int64[::1], float64[:,::1], float64, float64, "
        "float64[::1], float64[::1], out float64[:,:,::1], out float64[:,:,::1], out float64[:,:,::1], "
        "out float64[:,:,::1], out float64[:,::1], out float64[:,::1], out float64[:,::1], out float64[:,:,::1])"
    ),
}
"""What is compiled ahead of time: tools/kernels_build/signature.py says how to read it."""
