"""Loops of the bottom-up decoders `paf`, `ae`, `scmap` and `box_heatmap`: peaks become people by links or by tags.

Cells are (row, column), xy are column and row with fractions; of equal choices the first is taken. All arithmetic is
in the order written, so that the numpy twin gives the same bits.

K parts, at most M peaks of each, L limbs (pairs of parts), S samples along a limb, P people in the making.
"""

from __future__ import annotations

import numpy as np
from numba import njit

F = np.float32


@njit(cache=True, nogil=True)
def limb_links(paf, quant, limb, along, need, least, count, peak_xy, pair_score, gain, tree, way, link, link_score):
    """Link peaks whose line runs along a part affinity field, each peak at most once per limb; returns how many.

    The field is read between cells. A line's score is the mean of field times direction over its samples, less a
    penalty where it is longer than half the map is high. Of each limb the lines with the most squared score together
    are taken: best first would be wrong where one person's joint lies on another's limb.

    paf         (H, W, C)  raw part affinity fields
    quant       (2,)       float32 scale, zero point of paf
    limb        (L, 4)     int32 part a, part b, channel of x, channel of y
    along       (S,)       float32 where samples lie, 0 at a, 1 at b; likely to fail first, as wrong lines end early
    need        int        samples that must reach `least`
    count       (K,)       int32 peaks of each part
    peak_xy     (K, M, 2)  float32 cells
    pair_score  (M, M)     scratch: float32
    gain, tree, way        scratch, as in assign
    link        (L * M, 3) out: int32 limb, peak of a, peak of b
    link_score  (L * M,)   out: float32
    """
    height = F(paf.shape[0])
    samples = along.shape[0]
    found = 0
    for limb_at in range(limb.shape[0]):
        a = limb[limb_at, 0]
        b = limb[limb_at, 1]
        channel_x = limb[limb_at, 2]
        channel_y = limb[limb_at, 3]
        for i in range(count[a]):
            for j in range(count[b]):
                pair_score[i, j] = 0
                x0 = peak_xy[a, i, 0]
                y0 = peak_xy[a, i, 1]
                dx = peak_xy[b, j, 0] - x0
                dy = peak_xy[b, j, 1] - y0
                length = np.sqrt(dx * dx + dy * dy)
                if length < F(1e-6):
                    continue
                penalty = min(F(0), F(0.5) * height / length - F(1))
                missed = 0
                total = F(0)
                for s in range(samples):
                    x = x0 + dx * along[s]
                    y = y0 + dy * along[s]
                    top = int(y)
                    left = int(x)
                    low = paf[min(top + 1, paf.shape[0] - 1)]
                    high = paf[top]
                    right = min(left + 1, paf.shape[1] - 1)
                    share_y = y - F(top)
                    share_x = x - F(left)
                    fx = _between(high[left], high[right], low[left], low[right], share_y, share_x, channel_x)
                    fy = _between(high[left], high[right], low[left], low[right], share_y, share_x, channel_y)
                    dot = ((fx - quant[1]) * dx + (fy - quant[1]) * dy) / length * quant[0]
                    total += dot
                    if dot < least:
                        missed += 1
                        if missed > samples - need:
                            break
                score = total / F(samples) + penalty
                if missed <= samples - need and score > F(0):
                    pair_score[i, j] = score
        found = _take_best(limb_at, count[a], count[b], pair_score, gain, tree, way, found, link, link_score)
    return found


@njit(cache=True, nogil=True)
def _between(high_left, high_right, low_left, low_right, share_y, share_x, channel):
    """Bilinear value of one channel between four cells."""
    upper = F(high_left[channel]) * (F(1) - share_x) + F(high_right[channel]) * share_x
    lower = F(low_left[channel]) * (F(1) - share_x) + F(low_right[channel]) * share_x
    return upper * (F(1) - share_y) + lower * share_y


