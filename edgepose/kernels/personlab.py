"""Loops of the `personlab` decoder on raw heads of any dtype: roots, a walk over the skeleton from each, soft NMS.

All arithmetic is float32 in the order written, so that the numpy twin gives the same bits. Made to be quick on bytes:
heads are looked at in slices of a row, which the compiler vectorises; a row without a root is left after one pass;
the walk goes level by level, so that the joints of a level overlap in the processor; what is read from a head is
interpolated raw and dequantised after. Scratch and tables come in few arrays, because each costs time to hand over.
"""

from __future__ import annotations

import numpy as np
from numba import njit

F = np.float32
JOINTS = 17
PERSON = 17
"""Row of a pose that holds the person: its score, and its score after suppression."""
POWERS = 16
"""Where the powers of two begin in `table`."""
BUCKETS = 256

LOG2_E = F(1.4426950408889634)
LN_2 = F(0.6931471805599453)
C2, C3, C4, C5, C6 = F(1 / 2), F(1 / 6), F(1 / 24), F(1 / 120), F(1 / 720)


@njit(cache=True, nogil=True, error_model="numpy")
def decode(heat, short, mid, height, width, least, steps, table, walk, row, mask, words, root, pose):
    """Find people; returns how many lie in pose[1], highest score first.

    heat   (H * W * 17,)  raw logits of joints, joint innermost
    short  (H * W * 34,)  raw offsets to the joint nearby: y of each, x of each
    mid    (H * W * 64,)  raw offsets along the bones: y and x outwards, y and x inwards
    height, width         H, W
    least  same type      raw logit a root must reach
    steps  int            times a joint follows the short offsets
    table  (T,)           float32, see `edgepose.estimate.decode.personlab.table_of`
    walk   (17, 16, 4)    int32: for each root joint the bones in order of depth: from, to, channel of mid, and the
                          index after the last bone of this depth
    row    (W * 17 + 34,) same type, scratch
    mask   (M,)           uint8, scratch: W * 17, rounded up to a multiple of 32; zeros at first
    words  (M / 8,)       int64, the same memory
    root   (2, R)         int32, scratch of at least H * W * 17 and 257
    pose   (2, P + 1, 18, 3) float32 y, x, score: [0] as found, cells; [1] out: the best P, model pixels.
                          Row 17 holds the person: score, score after suppression
    """
    found = find_roots(heat, height, width, least, row, mask, words, root)
    if found == 0:
        return 0
    sort_roots(heat, least, table, found, root)
    people = walk_roots(heat, short, mid, height, width, found, steps, table, walk, root, pose)
    return rescore(people, table, pose)


@njit(cache=True, nogil=True, error_model="numpy")
def find_roots(heat, height, width, least, row, mask, words, root):
    """Write the flat index of each local maximum of 3x3 that reaches `least` to root[0], in row order.

    Equal neighbours are all maxima. Returns how many.
    """
    size = width * JOINTS
    # the column maxima with one cell to the left and right of the row
    left = row[:size]
    middle = row[JOINTS : JOINTS + size]
    right = row[2 * JOINTS : 2 * JOINTS + size]
    found = 0
    for y in range(height):
        start = y * size
        here = heat[start : start + size]
        best = here[0]
        for i in range(size):
            best = max(best, here[i])
        if best < least:
            continue
        above = heat[start - size : start] if y > 0 else here
        below = heat[start + size : start + 2 * size] if y < height - 1 else here
        for i in range(size):
            middle[i] = max(max(above[i], below[i]), here[i])
        for k in range(JOINTS):
            left[k] = middle[k]
            right[size - JOINTS + k] = middle[size - JOINTS + k]
        for i in range(size):
            around = max(max(left[i], right[i]), max(middle[i], least))
            mask[i] = here[i] >= around
        # most of a row is no peak: 32 cells are passed at once
        for word in range(0, words.size, 4):
            if words[word] | words[word + 1] | words[word + 2] | words[word + 3]:
                for i in range(8 * word, 8 * word + 32):
                    if mask[i] != 0:
                        root[0, found] = start + i
                        found += 1
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def sort_roots(heat, least, table, found, root):
    """Sort root[0] into root[1]: value descending, then row, column and joint.

    Counted into buckets of one raw value each for bytes, of several for wider types; insertion puts those in order.
    """
    unsorted = root[0]
    ordered = root[1]
    bucket = unsorted[unsorted.size - BUCKETS - 1 :]
    for b in range(BUCKETS + 1):
        bucket[b] = 0
    for i in range(found):
        bucket[_bucket(heat[unsorted[i]], least, table) + 1] += 1
    for b in range(BUCKETS):
        bucket[b + 1] += bucket[b]
    for i in range(found):
        b = _bucket(heat[unsorted[i]], least, table)
        ordered[bucket[b]] = unsorted[i]
        bucket[b] += 1
    for i in range(1, found):
        one = ordered[i]
        value = heat[one]
        at = i
        while at > 0 and heat[ordered[at - 1]] < value:
            ordered[at] = ordered[at - 1]
            at -= 1
        ordered[at] = one


