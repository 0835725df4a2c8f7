"""The report: one HTML file with everything in it, for a screen of any colour and for paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from edgepose.core import config
from edgepose.lab.eval import cards, charts
from edgepose.lab.eval.compare import DRAWS, LESS_IS_BETTER, SURE, Difference
from edgepose.lab.eval.measure import MEANINGS, NEAR, RIGHT
from edgepose.lab.page import document, folded, header, panel, section, tile, tiles, value

if TYPE_CHECKING:
    from edgepose.lab.eval.run import Run

TILES = (
    ("AP", "average precision", "COCO, OKS .50 to .95"),
    ("AP50", "AP at OKS .50", "roughly the right pose"),
    ("AR", "average recall", "with 20 candidates a picture"),
    ("mean_oks", "mean OKS", "of people with 8 joints or more"),
    ("pck", f"PCK @ {NEAR}", "joints within a fifth of the torso"),
    ("precision", "precision", f"of reported poses, at OKS {RIGHT}"),
    ("recall", "recall", f"of people, at OKS {RIGHT}"),
    ("false_people_per_empty", "false people", "a picture without people"),
    ("ece", "calibration error", "of the person score"),
    ("ms_per_picture", "time", "median of a picture"),
)
"""Metric, what it is called here, what it is."""


def page(runs: Sequence[Run], apart: Mapping[str, Difference], command: str) -> str:
    """The report of one run, or of two side by side."""
    first = runs[0]
    parts = [_head(runs), _tiles(runs, apart)]
    if len(runs) == 2:
        parts.append(
            section(
                "What differs",
                f"B minus A; the line holds {SURE:.0%} of {DRAWS} draws of the pictures with replacement, the same for "
                "both. "
                "Green and red lie on one side of zero; grey may be chance.",
                panel(charts.forest(apart)),
            )
        )
    parts.append(_joints_and_scores(runs))
    parts += _people(runs)
    spent = charts.times([run.measured.ms_of for run in runs])
    parts.append(section("Speed", _speed(runs), panel(spent) if spent else ""))
    parts.append(section("All numbers", "", panel(_table(runs))))
    notes = [*first.notes]
    if first.truth.missing:
        notes.insert(0, f"{len(first.truth.missing)} pictures were not there: {', '.join(first.truth.missing[:20])}")
    if first.truth.absent:
        notes.insert(0, f"Joints that nobody is asked for, as a model lacks them: {', '.join(first.truth.absent)}")
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes)
    parts.append(
        section(
            "How it was made", "",
            f"<pre>{escape(command)}</pre>{_settings(runs)}" + (f'<ul class="notes">{listed}</ul>' if notes else ""),
        )
    )  # fmt: skip
    return document(" and ".join(run.name for run in runs) + ": evaluation", "".join(parts))


def _head(runs: Sequence[Run]) -> str:
    counts = runs[0].measured.counts
    names = " <small>and</small> ".join(
        _key(side, runs) + escape(run.name) for side, run in zip(charts.SIDES, runs, strict=False)
    )
    lines = [escape(run.described) for run in runs]
    lines.append(
        f"{counts['pictures']} pictures, {counts['people']} people, {counts['pictures_empty']} pictures without anybody"
    )
    return header("Pose evaluation", names, lines)


def _key(side: str, runs: Sequence[Run]) -> str:
    """The colour of one of two runs."""
    return f'<span class="key {side}"></span>' if len(runs) > 1 else ""


def number(key: str, measured: float | None) -> str:
    """A metric as it is shown."""
    if measured is None:
        return "&ndash;"
    if key in ("precision", "recall"):
        return f"{measured * 100:.0f}<small> %</small>"
    if key.startswith("ms"):
        return f"{measured:.1f}<small> ms</small>"
    if measured == 0:
        return "0"
    return f"{measured:.3f}".replace("0.", ".", 1) if abs(measured) < 1 else f"{measured:.2f}"


def _tiles(runs: Sequence[Run], apart: Mapping[str, Difference]) -> str:
    listed = []
    for key, name, note in TILES:
        values = [run.measured.numbers[key] for run in runs]
        if all(each is None for each in values):
            continue
        shown = "".join(
            value(_key(side, runs) + number(key, measured))
            for side, measured in zip(charts.SIDES, values, strict=False)
        )
        if len(runs) > 1:
            shown = f'<div class="pair">{shown}</div>'
            one = apart.get(key)
            if one and one.sure:
                better = (one.b > one.a) != (key in LESS_IS_BETTER)
                note = f"{'B' if better else 'A'} is better; {note}"
        listed.append(tile(name, shown, note, "first" if key == "AP" else ""))
    return tiles(listed)


def _joints_and_scores(runs: Sequence[Run]) -> str:
    joints = section(
        "Joints",
        f"Share within {NEAR} of the torso's diagonal, missed people included; the median error is of people found.",
        charts.bars([run.measured.joints for run in runs]),
    )
    rows = [run.measured.reliability for run in runs]
    curve = section(
        "Can the score be trusted?",
        f"Candidates by score, and how many of them are right at OKS {RIGHT}. "
        "On the dashed line a score means what it says.",
        charts.reliability(rows),
    )
    right = panel(curve) if any(rows) else ""
    return f'<section class="panels">{panel(joints)}{right}</section>'


def _people(runs: Sequence[Run]) -> list[str]:
    skeleton = runs[0].truth.skeleton
    if len(runs) == 2:
        pairs = cards.gains(runs[0].measured, runs[1].measured)
        duos = "".join(
            f'<div class="duo">{cards.card(a, skeleton, "a", b)}{cards.card(b, skeleton, "b", a)}</div>'
            for a, b in pairs
        )
        shown = (
            f'<div class="wall wide">{duos}</div>' if duos else '<p class="none">Both say the same of everybody.</p>'
        )
        return [section("Where they differ most", "A on the left, B on the right; dotted: annotated.", shown)]
    measured = runs[0].measured
    kinds = (
        ("Best", "Dotted white is what was annotated, the coloured lines are what was reported.", cards.best(measured)),
        ("Worst", "People with a pose that fits them badly.", cards.worst(measured)),
        ("Missed", "The largest people that no pose was reported of.", cards.missed(measured)),
        ("False", "The surest poses where nobody was annotated.", cards.false(measured)),
    )
    return [
        section(title, lead, cards.cards(cases, skeleton) if cases else '<p class="none">None.</p>')
        for title, lead, cases in kinds
    ]


def _speed(runs: Sequence[Run]) -> str:
    lines = []
    for side, run in zip(charts.SIDES, runs, strict=False):
        numbers = run.measured.numbers
        if numbers["ms_per_picture"] is None:
            continue
        lines.append(
            f"{_key(side, runs)}{numbers['ms_per_picture']:.1f} ms a picture (median, reading it not counted), "
            f"{numbers['pictures_per_s']:.1f} pictures a second, {numbers['invokes_per_picture']:.2f} inferences each"
        )
    return "<br>".join(lines)


def _table(runs: Sequence[Run]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in ("metric", *(run.name for run in runs), "meaning"))
    rows = []
    for key, meaning in MEANINGS.items():
        values = [run.measured.numbers[key] for run in runs]
        if all(each is None for each in values):
            continue
        cells = "".join(f'<td class="n">{"&ndash;" if each is None else f"{each:.4g}"}</td>' for each in values)
        rows.append(f'<tr><td><code>{key}</code></td>{cells}<td class="m">{escape(meaning)}</td></tr>')
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _settings(runs: Sequence[Run]) -> str:
    return "".join(folded(f"All settings of {run.name}", config.to_toml(run.cfg)) for run in runs)
