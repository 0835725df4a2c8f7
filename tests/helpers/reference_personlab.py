"""Slow, obvious twin of the personlab decoder: real-valued heads, one joint at a time, double precision.

Written from the description of libcoral's DecodeAllPoses, priority queues and all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import COCO17

Array = NDArray[Any]
Place = tuple[float, float]
"""Row, column in cells."""

CHANNEL_ORDER = [
    "nose>left_eye", "left_eye>left_ear", "nose>right_eye", "right_eye>right_ear",
    "nose>left_shoulder", "left_shoulder>left_elbow", "left_elbow>left_wrist",
    "left_shoulder>left_hip", "left_hip>left_knee", "left_knee>left_ankle",
    "nose>right_shoulder", "right_shoulder>right_elbow", "right_elbow>right_wrist",
    "right_shoulder>right_hip", "right_hip>right_knee", "right_knee>right_ankle",
]  # fmt: skip
"""Bones of mid_offset; each block of 16 channels has them in this order."""


def steps_from(joint: int) -> list[tuple[int, int]]:
    """(neighbour, channel of the y offset towards it) of a joint; x lies 16 channels on."""
    found = []
    for channel, bone in enumerate(CHANNEL_ORDER):
        inner, outer = (COCO17.joints.index(name) for name in bone.split(">"))
        if inner == joint:
            found.append((outer, channel))
        if outer == joint:
            found.append((inner, 32 + channel))
    return found


@dataclass
class Root:
    """A joint that a person may start from."""

    logit: float
    y: int
    x: int
    joint: int


@dataclass
class Person:
    """What was decoded, cells first, pixels in the answer."""

    places: list[Place]
    score: list[float]
    person_score: float
    xy: Array


def logit_of(score: float) -> float:
    return -math.log(1 / (score + 1e-6) - 1)


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0


def real_values(heads: dict[str, Array], quant: dict[str, tuple[float, int]], stride: int) -> dict[str, Array]:
    """Logits, and offsets in cells."""
    unit = {"heatmap": 1, "short_offset": stride, "mid_offset": stride}
    return {role: (heads[role].astype(float) - quant[role][1]) * quant[role][0] / unit[role] for role in unit}


def roots_of(logits: Array, threshold: float) -> list[Root]:
    """Cells that no neighbour beats, in the order row, column, joint."""
    found = []
    for y, x, joint in np.ndindex(logits.shape):
        here = logits[y, x, joint]
        around = logits[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2, joint]
        if here >= threshold and here >= around.max():
            found.append(Root(float(here), y, x, joint))
    return found


def by_score(roots: list[Root]) -> list[Root]:
    """Our order: the highest first, equal ones by row, column, joint."""
    return sorted(roots, key=lambda root: (-root.logit, root.y, root.x, root.joint))


def by_heap(roots: list[Root]) -> list[Root]:
    """The order in which the C++ standard library's priority_queue gives them back: equal ones as its heap lies."""
    heap: list[Root] = []

    def rise(hole: int, top: int, one: Root) -> None:
        while hole > top and heap[(hole - 1) // 2].logit < one.logit:
            heap[hole] = heap[(hole - 1) // 2]
            hole = (hole - 1) // 2
        heap[hole] = one

    for root in roots:
        heap.append(root)
        rise(len(heap) - 1, 0, root)
    out = []
    while heap:
        out.append(heap[0])
        last = heap.pop()
        size = len(heap)
        if not size:
            break
        hole = child = 0
        while child < (size - 1) // 2:
            child = 2 * (child + 1)
            if heap[child].logit < heap[child - 1].logit:
                child -= 1
            heap[hole] = heap[child]
            hole = child
        if size % 2 == 0 and child == (size - 2) // 2:
            child = 2 * (child + 1)
            heap[hole] = heap[child - 1]
            hole = child - 1
        rise(hole, 0, last)
    return out


def sample(head: Array, place: Place, channel: int) -> float:
    """Bilinear value between four cells."""
    y, x = place
    top, left = math.floor(y), math.floor(x)
    bottom, right = math.ceil(y), math.ceil(x)
    part_y, part_x = y - top, x - left
    above = (1 - part_x) * head[top, left, channel] + part_x * head[top, right, channel]
    below = (1 - part_x) * head[bottom, left, channel] + part_x * head[bottom, right, channel]
    return float((1 - part_y) * above + part_y * below)


def moved(place: Place, head: Array, channel: int, apart: int) -> Place:
    """Where the offset sampled here points to, held inside the map."""
    y = place[0] + sample(head, place, channel)
    x = place[1] + sample(head, place, channel + apart)
    return min(max(y, 0.0), head.shape[0] - 1.0), min(max(x, 0.0), head.shape[1] - 1.0)


def walk(real: dict[str, Array], joint: int, start: Place, steps: int) -> tuple[list[Place], list[float]]:
    """All joints of the person that has this one, the likeliest next, and their logits."""
    heat, short, mid = real["heatmap"], real["short_offset"], real["mid_offset"]
    queue = [(sample(heat, start, joint), joint, start)]
    done: dict[int, tuple[Place, float]] = {}
    while queue:
        queue.sort(key=lambda entry: entry[0])
        logit, current, place = queue.pop()
        if current in done:
            continue
        done[current] = place, logit
        for target, channel in steps_from(current):
            if target in done:
                continue
            there = moved(place, mid, channel, 16)
            for _ in range(steps):
                there = moved(there, short, target, 17)
            queue.append((sample(heat, there, target), target, there))
    return [done[k][0] for k in range(17)], [done[k][1] for k in range(17)]


def near(one: Place, other: Place, radius: float) -> bool:
    return math.dist(one, other) <= radius


def decode(
    heads: dict[str, Array],
    quant: dict[str, tuple[float, int]],
    *,
    order: Callable[[list[Root]], list[Root]] = by_score,
    most: int = 10,
    threshold: float = 0.2,
    least_person: float = 0.2,
    radius: float = 10.0,
    stride: int = 16,
    steps: int = 5,
) -> list[Person]:
    """People, highest score first, their joints in pixels."""
    real = real_values(heads, quant, stride)
    radius /= stride
    people: list[Person] = []
    for root in order(roots_of(real["heatmap"], logit_of(threshold))):
        if len(people) == most:
            break
        start = moved((root.y, root.x), real["short_offset"], root.joint, 17)
        if any(near(start, person.places[root.joint], radius) for person in people):
            continue
        places, logits = walk(real, root.joint, start, steps)
        score = [sigmoid(logit) for logit in logits]
        if sum(score) / 17 >= least_person:
            people.append(Person(places, score, sum(score) / 17, np.array(places)[:, ::-1] * stride))

    people.sort(key=lambda person: -person.person_score)
    for place, person in enumerate(people):
        free = [
            not any(near(person.places[k], better.places[k], radius) for better in people[:place]) for k in range(17)
        ]
        person.person_score = sum(s for s, counts in zip(person.score, free, strict=True) if counts) / 17
    people.sort(key=lambda person: -person.person_score)
    return [person for person in people if person.person_score >= least_person]
