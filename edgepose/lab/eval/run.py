"""Models over annotated pictures: what each says of every one, and how right that is."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.lab.eval.find import Seen, open_finder
from edgepose.lab.eval.measure import Measured, measure
from edgepose.lab.eval.partial import Partial, key_of
from edgepose.lab.eval.truth import Truth, asked_of, some

log = logging.getLogger("edgepose.lab.eval")


class Progress(Protocol):
    """Who shows how far it is."""

    def step(self) -> None:
        """One more is done."""

    def clear(self) -> None:
        """Nothing of it stays on the terminal."""


@dataclass(frozen=True)
class How:
    """How pictures are looked at."""

    given: frozenset[str] = frozenset()
    """Keys of the settings that somebody set."""
    boxes: str = "none"
    """none, or gt: a crop around each annotated box."""
    box_scale: float = 1.25
    """gt: side of the crop over the longer side of the box."""
    fresh: bool = False
    """From the start, whatever an interrupted run has done."""


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


@dataclass(frozen=True, eq=False)
class Look:
    """What one model or set of settings said of every picture."""

    name: str
    cfg: config.Config
    described: str
    joints: tuple[str, ...]
    seen: list[Seen]
    partial: Partial


def look(name: str, cfg: config.Config, truth: Truth, how: How, progress: Progress) -> Look:
    """Look at every picture, from where an interrupted run ended; `progress` counts each."""
    finder = open_finder(cfg, truth.skeleton, how.given, how.boxes, how.box_scale)
    try:
        key = key_of(cfg, truth, f"{how.boxes} {how.box_scale} {sorted(how.given)}", finder.manifests)
        partial = Partial(key, how.fresh)
        truth = asked_of(truth, finder.joints)
        pictures = (*truth.pictures, *truth.empties)
        if partial.seen:
            log.info(
                "%s: %d of %d pictures are there from an interrupted run; --fresh starts over",
                name, len(partial.seen), len(pictures),
            )  # fmt: skip
        try:
            for picture in pictures:
                if picture.id not in partial.seen:
                    partial.add(finder(picture))
                progress.step()
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
    return Look(name, cfg, finder.described, finder.joints, seen, partial)


def judged(looks: Sequence[Look], truth: Truth, everybody: bool) -> list[Run]:
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


def side_of(text: str, cfg: config.Config) -> tuple[config.Config, frozenset[str]]:
    """One side of --compare: a model's name, or "key=value,key=value" on top of `cfg`; and the keys it sets.

    Raises:
        ConfigError: naming the key.
    """
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
