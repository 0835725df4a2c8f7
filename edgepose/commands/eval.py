"""`edgepose eval`: how right poses are, on annotated pictures or a video."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgepose.commands.flags import add_settings, given_keys, read_settings
from edgepose.commands.progress import Progress
from edgepose.core.errors import ConfigError

if TYPE_CHECKING:
    from edgepose.core.config import Config
    from edgepose.lab.eval.compare import Difference
    from edgepose.lab.eval.run import Look, Run
    from edgepose.lab.eval.truth import Truth

log = logging.getLogger("edgepose.lab.eval")

CAMERAS = ("day", "night", "infrared")
HELP = "Measure how right poses are: COCO AP, OKS, PCK, false people, tracks, on annotated pictures or videos."
EXAMPLES = """  edgepose eval --annotations person_keypoints.json --images images/ --report eval.html
  edgepose eval --annotations a.json --images images/ --model movenet_thunder_256 --boxes gt --json thunder.json
  edgepose eval --annotations a.json --images images/ --compare light default --report compare.html
  edgepose eval --annotations a.json --images images/ --compare \\
                "engine.model=default" "engine.model=default,estimate.crops=false"
  edgepose eval --annotations a.json --images images/ --empty rooms/ --model FINDER+REFINER --calibrate mine
  edgepose eval --video walk.mp4 --report walk.html          ids, jitter, lag; with --truth switches too
  edgepose eval --still empty/ --json still.json             who a fixed camera reports where nobody is
  edgepose eval --still images/ --annotations a.json         how soon it reports who stands still

what the metrics mean: `edgepose eval --explain`"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    group = parser.add_argument_group("what is looked at")
    group.add_argument("--annotations", metavar="JSON", help="COCO-keypoints file: who is in the pictures, and where")
    group.add_argument("--images", metavar="DIR", help="folder that the file names of the annotations start from")
    group.add_argument("--empty", metavar="DIR", help="a folder of pictures without people: for false people only")
    group.add_argument(
        "--limit", type=_count, default=0, metavar="N", help="look at the first N pictures (frames) only"
    )
    group.add_argument(
        "--boxes",
        choices=("none", "gt"),
        default="none",
        help="none: whole pictures, as `edgepose run` sees them; gt: one crop around each annotated box, which says "
        "what a one-person model can do when told where to look; default none",
    )
    group.add_argument(
        "--box_scale",
        type=_scale,
        default=1.25,
        metavar="X",
        help="gt: side of the crop over the longer side of the box; default %(default)s",
    )
    group.add_argument(
        "--partly_annotated",
        action="store_true",
        help="people may be in the pictures whom nobody annotated: nothing is said of false people, and AP leaves out "
        "poses unlike everybody annotated",
    )
    group.add_argument("--video", metavar="FILE", help="a video instead of pictures: identities, jitter, lag")
    group.add_argument(
        "--truth", metavar="JSON", help='of the video: {"frames": [[{"id": 1, "keypoints": [x, y, v, ...]}, ...], ...]}'
    )
    still = parser.add_argument_group("pictures held still, as a fixed camera sees a room")
    still.add_argument(
        "--still", metavar="DIR", help="a folder of pictures without people; with --annotations: of annotated ones"
    )
    still.add_argument("--light", choices=CAMERAS, default="day", help="how light it is; default %(default)s")
    still.add_argument("--fps", type=_rate, default=10.0, metavar="N", help="frames a second; default %(default)g")
    still.add_argument(
        "--seconds", type=_seconds, default=1.5, metavar="S", help="how long each is held; default %(default)g"
    )
    written = parser.add_argument_group("what is written")
    written.add_argument("--json", metavar="FILE", help="the metrics: AP, AP50, AR, mean_oks, pck, ...; - is stdout")
    written.add_argument("--results", metavar="FILE", help="every candidate, as a COCO results file")
    written.add_argument("--report", metavar="FILE.html", help="one page with everything, pictures in it")
    written.add_argument(
        "--compare",
        nargs=2,
        metavar=("A", "B"),
        help='two models, or settings "key=value,key=value", side by side, with 95 %% intervals of the difference',
    )
    written.add_argument(
        "--calibrate",
        metavar="NAME",
        help="fit the chances, gates and margin of --model FINDER+REFINER to the pictures, needs --empty too, and keep "
        "them as a pair that --model NAME runs",
    )
    written.add_argument("--fresh", action="store_true", help="do not go on from where an interrupted run ended")
    written.add_argument("--explain", action="store_true", help="say what every metric means, and end")
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    """Do what the flags ask for."""
    from edgepose.lab.output import require_folder
    from edgepose.service.signals import handled
    from edgepose.sink.apart import require_apart

    cfg = read_settings(args)
    if args.explain:
        return explain()
    written = [(f"--{flag}", getattr(args, flag) or "") for flag in ("json", "results", "report")]
    for flag, path in written:
        require_folder(flag.removeprefix("--"), path)
    require_apart(written, [(f"--{flag}", getattr(args, flag) or "") for flag in ("annotations", "video", "truth")])
    with handled({signal.SIGTERM: signal.default_int_handler}):  # as Ctrl-C does: what is done is kept
        if args.still:
            return of_stills(args, cfg)
        return of_video(args, cfg) if args.video else of_pictures(args, cfg)


