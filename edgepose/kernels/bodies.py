"""Loops of meaning: what a frame shows of each body, in numbers.

xy       (N, 17, 2)  COCO's joints, pixels; of a joint that is missing both numbers are NaN
middles  (N, 4, 2)   of shoulders, hips, knees and ankles, pixels
size     (N,)        torso length, pixels
slots    (N,)        row of each body in what is remembered of it
made     (N, C)      out; NaN: cannot be told

All float64 but for indices. Lengths are told in torso lengths, angles in degrees, times in seconds.
"""

from __future__ import annotations

import numpy as np
from numba import njit

NOSE, LEFT_EYE, LEFT_EAR, LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST = 0, 1, 3, 5, 7, 9
LEFT_HIP, LEFT_KNEE, LEFT_ANKLE, JOINTS = 11, 13, 15, 17
"""The right one is the next."""
SHOULDER, HIP, KNEE, ANKLE = 0, 1, 2, 3
"""Rows of middles."""
DEGREES = 180 / np.pi


@njit(cache=True, nogil=True, error_model="numpy")
def _more(a, b):
    """The larger one; of one that is NaN the other."""
    return a if a >= b or b != b else b


@njit(cache=True, nogil=True, error_model="numpy")
def _less(a, b):
    """The smaller one; of one that is NaN the other."""
    return a if a <= b or b != b else b


@njit(cache=True, nogil=True, error_model="numpy")
def _length(x, y):
    return np.sqrt(x * x + y * y)


@njit(cache=True, nogil=True, error_model="numpy")
def _clipped(value, least, most):
    """NaN stays NaN."""
    return least if value < least else (most if value > most else value)


@njit(cache=True, nogil=True, error_model="numpy")
def look(xy, bones, proportion, middles, centre, length, looks):
    """Put a body together.

    bones       (B, 2)     joints at the ends of each
    proportion  (B,)       length of each, in torso lengths
    middles     (N, 4, 2)  out: between left and right; where one is missing, the other
    centre      (N, 2)     out: the hips, else the shoulders, else the middle of what is there
    length      (N, B)     out: of each bone as seen, pixels
    looks       (N,)       out: torso length, pixels, this frame alone would say: the second largest that bones ask for
    """
    for n in range(xy.shape[0]):
        for row in range(4):
            left = LEFT_SHOULDER if row == SHOULDER else LEFT_HIP + 2 * (row - HIP)
            for axis in range(2):
                one, other = xy[n, left, axis], xy[n, left + 1, axis]
                middle = (one + other) * 0.5
                if middle != middle:
                    middle = one if one == one else other
                middles[n, row, axis] = middle
        for axis in range(2):
            value = middles[n, HIP, axis]
            if value != value:
                value = middles[n, SHOULDER, axis]
            if value != value:
                total, known = 0.0, 0
                for k in range(JOINTS):
                    if xy[n, k, axis] == xy[n, k, axis]:
                        total += xy[n, k, axis]
                        known += 1
                value = total / known if known > 0 else np.nan
            centre[n, axis] = value
        first, second = 0.0, 0.0
        for b in range(bones.shape[0]):
            start, end = bones[b, 0], bones[b, 1]
            length[n, b] = _length(xy[n, start, 0] - xy[n, end, 0], xy[n, start, 1] - xy[n, end, 1])
            asked = length[n, b] / proportion[b]
            if asked > first:
                first, second = asked, first
            elif asked > second:
                second = asked
        best = second if second > 0 else first
        looks[n] = best if best > 0 else np.nan


@njit(cache=True, nogil=True, error_model="numpy")
def scale(looks, slots, grow, shrink, remembered, size):
    """Let the size of each body follow what it looks like.

    looks           (N,)  as look gave it
    grow, shrink          share of the way to one that looks larger, and to one that looks smaller
    remembered      (S,)  changed
    size            (N,)  out
    """
    for n in range(looks.shape[0]):
        old, now = remembered[slots[n]], looks[n]
        if old == old and now == now:
            now = old + (now - old) * (grow if now > old else shrink)
        elif old == old:
            now = old
        remembered[slots[n]] = now
        size[n] = now


