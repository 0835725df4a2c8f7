"""`edgepose calibrate`: a camera's lens from a board, a room's cameras from somebody who walks."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edgepose.core.errors import ConfigError

if TYPE_CHECKING:
    from edgepose.core.poses import Poses
    from edgepose.lift.calibrate.lens import Views
    from edgepose.lift.camera import Camera

log = logging.getLogger("edgepose")

HELP = "Find a camera's lens from pictures of a board, and where a room's cameras stand from a person who walks."
EXAMPLES = """  edgepose calibrate intrinsics --source /dev/video0 --board checkerboard:9x6 --out door.json
  edgepose calibrate intrinsics --source pictures/ --board charuco:7x5 --name door --out door.json
  edgepose calibrate extrinsics --lens door.json --lens hall.json --height 1.78 --out room.toml door.jsonl hall.jsonl
  edgepose calibrate extrinsics --lens door.json --lens hall.json --height 1.78 --out room.toml \\
      --broker mqtt://localhost --seconds 60
  edgepose calibrate extrinsics --lens door.json --lens hall.json --marks marks.toml --out room.toml \\
      door.jsonl hall.jsonl

intrinsics: hold the board still in many places, tilted, up to the picture's corners; ends with the source, with
Ctrl-C, or after 40 places. extrinsics: one person alone walks through all of the room, upright, for a minute, while
each camera publishes, or writes with --jsonl; NAME.jsonl is camera NAME's. Ends with 1 where the result is not to be
trusted."""
NOT_TRUSTED = 1
USUAL_M = 1.7
"""Of somebody whose height does not matter."""
PICTURE_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="intrinsics|extrinsics")
    lens = kinds.add_parser("intrinsics", help="a camera's lens, from pictures of a board", allow_abbrev=False)
    lens.add_argument(
        "--source", required=True, help="a camera, a video or a folder of pictures, as `edgepose run` has it"
    )
    lens.add_argument("--board", required=True, help="checkerboard:9x6, its inner corners, or charuco:7x5, its squares")
    lens.add_argument("--dictionary", default="4x4_50", help="of ChArUco's markers; default 4x4_50")
    lens.add_argument("--marker", type=float, default=0.75, help="side of a ChArUco marker, in squares; default 0.75")
    lens.add_argument(
        "--picture", default="", metavar="FILE",
        help="a .jpg or .png written anew twice a second: where the board was seen, and what is still missing",
    )  # fmt: skip
    lens.add_argument("--name", default="", help="the camera's name; default: that of the file written")
    lens.add_argument("--out", required=True, metavar="FILE", help="OpenCV-like JSON to write")
    room = kinds.add_parser("extrinsics", help="where a room's cameras stand, from a walk", allow_abbrev=False)
    room.add_argument("poses", nargs="*", metavar="NAME.jsonl", help="what each camera saw, JSON lines")
    room.add_argument(
        "--lens", action="append", required=True, metavar="FILE", help="of each camera; any calibration file"
    )
    room.add_argument("--height", type=float, default=None, metavar="M", help="how tall the walker is: gives the scale")
    room.add_argument(
        "--marks", default="", metavar="FILE",
        help="two marks on the floor instead: TOML, apart_m = 3.0, and [CAMERA] a = [x, y], b = [x, y] in pixels",
    )  # fmt: skip
    room.add_argument("--broker", default="", help="hear the cameras live, instead of NAME.jsonl")
    room.add_argument("--seconds", type=float, default=60.0, help="how long to hear them; default 60")
    room.add_argument("--out", required=True, metavar="FILE", help="Pose2Sim-like TOML to write, for `edgepose fuse`")


def run(args: argparse.Namespace) -> int:
    """Calibrate, report, write."""
    _require_apart(args)
    return _intrinsics(args) if args.kind == "intrinsics" else _extrinsics(args)


def _require_apart(args: argparse.Namespace) -> None:
    """Nothing that is read is written over, be it one of a folder's pictures; found out before the long part."""
    from edgepose.lab.output import require_folder
    from edgepose.sink.apart import require_apart

    require_folder("out", args.out)
    if args.kind == "intrinsics":
        folder = Path(args.source) if "\0" not in args.source else Path()
        inside = sorted(folder.iterdir()) if args.source and folder.is_dir() else []
        inputs = [("--source", args.source), *(("--source", str(path)) for path in inside)]
        require_apart([("--out", args.out), ("--picture", args.picture)], inputs)
        return
    inputs = [("--marks", args.marks), *(("--lens", path) for path in args.lens)]
    require_apart([("--out", args.out)], [*inputs, *(("NAME.jsonl", path) for path in args.poses)])


def _say(lines: list[str]) -> None:
    sys.stdout.write("\n".join(lines) + "\n")


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--out {path}: {error.strerror}; give a file that can be written") from None