def explain() -> int:
    """Say what every metric means."""
    from edgepose.lab.eval import measure, still, video
    from edgepose.lab.output import say_table

    kinds = {"of pictures": measure, "of a video": video, "of pictures held still": still}
    for title, meanings in ((title, kind.MEANINGS) for title, kind in kinds.items()):
        sys.stdout.write(f"{title}\n")
        say_table([(f"  {key}", "", meaning) for key, meaning in meanings.items()])
    return 0


# ------------------------------------------------------------------------------------------------ pictures


def of_pictures(args: argparse.Namespace, cfg: Config) -> int:
    """Measure one model or set of settings, or two side by side."""
    from edgepose.lab.eval.ap import require_pycocotools
    from edgepose.lab.eval.compare import differences
    from edgepose.lab.eval.run import judged

    for flag in ("annotations", "images"):
        if not getattr(args, flag):
            raise ConfigError(f"eval needs --{flag}, or --video; `edgepose eval --help` has examples")
    require_pycocotools()
    truth = _truth(args)
    if args.calibrate:
        from edgepose.commands.calibrate_pair import calibrate_pair

        return calibrate_pair(args, cfg, truth)
    looks = _looks(args, cfg, truth)
    runs = judged(looks, truth, not args.partly_annotated)
    apart = differences(runs[0].measured, runs[1].measured) if args.compare else {}
    _write(args, runs, apart)
    for one in looks:
        one.partial.done()
    return 0


def _truth(args: argparse.Namespace) -> Truth:
    from edgepose.lab.eval.truth import read_truth, some

    truth = read_truth(Path(args.annotations), Path(args.images), args.limit, Path(args.empty) if args.empty else None)
    if truth.missing:
        log.warning(
            "%d of %d pictures are not in %s and are left out: %s",
            len(truth.missing), len(truth.missing) + len(truth.pictures), args.images, some(truth.missing),
        )  # fmt: skip
    for note in truth.notes:
        log.warning("%s: %s", args.annotations, note)
    return truth


def _looks(args: argparse.Namespace, cfg: Config, truth: Truth) -> list[Look]:
    from edgepose.lab.eval.run import How, look, side_of

    given = given_keys(args)
    sides = [(cfg.engine.model, cfg, given)]
    if args.compare:
        sides = [(text, *side_of(text, cfg)) for text in args.compare]
    count = len(truth.pictures) + len(truth.empties)
    looks = []
    for name, own, keys in sides:
        how = How(given | keys, args.boxes, args.box_scale, args.fresh)
        looks.append(look(name, own, truth, how, Progress("pictures", count, name)))
    return looks


def _write(args: argparse.Namespace, runs: Sequence[Run], apart: dict[str, Difference]) -> None:
    """The table, and the files asked for."""
    from edgepose.lab.eval import written
    from edgepose.lab.output import typed, write_text

    if args.json != "-":
        _say(runs, apart)
    if args.json:
        write_text(args.json, written.as_json(runs, apart, typed()))
    if args.results:
        written.write_results(args.results, runs)
    if args.report:
        from edgepose.lab.eval.page import page

        write_text(args.report, page(runs, apart, typed()))