@njit(cache=True, nogil=True, error_model="numpy")
def in_plane(length, size, slots, fade, least, longest, made):
    """How much of each bone's length is seen, 0..1: 1 lies in the picture's plane.

    length   (N, B)  pixels, as look gave it
    fade             what of the longest that was seen is left since the frame before
    least    (B,)    torso lengths that a bone is at least
    longest  (S, B)  changed: in torso lengths, the longest each was seen lately
    """
    for n in range(length.shape[0]):
        slot = slots[n]
        for b in range(length.shape[1]):
            ratio = length[n, b] / size[n]
            most = _more(longest[slot, b] * fade, ratio)
            longest[slot, b] = most
            share = ratio / max(most, least[b])
            made[n, b] = 1.0 if share > 1 else share


@njit(cache=True, nogil=True, error_model="numpy")
def _further_down(xy, n, upper, lower):
    """Pixels that the lower joint is below the upper one, of the leg that reaches further down."""
    return _more(xy[n, lower, 1] - xy[n, upper, 1], xy[n, lower + 1, 1] - xy[n, upper + 1, 1])


@njit(cache=True, nogil=True, error_model="numpy")
def postures(xy, middles, size, limits, made):
    """What trunk and legs look like.

    limits  (6,)    LIMITS of edgepose/meaning/posture.py
    made    (N, 9)  out: tilt of the trunk; thigh and shank downwards; place in POSTURES there; and a column for each of
                    these, 1 or 0
    """
    lying, bent, thigh_down, shank_down, short_trunk, flat = (
        limits[0], limits[1], limits[2], limits[3], limits[4], limits[5]
    )  # fmt: skip
    for n in range(xy.shape[0]):
        dx = middles[n, SHOULDER, 0] - middles[n, HIP, 0]
        dy = middles[n, SHOULDER, 1] - middles[n, HIP, 1]
        if dx != dx:  # from knees or ankles up to shoulders or nose
            row = HIP
            while row < ANKLE and middles[n, row, 0] != middles[n, row, 0]:
                row += 1
            if middles[n, SHOULDER, 0] == middles[n, SHOULDER, 0]:
                x, y = middles[n, SHOULDER, 0], middles[n, SHOULDER, 1]
            else:
                x, y = xy[n, NOSE, 0], xy[n, NOSE, 1]
            dx, dy = x - middles[n, row, 0], y - middles[n, row, 1]
        tilt = np.arctan2(np.abs(dx), -dy) * DEGREES
        thigh = _further_down(xy, n, LEFT_HIP, LEFT_KNEE) / size[n]
        shank = _further_down(xy, n, LEFT_KNEE, LEFT_ANKLE) / size[n]
        code = np.nan
        down, folded = thigh >= thigh_down, shank < shank_down
        if tilt == tilt and thigh == thigh:
            if tilt <= lying and not down:
                code = 1.0
            if tilt > bent and down:
                code = 3.0
            elif down:
                code = 4.0 if folded else 0.0
        if _length(dx, dy) < short_trunk * size[n]:
            low = _more(middles[n, ANKLE, 1], middles[n, KNEE, 1]) - middles[n, SHOULDER, 1]
            lies = low / size[n] < flat
        else:
            lies = tilt > lying and not down
        if lies and tilt == tilt:
            code = 2.0
        if size[n] != size[n]:
            code = np.nan
        made[n, 0] = tilt
        made[n, 1] = thigh
        made[n, 2] = shank
        made[n, 3] = code
        for other in range(5):
            made[n, 4 + other] = np.nan if code != code else (1.0 if code == other else 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def angles(xy, plane, hinges, offset, nearly, made):
    """Joint angles, how far each lies in the picture's plane, and both sides in one.

    plane   (N, B)   as in_plane made it
    hinges  (A, 5)   outer joint, hinge, outer joint, and the two bones; left, right, left, right ...
    offset  (A,)     180: 0 is straight; 0: 0 is folded
    nearly           a bone of which this share is seen counts as lying in the plane
    made    (N, 2 A + 3 A / 2)  out: each angle; how much of it lies in the plane; the mean of both sides, each as far
                     as it lies there; the better of both shares; and the mean of both as if seen from the side
    """
    count = hinges.shape[0]
    half = count // 2
    for n in range(xy.shape[0]):
        for pair in range(half):
            total, weights, best, bends, seen = 0.0, 0.0, np.nan, 0.0, 0
            for side in range(2):
                a = 2 * pair + side
                first, hinge, second = hinges[a, 0], hinges[a, 1], hinges[a, 2]
                x, y = xy[n, first, 0] - xy[n, hinge, 0], xy[n, first, 1] - xy[n, hinge, 1]
                u, v = xy[n, second, 0] - xy[n, hinge, 0], xy[n, second, 1] - xy[n, hinge, 1]
                dot = x * u + y * v
                sign = -1.0 if offset[a] > 0 else 1.0
                angle = offset[a] + sign * (np.arctan2(np.abs(x * v - y * u), dot) * DEGREES)
                one, other = plane[n, hinges[a, 3]], plane[n, hinges[a, 4]]
                share = one + other if one != one or other != other else min(one, other)
                made[n, a] = angle
                made[n, count + a] = share
                best = _more(best, share)
                if angle == angle:
                    weight = 0.05 if share < 0.05 else share
                    weight = weight * weight * weight * weight
                    total += angle * weight
                    weights += weight
                # what of a bone is not seen points at the camera or away; a hinge that bends lies before or behind both
                # its ends
                long = np.sqrt((x * x + y * y) * (u * u + v * v))
                flat = dot / (1e-9 if long < 1e-9 else long)
                one, other = _clipped(one / nearly, 0.0, 1.0), _clipped(other / nearly, 0.0, 1.0)
                cosine = flat * one * other + np.sqrt((1 - one * one) * (1 - other * other))
                cosine = _clipped(cosine, -1.0, 1.0)
                bend = offset[a] + sign * (np.arctan2(np.sqrt(1 - cosine * cosine), cosine) * DEGREES)
                if bend == bend:
                    bends += bend
                    seen += 1
            made[n, 2 * count + pair] = total / weights if weights == weights and weights > 0 else np.nan
            made[n, 2 * count + half + pair] = best
            made[n, 2 * count + 2 * half + pair] = bends / seen if seen > 0 else np.nan


@njit(cache=True, nogil=True, error_model="numpy")
def segments(xy, middles, ends, made):
    """Angles of the trunk and of limbs, anticlockwise from the horizontal.

    ends  (L, 2)      joints from which and to which each limb goes
    made  (N, 1 + L)  out: -180..180
    """
    for n in range(xy.shape[0]):
        dx = middles[n, SHOULDER, 0] - middles[n, HIP, 0]
        dy = middles[n, SHOULDER, 1] - middles[n, HIP, 1]
        made[n, 0] = np.arctan2(-dy, dx) * DEGREES
        for limb in range(ends.shape[0]):
            start, end = ends[limb, 0], ends[limb, 1]
            dx, dy = xy[n, end, 0] - xy[n, start, 0], xy[n, end, 1] - xy[n, start, 1]
            made[n, 1 + limb] = np.arctan2(-dy, dx) * DEGREES


@njit(cache=True, nogil=True, error_model="numpy")
def heights(xy, middles, size, made):
    """How far what is above what: made (N, 8), in the order of HEIGHTS in edgepose/meaning/features.py."""
    for n in range(xy.shape[0]):
        ground = _more(xy[n, LEFT_ANKLE, 1], xy[n, LEFT_ANKLE + 1, 1])
        elbow = _more(xy[n, LEFT_ELBOW, 1], xy[n, LEFT_ELBOW + 1, 1])
        wrist = _more(xy[n, LEFT_WRIST, 1], xy[n, LEFT_WRIST + 1, 1])
        highest = _less(xy[n, LEFT_WRIST, 1], xy[n, LEFT_WRIST + 1, 1])
        shoulder = middles[n, SHOULDER, 1]
        made[n, 0] = (ground - middles[n, HIP, 1]) / size[n]
        made[n, 1] = (ground - shoulder) / size[n]
        made[n, 2] = (ground - middles[n, KNEE, 1]) / size[n]
        made[n, 3] = (wrist - shoulder) / size[n]
        made[n, 4] = (elbow - shoulder) / size[n]
        made[n, 5] = (wrist - xy[n, NOSE, 1]) / size[n]
        made[n, 6] = (shoulder - highest) / size[n]
        made[n, 7] = np.abs(xy[n, LEFT_ANKLE, 0] - xy[n, LEFT_ANKLE + 1, 0]) / size[n]


@njit(cache=True, nogil=True, error_model="numpy")
def hands(xy, middles, size, ear_over_shoulder, made):
    """Where the hands are.

    ear_over_shoulder          torso lengths
    made              (N, 13)  out: in the order of HANDS in edgepose/meaning/hands.py
    """
    for n in range(xy.shape[0]):
        apart = xy[n, LEFT_SHOULDER, 0] - xy[n, LEFT_SHOULDER + 1, 0]
        outwards = np.sign(apart) if apart == apart else np.nan
        shoulder, hip = middles[n, SHOULDER, 1], middles[n, HIP, 1]
        top = _less(xy[n, NOSE, 1], shoulder - ear_over_shoulder * size[n])
        middle = (middles[n, SHOULDER, 0] + middles[n, HIP, 0]) / 2
        crossed, reach_x = np.inf, 0.0
        for side in range(2):
            x, y = xy[n, LEFT_WRIST + side, 0], xy[n, LEFT_WRIST + side, 1]
            arm_x = (x - xy[n, LEFT_SHOULDER + side, 0]) / size[n]
            arm_y = (y - xy[n, LEFT_SHOULDER + side, 1]) / size[n]
            made[n, side] = (top - y) / size[n]
            made[n, 2 + side] = _length(arm_x, arm_y)
            made[n, 4 + side] = np.arctan2(-arm_y, np.abs(arm_x)) * DEGREES
            made[n, 6 + side] = arm_x * outwards
            # each wrist past the trunk's middle, towards the other elbow, between shoulders and hips
            past = (middle - x) * outwards / size[n]
            inside = shoulder < y < hip - 0.1 * (hip - shoulder)
            bent = xy[n, LEFT_ELBOW + side, 1] > y - 0.35 * size[n]
            if past == past and not (inside and bent):
                past = -1.0
            crossed = crossed + past if crossed != crossed or past != past else min(crossed, past)
            face = LEFT_EAR + side
            if xy[n, face, 0] != xy[n, face, 0]:
                face = LEFT_EYE + side
            if xy[n, face, 0] != xy[n, face, 0]:
                face = NOSE
            made[n, 10 + side] = _length(x - xy[n, face, 0], y - xy[n, face, 1]) / size[n]
            reach_x = np.abs(arm_x) - reach_x
            outwards = -outwards
        made[n, 8] = (
            _length(xy[n, LEFT_WRIST, 0] - xy[n, LEFT_WRIST + 1, 0], xy[n, LEFT_WRIST, 1] - xy[n, LEFT_WRIST + 1, 1])
            / size[n]
        )
        made[n, 9] = crossed
        made[n, 12] = np.abs(reach_x)


@njit(cache=True, nogil=True, error_model="numpy")
def heads(xy, middles, size, made):
    """Which way a face looks: made (N, 5), in the order of HEADS in edgepose/meaning/head.py."""
    for n in range(xy.shape[0]):
        left, right = xy[n, LEFT_EAR, 0], xy[n, LEFT_EAR + 1, 0]
        if left != left:
            left = xy[n, LEFT_EYE, 0]
        if right != right:
            right = xy[n, LEFT_EYE + 1, 0]
        nose_x, nose_y = xy[n, NOSE, 0], xy[n, NOSE, 1]
        span = left - right
        if nose_x != nose_x:
            turned = np.nan
        elif (left != left) != (right != right):
            turned = -1.0 if left != left else 1.0
        else:
            least = 0.08 * size[n]
            width = np.abs(span) if np.abs(span) > least else least
            turned = _clipped(2 * (nose_x - (left + right) / 2) / width, -1.0, 1.0)
            if span < 0 and turned == turned:
                turned = np.sign(turned)
        made[n, 0] = turned
        made[n, 1] = (middles[n, SHOULDER, 1] - nose_y) / size[n]
        eyes_x = xy[n, LEFT_EYE, 0] - xy[n, LEFT_EYE + 1, 0]
        eyes_y = xy[n, LEFT_EYE, 1] - xy[n, LEFT_EYE + 1, 1]
        across = xy[n, LEFT_SHOULDER, 0] - xy[n, LEFT_SHOULDER + 1, 0]
        down = xy[n, LEFT_SHOULDER, 1] - xy[n, LEFT_SHOULDER + 1, 1]
        roll = (np.arctan2(eyes_y, eyes_x) - np.arctan2(down, across)) * DEGREES + 180
        made[n, 2] = roll - 360 * np.floor(roll / 360) - 180
        neck_x, neck_y = nose_x - middles[n, SHOULDER, 0], nose_y - middles[n, SHOULDER, 1]
        trunk_x = middles[n, SHOULDER, 0] - middles[n, HIP, 0]
        trunk_y = middles[n, SHOULDER, 1] - middles[n, HIP, 1]
        cross = neck_x * trunk_y - neck_y * trunk_x
        made[n, 3] = np.arctan2(np.abs(cross), neck_x * trunk_x + neck_y * trunk_y) * DEGREES
        made[n, 4] = np.nan if across != across else (1.0 if across < 0 else 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def there(xy, width, height, made):
    """Made (N, 2): share of the limbs' joints that are there; 1 where one lies at the picture's border."""
    margin = 0.01 * max(width, height)
    for n in range(xy.shape[0]):
        known, near = 0, 0.0
        for k in range(LEFT_SHOULDER, JOINTS):
            x, y = xy[n, k, 0], xy[n, k, 1]
            if x == x:
                known += 1
                if x < margin or y < margin or x > width - margin or y > height - margin:
                    near = 1.0
        made[n, 0] = known / (JOINTS - LEFT_SHOULDER)
        made[n, 1] = near


@njit(cache=True, nogil=True, error_model="numpy")
def _spot(times, slot, t, span):
    """The sample nearest to `span` seconds ago."""
    best, least = 0, np.inf
    for at in range(times.shape[1]):
        off = np.abs(t - times[slot, at] - span)
        if off < least:
            best, least = at, off
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def moved(middles, centre, size, slots, t, spans, times, kept, at, sink, made):
    """How bodies moved lately.

    spans  (4,)        seconds: memory of drops, of speeds, of sinking, between samples at least
    times  (S, L)      changed: a ring of samples for each slot, when they were taken; -inf: none
    kept   (S, L, 5)   changed: shoulders' y, hips' y, tilt of the trunk, centre x and y
    at     (S,)        changed: the newest
    sink   (S, 2)      changed: fastest sinking, and when
    made   (N, 8)      out: in the order of MOTION in edgepose/meaning/motion.py
    """
    drop_s, speed_s, sink_s, step_s = spans[0], spans[1], spans[2], spans[3]
    length = times.shape[1]
    for n in range(slots.shape[0]):
        slot = slots[n]
        shoulder, hip = middles[n, SHOULDER, 1], middles[n, HIP, 1]
        dx = middles[n, SHOULDER, 0] - middles[n, HIP, 0]
        tilt = np.arctan2(np.abs(dx), hip - shoulder) * DEGREES
        x, y = centre[n, 0], centre[n, 1]
        if t - times[slot, at[slot]] >= step_s:
            at[slot] = (at[slot] + 1) % length
            spot = at[slot]
            times[slot, spot] = t
            kept[slot, spot, 0] = shoulder
            kept[slot, spot, 1] = hip
            kept[slot, spot, 2] = tilt
            kept[slot, spot, 3] = x
            kept[slot, spot, 4] = y
        high, low, hips, least, left, right, top, bottom = (
            np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, np.nan
        )  # fmt: skip
        for spot in range(length):
            if t - times[slot, spot] <= drop_s:
                high, low = _less(high, kept[slot, spot, 0]), _more(low, kept[slot, spot, 0])
                hips, least = _less(hips, kept[slot, spot, 1]), _less(least, kept[slot, spot, 2])
                left, right = _less(left, kept[slot, spot, 3]), _more(right, kept[slot, spot, 3])
                top, bottom = _less(top, kept[slot, spot, 4]), _more(bottom, kept[slot, spot, 4])
        made[n, 0] = (shoulder - high) / size[n]
        made[n, 1] = (hip - hips) / size[n]
        made[n, 3] = tilt - least
        wide, tall = right - left, bottom - top
        made[n, 6] = (wide if wide > tall or wide != wide else tall) / size[n]
        made[n, 7] = (low - shoulder) / size[n]

        spot = _spot(times, slot, t, speed_s)
        age = t - times[slot, spot]
        made[n, 4] = np.nan
        made[n, 5] = np.nan
        if speed_s / 2 < age < 3 * speed_s:
            by_x, by_y = (x - kept[slot, spot, 3]) / age, (y - kept[slot, spot, 4]) / age
            made[n, 4] = _length(by_x, by_y) / size[n]
            made[n, 5] = by_x / size[n]
        spot = _spot(times, slot, t, sink_s)
        age = t - times[slot, spot]
        sinking = np.nan
        if sink_s / 2 < age < 3 * sink_s:
            sinking = (shoulder - kept[slot, spot, 0]) / age / size[n]
        if t - sink[slot, 1] > drop_s:
            sink[slot, 0] = -np.inf
        if sinking >= sink[slot, 0]:
            sink[slot, 0] = sinking
            sink[slot, 1] = t
        made[n, 2] = sink[slot, 0] if np.abs(sink[slot, 0]) < np.inf else np.nan


@njit(cache=True, nogil=True, error_model="numpy")
def _in_a_row(times, slot, track, t, gap_s, window_s, over_s):
    """How many turning points end the row that is not over."""
    if not t - times[slot, track, 0] <= over_s:
        return 0.0
    row = 1.0
    for at in range(1, times.shape[2]):
        before = times[slot, track, at]
        if not (times[slot, track, at - 1] - before <= gap_s and t - before <= window_s):
            break
        row += 1
    return row


@njit(cache=True, nogil=True, error_model="numpy")
def waved(xy, size, slots, t, limits, least, high, last, way, times, made):
    """Count the turning points of hands that go to and fro.

    There are seven tracks: x of left and right wrist against the shoulder; the elbow; the shoulder, wide;
    and the wrists' distance.

    limits  (4,)       seconds between turning points of a row, that a row lasts, after which it is over; torso lengths
                       between wrists that meet
    least   (7,)       torso lengths between two turning points at least
    high    (7,)       torso lengths that the wrist is above its shoulder at a turning point; if wide, above its elbow
    last    (S, 7, 3)  changed: the extreme so far, torso lengths; how high the wrist was there; when
    way     (S, 7)     changed: 1 rising, -1 falling, 0 not known
    times   (S, 7, K)  changed: seconds of the last turning points, newest first
    made    (N, 4)     out: in the order of WAVES in edgepose/meaning/waves.py
    """
    gap_s, window_s, over_s, meet = limits[0], limits[1], limits[2], limits[3]
    for n in range(slots.shape[0]):
        slot = slots[n]
        for track in range(7):
            side = track % 2
            wrist, other = LEFT_WRIST + side, LEFT_ELBOW + side if track in (2, 3) else LEFT_SHOULDER + side
            if track == 6:
                other = LEFT_WRIST + 1
                place = _length(xy[n, wrist, 0] - xy[n, other, 0], xy[n, wrist, 1] - xy[n, other, 1]) / size[n]
                above = 0.0
            else:
                place = (xy[n, wrist, 0] - xy[n, other, 0]) / size[n]
                below = LEFT_ELBOW + side if track in (4, 5) else LEFT_SHOULDER + side
                above = (xy[n, below, 1] - xy[n, wrist, 1]) / size[n]
            before, going = last[slot, track, 0], way[slot, track]
            began = before != before
            step = 0.0 if began else place - before
            turns, goes_on, sign = False, False, 0.0
            if step > 0 or step < 0:
                sign = 1.0 if step > 0 else -1.0
                turns = np.abs(step) >= least[track] and sign != going
                goes_on = sign == going
            counts = turns and going != 0 and last[slot, track, 1] >= high[track]
            if track == 6:
                counts = counts and step > 0 and before <= meet  # parting after they met
            if counts:
                for at in range(times.shape[2] - 1, 0, -1):
                    times[slot, track, at] = times[slot, track, at - 1]
                times[slot, track, 0] = last[slot, track, 2]
            if turns or began or goes_on:
                last[slot, track, 0] = place
                last[slot, track, 1] = above
                last[slot, track, 2] = t
            if turns:
                way[slot, track] = sign
        hidden = 0
        for side in range(2):
            arm = xy[n, LEFT_WRIST + side, 0] - xy[n, LEFT_SHOULDER + side, 0]
            swing = _in_a_row(times, slot, side, t, gap_s, window_s, over_s)
            shake = _in_a_row(times, slot, 2 + side, t, gap_s, window_s, over_s)
            made[n, side] = max(swing, 0.75 * shake)
            if arm != arm or size[n] != size[n]:
                made[n, side] = np.nan
                hidden += 1
        made[n, 2] = np.nan
        made[n, 3] = np.nan
        if hidden == 0:
            left = _in_a_row(times, slot, 4, t, gap_s, window_s, over_s)
            right = _in_a_row(times, slot, 5, t, gap_s, window_s, over_s)
            made[n, 2] = min(left, right)
            made[n, 3] = _in_a_row(times, slot, 6, t, gap_s, window_s, over_s)


F1, F2, F3 = "float64[::1]", "float64[:,::1]", "float64[:,:,::1]"
I1, I2 = "int64[::1]", "int64[:,::1]"
EXPORTS = {
    "look": f"void({F3}, {I2}, {F1}, out {F3}, out {F2}, out {F2}, out {F1})",
    "scale": f"void({F1}, {I1}, float64, float64, out {F1}, out {F1})",
    "in_plane": f"void({F2}, {F1}, {I1}, float64, {F1}, out {F2}, out {F2})",
    "postures": f"void({F3}, {F3}, {F1}, {F1}, out {F2})",
    "angles": f"void({F3}, {F2}, {I2}, {F1}, float64, out {F2})",
    "segments": f"void({F3}, {F3}, {I2}, out {F2})",
    "heights": f"void({F3}, {F3}, {F1}, out {F2})",
    "hands": f"void({F3}, {F3}, {F1}, float64, out {F2})",
    "heads": f"void({F3}, {F3}, {F1}, out {F2})",
    "there": f"void({F3}, float64, float64, out {F2})",
    "moved": f"void({F3}, {F2}, {F1}, {I1}, float64, {F1}, out {F2}, out {F3}, out {I1}, out {F2}, out {F2})",
    "waved": f"void({F3}, {F1}, {I1}, float64, {F1}, {F1}, {F1}, out {F3}, out {F2}, out {F3}, out {F2})",
}
"""What is compiled ahead of time: tools/kernels_build/signature.py says how to read it."""