@njit(cache=True, nogil=True)
def _take_best(limb_at, rows, columns, pair_score, gain, tree, way, found, link, link_score):
    """Append to the links those pairs of one limb, no peak twice, whose squared scores add up to most."""
    for i in range(rows):
        for j in range(columns):
            gain[i, j] = np.float64(pair_score[i, j]) * np.float64(pair_score[i, j])
    assign(gain, rows, columns, 0.0, tree, way)
    for j in range(columns):
        i = way[0, j + 1] - 1
        if i >= 0 and pair_score[i, j] > F(0):
            link[found, 0] = limb_at
            link[found, 1] = i
            link[found, 2] = j
            link_score[found] = pair_score[i, j]
            found += 1
    return found


@njit(cache=True, nogil=True)
def assign(gain, rows, columns, alone, tree, way):
    """Give each row another column so that the gains add up to most: the Hungarian method, shortest paths.

    gain   (R, C)     float64, the first `rows` and `columns` of it
    alone  float64    gain of a row that is left without a column; rows stay without where there are too few
    tree   (3, S)     scratch: float64, S > max(R, C)
    way    (3, S)     out: way[0, 1 + column] is 1 + its row, 0 where it has none; int32
    """
    every = max(rows, columns)
    price_row, price, least = tree[0], tree[1], tree[2]
    row_of, before, seen = way[0], way[1], way[2]
    price_row[: every + 1] = 0
    price[: every + 1] = 0
    row_of[: every + 1] = 0
    for i in range(1, rows + 1):
        row_of[0] = i
        at = 0
        least[: every + 1] = np.inf
        seen[: every + 1] = 0
        while True:
            seen[at] = 1
            row = row_of[at]
            step = np.inf
            nearest = 0
            for j in range(1, every + 1):
                if seen[j] == 1:
                    continue
                cost = -(gain[row - 1, j - 1] if j <= columns else alone) - price_row[row] - price[j]
                if cost < least[j]:
                    least[j] = cost
                    before[j] = at
                if least[j] < step:
                    step = least[j]
                    nearest = j
            for j in range(every + 1):
                if seen[j] == 1:
                    price_row[row_of[j]] += step
                    price[j] -= step
                else:
                    least[j] -= step
            at = nearest
            if row_of[at] == 0:
                break
        while at != 0:
            row_of[at] = row_of[before[at]]
            at = before[at]


@njit(cache=True, nogil=True)
def offset_links(
    pairwise, quant, limb, stride, spread, count, cell_yx, peak_xy, pair_score, gain, tree, way, link, link_score
):
    """Link peaks that point at each other, each at most once per limb; returns how many.

    A link's score is 1 / (1 + d / spread), d the mean of how far each peak's arrow ends from the other one.

    pairwise    (H, W, C)  raw arrows: (x, y) model pixels from the middle of a cell, scaled as quant says
    quant       (C, 2)     float32 factor and addend of each channel: pixels = raw * factor + addend
    limb        (L, 4)     int32 part a, part b, channel of x in a's arrow to b, and in b's to a; y is the next one
    stride      float32    model pixels per cell     spread  float32 model pixels
    count       (K,)       int32     cell_yx  (K, M, 2)  int32     peak_xy  (K, M, 2)  float32 model pixels
    pair_score, gain, tree, way, link, link_score  as in limb_links
    """
    found = 0
    half = stride * F(0.5)
    for limb_at in range(limb.shape[0]):
        a = limb[limb_at, 0]
        b = limb[limb_at, 1]
        for i in range(count[a]):
            for j in range(count[b]):
                there = _arrow_miss(pairwise, quant, limb[limb_at, 2], stride, half, cell_yx[a, i], peak_xy[b, j])
                back = _arrow_miss(pairwise, quant, limb[limb_at, 3], stride, half, cell_yx[b, j], peak_xy[a, i])
                miss = F(0.5) * (there + back)
                pair_score[i, j] = F(0) if miss > F(3) * spread else F(1) / (F(1) + miss / spread)
        found = _take_best(limb_at, count[a], count[b], pair_score, gain, tree, way, found, link, link_score)
    return found