@njit(cache=True, nogil=True, error_model="numpy")
def _bucket(value, least, table):
    """Bucket of a raw value: 0 the highest."""
    above = (F(value) - F(least)) * table[9]
    return BUCKETS - 1 - int(_between(above, F(BUCKETS - 1)))


@njit(cache=True, nogil=True, error_model="numpy")
def _between(value, high):
    """Clip to 0..high; NaN becomes 0."""
    value = value if value > F(0) else F(0)
    return value if value < high else high


@njit(cache=True, nogil=True, error_model="numpy")
def walk_roots(heat, short, mid, height, width, found, steps, table, walk, root, pose):
    """Decode a person from each root that no joint of an earlier person is near; returns how many, at most P.

    People that score below the threshold are overwritten by the next. Positions in pose[0] are cells.
    """
    high_y = F(height - 1)
    high_x = F(width - 1)
    scale, zero = table[2], table[3]
    radius2, least_person = table[7], table[8]
    most = pose.shape[1] - 1
    people = 0
    for i in range(found):
        if people == most:
            break
        flat = int(root[1, i])
        cell = flat // JOINTS
        joint = flat - cell * JOINTS
        row = cell // width
        at = 2 * JOINTS * cell + joint
        y = _between(F(row) + (_value(short, at) - zero) * scale, high_y)
        x = _between(F(cell - row * width) + (_value(short, at + JOINTS) - zero) * scale, high_x)
        if _is_near(y, x, joint, people, radius2, pose[0]):
            continue
        person = pose[0, people]
        person[joint, 0] = y
        person[joint, 1] = x
        _follow_bones(short, mid, high_y, high_x, steps, table, walk[joint], person)
        total = F(0)
        for k in range(JOINTS):
            corner = _corner(person[k, 0], person[k, 1], height, width)
            person[k, 2] = _sigmoid((_sample(heat, corner, JOINTS, k) - table[1]) * table[0], table)
            total += person[k, 2]
        person[PERSON, 0] = total / F(JOINTS)
        if person[PERSON, 0] >= least_person:
            people += 1
    return people


@njit(cache=True, nogil=True, error_model="numpy")
def _follow_bones(short, mid, high_y, high_x, steps, table, bones, person):
    """Place the other 16 joints: along each bone, then `steps` times to where the short offsets point."""
    height = int(high_y) + 1
    width = int(high_x) + 1
    short_scale, short_zero, mid_scale, mid_zero = table[2], table[3], table[4], table[5]
    begin = 0
    while begin < bones.shape[0]:
        end = int(bones[begin, 3])
        for b in range(begin, end):
            source = bones[b, 0]
            target = bones[b, 1]
            channel = bones[b, 2]
            y = person[source, 0]
            x = person[source, 1]
            corner = _corner(y, x, height, width)
            dy = (_sample(mid, corner, 64, channel) - mid_zero) * mid_scale
            dx = (_sample(mid, corner, 64, channel + 16) - mid_zero) * mid_scale
            person[target, 0] = _between(y + dy, high_y)
            person[target, 1] = _between(x + dx, high_x)
        for _ in range(steps):
            for b in range(begin, end):
                target = bones[b, 1]
                y = person[target, 0]
                x = person[target, 1]
                corner = _corner(y, x, height, width)
                dy = (_sample(short, corner, 2 * JOINTS, target) - short_zero) * short_scale
                dx = (_sample(short, corner, 2 * JOINTS, target + JOINTS) - short_zero) * short_scale
                person[target, 0] = _between(y + dy, high_y)
                person[target, 1] = _between(x + dx, high_x)
        begin = end


