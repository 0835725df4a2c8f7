"""Golden answers: what the original graphs say about two photographs, run with TensorFlow.js as they came."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from models_build.build import Builder
from models_build.convert import ROOT
from models_build.environment import BuildError, install_npm, say
from models_build.pictures import read_picture
from models_build.recipes import MULTI_HEADS, RECIPES, STRIDE, Recipe
from models_build.tfjs import read_graph
from models_build.tflite import output_name
from samples.reference_movenet import read_multi, read_single

TFJS = ("@tensorflow/tfjs-core@4.22.0", "@tensorflow/tfjs-backend-cpu@4.22.0", "@tensorflow/tfjs-converter@4.22.0")
SCRIPT = Path(__file__).with_name("original.mjs")

PROBABILITY_STEP = 2.0**-15
"""Center and heatmap are kept to this."""

FAR_STEP = 2.0**-3
"""Cells; regress and offset are kept to this where the original graph does not read them."""

HEAD_TOLERANCE = {
    "center": 1e-4,
    "heatmap": 1e-4,
    "regress": 5e-3,
    "offset": 2e-3,
    "box_scale": 5e-3,
    "box_offset": 1e-3,
}
"""How far our float graph may be from the original's node: in probability, else in cells."""

ANSWER_TOLERANCE_PX = 0.1
"""How far a joint may be from the original's answer."""

SEEN = 0.01
"""Score above which a joint is compared: below, any cell is as good as another."""

Heads = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Golden:
    """One file: a recipe's checkpoint on pictures side by side at an input size."""

    name: str
    recipe: str
    pictures: tuple[str, ...]
    input_hw: tuple[int, int]

    kept: bool = True
    """Written to tests/golden; the others only hold our float graph against the original."""

    @property
    def file(self) -> str:
        """Name in tests/golden."""
        return f"movenet_float_{self.name}.npz"


GOLDENS = (
    Golden("single_astronaut", "movenet_lightning_192", ("astronaut.png",), (192, 192)),
    Golden("single_camera", "movenet_lightning_192", ("camera.png",), (192, 192)),
    Golden("multi_both", "movenet_multipose_256x256", ("astronaut.png", "camera.png"), (96, 128)),
    Golden("multi_low", "movenet_multipose_256x256", ("camera.png", "astronaut.png"), (192, 256), kept=False),
    Golden("multi_square", "movenet_multipose_256x256", ("astronaut.png",), (256, 256), kept=False),
    Golden("thunder", "movenet_thunder_256", ("camera.png",), (256, 256), kept=False),
)


def write_goldens(builder: Builder, folder: Path, cache: Path) -> None:
    """Run each golden's original graph, hold our float graph against it, and write what it said.

    Raises:
        BuildError: our float graph is further from the original than HEAD_TOLERANCE or ANSWER_TOLERANCE_PX.
    """
    node_folder = install_npm(TFJS, cache)
    folder.mkdir(parents=True, exist_ok=True)
    for golden in GOLDENS:
        recipe = RECIPES[golden.recipe]
        picture = _picture(golden)
        topology = builder.package / "models" / f"{recipe.checkpoint}.json"
        heads, answer = _run_original(node_folder, topology, recipe, picture)
        ours = run_float(builder.float_model(recipe, golden.input_hw), picture)
        far = {role: float(np.abs(values - ours[role]).max()) for role, values in heads.items()}
        say(f"{golden.name}: heads differ by at most " + ", ".join(f"{role} {far[role]:.1e}" for role in far))
        if too_far := [role for role in far if far[role] > HEAD_TOLERANCE[role]]:
            raise BuildError(f"{golden.name}: our float graph is not the original's in {', '.join(too_far)}")
        unit = _cell_unit(topology, golden.input_hw)
        _hold(golden, ours, answer, unit)
        if golden.kept:
            kept = heads if recipe.heads is MULTI_HEADS else _smaller(heads, answer, unit)
            np.savez_compressed(folder / golden.file, **kept, original=answer, cell_unit=unit)
            say(f"{golden.name}: wrote {golden.file}, {(folder / golden.file).stat().st_size:,} bytes")


def check_goldens(builder: Builder, folder: Path) -> None:
    """Hold our float graphs against the answers in tests/golden.

    Raises:
        BuildError: further than ANSWER_TOLERANCE_PX.
    """
    for golden in GOLDENS:
        if golden.kept:
            with np.load(folder / golden.file) as stored:
                answer, unit = stored["original"], stored["cell_unit"]
            model = builder.float_model(RECIPES[golden.recipe], golden.input_hw)
            _hold(golden, run_float(model, _picture(golden)), answer, unit)


