"""What only a run can tell of an imported model: whether its heads change, and count pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core.errors import ModelError
from edgepose.core.poses import Heads, HeadSpec
from edgepose.engine.manifest import Manifest

NORMALISED_END = 8.0
"""Coordinates of 0..1 stay below it, those of anchors that see nobody too; pixels do not."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a trial found."""

    options: Mapping[str, Any]
    """Of the decoder, measured: they replace what was guessed."""
    warnings: tuple[str, ...] = ()


def judge(where: str, manifest: Manifest, specs: Mapping[str, HeadSpec], runs: Sequence[Heads]) -> Trial:
    """Look at the heads of several pictures.

    where  the file, for messages
    runs   raw heads without batch axis, of at least two different pictures

    Raises:
        ModelError: heads hold one value and nothing else.
    """
    if all(np.ptp(np.asarray(heads[role]).astype(np.float64)) == 0 for heads in runs for role in specs):
        raise ModelError(
            f"{where}: its heads hold one value and nothing else on every trial picture; "
            "a wrong quantisation range does that: quantise it anew"
        )
    same = all(np.array_equal(runs[0][role], heads[role]) for heads in runs[1:] for role in specs)
    warnings = (
        ("its heads are the same for different pictures: it will show the same people everywhere",) if same else ()
    )
    options = manifest.decoder.options
    measured = _yolo(options, len(manifest.joints.joints), specs, runs) if manifest.decoder.name == "yolo_pose" else {}
    return Trial({key: value for key, value in measured.items() if options.get(key) != value}, warnings)


def _yolo(
    options: Mapping[str, Any], joints: int, specs: Mapping[str, HeadSpec], runs: Sequence[Heads]
) -> dict[str, Any]:
    """What YOLO-pose heads count in: pixels or parts of the input, likelihoods or what a sigmoid makes them of."""
    if "pose" in specs:
        return _yolo_units(options, joints, specs["pose"], runs)
    if "boxes" in specs and "keypoints" in specs:
        box, joint = (np.concatenate([_real(heads[role], specs[role]) for heads in runs])
                      for role in ("boxes", "keypoints"))  # fmt: skip
        return {"units": _unit(joint), "box_units": _unit(box)}
    scores = [_real(heads[role], specs[role]) for heads in runs for role in specs if role.startswith("scores")]
    if not scores:
        return {}
    return {"score_logits": not all(score.min() >= 0 and score.max() <= 1 for score in scores)}


def _yolo_units(options: Mapping[str, Any], joints: int, spec: HeadSpec, runs: Sequence[Heads]) -> dict[str, str]:
    """Whether boxes and joints of YOLO-pose count pixels: each for itself, for exports differ."""
    rows = np.concatenate([_rows(np.asarray(heads["pose"]), spec) for heads in runs])
    values = options.get("joint_values", 3)
    xy = rows[:, -joints * values :].reshape(len(rows), joints, values)[..., :2]
    return {"units": _unit(xy), "box_units": _unit(rows[:, :4])}


def _rows(head: NDArray[Any], spec: HeadSpec) -> NDArray[np.float64]:
    """(N, C) real values, an anchor a row."""
    real = _real(head, spec)
    return real if spec.shape[0] > spec.shape[1] else real.T


def _real(head: NDArray[Any], spec: HeadSpec) -> NDArray[np.float64]:
    real: NDArray[np.float64] = (np.asarray(head).astype(np.float64) - spec.zero_point) * spec.scale
    return real


def _unit(coordinates: NDArray[np.float64]) -> str:
    return "pixels" if np.abs(coordinates).max() > NORMALISED_END else "normalised"
