"""`edgepose eval`: pictures and their annotations in, numbers and a page out."""

from __future__ import annotations

import argparse
import json
import logging
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.core.secret import masked
from edgepose.lab.eval.ap import require_pycocotools, rows
from edgepose.lab.eval.compare import SURE, Difference, differences
from edgepose.lab.eval.find import Seen, open_finder, unpacked
from edgepose.lab.eval.measure import MEANINGS, Measured, measure
from edgepose.lab.eval.output import Progress, say_table, write_text
from edgepose.lab.eval.partial import Partial, key_of
from edgepose.lab.eval.truth import Truth, asked_of, read_truth, some

log = logging.getLogger("edgepose.lab.eval")


@dataclass(frozen=True, eq=False)
class Run:
    """One model or set of settings on the pictures."""

    name: str
    cfg: config.Config
    described: str
    truth: Truth
    """With the joints that the model has."""
    seen: list[Seen]
    measured: Measured
    notes: tuple[str, ...]


def run_eval(args: argparse.Namespace, cfg: config.Config) -> int:
    """Do what the flags ask for; returns the exit code."""
    if args.explain:
        from edgepose.lab.eval import video

        for title, meanings in (("of pictures", MEANINGS), ("of a video", video.MEANINGS)):
            sys.stdout.write(f"{title}\n")
            say_table([(f"  {key}", "", meaning) for key, meaning in meanings.items()])
        return 0
    _check_outputs(args)
    if args.video:
        from edgepose.lab.eval.video_command import run_video

        with _interruptible():
            return run_video(args, cfg)
    for flag in ("annotations", "images"):
        if not getattr(args, flag):
            raise ConfigError(f"eval needs --{flag}, or --video; `edgepose eval --help` has examples")
    require_pycocotools()
    truth = read_truth(Path(args.annotations), Path(args.images), args.limit, Path(args.empty) if args.empty else None)
    if truth.missing:
        log.warning(
            "%d of %d pictures are not in %s and are left out: %s",
            len(truth.missing), len(truth.missing) + len(truth.pictures), args.images, some(truth.missing),
        )  # fmt: skip
    for note in truth.notes:
        log.warning("%s: %s", args.annotations, note)
    given = given_keys(args)
    with _interruptible():
        if args.compare:
            pairs = [_settings(text, cfg) for text in args.compare]
            looks = [
                look(text, own, truth, given | keys, args)
                for text, (own, keys) in zip(args.compare, pairs, strict=True)
            ]
        else:
            looks = [look(cfg.engine.model, cfg, truth, given, args)]
    runs = judged(looks, truth, not args.partly_annotated)
    apart = differences(runs[0].measured, runs[1].measured) if args.compare else {}
    write(args, runs, apart)
    for one in looks:
        one.partial.done()
    return 0


@dataclass(frozen=True, eq=False)
class _Look:
    """What one model or set of settings said of every picture."""

    name: str
    cfg: config.Config
    described: str
    joints: tuple[str, ...]
    seen: list[Seen]
    partial: Partial


def look(name: str, cfg: config.Config, truth: Truth, given: frozenset[str], args: argparse.Namespace) -> _Look:
    """Look at every picture, from where an interrupted run ended."""
    finder = open_finder(cfg, truth.skeleton, given, args.boxes, args.box_scale)
    try:
        how = f"{args.boxes} {args.box_scale} {sorted(given)}"
        partial = Partial(key_of(cfg, truth, how, finder.manifests), args.fresh)
        truth = asked_of(truth, finder.joints)
        pictures = (*truth.pictures, *truth.empties)
        progress = Progress(name, len(pictures), "pictures")
        if partial.seen:
            log.info(
                "%s: %d of %d pictures are there from an interrupted run; --fresh starts over",
                name, len(partial.seen), len(pictures),
            )  # fmt: skip
        try:
            for picture in pictures:
                if picture.id not in partial.seen:
                    partial.add(finder(picture))
                progress.saw()
        except KeyboardInterrupt:
            progress.clear()
            log.warning(
                "interrupted: %d of %d pictures are done, %d are missing; the same command goes on from there",
                len(partial.seen), len(pictures), len(pictures) - len(partial.seen),
            )  # fmt: skip
            raise
        finally:
            progress.clear()
            partial.close()
    finally:
        finder.close()
    seen = [partial.seen[picture.id] for picture in pictures]
    return _Look(name, cfg, finder.described, finder.joints, seen, partial)


