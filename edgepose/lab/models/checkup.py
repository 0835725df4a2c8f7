"""`edgepose models quantize` and `checkup`: a model made int8, and what an int8 model lost, for anybody to read."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgepose.core import config, places
from edgepose.core.errors import ModelError
from edgepose.core.oks import oks
from edgepose.core.poses import Poses
from edgepose.engine import Engine
from edgepose.engine.quantize import Finding, Layer, Tape, compare, findings_alone, make_int8
from edgepose.engine.quantize.tape import raw_of
from edgepose.estimate.decode import open_decoder, sees_one
from edgepose.lab.models.views import Bundle, View, changed, opened, read_bundle, read_pictures, views_of, written
from edgepose.lab.output import say

LOOKED_AT = 16
"""Views that both models are compared on."""
SHOWN = 8
FEW = 20
TIMED = 20
WORRYING = 0.05
"""Relative error of a head from which poses suffer."""


def quantize(names: Sequence[str], name: str, to: str, folder: str) -> int:
    """Make a float model int8, calibrated on pictures, and check it."""
    path = _one(names, "quantize")
    frames, exact = read_pictures(folder), read_bundle(path)
    with opened(exact) as engine:
        views = views_of(engine, frames, _one_person(engine))
    half = max(1, len(views) // 2) if len(views) > 1 else 1
    calibration, held_out = views[:half], views[half:] or views
    if len(views) < FEW:
        say(f"warning   {len(views)} views of people or pictures: twenty or more are needed for ranges that hold")
    content = make_int8(exact.content, str(path), [view.real for view in calibration], exact.span)
    made = changed(exact, content, name or f"{exact.table['name']}_int8", "edgepose models quantize")
    target = places.at_home(to) if to else places.models()
    target.mkdir(parents=True, exist_ok=True)
    if (target / made.table["file"]).exists():
        raise ModelError(f"{target / made.table['file']}: is there already; give another --name, or remove it")
    manifest = written(made, target)
    say(f"wrote {target / made.table['file']}, {len(content)} bytes ({len(exact.content)} before), and {manifest.name}")
    report(exact, made, held_out)
    return 0


def checkup(names: Sequence[str], folder: str) -> int:
    """Compare an int8 model with the float one it was made of; of one file alone what can be said without."""
    if len(names) not in (1, 2):
        raise ModelError("checkup which files? edgepose models checkup INT8.tflite [FLOAT.tflite] --pictures DIR")
    bundles = [read_bundle(places.at_home(name)) for name in names]
    frames = read_pictures(folder)
    bundles.sort(key=lambda bundle: bundle.table["input"]["dtype"] != "float32")
    with opened(bundles[0]) as engine:
        views = views_of(engine, frames, _one_person(engine))
    if len(bundles) == 2:
        report(bundles[0], bundles[1], views)
        return 0
    tape = Tape(bundles[0].content, names[0])
    _say_findings(findings_alone(tape, [view.real for view in views[:LOOKED_AT]]))
    say("compared with nothing: give the float model too for losses and poses")
    return 0


def report(exact: Bundle, made: Bundle, views: Sequence[View]) -> None:
    """Print what was lost, where, why, and what to do."""
    pictures = [view.real for view in views[:LOOKED_AT]]
    layers, findings = compare(
        Tape(exact.content, exact.table["file"]), Tape(made.content, made.table["file"]), pictures
    )
    _say_layers(layers)
    _say_findings(findings)
    with opened(exact) as before, opened(made) as after:
        alike = agreement(before, after, views)
        slow, fast = times(before, after, views[0])
    if len(alike):
        right = float((alike >= 0.9).mean())
        say(f"poses     OKS {alike.mean():.3f} with the float model's in {len(alike)} views; {right:.0%} above .9")
    else:
        say("poses     the float model shows nobody on these pictures: nothing to compare")
    say(f"time      {slow:.1f} ms before, {fast:.1f} ms after: {slow / fast:.1f} times as fast, here and now")


def agreement(before: Engine, after: Engine, views: Sequence[View]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """OKS of each person that the float model shows with the one of the other model that is most like it."""
    alike = []
    for view in views:
        want, got = _poses(before, view, None), _poses(after, view, 0.0)
        sigmas = np.array(want.skeleton.sigmas, np.float32)
        for xy in want.xy:
            known = ~np.isnan(xy[:, 0])
            if known.sum() >= 3:
                alike.append(_best(xy, got, sigmas, known))
    return np.array(alike, np.float64)


def _best(
    xy: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    got: Poses,
    sigmas: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    known: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
) -> float:
    """Similarity over the joints of `xy` (K, 2): one that the other model has not counts 0."""
    shares = [float((known & ~np.isnan(other[:, 0])).sum() / known.sum()) for other in got.xy]
    each = oks(xy, got.xy, sigmas) if len(got) else np.zeros(0)
    return max((float(one) * share for one, share in zip(each, shares, strict=True)), default=0.0)


def _poses(engine: Engine, view: View, least_joint: float | None) -> Poses:
    manifest = engine.manifest
    one = _one_person(engine)
    least = 0.0 if one else None
    limits = config.Decode(max_people=1 if one else 20, min_person_score=least, min_joint_score=least_joint)
    decode = open_decoder(
        manifest.name, manifest.decoder.name, manifest.decoder.options, manifest.joints, engine.heads, limits
    )
    return decode(engine.run(_tensor(engine, view)), view.crop, view.frame)


def _tensor(engine: Engine, view: View) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    spec, wants = engine.input.tensor, engine.manifest.input
    low, high = wants.range
    byte = np.round((view.real - low) / (high - low) * 255)
    if spec.dtype.kind == "f":
        return view.real.astype(spec.dtype)
    return raw_of(byte.astype(np.float32), str(spec.dtype), 1.0, -128 if spec.dtype == np.int8 else 0)


def times(before: Engine, after: Engine, view: View) -> tuple[float, float]:
    """Milliseconds of a run of each, in turns, the fastest of several: other work only ever adds."""
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(TIMED):
        for engine, row in zip((before, after), took, strict=True):
            tensor = _tensor(engine, view)
            began = time.perf_counter()
            engine.run(tensor)
            row.append((time.perf_counter() - began) * 1e3)
    return min(took[0]), min(took[1])


def _say_layers(layers: Sequence[Layer]) -> None:
    for layer in layers:
        if layer.is_head:
            fine = "good" if layer.loss < WORRYING else "poses may suffer" if layer.loss < 0.3 else "broken"
            say(f"head      {layer.name}: error {layer.loss:.1%} of its spread: {fine}")
    worst = sorted(layers, key=lambda layer: -layer.added)[:SHOWN]
    say(f"layers    {len(layers)} compared; where most is lost:")
    for layer in worst:
        say(f"  {layer.added:6.1%} of {layer.loss:6.1%}  {layer.operator} {layer.name[-70:]}")


def _say_findings(findings: Sequence[Finding]) -> None:
    for found in findings[:SHOWN]:
        say(f"{found.cause}: {found.tensor[-70:]} {found.detail}")
        say(f"  {found.advice}")
    if not findings:
        say("causes    none found")


def _one_person(engine: Engine) -> bool:
    return sees_one(engine.manifest.decoder.name, engine.manifest.decoder.options, 1)


def _one(names: Sequence[str], action: str) -> Path:
    if len(names) != 1:
        raise ModelError(f"{action} which file? edgepose models {action} FILE.tflite --pictures DIR")
    return places.at_home(names[0])