def _say(runs: Sequence[Run], apart: dict[str, Difference]) -> None:
    from edgepose.lab.eval.compare import SURE
    from edgepose.lab.eval.measure import MEANINGS
    from edgepose.lab.output import say_table

    first = runs[0]
    for run in runs:
        sys.stdout.write(f"{run.name}: {run.described}\n")
    counts = first.measured.counts
    sys.stdout.write(
        f"{counts['pictures']} pictures, {counts['people']} people, {counts['people_judged']} of them with enough "
        f"joints for mean_oks, {counts['pictures_empty']} pictures without people\n\n"
    )
    if len(runs) == 1:
        known = {key: value for key, value in first.measured.numbers.items() if value is not None}
        say_table([(key, f"{value:.4g}", MEANINGS[key]) for key, value in known.items()])
        return
    lines = [("", "A", "B", "B - A", f"{SURE:.0%} interval")]
    for key in MEANINGS:
        a, b = (run.measured.numbers[key] for run in runs)
        if a is None or b is None:
            continue
        one = apart.get(key)
        between = f"{one.low:+.3g} to {one.high:+.3g}{' *' if one.sure else ''}" if one else ""
        lines.append((key, f"{a:.4g}", f"{b:.4g}", f"{b - a:+.3g}", between))
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    for line in lines:
        sys.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n")
    sys.stdout.write("\n* the interval of B - A, over paired bootstrap draws of the pictures, is on one side of 0\n")


# ------------------------------------------------------------------------------------------------ a video


def of_video(args: argparse.Namespace, cfg: Config) -> int:
    """Measure identities, jitter and lag."""
    from edgepose.lab.eval.video import MEANINGS
    from edgepose.lab.eval.video_truth import read_film
    from edgepose.lab.eval.watch import as_json, watch
    from edgepose.lab.output import say_table, typed, write_text

    for flag in ("compare", "results", "annotations"):
        if getattr(args, flag):
            raise ConfigError(f"--{flag} is for pictures, not for --video")
    film = read_film(Path(args.truth)) if args.truth else None
    watched = watch(cfg, args.video, args.limit, film, lambda total: Progress("frames", total, args.video))
    if args.json != "-":
        sys.stdout.write(f"{args.video}: {watched.described}\n\n")
        known = {key: value for key, value in watched.numbers.items() if value is not None}
        say_table([(key, f"{value:.4g}", MEANINGS[key]) for key, value in known.items()])
        for identity, track in watched.tracks.items():
            spans = ", ".join(f"{start:.1f} to {end:.1f} s" for start, end in track.intervals)
            sys.stdout.write(f"id {identity}: {spans}\n")
    if args.json:
        write_text(args.json, json.dumps(as_json(watched, typed()), indent=1, allow_nan=False) + "\n")
    if args.report:
        from edgepose.lab.eval.video_page import page

        write_text(args.report, page(watched, typed()))
    return 0


# ------------------------------------------------------------------------------------------------ held still


def of_stills(args: argparse.Namespace, cfg: Config) -> int:
    """Measure who is reported where nothing moves."""
    from dataclasses import replace

    from edgepose.lab.eval.still import CAMERAS, MEANINGS, as_json, hold, pictures_of
    from edgepose.lab.eval.truth import read_truth
    from edgepose.lab.output import say_table, typed, write_text

    for flag in ("compare", "results", "video", "images", "report"):
        if getattr(args, flag):
            raise ConfigError(f"--{flag} has no meaning with --still")
    truth = read_truth(Path(args.annotations), Path(args.still)) if args.annotations else None
    pictures = pictures_of(Path(args.still), truth)
    pictures = pictures[: args.limit] if args.limit else pictures
    camera = replace(CAMERAS[args.light], fps=args.fps)
    seen = hold(cfg, pictures, truth, camera, args.seconds, Progress("scenes", len(pictures), cfg.engine.model))
    if args.json != "-":
        sys.stdout.write(f"{args.still}: {seen.described}\n\n")
        known = {key: value for key, value in seen.numbers.items() if value is not None}
        say_table([(key, f"{value:.4g}", MEANINGS[key]) for key, value in known.items()])
    if args.json:
        write_text(args.json, json.dumps(as_json(seen, camera, args.seconds, typed()), indent=1) + "\n")
    return 0


# ------------------------------------------------------------------------------------------------ values


def _count(text: str) -> int:
    """A whole number from 0 up."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return number


def _rate(text: str) -> float:
    """Frames a second."""
    return _within(text, 0.1, 240)


def _seconds(text: str) -> float:
    """How long a picture is held."""
    return _within(text, 0.1, 36000)


def _within(text: str, low: float, high: float) -> float:
    number = float(text)
    if not low <= number <= high:
        raise argparse.ArgumentTypeError(f"{text} is not within {low:g} to {high:g}")
    return number


def _scale(text: str) -> float:
    """A factor that makes sense for a crop."""
    return _within(text, 0.5, 5)
