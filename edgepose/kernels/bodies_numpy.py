"""The same functions as `bodies`, in numpy: the same answer but for rounding, where there is no library."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
NOSE, LEFT_EYE, LEFT_EAR, LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST = 0, 1, 3, 5, 7, 9
LEFT_HIP, LEFT_KNEE, LEFT_ANKLE = 11, 13, 15
LEFTS = np.array((LEFT_SHOULDER, LEFT_HIP, LEFT_KNEE, LEFT_ANKLE))
SHOULDER, HIP, KNEE, ANKLE = range(4)


def look(
    xy: Array, bones: Array, proportion: Array, middles: Array, centre: Array, length: Array, looks: Array
) -> None:
    """As bodies.look."""
    left, right = xy[:, LEFTS], xy[:, LEFTS + 1]
    both = (left + right) * 0.5
    middles[:] = np.where(np.isnan(both), np.where(np.isnan(left), right, left), both)
    known = np.isfinite(xy[:, :, :1])
    spread = np.where(known, xy, 0.0).sum(1) / np.maximum(known.sum(1), 1)
    spread[~known[:, :, 0].any(1)] = np.nan
    centre[:] = np.where(np.isnan(middles[:, HIP]), middles[:, SHOULDER], middles[:, HIP])
    centre[:] = np.where(np.isnan(centre), spread, centre)
    span = xy[:, bones[:, 0]] - xy[:, bones[:, 1]]
    length[:] = np.sqrt((span * span).sum(2))
    asked = np.where(np.isnan(length), 0.0, length) / proportion
    second = np.partition(asked, -2, axis=1)[:, -2:]
    best = np.where(second[:, 0] > 0, second[:, 0], second[:, 1])
    looks[:] = np.where(best > 0, best, np.nan)


def scale(looks: Array, slots: Array, grow: float, shrink: float, remembered: Array, size: Array) -> None:
    """As bodies.scale."""
    old = remembered[slots]
    new = old + (looks - old) * np.where(looks > old, grow, shrink)
    new = np.where(np.isnan(new), np.where(np.isnan(old), looks, old), new)
    remembered[slots] = size[:] = new


def in_plane(
    length: Array, size: Array, slots: Array, fade: float, least: Array, longest: Array, made: Array
) -> None:  # fmt: skip
    """As bodies.in_plane."""
    ratio = length / size[:, None]
    most = np.fmax(longest[slots] * fade, ratio)
    longest[slots] = most
    made[:] = np.minimum(ratio / np.maximum(most, least), 1.0)


def _further_down(xy: Array, upper: int, lower: int) -> Array:
    down: Array = xy[:, lower : lower + 2, 1] - xy[:, upper : upper + 2, 1]
    return np.fmax(down[:, 0], down[:, 1])


def postures(xy: Array, middles: Array, size: Array, limits: Array, made: Array) -> None:
    """As bodies.postures."""
    lying, bent, thigh_down, shank_down, short_trunk, flat = limits
    upper, lower = middles[:, SHOULDER], middles[:, HIP]
    upper = np.where(np.isnan(upper), xy[:, NOSE], upper)
    for joint in (KNEE, ANKLE):
        lower = np.where(np.isnan(lower), middles[:, joint], lower)
    dx, dy = (upper - lower).T
    tilt = np.degrees(np.arctan2(np.abs(dx), -dy))
    y = middles[:, :, 1]
    thigh = _further_down(xy, LEFT_HIP, LEFT_KNEE) / size
    shank = _further_down(xy, LEFT_KNEE, LEFT_ANKLE) / size
    extent = (np.fmax(y[:, ANKLE], y[:, KNEE]) - y[:, SHOULDER]) / size
    short = np.sqrt(dx * dx + dy * dy) < short_trunk * size
    down, folded = thigh >= thigh_down, shank < shank_down
    known = ~np.isnan(tilt) & ~np.isnan(thigh)
    code = np.full(len(size), np.nan)
    code[known & (tilt <= lying) & ~down] = 1
    code[known & down] = np.where(folded, 4, 0)[known & down]
    code[known & down & (tilt > bent)] = 3
    code[np.where(short, extent < flat, (tilt > lying) & ~down) & ~np.isnan(tilt)] = 2
    code[np.isnan(size)] = np.nan
    made[:, 0], made[:, 1], made[:, 2], made[:, 3] = tilt, thigh, shank, code
    made[:, 4:] = np.where(np.isnan(code)[:, None], np.nan, code[:, None] == np.arange(5))


def angles(xy: Array, plane: Array, hinges: Array, offset: Array, nearly: float, made: Array) -> None:
    """As bodies.angles."""
    count = len(hinges)
    sides = (len(xy), count // 2, 2)
    hinge = xy[:, hinges[:, 1]]
    first, second = xy[:, hinges[:, 0]] - hinge, xy[:, hinges[:, 2]] - hinge
    cross = first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]
    dot = (first * second).sum(2)
    sign = np.where(offset > 0, -1.0, 1.0)
    angle = offset + sign * np.degrees(np.arctan2(np.abs(cross), dot))
    one, other = plane[:, hinges[:, 3]], plane[:, hinges[:, 4]]
    share = np.minimum(one, other)
    missing = np.isnan(angle)
    weight = np.where(missing, 0.0, np.maximum(share, 0.05) ** 4)
    means = (np.where(missing, 0.0, angle) * weight).reshape(sides).sum(2) / weight.reshape(sides).sum(2)
    flat = dot / np.maximum(np.sqrt((first * first).sum(2) * (second * second).sum(2)), 1e-9)
    one, other = np.minimum(one / nearly, 1.0), np.minimum(other / nearly, 1.0)
    cosine = np.clip(flat * one * other + np.sqrt((1 - one * one) * (1 - other * other)), -1, 1)
    bend = (offset + sign * np.degrees(np.arctan2(np.sqrt(1 - cosine * cosine), cosine))).reshape(sides)
    bend = np.where(np.isnan(bend), bend[:, :, ::-1], bend)
    made[:] = np.concatenate((angle, share, means, np.fmax(share[:, 0::2], share[:, 1::2]), bend.sum(2) / 2), axis=1)


def segments(xy: Array, middles: Array, ends: Array, made: Array) -> None:
    """As bodies.segments."""
    trunk = middles[:, SHOULDER] - middles[:, HIP]
    span = np.concatenate((trunk[:, None], xy[:, ends[:, 1]] - xy[:, ends[:, 0]]), axis=1)
    made[:] = np.degrees(np.arctan2(-span[..., 1], span[..., 0]))


def heights(xy: Array, middles: Array, size: Array, made: Array) -> None:
    """As bodies.heights."""
    y = middles[:, :, 1]
    ankles, elbows, wrists = (xy[:, left : left + 2, 1] for left in (LEFT_ANKLE, LEFT_ELBOW, LEFT_WRIST))
    ground, elbow, wrist = (np.fmax.reduce(pair, axis=1) for pair in (ankles, elbows, wrists))
    apart = np.abs(xy[:, LEFT_ANKLE, 0] - xy[:, LEFT_ANKLE + 1, 0])
    told = (
        ground - y[:, HIP], ground - y[:, SHOULDER], ground - y[:, KNEE], wrist - y[:, SHOULDER],
        elbow - y[:, SHOULDER], wrist - xy[:, NOSE, 1], y[:, SHOULDER] - np.fmin.reduce(wrists, axis=1), apart,
    )  # fmt: skip
    made[:] = np.stack(told, axis=1) / size[:, None]


def hands(xy: Array, middles: Array, size: Array, ear_over_shoulder: float, made: Array) -> None:
    """As bodies.hands."""
    shoulders, elbows, wrists = xy[:, 5:7], xy[:, 7:9], xy[:, 9:11]
    shoulder, hip, y = middles[:, SHOULDER], middles[:, HIP], wrists[..., 1]
    arm = (wrists - shoulders) / size[:, None, None]
    outwards = np.sign(shoulders[:, :1, 0] - shoulders[:, 1:, 0]) * (1, -1)
    top = np.fmin(xy[:, NOSE, 1], shoulder[:, 1] - ear_over_shoulder * size)
    made[:, 0:2] = (top[:, None] - y) / size[:, None]
    made[:, 2:4] = np.sqrt((arm * arm).sum(2))
    made[:, 4:6] = np.degrees(np.arctan2(-arm[..., 1], np.abs(arm[..., 0])))
    made[:, 6:8] = arm[..., 0] * outwards
    made[:, 8] = np.sqrt(((wrists[:, 0] - wrists[:, 1]) ** 2).sum(1)) / size
    middle = (shoulder[:, :1] + hip[:, :1]) / 2
    past = (middle - wrists[..., 0]) * outwards / size[:, None]
    inside = (y > shoulder[:, 1:]) & (y < hip[:, 1:] - 0.1 * (hip[:, 1:] - shoulder[:, 1:]))
    bent = elbows[..., 1] > y - 0.35 * size[:, None]
    made[:, 9] = np.where(inside & bent, past, np.where(np.isnan(past), np.nan, -1.0)).min(1)
    face = np.where(np.isnan(xy[:, 3:5]), xy[:, 1:3], xy[:, 3:5])
    face = np.where(np.isnan(face), xy[:, NOSE, None], face)
    made[:, 10:12] = np.sqrt(((wrists - face) ** 2).sum(2)) / size[:, None]
    made[:, 12] = np.abs(np.abs(arm[:, 0, 0]) - np.abs(arm[:, 1, 0]))


def heads(xy: Array, middles: Array, size: Array, made: Array) -> None:
    """As bodies.heads."""
    sides = np.where(np.isnan(xy[:, 3:5, 0]), xy[:, 1:3, 0], xy[:, 3:5, 0])
    left, right = sides.T
    nose, shoulder = xy[:, NOSE], middles[:, SHOULDER]
    span = left - right
    turned = np.clip(2 * (nose[:, 0] - (left + right) / 2) / np.maximum(np.abs(span), 0.08 * size), -1, 1)
    turned = np.where(span < 0, np.sign(turned), turned)
    turned = np.where(np.isnan(left) ^ np.isnan(right), np.where(np.isnan(left), -1.0, 1.0), turned)
    made[:, 0] = np.where(np.isnan(nose[:, 0]), np.nan, turned)
    made[:, 1] = (shoulder[:, 1] - nose[:, 1]) / size
    eyes, across = xy[:, 1] - xy[:, 2], xy[:, 5] - xy[:, 6]
    roll = np.degrees(np.arctan2(eyes[:, 1], eyes[:, 0]) - np.arctan2(across[:, 1], across[:, 0]))
    made[:, 2] = (roll + 180) % 360 - 180
    neck, trunk = nose - shoulder, shoulder - middles[:, HIP]
    cross = neck[:, 0] * trunk[:, 1] - neck[:, 1] * trunk[:, 0]
    made[:, 3] = np.degrees(np.arctan2(np.abs(cross), (neck * trunk).sum(1)))
    made[:, 4] = np.where(np.isnan(across[:, 0]), np.nan, across[:, 0] < 0)


def there(xy: Array, width: float, height: float, made: Array) -> None:
    """As bodies.there."""
    limbs = xy[:, LEFT_SHOULDER:]
    margin, size = 0.01 * max(width, height), np.array((width, height))
    made[:, 0] = np.isfinite(limbs[:, :, 0]).mean(1)
    made[:, 1] = ((limbs < margin) | (limbs > size - margin)).any((1, 2))


def moved(
    middles: Array, centre: Array, size: Array, slots: Array, t: float, spans: Array,
    times: Array, kept: Array, at: Array, sink: Array, made: Array,
) -> None:  # fmt: skip
    """As bodies.moved."""
    drop_s, speed_s, sink_s, step_s = spans
    shoulder, trunk = middles[:, SHOULDER, 1], middles[:, SHOULDER] - middles[:, HIP]
    tilt = np.degrees(np.arctan2(np.abs(trunk[:, 0]), -trunk[:, 1]))
    now = np.stack((shoulder, middles[:, HIP, 1], tilt, centre[:, 0], centre[:, 1]), axis=1)
    due = t - times[slots, at[slots]] >= step_s
    fresh = slots[due]
    at[fresh] = (at[fresh] + 1) % times.shape[1]
    times[fresh, at[fresh]], kept[fresh, at[fresh]] = t, now[due]

    ages, before = t - times[slots], kept[slots]
    lately = np.where((ages <= drop_s)[:, :, None], before, np.nan)
    least, most = np.fmin.reduce(lately, axis=1), np.fmax.reduce(lately, axis=1)
    made[:, :2] = (now[:, :2] - least[:, :2]) / size[:, None]
    made[:, 3] = tilt - least[:, 2]
    made[:, 6] = (most[:, 3:] - least[:, 3:]).max(1) / size
    made[:, 7] = (most[:, 0] - shoulder) / size
    fast = _over(ages, before, now, speed_s)[:, 3:] / size[:, None]
    made[:, 4], made[:, 5] = np.sqrt((fast * fast).sum(1)), fast[:, 0]
    sinking = _over(ages, before, now, sink_s)[:, 0] / size
    best = np.where(t - sink[slots, 1] > drop_s, -np.inf, sink[slots, 0])
    newer = sinking >= best
    sink[slots, 0] = best = np.where(newer, sinking, best)
    sink[slots, 1] = np.where(newer, t, sink[slots, 1])
    made[:, 2] = np.where(np.isinf(best), np.nan, best)


def _over(ages: Array, before: Array, now: Array, span_s: float) -> Array:
    """(N, 5) change a second since the sample nearest to `span_s` ago."""
    spot = np.abs(ages - span_s).argmin(1)
    rows = np.arange(len(ages))
    age = ages[rows, spot]
    near = (age > span_s / 2) & (age < 3 * span_s)
    change = (now - before[rows, spot]) / np.where(near, age, 1.0)[:, None]
    return np.where(near[:, None], change, np.nan)


def waved(
    xy: Array, size: Array, slots: Array, t: float, limits: Array, least: Array, high: Array,
    last: Array, way: Array, times: Array, made: Array,
) -> None:  # fmt: skip
    """As bodies.waved."""
    gap_s, window_s, over_s, meet = limits
    wrists = xy[:, 9:11]
    arm, forearm = ((wrists - xy[:, left : left + 2]) / size[:, None, None] for left in (LEFT_SHOULDER, LEFT_ELBOW))
    apart = np.sqrt(((wrists[:, 0] - wrists[:, 1]) ** 2).sum(1)) / size
    place = np.concatenate((arm[:, :, 0], forearm[:, :, 0], arm[:, :, 0], apart[:, None]), axis=1)
    above = np.concatenate((-arm[:, :, 1], -arm[:, :, 1], -forearm[:, :, 1], np.zeros((len(xy), 1))), axis=1)
    kept, going, turned = last[slots], way[slots], times[slots]
    began = np.isnan(kept[:, :, 0])
    step = np.where(began, 0.0, place - kept[:, :, 0])
    side = np.sign(step)
    turns = (np.abs(step) >= least) & (side != going)
    counts = turns & (going != 0) & (kept[:, :, 1] >= high)
    counts[:, 6] &= (step[:, 6] > 0) & (kept[:, 6, 0] <= meet)  # parting after they met
    pushed = np.concatenate((kept[:, :, 2:], turned[:, :, :-1]), axis=2)
    times[slots] = turned = np.where(counts[:, :, None], pushed, turned)
    goes_on = turns | began | ((side == going) & (side != 0))
    fresh = np.stack((place, above, np.full(place.shape, t)), axis=2)
    last[slots], way[slots] = np.where(goes_on[:, :, None], fresh, kept), np.where(turns, side, going)

    near = (turned[:, :, :-1] - turned[:, :, 1:] <= gap_s) & (t - turned[:, :, 1:] <= window_s)
    row = np.where(t - turned[:, :, 0] <= over_s, 1.0 + np.cumprod(near, axis=2).sum(2), 0.0)
    hidden = np.isnan(arm[:, :, 0])
    made[:, :2] = np.where(hidden, np.nan, np.maximum(row[:, :2], 0.75 * row[:, 2:4]))
    made[:, 2] = np.where(hidden.any(1), np.nan, row[:, 4:6].min(1))
    made[:, 3] = np.where(hidden.any(1), np.nan, row[:, 6])
