"""The same functions as `grouping`, in plain numpy: the same answer, bit for bit, where numba is absent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

F = np.float32
Array = NDArray[Any]


def limb_links(
    paf: Array,
    quant: Array,
    limb: Array,
    along: Array,
    need: int,
    least: np.float32,
    count: Array,
    peak_xy: Array,
    pair_score: Array,
    gain: Array,
    tree: Array,
    way: Array,
    link: Array,
    link_score: Array,
) -> int:
    """As grouping.limb_links; pair_score and gain are not needed here."""
    found = 0
    for limb_at, (a, b, channel_x, channel_y) in enumerate(limb.tolist()):
        start, end = peak_xy[a, : count[a], None], peak_xy[b, : count[b]]
        delta = end - start
        if not delta.size:
            continue
        dx, dy = delta[..., 0], delta[..., 1]
        length = np.sqrt(dx * dx + dy * dy)
        apart = length >= F(1e-6)
        length = np.where(apart, length, F(1))
        missed = np.zeros(length.shape, np.int32)
        total = np.zeros(length.shape, F)
        for fraction in along:
            x, y = start[..., 0] + dx * fraction, start[..., 1] + dy * fraction
            fx, fy = _between(paf[..., channel_x], y, x) - quant[1], _between(paf[..., channel_y], y, x) - quant[1]
            dot = (fx * dx + fy * dy) / length * quant[0]
            total += dot
            missed += dot < least
        score = total / F(len(along)) + np.minimum(F(0), F(0.5) * F(paf.shape[0]) / length - F(1))
        score[~apart | (missed > len(along) - need)] = 0
        found = _take_best(limb_at, score, tree, way, found, link, link_score)
    return found


def _between(field: Array, y: Array, x: Array) -> Array:
    top, left = y.astype(np.int64), x.astype(np.int64)
    low, right = np.minimum(top + 1, field.shape[0] - 1), np.minimum(left + 1, field.shape[1] - 1)
    fy, fx = y - top.astype(F), x - left.astype(F)
    upper = field[top, left].astype(F) * (F(1) - fx) + field[top, right].astype(F) * fx
    lower = field[low, left].astype(F) * (F(1) - fx) + field[low, right].astype(F) * fx
    between: Array = upper * (F(1) - fy) + lower * fy
    return between


def _take_best(limb_at: int, score: Array, tree: Array, way: Array, found: int, link: Array, link_score: Array) -> int:
    score = np.maximum(score, 0)
    gain = score.astype(np.float64) * score.astype(np.float64)
    rows, columns = score.shape
    assign(gain, rows, columns, 0.0, tree, way)
    for j, i in enumerate((way[0, 1 : columns + 1] - 1).tolist()):
        if i >= 0 and score[i, j] > 0:
            link[found] = limb_at, i, j
            link_score[found] = score[i, j]
            found += 1
    return found


def assign(gain: Array, rows: int, columns: int, alone: float, tree: Array, way: Array) -> None:
    """As grouping.assign."""
    every = max(rows, columns)
    price_row, price, least = tree[:, : every + 1]
    row_of, before, _ = way[:, : every + 1]
    price_row[:], price[:], row_of[:] = 0, 0, 0
    cost = np.full((rows, every), -alone)
    cost[:, :columns] = -gain[:rows, :columns]
    for i in range(1, rows + 1):
        row_of[0] = i
        at = 0
        least[:] = np.inf
        seen = np.zeros(every + 1, bool)
        while True:
            seen[at] = True
            row = row_of[at]
            reduced = cost[row - 1] - price_row[row] - price[1:]
            nearer = ~seen[1:] & (reduced < least[1:])
            least[1:][nearer] = reduced[nearer]
            before[1:][nearer] = at
            nearest = 1 + int(np.where(seen[1:], np.inf, least[1:]).argmin())
            step = least[nearest]
            price_row[row_of[seen]] += step
            price[seen] -= step
            least[~seen] -= step
            at = nearest
            if row_of[at] == 0:
                break
        while at:
            row_of[at] = row_of[before[at]]
            at = int(before[at])


def offset_links(
    pairwise: Array,
    quant: Array,
    limb: Array,
    stride: np.float32,
    spread: np.float32,
    count: Array,
    cell_yx: Array,
    peak_xy: Array,
    pair_score: Array,
    gain: Array,
    tree: Array,
    way: Array,
    link: Array,
    link_score: Array,
) -> int:
    """As grouping.offset_links; pair_score and gain are not needed here."""
    found = 0
    for limb_at, (a, b, there, back) in enumerate(limb.tolist()):
        of_a, of_b = slice(None, count[a]), slice(None, count[b])
        miss_b = _arrow_miss(pairwise, quant, there, stride, cell_yx[a, of_a], peak_xy[b, of_b])
        miss_a = _arrow_miss(pairwise, quant, back, stride, cell_yx[b, of_b], peak_xy[a, of_a]).T
        miss = F(0.5) * (miss_b + miss_a)
        score = np.where(miss > F(3) * spread, F(0), F(1) / (F(1) + miss / spread))
        found = _take_best(limb_at, score, tree, way, found, link, link_score)
    return found


def _arrow_miss(
    pairwise: Array, quant: Array, channel: int, stride: np.float32, cell_yx: Array, xy: Array
) -> NDArray[np.float32]:
    """(cells, places) model pixels between the end of each cell's arrow and each place."""
    two = slice(channel, channel + 2)
    arrow = pairwise[cell_yx[:, 0], cell_yx[:, 1], two].astype(F) * quant[two, 0] + quant[two, 1]
    end = cell_yx[:, ::-1].astype(F) * stride + stride * F(0.5) + arrow
    delta = end[:, None] - xy
    miss: NDArray[np.float32] = np.sqrt(delta[..., 0] * delta[..., 0] + delta[..., 1] * delta[..., 1])
    return miss


