"""The same functions as `personlab`, in whole-array numpy: the same answer, bit for bit, where numba is absent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

F = np.float32
Array = NDArray[Any]
JOINTS = 17
PERSON = 17
POWERS = 16
CHANNELS = np.arange(JOINTS)
AT_ONCE = 64
"""Roots walked together."""


def decode(
    heat: Array, short: Array, mid: Array, height: int, width: int, least: Any, steps: int,
    table: Array, walk: Array, row: Array, mask: Array, words: Array, root: Array, pose: Array,
) -> int:  # fmt: skip
    """As personlab.decode; row, mask and words are not needed here."""
    found = find_roots(heat, height, width, least, row, mask, words, root)
    sort_roots(heat, least, table, found, root)
    people = walk_roots(heat, short, mid, height, width, found, steps, table, walk, root, pose)
    return rescore(people, table, pose)


def find_roots(
    heat: Array, height: int, width: int, least: Any, row: Array, mask: Array, words: Array, root: Array
) -> int:
    """As personlab.find_roots."""
    cells = heat.reshape(height, width, JOINTS)
    around = cells.copy()
    np.maximum(around[1:], cells[:-1], out=around[1:])
    np.maximum(around[:-1], cells[1:], out=around[:-1])
    column = around.copy()
    np.maximum(around[:, 1:], column[:, :-1], out=around[:, 1:])
    np.maximum(around[:, :-1], column[:, 1:], out=around[:, :-1])
    peaks = np.flatnonzero((cells >= around) & (cells >= least))
    root[0, : len(peaks)] = peaks
    return len(peaks)


def sort_roots(heat: Array, least: Any, table: Array, found: int, root: Array) -> None:
    """As personlab.sort_roots; least and table are not needed here."""
    roots = root[0, :found]
    root[1, :found] = roots[np.argsort(-heat[roots].astype(F), kind="stable")]


def walk_roots(
    heat: Array, short: Array, mid: Array, height: int, width: int, found: int, steps: int,
    table: Array, walk: Array, root: Array, pose: Array,
) -> int:  # fmt: skip
    """As personlab.walk_roots, but walked from many roots at once: what is near an earlier person is then not used."""
    heads = heat.reshape(height, width, -1), short.reshape(height, width, -1), mid.reshape(height, width, -1)
    high = np.array([height - 1, width - 1], F)
    flat = root[1, :found].astype(np.int64)
    cell, joint = flat // JOINTS, flat % JOINTS
    y, x = cell // width, cell % width
    offset = heads[1][y[:, None], x[:, None], np.stack((joint, joint + JOINTS), axis=1)].astype(F)
    start = _between(np.stack((y, x), axis=1).astype(F) + (offset - table[3]) * table[2], high)

    people, most = 0, pose.shape[1] - 1
    for begin in range(0, found, AT_ONCE):
        these = np.arange(begin, min(begin + AT_ONCE, found))
        these = these[[not _is_near(start[i], joint[i], people, table, pose[0]) for i in these]]
        walked = np.zeros((len(these), JOINTS + 1, 3), F)
        walked[np.arange(len(these)), joint[these], :2] = start[these]
        _follow_bones(heads[1], heads[2], high, steps, table, walk[joint[these]], walked)
        for i, person in zip(these, walked, strict=True):
            if people == most:
                return people
            if _is_near(start[i], joint[i], people, table, pose[0]):
                continue
            logit = (_sample(heads[0], person[:JOINTS, :2], CHANNELS[:, None])[:, 0] - table[1]) * table[0]
            person[:JOINTS, 2] = _sigmoid(logit, table)
            person[PERSON, 0] = _sum(person[:JOINTS, 2]) / F(JOINTS)
            pose[0, people] = person
            people += int(person[PERSON, 0] >= table[8])
    return people


def _is_near(yx: Array, joint: int, people: int, table: Array, poses: Array) -> bool:
    """As personlab._is_near."""
    apart = poses[:people, joint, :2] - yx
    return bool((apart[:, 0] * apart[:, 0] + apart[:, 1] * apart[:, 1] <= table[7]).any())


def _follow_bones(short: Array, mid: Array, high: Array, steps: int, table: Array, bones: Array, people: Array) -> None:
    """As personlab._follow_bones, for bones (P, 16, 4) of people (P, 18, 3) at once."""
    depth = np.zeros(bones.shape[:2], np.int64)
    depth[:, 1:] = (np.diff(bones[..., 3]) != 0).cumsum(axis=1)
    for level in range(int(depth.max(initial=-1)) + 1):
        who, bone = np.nonzero(depth == level)
        source, target, channel = bones[who, bone, :3].T
        yx = people[who, source, :2]
        offset = _sample(mid, yx, np.stack((channel, channel + 16), axis=1))
        yx = _between(yx + (offset - table[5]) * table[4], high)
        pair = np.stack((target, target + JOINTS), axis=1)
        for _ in range(steps):
            yx = _between(yx + (_sample(short, yx, pair) - table[3]) * table[2], high)
        people[who, target, :2] = yx


def _between(value: Array, high: Array) -> Array:
    """As personlab._between."""
    value = np.where(value > 0, value, F(0))
    return np.where(value < high, value, high)


def _sample(head: Array, yx: Array, channels: Array) -> Array:
    """As personlab._sample: channels (n, c) at places (n, 2)."""
    top, left = yx.astype(np.int64).T[..., None]
    bottom, right = np.minimum(top + 1, head.shape[0] - 1), np.minimum(left + 1, head.shape[1] - 1)
    part_y, part_x = yx[:, :1] - top.astype(F), yx[:, 1:] - left.astype(F)
    a, b = head[top, left, channels].astype(F), head[top, right, channels].astype(F)
    c, d = head[bottom, left, channels].astype(F), head[bottom, right, channels].astype(F)
    above = a + part_x * (b - a)
    below = c + part_x * (d - c)
    sampled: Array = above + part_y * (below - above)
    return sampled


def _sigmoid(logit: Array, table: Array) -> Array:
    """As personlab._sigmoid."""
    x = np.where(-logit < 40, -logit, F(40))
    x = np.where(x > -40, x, F(-40))
    power = x * F(1.4426950408889634)
    whole = (power + F(64.5)).astype(np.int64)
    r = (power - (whole - 64).astype(F)) * F(0.6931471805599453)
    exp_r = np.full_like(r, 1 / 720)
    for term in (1 / 120, 1 / 24, 1 / 6, 1 / 2, 1, 1):
        exp_r = F(term) + r * exp_r
    score: Array = F(1) / (F(1) + exp_r * table[POWERS + whole])
    return score


def _sum(values: Array) -> np.float32:
    """One after the other, as a loop adds; numpy's own sum adds in another order."""
    return F(np.add.accumulate(values)[-1])


def rescore(people: int, table: Array, pose: Array) -> int:
    """As personlab.rescore."""
    found, out = pose[0], pose[1]
    order = np.argsort(-found[:people, PERSON, 0], kind="stable")
    for place, one in enumerate(order):
        apart = found[order[:place], :JOINTS, :2] - found[one, :JOINTS, :2]
        taken = (apart[..., 0] * apart[..., 0] + apart[..., 1] * apart[..., 1] <= table[7]).any(axis=0)
        found[one, PERSON, 1] = _sum(np.where(taken, F(0), found[one, :JOINTS, 2])) / F(JOINTS)
    order = np.argsort(-found[:people, PERSON, 1], kind="stable")
    order = order[found[order, PERSON, 1] >= table[8]]
    out[: len(order)] = found[order]
    out[: len(order), :JOINTS, :2] *= table[6]
    return len(order)