def _hold(golden: Golden, ours: Heads, answer: NDArray[np.float32], unit: NDArray[np.float32]) -> None:
    """Compare the joints that our float heads give with the original graph's."""
    if answer.shape[0] == 17:
        found, wanted = read_single(ours)[None], answer[None]
    else:
        found, wanted = read_multi(ours)[0], answer[:, :51].reshape(-1, 17, 3)
    seen = wanted[..., 2] > SEEN
    pixels = np.abs(found[..., :2] - wanted[..., :2] / unit)[seen].max() * STRIDE
    score = np.abs(found - wanted)[..., 2][seen].max()
    say(f"{golden.name}: {seen.sum()} joints, at most {pixels:.4f} px and {score:.1e} of a score from the original's")
    if pixels > ANSWER_TOLERANCE_PX:
        raise BuildError(
            f"{golden.name}: a joint is {pixels:.3f} px from the original's, allowed {ANSWER_TOLERANCE_PX}"
        )


def run_float(model: bytes, picture: NDArray[np.uint8]) -> Heads:
    """Heads (H, W, C) of a float model."""
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    values = picture[None].astype(np.float32) / np.float32(127.5) - 1
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
    interpreter.invoke()
    prefix = output_name("")
    return {
        tensor["name"].removeprefix(prefix): interpreter.get_tensor(tensor["index"])[0]
        for tensor in interpreter.get_output_details()
    }


def _picture(golden: Golden) -> NDArray[np.uint8]:
    """(H, W, 3) rgb: the golden's pictures side by side."""
    height, width = golden.input_hw
    each = width // len(golden.pictures)
    parts = [cv2.resize(read_picture(name), (each, height), interpolation=cv2.INTER_AREA) for name in golden.pictures]
    return np.ascontiguousarray(np.concatenate(parts, axis=1))


def _run_original(
    node_folder: Path, topology: Path, recipe: Recipe, picture: NDArray[np.uint8]
) -> tuple[Heads, NDArray[np.float32]]:
    """Heads (H, W, C) by role and the graph's own answer: (17, 3) for one person, (6, 56) for many."""
    with tempfile.TemporaryDirectory() as name:
        source, out = Path(name) / "picture", Path(name) / "out"
        source.write_bytes(picture.tobytes())
        size = [str(side) for side in picture.shape[:2]]
        nodes = [*(ROOT + node for node in recipe.heads.values()), "Identity"]
        command = ["node", str(SCRIPT), str(node_folder), str(topology), str(source), *size, str(out), *nodes]
        result = subprocess.run(command, check=False, capture_output=True, text=True)
        if result.returncode:
            raise BuildError(f"{SCRIPT.name} failed: {result.stderr.strip().splitlines()[-1:]}")
        values = np.fromfile(out, np.float32)
    shapes = json.loads(result.stdout.strip().splitlines()[-1])
    parts = np.split(values, np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1])
    found = [part.reshape(shape[1:]) for part, shape in zip(parts, shapes, strict=True)]
    answer = found[-1][0] if found[-1].ndim == 3 else found[-1]
    return dict(zip(recipe.heads, found[:-1], strict=True)), answer


def _cell_unit(topology: Path, input_hw: tuple[int, int]) -> NDArray[np.float32]:
    """(2,) what the graph multiplies row and column by to normalise them."""
    constant = read_graph(topology).weights.get(ROOT + "Reshape_13")  # 1 / 48 in half precision; many: worked out
    if constant is not None and constant.dtype == np.float32:
        return np.asarray(constant, np.float32).reshape(2)
    return np.float32(STRIDE) / np.array(input_hw, np.float32)


def _smaller(heads: Heads, answer: NDArray[np.float32], unit: NDArray[np.float32]) -> Heads:
    """One person's heads with coarse numbers where the original does not read them, so that the file packs well."""
    offset, regress = _coarse(heads["offset"], FAR_STEP), _coarse(heads["regress"], FAR_STEP)
    center = heads["center"][..., 0]
    height, width = center.shape
    rows, columns = np.mgrid[:height, :width]
    nearness = np.hypot(rows - height / 2, columns - width / 2) + 1.8
    at = np.unravel_index(np.argmax(center / nearness), center.shape)
    regress[at] = heads["regress"][at]
    for joint, (y, x, score) in enumerate(answer):
        near = [
            (row, column)
            for row, column in zip(*np.nonzero(np.abs(heads["heatmap"][..., joint] - score) < 1e-6), strict=True)
            if np.allclose(
                ([row, column] + heads["offset"][row, column, 2 * joint : 2 * joint + 2]) * unit, (y, x), atol=1e-5
            )
        ]
        if len(near) != 1:
            raise BuildError(f"joint {joint}: {len(near)} cells explain the original's answer, expected one")
        place = (*near[0], slice(2 * joint, 2 * joint + 2))
        offset[place] = heads["offset"][place]
    return {
        "center": _coarse(heads["center"], PROBABILITY_STEP),
        "regress": regress,
        "heatmap": _coarse(heads["heatmap"], PROBABILITY_STEP),
        "offset": offset,
    }


def _coarse(values: NDArray[np.float32], step: float) -> NDArray[np.float32]:
    return np.asarray(np.round(values / step) * step, np.float32)
