"""Flags of `edgepose eval`, beside those of the settings; imports nothing heavy."""

from __future__ import annotations

import argparse

EXAMPLES = """  edgepose eval --annotations person_keypoints.json --images images/ --report eval.html
  edgepose eval --annotations a.json --images images/ --model movenet_thunder_256 --boxes gt --json thunder.json
  edgepose eval --annotations a.json --images images/ --compare light default --report compare.html
  edgepose eval --annotations a.json --images images/ --compare \\
                "engine.model=default" "engine.model=default,estimate.crops=false"
  edgepose eval --video walk.mp4 --report walk.html          ids, jitter, lag; with --truth switches too

what the metrics mean: `edgepose eval --explain`"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    group = parser.add_argument_group("what is looked at")
    group.add_argument("--annotations", metavar="JSON", help="COCO-keypoints file: who is in the pictures, and where")
    group.add_argument("--images", metavar="DIR", help="folder that the file names of the annotations start from")
    group.add_argument("--empty", metavar="DIR", help="a folder of pictures without people: for false people only")
    group.add_argument("--limit", type=count, default=0, metavar="N", help="look at the first N pictures (frames) only")
    group.add_argument(
        "--boxes",
        choices=("none", "gt"),
        default="none",
        help="none: whole pictures, as `edgepose run` sees them; gt: one crop around each annotated box, which says "
        "what a one-person model can do when told where to look; default none",
    )
    group.add_argument(
        "--box_scale",
        type=scale,
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
    written.add_argument("--fresh", action="store_true", help="do not go on from where an interrupted run ended")
    written.add_argument("--explain", action="store_true", help="say what every metric means, and end")


def count(text: str) -> int:
    """A whole number from 0 up."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return number


def scale(text: str) -> float:
    """A factor that makes sense for a crop."""
    number = float(text)
    if not 0.5 <= number <= 5:
        raise argparse.ArgumentTypeError(f"{text} is not within 0.5 to 5")
    return number
