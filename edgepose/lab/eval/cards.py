"""Pictures of people for the report: what was annotated, and what was told."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import lru_cache
from html import escape

import numpy as np
from numpy.typing import NDArray

from edgepose.core.errors import SourceError
from edgepose.core.opencv import cv2
from edgepose.core.poses import Skeleton
from edgepose.lab.eval.find import read_image
from edgepose.lab.eval.measure import LEAST_JOINTS, RIGHT, Case, Measured
from edgepose.lab.eval.truth import Picture

SHOWN = 8
"""People of a kind."""
ROOM = 0.3
"""Of a person's size, shown on each side."""
CARD_WH = 300, 300
"""Pixels of a card's picture."""
SHARPER = 1.5
"""Pixels in the file per pixel of the card."""
QUALITY = 80


def best(measured: Measured) -> list[Case]:
    """The people who were found best, those with few labelled joints last."""
    found = [case for case in measured.people if case.xy is not None and case.oks >= RIGHT]
    return sorted(found, key=lambda case: (_few(case), -case.oks))[:SHOWN]


def worst(measured: Measured) -> list[Case]:
    """The people whose poses fit worst, of those that have one; none that is shown as a best one."""
    shown = {id(case) for case in best(measured)}
    found = [case for case in measured.people if case.xy is not None and id(case) not in shown]
    return sorted(found, key=lambda case: (_few(case), case.oks))[:SHOWN]


def missed(measured: Measured) -> list[Case]:
    """The largest people that no pose was reported of."""
    lost = [case for case in measured.people if case.xy is None]
    return sorted(lost, key=lambda case: -(case.person.area if case.person else 0))[:SHOWN]


def false(measured: Measured) -> list[Case]:
    """The surest poses where nobody is."""
    return measured.false[:SHOWN]


