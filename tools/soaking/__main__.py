"""The command: `./tools/soak`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from tools.soaking.faults import FAULTS
from tools.soaking.schedule import chosen


def main() -> int:
    """Run what is asked for; 0 if every target is met."""
    parser = argparse.ArgumentParser(
        prog="tools/soak",
        description="The real service against a real broker while things go wrong; counts what arrives.",
        epilog="faults (* in runs of five minutes and more):\n"
        + "\n".join(f"  {name:<20} {fault.says}{' *' * fault.long}" for name, fault in FAULTS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--minutes", type=float, default=1.0, help="each fault comes at least once; default %(default)s"
    )
    parser.add_argument("--faults", default="", metavar="LIST", help="only these, with commas between")
    parser.add_argument("--seed", type=int, default=None, help="of order and lengths; default: by the clock")
    parser.add_argument("--json", default="", metavar="FILE", help="write the numbers there")
    parser.add_argument("--keep", action="store_true", help="keep settings and logs, also when all went well")
    parser.add_argument(
        "--disk", choices=("auto", "tmpfs", "rlimit"), default="auto",
        help="how the spool's disk is made full: a small file system where we may mount one, or a limit of the kernel",
    )  # fmt: skip
    parser.add_argument("--frames", type=int, default=0, metavar="N", help="memory over so many frames instead")
    parser.add_argument("--fleet", type=int, default=0, metavar="N", help="so many simulated devices instead")
    parser.add_argument("--nagle", action="store_true", help="a fleet's broker without set_tcp_nodelay")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a fleet; default %(default)s")
    args = parser.parse_args()
    names = [name.strip() for name in args.faults.split(",") if name.strip()] or chosen(60 * args.minutes)
    for name in names:
        if name not in FAULTS:
            parser.error(f"{name} is no fault; there are: {', '.join(FAULTS)}")
    try:
        report = _report(args, names)
    except RuntimeError as error:
        print(f"tools/soak: {error}", file=sys.stderr)
        return 1
    print(report.text())
    if args.json:
        Path(args.json).write_text(json.dumps(report.plain(), indent=2) + "\n")
    return 0 if report.met else 1


def _report(args: argparse.Namespace, names: list[str]):  # type: ignore[no-untyped-def]
    if args.frames:
        from tools.soaking.frames import frames

        return frames(args.frames)
    if args.fleet:
        from tools.soaking.fleet import fleet

        return fleet(args.fleet, args.seconds, not args.nagle)
    from tools.soaking.run import Soak

    seed = int(time.time()) % 10_000 if args.seed is None else args.seed
    return Soak(names, args.minutes, seed, args.keep, args.disk)()


if __name__ == "__main__":
    sys.exit(main())