@njit(cache=True, nogil=True)
def _arrow_miss(pairwise, quant, channel, stride, half, cell_yx, xy):
    """Model pixels between the end of a cell's arrow and a place."""
    here = pairwise[cell_yx[0], cell_yx[1]]
    dx = F(cell_yx[1]) * stride + half + (F(here[channel]) * quant[channel, 0] + quant[channel, 1]) - xy[0]
    dy = F(cell_yx[0]) * stride + half + (F(here[channel + 1]) * quant[channel + 1, 0] + quant[channel + 1, 1]) - xy[1]
    return np.sqrt(dx * dx + dy * dy)


@njit(cache=True, nogil=True)
def link_people(limb, founds, link, link_score, links, owner, member, total, terms):
    """Make people of links, in the order given; returns how many rows of `member` are in use (some may be empty).

    A link adds a peak to its person, founds a person, or joins two that have no part in common; else it is dropped.

    limb    (L, 4)  int32, parts in the first two columns
    founds  (L,)    int32, 1 where a link of this limb may found a person
    link    (Q, 3)  int32 limb, peak of a, peak of b     link_score  (Q,)  float32     links  how many of them
    owner   (K, M)  scratch: int32
    member  (P, K)  out: peak of each part, int32, -1 where none
    total   (P,)    out: sum of the link scores, float32
    terms   (P,)    out: links in it, int32
    """
    for k in range(owner.shape[0]):
        for i in range(owner.shape[1]):
            owner[k, i] = -1
    people = 0
    for q in range(links):
        limb_at = link[q, 0]
        a = limb[limb_at, 0]
        b = limb[limb_at, 1]
        i = link[q, 1]
        j = link[q, 2]
        p = owner[a, i]
        other = owner[b, j]
        if p < 0 and other < 0:
            if founds[limb_at] == 0 or people == member.shape[0]:
                continue
            p = people
            people += 1
            member[p] = -1
            total[p] = 0
            terms[p] = 0
        elif p < 0 or (0 <= other < p):
            p, other = other, p
        # now p is a person, and other is the second one, none, or the same
        if other < 0:
            if (member[p, a] >= 0 and member[p, a] != i) or (member[p, b] >= 0 and member[p, b] != j):
                continue
            member[p, a] = i
            member[p, b] = j
            owner[a, i] = p
            owner[b, j] = p
        elif other != p:
            apart = True
            for k in range(member.shape[1]):
                if member[p, k] >= 0 and member[other, k] >= 0:
                    apart = False
            if not apart:
                continue
            for k in range(member.shape[1]):
                if member[other, k] >= 0:
                    member[p, k] = member[other, k]
                    owner[k, member[other, k]] = p
                    member[other, k] = -1
            total[p] += total[other]
            terms[p] += terms[other]
        total[p] += link_score[q]
        terms[p] += 1
    return people


@njit(cache=True, nogil=True)
def tag_people(order, count, peak_score, peak_tag, limit, gain, tree, way, member, total, terms, tag_sum, tag_terms):
    """Make people of peaks with like tags, part after part; returns how many.

    Each part's peaks are assigned to the people so far: whole steps between tag and a person's mean tag count first,
    then the peak's score. A peak that is `limit` or more away, or left over, founds a person.

    order       (K,)    int32 parts in the order they are taken     count  (K,)  int32 peaks of each
    peak_score  (K, M)  float32     peak_tag  (K, M)  float32       limit  float32
    gain        (M, P)  scratch: float64                            tree, way  scratch, as in assign
    member      (P, K)  out: peak of each part, int32, -1 where none
    total       (P,)    out: float32 0, terms (P,) out: int32 parts it lacks, as best_people takes them
    tag_sum     (P,)    scratch: float32     tag_terms  (P,)  scratch: int32
    """
    people = 0
    for at in range(order.shape[0]):
        k = order[at]
        grouped = people
        joined = way[1]
        for i in range(count[k]):
            for p in range(grouped):
                away = abs(peak_tag[k, i] - tag_sum[p] / F(tag_terms[p]))
                gain[i, p] = np.float64(peak_score[k, i]) - np.float64(np.rint(away)) * 100.0
        if grouped > 0:
            assign(gain, count[k], grouped, -1e10, tree, way)
        joined[: count[k]] = 0
        for p in range(grouped):
            i = way[0, p + 1] - 1
            if i >= 0 and abs(peak_tag[k, i] - tag_sum[p] / F(tag_terms[p])) < limit:
                member[p, k] = i
                tag_sum[p] += peak_tag[k, i]
                tag_terms[p] += 1
                joined[i] = 1
        for i in range(count[k]):
            if joined[i] == 0 and people < member.shape[0]:
                member[people] = -1
                member[people, k] = i
                tag_sum[people] = peak_tag[k, i]
                tag_terms[people] = 1
                people += 1
    for p in range(people):
        total[p] = 0
        terms[p] = member.shape[1] - tag_terms[p]
    return people


