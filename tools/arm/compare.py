"""Holds the answers of two machines against each other: `python -m tools.arm.compare NPZ NPZ [--lines JSONL JSONL]`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAY_DIFFER = {
    "input": 1.0,
    "heads": 0.0,
    "xy": 1e-3,
    "score": 1e-6,
    "tiny/int8": 0.0,
    "tiny/uint8": 1.0,
    "tiny/float32": 1e-4,
}
"""Kind of answer -> the most a value may differ: steps of 8-bit input and heads, pixels, scores; of tiny models steps,
or the unit of their float heads. Input tensors: OpenCV rounds halves otherwise where it resizes with an ARM library.
Heads are of the same tensors: the shipped models are int8 throughout, which XNNPACK computes alike everywhere; uint8
and float go other ways on other processors."""

LINES = {"xy": 0.1, "score": 0.001}
"""The same for what `edgepose run` writes of pictures that need no resizing: the last digit there is."""


def apart(one: NDArray[Any], other: NDArray[Any]) -> float:
    """The largest difference; infinite for another shape or type, or where only one is not a number."""
    if one.shape != other.shape or one.dtype != other.dtype or (np.isnan(one) != np.isnan(other)).any():
        return float("inf")
    return float(np.nan_to_num(np.abs(one.astype(np.float64) - other)).max(initial=0.0))


def kind_of(name: str) -> str:
    """The row of MAY_DIFFER that an answer falls under."""
    return next(kind for kind in MAY_DIFFER if name.startswith(f"{kind}/"))


def compare_answers(here: dict[str, NDArray[Any]], there: dict[str, NDArray[Any]]) -> list[str]:
    """A line per kind of answer and model; what may not be ends in WRONG."""
    if here.keys() != there.keys():
        return [f"one answers what the other does not: {sorted(here.keys() ^ there.keys())}  WRONG"]
    rows: dict[tuple[str, str], list[float]] = {}
    for name in here:
        if name != "facts":
            rows.setdefault((kind_of(name), name.split("/")[1]), []).append(apart(here[name], there[name]))
    return [
        f"{kind:<13}{of:<28}{len(found):>3} arrays, at most {max(found):g} apart, may {MAY_DIFFER[kind]:g}"
        + ("" if max(found) <= MAY_DIFFER[kind] else "  WRONG")
        for (kind, of), found in rows.items()
    ]


def people_of(path: Path) -> list[tuple[str, NDArray[Any]]]:
    """(picture, (people, joints, 3) of x, y, score) of each line of a JSON Lines file; a joint not found is NaN."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        told = json.loads(line)
        joints = [[joint or [np.nan] * 3 for joint in person["keypoints"]] for person in told["people"]]
        found.append((told["source"], np.array(joints, float).reshape(len(joints), -1, 3)))
    return found


def compare_lines(here: Path, there: Path) -> list[str]:
    """One line on what `edgepose run` wrote on both."""
    one, other = people_of(here), people_of(there)
    if [name for name, _ in one] != [name for name, _ in other]:
        return ["edgepose run: other pictures  WRONG"]
    pairs = [(a, b) for (_, a), (_, b) in zip(one, other, strict=True)]
    xy = max(apart(a[..., :2], b[..., :2]) for a, b in pairs)
    score = max(apart(a[..., 2], b[..., 2]) for a, b in pairs)
    people = sum(len(a) for a, _ in pairs)
    wrong = not people or xy > LINES["xy"] + 1e-6 or score > LINES["score"] + 1e-6
    told = f"edgepose run: {len(pairs)} pictures, {people} people, at most {xy:.2g} pixels and {score:.2g} apart"
    return [f"{told}, may {LINES['xy']:g} and {LINES['score']:g}" + ("  WRONG" if wrong else "")]


def main() -> int:
    """Print the table; 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="compare", description="Answers of two machines, held against each other.")
    parser.add_argument("answers", nargs=2, type=Path, metavar="NPZ", help="of this machine and of the other")
    parser.add_argument("--lines", nargs=2, type=Path, metavar="JSONL", help="what `edgepose run` wrote on each")
    args = parser.parse_args()
    here, there = (dict(np.load(path)) for path in args.answers)
    for answers in (here, there):
        sys.stdout.write(" ".join(f"{key} {value}" for key, value in json.loads(str(answers["facts"])).items()) + "\n")
    lines = compare_answers(here, there) + (compare_lines(*args.lines) if args.lines else [])
    sys.stdout.write("\n".join(lines) + "\n")
    return any(line.endswith("WRONG") for line in lines)


if __name__ == "__main__":
    sys.exit(main())