def link_people(
    limb: Array,
    founds: Array,
    link: Array,
    link_score: Array,
    links: int,
    owner: Array,
    member: Array,
    total: Array,
    terms: Array,
) -> int:
    """As grouping.link_people."""
    owner[:] = -1
    people = 0
    for q in range(links):
        limb_at, i, j = link[q].tolist()
        a, b = limb[limb_at, :2].tolist()
        owners = sorted({int(owner[a, i]), int(owner[b, j])} - {-1})
        if not owners:
            if not founds[limb_at] or people == len(member):
                continue
            owners = [people]
            member[people], total[people], terms[people] = -1, 0, 0
            people += 1
        p = owners[0]
        if len(owners) == 2:
            other = owners[1]
            theirs = member[other] >= 0
            if (theirs & (member[p] >= 0)).any():
                continue
            member[p, theirs] = member[other, theirs]
            owner[theirs, member[other, theirs]] = p
            member[other] = -1
            total[p] += total[other]
            terms[p] += terms[other]
        elif member[p, a] not in (-1, i) or member[p, b] not in (-1, j):
            continue
        member[p, a], member[p, b] = i, j
        owner[a, i] = owner[b, j] = p
        total[p] += link_score[q]
        terms[p] += 1
    return people


def tag_people(
    order: Array,
    count: Array,
    peak_score: Array,
    peak_tag: Array,
    limit: np.float32,
    gain: Array,
    tree: Array,
    way: Array,
    member: Array,
    total: Array,
    terms: Array,
    tag_sum: Array,
    tag_terms: Array,
) -> int:
    """As grouping.tag_people."""
    people = 0
    for k in order.tolist():
        here, grouped = slice(None, count[k]), slice(None, people)
        away = abs(peak_tag[k, here, None] - tag_sum[grouped] / tag_terms[grouped].astype(F))
        left = set(range(count[k]))
        if people:
            gain[here, grouped] = (
                peak_score[k, here, None].astype(np.float64) - np.rint(away).astype(np.float64) * 100.0
            )
            assign(gain, count[k], people, -1e10, tree, way)
            for p, i in enumerate((way[0, 1 : people + 1] - 1).tolist()):
                if i >= 0 and away[i, p] < limit:
                    member[p, k] = i
                    tag_sum[p] += peak_tag[k, i]
                    tag_terms[p] += 1
                    left.remove(i)
        for i in sorted(left)[: len(member) - people]:
            member[people] = -1
            member[people, k] = i
            tag_sum[people], tag_terms[people] = peak_tag[k, i], 1
            people += 1
    total[:people] = 0
    terms[:people] = member.shape[1] - tag_terms[:people]
    return people


def best_people(
    member: Array,
    total: Array,
    terms: Array,
    people: int,
    min_parts: int,
    least: np.float32,
    peak_xy: Array,
    peak_score: Array,
    xy: Array,
    score: Array,
    person_score: Array,
) -> int:
    """As grouping.best_people."""
    ranked = []
    for p in range(people):
        (parts,) = np.nonzero(member[p] >= 0)
        mean = total[p]
        for k in parts:
            mean += peak_score[k, member[p, k]]
        if 0 < len(parts) >= min_parts:
            mean = min(mean / F(len(parts) + terms[p]), F(1))
            if mean >= least:
                ranked.append((mean, p, parts))
    ranked.sort(key=lambda one: -one[0])  # stable: of equal ones the first founded
    for at, (mean, p, parts) in enumerate(ranked[: len(person_score)]):
        xy[at], score[at], person_score[at] = np.nan, 0, mean
        xy[at, parts] = peak_xy[parts, member[p, parts]]
        score[at, parts] = peak_score[parts, member[p, parts]]
    return min(len(ranked), len(person_score))
