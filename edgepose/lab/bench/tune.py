"""`edgepose bench --tune`: which engine.threads is best on this board, with everything else running beside it."""

from __future__ import annotations

import logging
import os
import sys
from datetime import datetime, timezone
from statistics import median
from typing import NamedTuple

import msgspec

from edgepose.core import config
from edgepose.core.errors import SourceError
from edgepose.engine import tuned
from edgepose.lab.bench.measure import Measured, measure
from edgepose.lab.bench.session import sources

log = logging.getLogger("edgepose.lab.bench")

ROUNDS = 2
"""How often each number of threads has its turn, so that a disturbance does not hit one alone."""
LEAST_S = 2.0
"""Shortest turn."""
WORTH = 0.05
"""More threads must save this share of a frame's time: cores are wanted by others too."""


class Tried(NamedTuple):
    """One number of threads."""

    threads: int
    frame_ms: float
    """Median over the rounds of the mean time from taken to decoded."""
    p95_ms: float
    """95 % of frames were inferred within it, median likewise."""
    fps: float
    cpu_ms: float


def tune(cfg: config.Config, seconds: float) -> int:
    """Try all, print a table, keep the best for this board."""
    cores = len(os.sched_getaffinity(0))
    turn_s = max(LEAST_S, seconds / cores / ROUNDS)
    log.info("trying 1 to %d threads, %d times %g s each", cores, ROUNDS, turn_s)
    runs: dict[int, list[Measured]] = {threads: [] for threads in range(1, cores + 1)}
    for _ in range(ROUNDS):
        for threads, measured in runs.items():
            measured.append(_try(cfg, threads, turn_s))
    tried = [
        Tried(
            threads,
            median(run.frame_ms for run in measured),
            median(run.stages["infer"].p95 for run in measured),
            median(run.fps for run in measured),
            median(run.cpu_ms for run in measured),
        )
        for threads, measured in runs.items()
    ]
    best = choose(tried)
    sys.stdout.write(f"{'threads':>7}{'ms a frame':>12}{'p95':>8}{'frames/s':>10}{'CPU ms':>8}\n")
    for row in tried:
        mark = "  best" if row.threads == best.threads else ""
        numbers = f"{row.frame_ms:>12.2f}{row.p95_ms:>8.2f}{row.fps:>10.1f}{row.cpu_ms:>8.2f}"
        sys.stdout.write(f"{row.threads:>7}{numbers}{mark}\n")
    models = [described.partition(" on ")[0] for described in runs[best.threads][0].models]
    today = datetime.now(timezone.utc).date().isoformat()
    kept = tuned.Tuned(best.threads, tuned.this_cpu(), round(best.frame_ms, 3), today)
    path = tuned.write(dict.fromkeys(models, kept))
    sys.stdout.write(
        f"{best.threads} thread(s) for {', '.join(models)}: kept in {path}, used where engine.threads is 0\n"
    )
    if cfg.engine.threads:
        sys.stdout.write(f"engine.threads is set to {cfg.engine.threads}, which goes before it\n")
    return 0


def choose(tried: list[Tried]) -> Tried:
    """The one with the shortest frames; of those about as short, the fewest threads."""
    shortest = min(row.frame_ms for row in tried)
    return min((row for row in tried if row.frame_ms <= shortest * (1 + WORTH)), key=lambda row: row.threads)


def _try(cfg: config.Config, threads: int, seconds: float) -> Measured:
    engine = msgspec.structs.replace(cfg.engine, threads=threads)
    *_, (name, settings, source) = sources(msgspec.structs.replace(cfg, engine=engine))
    measured = measure(f"{threads} thread(s), {name}", settings, source, seconds, subscribe=False)
    if measured is None:
        raise SourceError("bench: the source ended before anything could be counted; give a longer one")
    return measured
