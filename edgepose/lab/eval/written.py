"""What an evaluation writes: JSON, COCO results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from edgepose.lab.eval.ap import rows
from edgepose.lab.eval.compare import SURE, Difference
from edgepose.lab.eval.find import unpacked
from edgepose.lab.eval.run import Run
from edgepose.lab.output import write_text


def as_json(runs: Sequence[Run], apart: dict[str, Difference], command: str) -> str:
    """The metrics of one run, or of two and what lies between."""
    found = _json(runs[0], command) if len(runs) == 1 else _json_of_two(runs, apart, command)
    return json.dumps(found, indent=1, allow_nan=False) + "\n"


def write_results(path: str, runs: Sequence[Run]) -> None:
    """Every candidate of each run, as COCO results files."""
    for run, file in zip(runs, _paths(path, len(runs)), strict=True):
        joints = len(run.truth.skeleton.joints)
        found = [
            row
            for one in run.seen[: len(run.truth.pictures)]
            for row in rows(run.truth, one.picture_id, unpacked(one.candidates, joints))
        ]
        write_text(file, json.dumps(found) + "\n")


def _paths(path: str, count: int) -> list[str]:
    """One file a run: results.json, or results.A.json and results.B.json."""
    if count == 1:
        return [path]
    given = Path(path)
    return [str(given.with_suffix(f".{side}{given.suffix}")) for side in "AB"]


def _json(run: Run, command: str) -> dict[str, Any]:
    return {
        **run.measured.numbers,
        "name": run.name,
        "ran": run.described,
        "counts": run.measured.counts,
        "joints": run.measured.joints,
        "joints_absent": list(run.truth.absent),
        "reliability": run.measured.reliability,
        "pictures_missing": list(run.truth.missing),
        "notes": list(run.notes),
        "settings": msgspec.to_builtins(run.cfg),
        "command": command,
    }


def _json_of_two(runs: Sequence[Run], apart: dict[str, Difference], command: str) -> dict[str, Any]:
    return {
        "A": _json(runs[0], command),
        "B": _json(runs[1], command),
        "difference": {
            key: {"A": one.a, "B": one.b, "B-A": one.b - one.a, "low": one.low, "high": one.high, "sure": one.sure}
            for key, one in apart.items()
        },
        "interval": f"{SURE:.0%} of paired bootstrap draws over pictures",
    }
