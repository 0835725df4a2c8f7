"""Runs the rows and prints the table: `./tools/bench`."""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import platform
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from edgepose.kernels.aot.library import features
from tools.benches import (
    child,
    chips,
    families_grouping,
    families_topdown,
    frame,
    meaning,
    peers,
    personlab,
    pipeline,
    power,
    process,
    smooth,
    space,
    wire,
)
from tools.benches.row import Row, SkipRowError

ROWS: dict[str, Callable[[], Row]] = {
    "frame_vs_stock_1t": partial(frame.frame_vs_stock, 1, 0.70),
    "frame_vs_stock_2t": partial(frame.frame_vs_stock, 2, 0.60),
    "frame_vs_invoke_1t": partial(frame.frame_vs_invoke, 1, 1.06),
    "decode_movenet": frame.decode_movenet,
    "start_vs_bare": process.start_vs_bare,
    "rss_vs_bare": process.memory_vs_bare,
    "start_s": process.start,
    "rss_mib": process.memory,
    "child_overhead_ms": child.child_overhead,
    **pipeline.ROWS,
    **peers.ROWS,
    **families_topdown.ROWS,
    **families_grouping.ROWS,
    **chips.ROWS,
    **personlab.ROWS,
    **smooth.ROWS,
    **meaning.ROWS,
    **wire.ROWS,
    **space.ROWS,
    **power.ROWS,
}


def cpu() -> str:
    """What the processor has that int8 networks and loops run faster with."""
    worth = {"avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimddp", "i8mm", "sve"}
    return " ".join(sorted(worth & features())) or "no vector features known"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="bench",
        description="Speed and memory as ratios in one run: interleaved, medians. Ratios carry over between machines; "
        "milliseconds do not.",
        epilog="rows: " + ", ".join(ROWS),
    )
    parser.add_argument(
        "--only", metavar="PATTERN", default="*", help="rows whose name fits, as in a shell; default all"
    )
    parser.add_argument("--json", metavar="FILE", help="also write one JSON object per row")
    parser.add_argument(
        "--install", action="store_true", help="fetch what others run and is not here, MediaPipe, into the cache folder"
    )
    args = parser.parse_args()
    if args.install:
        os.environ[peers.INSTALL] = "yes"
    chosen = [name for name in ROWS if fnmatch.fnmatch(name, args.only)]
    if not chosen:
        parser.error(f"no row fits {args.only!r}; rows: {', '.join(ROWS)}")

    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {cpu()}", file=sys.stderr)
    print(f"{'ROW':<27}{'VALUE':>9}  {'UNIT':<6}{'AIM':>8}  MADE OF")
    lines = []
    for name in chosen:
        print(f"measuring {name} ...", end="\r", file=sys.stderr)
        try:
            row = ROWS[name]()
        except SkipRowError as reason:
            print(f"{name:<27}  skipped: {reason}")
            continue
        aim = "" if row.target is None else f"{'>=' if row.at_least else '<='} {row.target:g}"
        met = "" if row.target is None else "  met" if row.met else "  MISSED"
        sides = ", ".join(f"{side} {value:.4g}" for side, value in row.sides.items())
        print(f"{row.name:<27}{row.value:>9.3f}  {row.unit:<6}{aim:>8}  {sides}{met}", flush=True)
        lines.append({"name": row.name, "value": row.value, "unit": row.unit, "target": row.target, **row.sides})
    if args.json:
        Path(args.json).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