def judged(looks: Sequence[_Look], truth: Truth, everybody: bool) -> list[Run]:
    """Measure what was seen, on the joints that all of them have."""
    common = set(looks[0].joints).intersection(*(one.joints for one in looks))
    asked = asked_of(truth, tuple(common))
    if asked.absent:
        log.warning("nobody is asked for joints that a model does not have: %s", ", ".join(asked.absent))
    runs = []
    for one in looks:
        notes = _notes(truth, one.seen)
        for note in notes[len(truth.notes) :]:
            log.warning("%s", note)
        measured = measure(asked, one.seen, everybody)
        runs.append(Run(one.name, one.cfg, one.described, asked, one.seen, measured, notes))
    return runs


def _notes(truth: Truth, seen: Sequence[Seen]) -> tuple[str, ...]:
    names = {picture.id: picture.name for picture in (*truth.pictures, *truth.empties)}
    notes = list(truth.notes)
    failed = [one for one in seen if one.failed]
    if failed:
        notes.append(f"{len(failed)} pictures gave no answer and count as nobody found: {failed[0].failed}")
    resized = [names[one.picture_id] for one in seen if one.resized]
    if resized:
        notes.append(f"{len(resized)} pictures have another size than the annotations say: {some(resized)}")
    return tuple(notes)


def given_keys(args: argparse.Namespace) -> frozenset[str]:
    """Keys of the settings that flags or a settings file set."""
    known = {setting.key for setting in config.settings()}
    given = {key for key, value in vars(args).items() if key in known and value is not None}
    path = Path(args.config) if args.config else Path("edgepose.toml")
    if args.config or path.is_file():
        given |= set(_flat(config.read_toml(path), ""))
    return frozenset(given)


def _flat(table: dict[str, Any], prefix: str) -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _settings(text: str, cfg: config.Config) -> tuple[config.Config, frozenset[str]]:
    """One side of --compare: a model's name, or "key=value,key=value" on top of `cfg`; and the keys it sets.

    Raises:
        ConfigError: naming the key.
    """
    import msgspec

    if "=" not in text:
        text = f"engine.model={text}"
    known = {setting.key: setting for setting in config.settings()}
    raw = msgspec.to_builtins(cfg)
    keys = set()
    for part in text.split(","):
        key, _, value = (piece.strip() for piece in part.partition("="))
        key = "engine.model" if key == "model" else key
        if key not in known:
            raise ConfigError(f"--compare {text}: {config.unknown_key(key, list(known))}")
        config.put(raw, key, config.parse_value(value, known[key]))
        keys.add(key)
    return config.convert(raw, config.Config, f"--compare {text}"), frozenset(keys)


# ------------------------------------------------------------------------------------------------ what is written


def write(args: argparse.Namespace, runs: Sequence[Run], apart: dict[str, Difference]) -> None:
    """The table, and the files asked for."""
    command = "edgepose " + shlex.join(masked(word) for word in sys.argv[1:])
    if args.json != "-":
        _say(runs, apart)
    if args.json:
        told = _json(runs[0], command) if len(runs) == 1 else _json_of_two(runs, apart, command)
        write_text(args.json, json.dumps(told, indent=1, allow_nan=False) + "\n")
    if args.results:
        for run, path in zip(runs, _paths(args.results, len(runs)), strict=True):
            joints = len(run.truth.skeleton.joints)
            found = [
                row
                for one in run.seen[: len(run.truth.pictures)]
                for row in rows(run.truth, one.picture_id, unpacked(one.candidates, joints))
            ]
            write_text(path, json.dumps(found) + "\n")
    if args.report:
        from edgepose.lab.eval.page import page

        write_text(args.report, page(runs, apart, command))


def _paths(path: str, count: int) -> list[str]:
    """One file a run: results.json, or results.A.json and results.B.json."""
    if count == 1:
        return [path]
    given = Path(path)
    return [str(given.with_suffix(f".{side}{given.suffix}")) for side in "AB"]


def _json(run: Run, command: str) -> dict[str, Any]:
    import msgspec

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


def _say(runs: Sequence[Run], apart: dict[str, Difference]) -> None:
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


def _check_outputs(args: argparse.Namespace) -> None:
    """Find out before a long run that a file cannot be written after it."""
    for flag in ("json", "results", "report"):
        path = getattr(args, flag)
        if not path or path == "-":
            continue
        folder = Path(path).parent
        if Path(path).is_dir() or not folder.is_dir():
            raise ConfigError(f"--{flag} {path}: {'is a folder' if folder.is_dir() else f'no folder {folder}'}")


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM ends it as Ctrl-C does: what is done is kept."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
