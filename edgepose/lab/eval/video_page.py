"""The report of a video: one HTML file."""

from __future__ import annotations

import base64
from html import escape

import numpy as np

from edgepose.core import config
from edgepose.core.opencv import cv2
from edgepose.core.poses import Poses
from edgepose.lab.eval.video import MEANINGS
from edgepose.lab.eval.watch import STILLS, Watched, still
from edgepose.lab.page import document, folded, header, panel, section, tile, tiles, value
from edgepose.sink.draw import colour_of, draw

TILES = (
    ("tracks", "identities", "", ""),
    ("switches", "switches", "", "somebody got another identity"),
    ("fragmentations", "fragmentations", "", "followed, not, and again"),
    ("mota", "MOTA", "", "1 - all errors / people"),
    ("mean_oks", "mean OKS", "", "of people followed"),
    ("people_per_frame", "people", "", "reported a frame"),
    ("jitter_px", "jitter", "px", "of joints at rest"),
    ("lag_ms", "lag", "ms", "added by smoothing"),
    ("lag_truth_ms", "lag", "ms", "behind the truth"),
    ("invokes_per_frame", "inferences", "", "a frame"),
    ("ms_per_frame", "time", "ms", "a frame, median"),
)
"""Metric, what it is called here, its unit, what it is."""

LINES = 40
"""Identities on the timeline."""
QUALITY = 82


def page(watched: Watched, command: str) -> str:
    """Identities over time, pictures, all numbers, how it was made."""
    numbers = watched.numbers
    listed = [
        tile(name, value(_number(number), unit), _note(watched, key, note), "first" if key == "tracks" else "")
        for key, name, unit, note in TILES
        if (number := numbers[key]) is not None
    ]
    rows = "".join(
        f'<tr><td><code>{key}</code></td><td class="n">{number:.4g}</td><td class="m">{escape(MEANINGS[key])}</td></tr>'
        for key, number in numbers.items()
        if number is not None
    )
    made = f"<pre>{escape(command)}</pre>{folded('All settings', config.to_toml(watched.cfg))}"
    seen = f"{numbers['frames']:.0f} frames, {numbers['seconds']:.1f} s"
    body = [
        header("Poses in a video", escape(watched.name), [escape(watched.described), seen]),
        tiles(listed, "few"),
        section(
            "Who was there when",
            "A line for each identity, with gaps where it was not reported; below, how many people at a time.",
            panel(timeline(watched)),
        ),
        section("Frames", "Evenly spread; colour and number are the identity.", _stills(watched)),
        section("All numbers", "", panel(f"<table>{rows}</table>")),
        section("How it was made", "", made),
    ]
    return document(f"{watched.name}: poses in a video", "".join(body))


def _number(number: float) -> str:
    if float(number).is_integer():
        return f"{number:.0f}"
    return f"{number:.3f}" if abs(number) < 1 else f"{number:.1f}"


def _note(watched: Watched, key: str, note: str) -> str:
    numbers = watched.numbers
    if key == "jitter_px" and numbers["jitter_px_unsmoothed"]:
        note += f", {numbers['jitter_px_unsmoothed']:.2f} before smoothing"
    if key == "tracks":
        note = f"{numbers['short_tracks']:.0f} shorter than a second"
    return note


def colour(identity: int) -> str:
    """That of the identity on the pictures."""
    blue, green, red = colour_of(identity)
    return f"rgb({red},{green},{blue})"


def timeline(watched: Watched) -> str:
    """A line for each identity over the seconds of the video, marks where the truth says it went wrong, and a count."""
    tracks = list(watched.tracks.items())[:LINES]
    left, wide, row, tall = 60, 900, 22, 56
    start, end = watched.reported[0].t, max(watched.reported[-1].t, watched.reported[0].t + 1e-6)
    events = [] if watched.film is None else watched.film.events
    under = row * len(tracks) + (18 if events else 0)

    def x(t: float) -> float:
        return left + (t - start) / (end - start) * wide

    parts = [
        f'<svg viewBox="0 0 {left + wide + 30} {under + tall + 46}" role="img" aria-label="identities over time" '
        'xmlns="http://www.w3.org/2000/svg">'
    ]
    for index, (identity, track) in enumerate(tracks):
        y = index * row + row / 2
        parts.append(f'<text x="{left - 10}" y="{y + 4}" text-anchor="end">#{identity}</text>')
        parts.append(f'<line class="grid" x1="{left}" y1="{y}" x2="{left + wide}" y2="{y}"/>')
        for begin, stop in track.intervals:
            parts.append(
                f'<rect x="{x(begin):.1f}" y="{y - 6}" width="{max(2.0, x(stop) - x(begin)):.1f}" height="12" rx="4" '
                f'fill="{colour(identity)}"><title>#{identity}: {begin:.2f} to {stop:.2f} s</title></rect>'
            )
    for t, identity, kind in events:
        at = "bad" if kind == "switch" else "soft"
        parts.append(
            f'<circle cx="{x(t):.1f}" cy="{under - 8}" r="4.5" style="fill: var(--{at})">'
            f"<title>{kind} of person {identity} of the truth at {t:.2f} s</title></circle>"
        )
    most = max(1, int(watched.people.max(initial=1)))
    base = under + tall + 14
    points = [f"{x(poses.t):.1f},{base - tall * count / most:.1f}" for poses, count in _steps(watched)]
    parts.append(
        f'<polygon points="{left},{base} {" ".join(points)} {left + wide},{base}" '
        'style="fill: var(--a); opacity: .35"/>'
    )
    parts.append(f'<text class="tick" x="{left - 10}" y="{base - tall + 5}" text-anchor="end">{most}</text>')
    parts.append(f'<text class="tick" x="{left - 10}" y="{base}" text-anchor="end">0</text>')
    parts += [
        f'<text class="tick" x="{x(tick):.1f}" y="{base + 20}" text-anchor="middle">{tick:.1f} s</text>'
        for tick in np.linspace(start, end, 6).tolist()
    ]
    return "".join([*parts, "</svg>"])


def _steps(watched: Watched) -> list[tuple[Poses, int]]:
    """Frames with their count of people, at most a thousand."""
    every = max(1, len(watched.reported) // 1000)
    return [(watched.reported[index], int(watched.people[index])) for index in range(0, len(watched.reported), every)]


def _stills(watched: Watched) -> str:
    numbers = sorted(watched.stills)
    known = {poses.seq for poses in watched.reported}
    numbers = [seq for seq in numbers if seq in known]
    spread = np.linspace(0, len(numbers) - 1, min(STILLS, len(numbers)))
    chosen = [numbers[round(at)] for at in spread.tolist()]
    figures = []
    for seq in chosen:
        image, poses = still(watched, seq)
        done, data = cv2.imencode(".jpg", draw(image, poses), (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
        if done:
            address = f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
            figures.append(
                f'<figure class="card"><img src="{address}" alt="frame {seq}"><figcaption><b>{poses.t:.1f} s</b>'
                f"frame {seq}, {len(poses)} in view</figcaption></figure>"
            )
    return f'<div class="wall film">{"".join(figures)}</div>'
