"""Makes models/lift/: the network, the exemplars, their manifests, and what both measure on people never seen."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lifter import measure
from lifter.network import Lifter
from lifter.skeleton import DATA, HELD_OUT, SIZE_M, load
from lifter.train import BATCH, SEED, STEPS
from lifter.views import make
from lifter.write import tflite

VIEWS, LIBRARY_SEED = 10_000, 3
STEP = 1 / 48
"""Of the exemplars' int8 joints: +-2.6 spreads."""


def network_of(weights: Path) -> Lifter:
    """The trained network, ready to be used."""
    network = Lifter()
    network.load_state_dict(torch.load(weights))
    return network.eval()


def write_mlp(weights: Path, folder: Path) -> None:
    """mlp.tflite and its manifest."""
    network = network_of(weights)
    content = tflite(network)
    (folder / "mlp.tflite").write_bytes(content)
    told = {
        "what": "lifts 17 joints of one person to metres",
        "file": "mlp.tflite",
        "sha256": hashlib.sha256(content).hexdigest(),
        "skeleton": "coco17",
        "inputs": "(1, 55): x, y, score of each joint, centred, in spreads; log of 8 spreads; down x, y, z or 0",
        "outputs": "(1, 51) metres from the mid hip, x right, y down, z away; (1, 34) log sigma across, along the view",
        "canonical_m": SIZE_M,
        "made": f"tools/train_lifter: {STEPS} steps of {BATCH}, seed {SEED}; int8 weights, float activations",
        **_data(),
        **{f"error_{name}_mm": numbers for name, numbers in _measured(network).items()},
    }
    (folder / "mlp.toml").write_text(_toml(told), encoding="utf-8")


def write_exemplars(folder: Path) -> None:
    """exemplar.npz and its manifest: views of mocap poses, their normalised 2D in int8 and their 3D in float16."""
    mocap, draw = load(held_out=False), np.random.default_rng(LIBRARY_SEED)
    random = torch.Generator().manual_seed(LIBRARY_SEED)
    chosen = draw.choice(len(mocap.joints), VIEWS, p=mocap.weight)
    views = make(mocap.joints[chosen], random, noise=0.0, gravity=0.0)
    pose = np.round(views.xy[..., :2].numpy() / STEP).clip(-127, 127).astype(np.int8)
    content = io.BytesIO()
    np.savez_compressed(content, pose=pose, xyz=views.y.numpy().astype(np.float16), step=np.float32(STEP))
    (folder / "exemplar.npz").write_bytes(content.getvalue())
    told = {
        "what": "views of known poses: the nearest ones say what is behind a 2D pose",
        "file": "exemplar.npz",
        "sha256": hashlib.sha256(content.getvalue()).hexdigest(),
        "skeleton": "coco17",
        "views": VIEWS,
        "canonical_m": SIZE_M,
        "made": f"tools/train_lifter: seed {LIBRARY_SEED}",
        **_data(),
    }
    (folder / "exemplar.toml").write_text(_toml(told), encoding="utf-8")


def _data() -> dict[str, Any]:
    return {
        "data": f"CMU Graphics Lab Motion Capture Database, {DATA.name}, without subjects {', '.join(HELD_OUT)}",
        "licence": "the weights are edgepose's, Apache-2.0; CMU's data is free to use, funded by NSF EIA-0196217",
    }


def _measured(network: Lifter) -> dict[str, dict[str, float]]:
    rows = {"clean": (0.0, 0.0), "noisy": (1.0, 0.0), "noisy_down_known": (1.0, 1.0)}
    return {name: _row(network, *row) for name, row in rows.items()}


def _row(network: Lifter, noise: float, gravity: float) -> dict[str, float]:
    views = measure.held_out(noise, gravity)
    with torch.no_grad():
        places, log_sigma = network(views.x)
    found, truth = (each.numpy().astype(np.float64) for each in (places, views.y))
    sigma: NDArray[np.float64] = log_sigma.exp().numpy().astype(np.float64)
    errors = {name: round(value, 1) for name, value in measure.errors(found, truth).items()}
    return errors | {name: round(value, 2) for name, value in measure.sigmas(found, sigma, truth).items()}


def _toml(table: dict[str, Any]) -> str:
    lines = ["# Made by tools/train_lifter: change the recipe there, not this file."]
    for key, value in table.items():
        if isinstance(value, dict):
            lines.append(f"{key} = {{ {', '.join(f'{name} = {number}' for name, number in value.items())} }}")
        else:
            lines.append(f"{key} = {json.dumps(value)}")
    return "\n".join(lines) + "\n"