def _intrinsics(args: argparse.Namespace) -> int:
    from edgepose.lift.calibrate import lens_json
    from edgepose.lift.calibrate.lens import lens_of

    camera, report = lens_of(_views(args))
    _write(args.out, lens_json(args.name or Path(args.out).stem, camera))
    _say([*report.lines(), f"wrote {args.out}"])
    return 0 if report.trusted else NOT_TRUSTED


def _views(args: argparse.Namespace) -> Views:
    """Until the source ends, somebody ends it, or there is enough."""
    import cv2

    from edgepose.core import config
    from edgepose.lift.calibrate.lens import Views, finder
    from edgepose.lift.calibrate.picture import drawn, write_picture
    from edgepose.sink.draw import bgr
    from edgepose.source import open_source

    find, views, shown_t = finder(args.board, args.dictionary, args.marker), Views(), -PICTURE_S
    with open_source(config.Source(uri=args.source)) as source:
        try:
            for frame in source:
                picture = bgr(frame)
                view = find(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY))  # type: ignore[arg-type]
                new = view is not None and views.add(view, frame.size_wh)
                if new:
                    log.info("%d places; %s", len(views.kept), views.missing())
                if args.picture and (new or time.monotonic() - shown_t >= PICTURE_S):
                    shown_t = time.monotonic()
                    write_picture(Path(args.picture), drawn(picture, view, views))
                if views.full:
                    break
        except KeyboardInterrupt:
            log.info("ended; %d places are used", len(views.kept))
    return views


def _extrinsics(args: argparse.Namespace) -> int:
    from edgepose.lift.calibrate import place_cameras, pose2sim, read_marks
    from edgepose.lift.fuse import read_calibration

    marks = read_marks(Path(args.marks)) if args.marks else None
    if args.height is None and marks is None:
        raise ConfigError("--height: says how large the room is; give how tall the walker is, or --marks")
    if args.height is not None and not 0.5 <= args.height <= 2.5:
        raise ConfigError(f"--height {args.height:g}: nobody is that tall; give metres, 0.5 to 2.5")
    if bool(args.broker) == bool(args.poses):
        raise ConfigError("give either what the cameras saw, NAME.jsonl ..., or --broker")
    lenses = {one.name: one.camera for path in args.lens for one in read_calibration(Path(path))}
    films = _heard(args.broker, args.seconds, tuple(lenses)) if args.broker else _read(args.poses)
    if missing := [name for name in films if name not in lenses]:
        raise ConfigError(f"camera {missing[0]} has no lens; add --lens, whose name it is, one of {', '.join(lenses)}")
    lenses = {name: lens for name, lens in lenses.items() if films.get(name)}
    _require_sizes(films, lenses)
    cameras, report = place_cameras(films, lenses, args.height or USUAL_M, marks)
    _write(args.out, pose2sim(cameras))
    _say([*report.lines(), f"wrote {args.out}"])
    return 0 if report.trusted else NOT_TRUSTED


def _require_sizes(films: dict[str, list[tuple[float, Poses]]], lenses: dict[str, Camera]) -> None:
    for name, lens in lenses.items():
        size = films[name][0][1].size_wh
        if any(abs(have - want) > 0.01 * want for have, want in zip(size, lens.size_wh, strict=True)):
            raise ConfigError(f"camera {name}: its pictures are {size}, its lens is for {lens.size_wh}")


def _read(paths: list[str]) -> dict[str, list[tuple[float, Poses]]]:
    """JSON lines of each camera."""
    from edgepose.wire.reading import read

    films: dict[str, list[tuple[float, Poses]]] = {}
    for path in paths:
        film = films.setdefault(Path(path).stem, [])
        try:
            with Path(path).open("rb") as lines:
                film.extend((poses.t, poses) for poses in map(read, lines))
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from None
        except ValueError as error:
            raise ConfigError(f"{path}: {error}") from None
        film.sort(key=lambda each: each[0])
    return films


def _heard(broker: str, seconds: float, names: tuple[str, ...]) -> dict[str, list[tuple[float, Poses]]]:
    """What devices publish, for some time."""
    from edgepose.core import config
    from edgepose.pipeline.fuse.listener import Listener

    films: dict[str, list[tuple[float, Poses]]] = {}
    listener = Listener(config.Config(sink=config.Sink(mqtt=config.Mqtt(broker=broker))), names)
    listener.open()
    try:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if came := listener.next(0.2):
                films.setdefault(came[0], []).append((came[1].taken_s, came[1].poses))
    finally:
        listener.close()
    log.info("heard %s", ", ".join(f"{name}: {len(film)}" for name, film in films.items()) or "nothing")
    for film in films.values():
        film.sort(key=lambda each: each[0])
    return films