def gains(a: Measured, b: Measured) -> list[tuple[Case, Case]]:
    """The same people in two runs where their OKS differs most, the largest gains of B first, then its losses."""
    both = list(zip(a.people, b.people, strict=True))
    both = [pair for pair in both if abs(pair[1].oks - pair[0].oks) > 0.1]
    ordered = sorted(both, key=lambda pair: pair[0].oks - pair[1].oks)
    up = [pair for pair in ordered if pair[1].oks > pair[0].oks][: SHOWN // 2]
    down = [pair for pair in ordered[::-1] if pair[1].oks < pair[0].oks][: SHOWN // 2]
    return [*up, *down]


def _few(case: Case) -> bool:
    return case.person is not None and int(case.person.labelled.sum()) < LEAST_JOINTS


def card(case: Case, skeleton: Skeleton, side: str = "a", beside: Case | None = None) -> str:
    """One person: the part of the picture around, the annotation dashed, the pose on top.

    side    "a" or "b": whose colour the pose has
    beside  another pose of the same person: both cards show the same part
    """
    try:
        image = _image(case.picture)
    except SourceError as error:
        return f'<figure class="card"><figcaption>{escape(str(error))}</figcaption></figure>'
    left, top, size = _view([case] if beside is None else [case, beside], (image.shape[1], image.shape[0]))
    scale = CARD_WH[0] / size
    parts = [
        f'<svg viewBox="0 0 {CARD_WH[0]} {CARD_WH[1]}" xmlns="http://www.w3.org/2000/svg">',
        _picture(image, left, top, size),
    ]
    origin = np.array([left, top])
    if case.person is not None:
        x, y = (np.array(case.person.box_xywh[:2]) - origin) * scale
        width, height = np.array(case.person.box_xywh[2:]) * scale
        parts.append(f'<rect class="box" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>')
        parts.append(_pose((case.person.xy - origin) * scale, skeleton, "truth"))
    if case.xy is not None:
        parts.append(_pose((case.xy - origin) * scale, skeleton, f"pose {side}"))
    reported = f"<b>score {case.score:.2f}</b>"
    if case.person is not None:
        wide, high = case.person.box_xywh[2:]
        missing = f"<b>missed</b> {wide:.0f} x {high:.0f} px"
        reported = missing if case.xy is None else f"<b>OKS {case.oks:.2f}</b> score {case.score:.2f}"
    name = escape(case.picture.name)
    return (
        f'<figure class="card">{"".join(parts)}</svg>'
        f'<figcaption>{reported}<span class="file" title="{name}">{name}</span></figcaption></figure>'
    )


def _view(cases: Sequence[Case], size_wh: tuple[int, int]) -> tuple[float, float, float]:
    """Left, top and side of the square shown."""
    points: list[list[float]] = []
    for case in cases:
        if case.person is not None:
            x, y, width, height = case.person.box_xywh
            points += [[x, y], [x + width, y + height]]
        if case.xy is not None:
            points += np.clip(case.xy[np.isfinite(case.xy).all(axis=1)], (0, 0), size_wh).tolist()
    low, high = np.min(points, axis=0), np.max(points, axis=0)
    extent = float((high - low).max())
    side = max(extent * (1 + 2 * ROOM), 48.0)
    side = min(side, max(extent * 1.04, float(min(size_wh))))  # rather less room than bars beside the picture
    middle = (low + high) / 2
    corner = middle - side / 2
    for axis in (0, 1):
        if side <= size_wh[axis]:
            corner[axis] = np.clip(corner[axis], 0, size_wh[axis] - side)
        else:
            corner[axis] = (size_wh[axis] - side) / 2
    return float(corner[0]), float(corner[1]), side


def _pose(xy: NDArray[np.float64], skeleton: Skeleton, kind: str) -> str:
    there: NDArray[np.bool_] = np.asarray(np.isfinite(xy).all(axis=1))
    lines = "".join(
        f'<line x1="{xy[a, 0]:.1f}" y1="{xy[a, 1]:.1f}" x2="{xy[b, 0]:.1f}" y2="{xy[b, 1]:.1f}"/>'
        for a, b in skeleton.bones
        if there[a] and there[b]
    )
    dots = "".join(
        f'<circle cx="{xy[joint, 0]:.1f}" cy="{xy[joint, 1]:.1f}" r="{3 if kind == "truth" else 3.4}">'
        f"<title>{escape(skeleton.joints[joint])}</title></circle>"
        for joint in np.flatnonzero(there)
    )
    # a dark rim below keeps both apart from any picture
    rim = f'<g class="rim">{lines}</g>' if kind != "truth" else ""
    return f'{rim}<g class="{kind}">{lines}{dots}</g>'


@lru_cache(maxsize=8)
def _image(picture: Picture) -> NDArray[np.uint8]:
    return read_image(picture)[0]


def _picture(image: NDArray[np.uint8], left: float, top: float, side: float) -> str:
    """The part of the square that the picture fills, in place."""
    height, width = image.shape[:2]
    x0, y0 = max(0, int(left)), max(0, int(top))
    x1, y1 = min(width, int(np.ceil(left + side))), min(height, int(np.ceil(top + side)))
    part = image[y0:y1, x0:x1]
    scale = CARD_WH[0] / side
    shrink = min(1.0, scale * SHARPER)
    if not part.size:
        return ""
    if shrink < 1:
        size = max(1, round(part.shape[1] * shrink)), max(1, round(part.shape[0] * shrink))
        part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
    done, data = cv2.imencode(".jpg", part, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
    address = f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}" if done else ""
    return (
        f'<image href="{address}" x="{(x0 - left) * scale:.2f}" y="{(y0 - top) * scale:.2f}" '
        f'width="{(x1 - x0) * scale:.2f}" height="{(y1 - y0) * scale:.2f}" preserveAspectRatio="none"/>'
    )


def cards(cases: Sequence[Case], skeleton: Skeleton, side: str = "a") -> str:
    """A wall of them."""
    return f'<div class="wall">{"".join(card(case, skeleton, side) for case in cases)}</div>'