@njit(cache=True, nogil=True)
def best_people(member, total, terms, people, min_parts, least, peak_xy, peak_score, xy, score, person_score):
    """Write out the best people, best first; returns how many.

    A person's score is the mean over the scores of its parts and links.

    member, total, terms  of link_people, the first `people` rows
    min_parts  parts a person must have     least  float32 score a person must reach
    peak_xy  (K, M, 2)  float32     peak_score  (K, M)  float32
    xy       (N, K, 2)  out: float32, NaN where none     score  (N, K)  out: float32, 0 where none
    person_score  (N,)  out: float32
    """
    found = 0
    for p in range(people):
        parts = 0
        mean = total[p]
        for k in range(member.shape[1]):
            if member[p, k] >= 0:
                parts += 1
                mean += peak_score[k, member[p, k]]
        if parts == 0 or parts < min_parts:
            continue
        mean = min(mean / F(parts + terms[p]), F(1))
        if mean < least:
            continue
        at = found
        while at > 0 and person_score[at - 1] < mean:
            at -= 1
        if at == person_score.shape[0]:
            continue
        found = min(found + 1, person_score.shape[0])
        for i in range(found - 1, at, -1):
            person_score[i] = person_score[i - 1]
            for k in range(member.shape[1]):
                xy[i, k, 0] = xy[i - 1, k, 0]
                xy[i, k, 1] = xy[i - 1, k, 1]
                score[i, k] = score[i - 1, k]
        person_score[at] = mean
        for k in range(member.shape[1]):
            i = member[p, k]
            if i < 0:
                xy[at, k, 0] = np.nan
                xy[at, k, 1] = np.nan
                score[at, k] = 0
            else:
                xy[at, k, 0] = peak_xy[k, i, 0]
                xy[at, k, 1] = peak_xy[k, i, 1]
                score[at, k] = peak_score[k, i]
    return found


EXPORTS = {
    "limb_links": (
        "int64(q[:,:,::1], float32[::1], int32[:,::1], float32[::1], int64, float32, int32[::1], float32[:,:,::1], "
        "out float32[:,::1], out float64[:,::1], out float64[:,::1], out int32[:,::1], out int32[:,::1], "
        "out float32[::1])"
    ),
    "assign": "void(float64[:,::1], int64, int64, float64, out float64[:,::1], out int32[:,::1])",
    "offset_links": (
        "int64(q[:,:,::1], float32[:,::1], int32[:,::1], float32, float32, int32[::1], int32[:,:,::1], "
        "float32[:,:,::1], out float32[:,::1], out float64[:,::1], out float64[:,::1], out int32[:,::1], "
        "out int32[:,::1], out float32[::1])"
    ),
    "link_people": (
        "int64(int32[:,::1], int32[::1], int32[:,::1], float32[::1], int64, out int32[:,::1], out int32[:,::1], "
        "out float32[::1], out int32[::1])"
    ),
    "tag_people": (
        "int64(int32[::1], int32[::1], float32[:,::1], float32[:,::1], float32, out float64[:,::1], "
        "out float64[:,::1], out int32[:,::1], out int32[:,::1], out float32[::1], out int32[::1], out float32[::1], "
        "out int32[::1])"
    ),
    "best_people": (
        "int64(int32[:,::1], float32[::1], int32[::1], int64, int64, float32, float32[:,:,::1], float32[:,::1], "
        "out float32[:,:,::1], out float32[:,::1], out float32[::1])"
    ),
}
"""What is compiled ahead of time: tools/kernels_build/signature.py says how to read it."""