@njit(cache=True, nogil=True, error_model="numpy")
def _is_near(y, x, joint, people, radius2, poses):
    """Whether (y, x) lies within the radius of this joint of one of the first `people`."""
    for p in range(people):
        dy = poses[p, joint, 0] - y
        dx = poses[p, joint, 1] - x
        if dy * dy + dx * dx <= radius2:
            return True
    return False


@njit(cache=True, nogil=True, error_model="numpy")
def _corner(y, x, height, width):
    """Where (y, x) lies among cells: index of its top left one, steps to the next right and below, fractions."""
    top = int(y)
    left = int(x)
    right = 1 if left < width - 1 else 0
    below = width if top < height - 1 else 0
    return top * width + left, right, below, y - F(top), x - F(left)


@njit(cache=True, nogil=True, error_model="numpy")
def _sample(values, corner, channels, channel):
    """Interpolate one channel between four cells; raw in, raw out."""
    cell, right, below, part_y, part_x = corner
    here = cell * channels + channel
    under = here + below * channels
    right *= channels
    a = _value(values, here)
    b = _value(values, here + right)
    c = _value(values, under)
    d = _value(values, under + right)
    top = a + part_x * (b - a)
    bottom = c + part_x * (d - c)
    return top + part_y * (bottom - top)


@njit(cache=True, nogil=True, error_model="numpy")
def _value(values, at):
    """One raw value as float32; an unsigned index has no negative case to check."""
    return F(values[np.uint64(at)])


@njit(cache=True, nogil=True, error_model="numpy")
def _sigmoid(logit, table):
    """1 / (1 + exp(-logit)) within 3e-7, from products and sums alone: equal bits everywhere."""
    x = -logit
    x = x if x < F(40) else F(40)
    x = x if x > F(-40) else F(-40)
    power = x * LOG2_E
    whole = int(power + F(64.5))
    r = (power - F(whole - 64)) * LN_2
    exp_r = F(1) + r * (F(1) + r * (C2 + r * (C3 + r * (C4 + r * (C5 + r * C6)))))
    return F(1) / (F(1) + exp_r * table[POWERS + whole])


@njit(cache=True, nogil=True, error_model="numpy")
def rescore(people, table, pose):
    """Score the first `people` of pose[0] by the joints that no better person has, write them sorted to pose[1].

    Returns how many reach the threshold. Of equal people the one found first comes first.
    """
    found, out = pose[0], pose[1]
    stride, radius2, least_person = table[6], table[7], table[8]
    order = out[:, PERSON, 2]
    _sort_people(found, people, 0, order)
    for i in range(people):
        person = found[int(order[i])]
        total = F(0)
        for k in range(JOINTS):
            free = True
            for j in range(i):
                better = found[int(order[j])]
                dy = person[k, 0] - better[k, 0]
                dx = person[k, 1] - better[k, 1]
                if dy * dy + dx * dx <= radius2:
                    free = False
                    break
            if free:
                total += person[k, 2]
        person[PERSON, 1] = total / F(JOINTS)
    _sort_people(found, people, 1, order)
    kept = 0
    while kept < people and found[int(order[kept]), PERSON, 1] >= least_person:
        person = found[int(order[kept])]
        for k in range(JOINTS):
            out[kept, k, 0] = person[k, 0] * stride
            out[kept, k, 1] = person[k, 1] * stride
            out[kept, k, 2] = person[k, 2]
        out[kept, PERSON, 0] = person[PERSON, 0]
        out[kept, PERSON, 1] = person[PERSON, 1]
        kept += 1
    return kept


@njit(cache=True, nogil=True, error_model="numpy")
def _sort_people(found, people, column, order):
    """Write the places of the first `people` to `order`, by that score descending; equal ones keep their order."""
    for i in range(people):
        score = found[i, PERSON, column]
        at = i
        while at > 0 and found[int(order[at - 1]), PERSON, column] < score:
            order[at] = order[at - 1]
            at -= 1
        order[at] = i


EXPORTS = {
    "decode": (
        "int64(q[::1], q[::1], q[::1], int64, int64, q, int64, float32[::1], int32[:,:,::1], out q[::1], "
        "out uint8[::1], int64[::1], out int32[:,::1], out float32[:,:,:,::1])"
    ),
}
"""What is compiled ahead of time: tools/kernels_build/signature.py says how to read it."""
