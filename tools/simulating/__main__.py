"""The command: `./tools/simulate_day`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.simulating.day import FPS, PLACES, day, missed_and_late, parts_of


def main() -> int:
    """Play each place with power off and on; 0 if nobody was missed."""
    parser = argparse.ArgumentParser(prog="tools/simulate_day", description="Made days on a simulated clock.")
    parser.add_argument("people", type=Path, help="a set of pictures: person_keypoints.json, images/")
    parser.add_argument("--places", default=",".join(PLACES), metavar="LIST", help="default: %(default)s")
    parser.add_argument("--scale", type=float, default=0.01, help="of the quiet time; default %(default)s")
    args = parser.parse_args()
    print(f"{FPS:g} frames a second, CPU of the loop alone: no camera is read, no poses are sent")
    print(
        f"{'PLACE':<10}{'OFF %':>8}{'ON %':>8}{'LOOKED AT %':>13}{'WOKEN':>7}{'REPORTED':>10}{'MISSED':>8}{'LATE':>6}"
    )
    lost = 0
    for name in args.places.split(","):
        if name not in PLACES:
            parser.error(f"{name} is no place; there are: {', '.join(PLACES)}")
        parts = parts_of(PLACES[name], args.people, args.scale)
        off, on = day(parts, "off"), day(parts, "auto")
        missed, late = missed_and_late(off, on)
        lost += missed
        print(
            f"{name:<10}{100 * off.cpu:>8.1f}{100 * on.cpu:>8.1f}{100 * on.looks:>13.1f}{on.wakes:>7.0f}"
            f"{len(off.entered):>10}{missed:>8}{late:>6}",
            flush=True,
        )
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
