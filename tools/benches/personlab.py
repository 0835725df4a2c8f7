"""PersonLab decoding on PoseNet's own heads: against npm's decoder, numpy with scipy, and one look at the heatmap.

ours   raw heads to poses in model pixels, as the peers give them
whole  the same, and made Poses in source pixels: what the pipeline calls
floor  one np.max over the raw heatmap of 353x481, nothing else

The peers are handed real values and scores; dequantising and the sigmoid cost them nothing here. Heads come from
Coral's models where these lie beside the project, else they are drawn.
"""

from __future__ import annotations

import itertools
import math
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.poses import Crop, Frame, HeadSpec
from edgepose.engine.memory import map_memory
from edgepose.engine.runtime import load_runtime
from edgepose.engine.surgery import make_plan
from edgepose.estimate.decode import open_decoder
from edgepose.estimate.decode.personlab import BONES, PersonLab
from edgepose.lab.demo import scene
from tools.benches.personlab_peers import MOST, Npm, Real, scipy_decoder
from tools.benches.row import Row, SkipRowError
from tools.benches.stock import shared

SIZES = {"353_481": (23, 31), "481_641": (31, 41), "721_1281": (46, 81)}
"""Input size in the models' names -> cells."""
ROUNDS = 15
CALLS = {"ours": 60, "whole": 30, "floor": 60, "npm": 12, "scipy": 2}
"""Of one turn."""
AS_IS = Crop((0.0, 0.0), (1.0, 1.0))
ROLES = ("heatmap", "short_offset", "mid_offset")


class Case(NamedTuple):
    """One picture's heads."""

    heads: dict[str, NDArray[Any]]
    specs: dict[str, HeadSpec]
    options: dict[str, Any]

    def decoder(self) -> PersonLab:
        """Ours, compiled ahead of time."""
        cfg = config.Decode(max_people=MOST, kernels="aot")
        return cast(PersonLab, open_decoder("bench", "personlab", self.options, "coco17", self.specs, cfg))

    def real(self) -> Real:
        """What the peers take."""
        values = {
            role: (self.heads[role].astype(np.float32) - spec.zero_point) * np.float32(spec.scale)
            for role, spec in self.specs.items()
        }
        return {
            "score": 1 / (1 + np.exp(-values["heatmap"])),
            "short": values["short_offset"],
            "mid": values["mid_offset"],
        }


def _pictures() -> dict[str, NDArray[np.uint8]]:
    """Two people, eight, nobody, and a portrait too near for this network: many roots that lead nowhere."""
    couple = cv2.imread(str(shared("data/golden/coral_posenet/test_couple.jpg")))
    portrait = cv2.imread(str(Path(scene.__file__).parent / "pictures" / "astronaut.jpg"))
    if couple is None or portrait is None:
        raise SkipRowError("a picture cannot be read")
    empty = np.full((480, 640, 3), 128, np.uint8)
    found = {"2p": couple, "8p": np.tile(couple, (2, 2, 1)), "0p": empty, "clutter": portrait}
    return {name: np.ascontiguousarray(bgr[..., ::-1], np.uint8) for name, bgr in found.items()}


def _interpreter(size: str) -> tuple[Any, dict[str, Any], dict[str, HeadSpec]]:
    """A PoseNet cut at its heads, with what its manifest says."""
    path = shared(f"models/posenet_mobilenet_v1_075_{size}_quant_decoder.tflite")
    plan = make_plan(path.read_bytes(), path)
    interpreter = load_runtime("auto").interpreter(model_content=plan.content, num_threads=1)
    interpreter.allocate_tensors()
    details = interpreter.get_output_details()
    specs = {}
    for head in plan.manifest.heads:
        scale, zero = details[head.output]["quantization"]
        specs[head.role] = HeadSpec(head.role, head.shape[1:], np.dtype(head.dtype), float(scale), int(zero))
    return interpreter, plan.manifest.decoder.options, specs


def _from_models() -> dict[str, Case]:
    cases = {}
    pictures = _pictures()
    for size in SIZES:
        interpreter, options, specs = _interpreter(size)
        wanted = interpreter.get_input_details()[0]
        height, width = (int(side) for side in wanted["shape"][1:3])
        for name, rgb in pictures.items():
            small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
            interpreter.set_tensor(wanted["index"], small[None])
            interpreter.invoke()
            raw = [interpreter.get_tensor(out["index"])[0].copy() for out in interpreter.get_output_details()]
            heads = {role: next(one for one in raw if one.shape == specs[role].shape) for role in ROLES}
            cases[f"{size}_{name}"] = Case(heads, specs, options)
    return cases


def _drawn() -> dict[str, Case]:
    """Heads of people that stand in a row, as uint8; clutter has peaks that belong to nobody."""
    body = np.random.default_rng(2).uniform(-45, 45, (17, 2))
    quant = {"heatmap": (0.047, 128), "short_offset": (0.39, 128), "mid_offset": (1.39, 117)}
    cases = {}
    for (size, (height, width)), (name, people) in itertools.product(
        SIZES.items(), {"2p": 2, "8p": 8, "0p": 0, "clutter": 2}.items()
    ):
        y, x = np.mgrid[:height, :width] * 16.0
        real = {"heatmap": np.full((height, width, 17), -5.0)}
        real |= {"short_offset": np.zeros((height, width, 34)), "mid_offset": np.zeros((height, width, 64))}
        for person in range(people):
            middle = np.array([(0.3 + 0.4 * (person % 2)) * height, (person + 0.5) / people * width]) * 16
            joints = body + middle
            for joint, (joint_y, joint_x) in enumerate(joints):
                distance = np.hypot(y - joint_y, x - joint_x)
                near = distance < 32
                real["heatmap"][near, joint] = 3 - (distance[near] / 12) ** 2
                real["short_offset"][near, joint] = (joint_y - y)[near]
                real["short_offset"][near, joint + 17] = (joint_x - x)[near]
                for bone, ends in enumerate(BONES):
                    for (source, target), channel in ((ends, bone), (ends[::-1], bone + 32)):
                        if source == joint:
                            real["mid_offset"][near, channel] = (joints[target, 0] - y)[near]
                            real["mid_offset"][near, channel + 16] = (joints[target, 1] - x)[near]
        if name == "clutter":
            real["heatmap"][np.random.default_rng(3).random((height, width, 17)) < 0.003] = 0.5
        heads = {
            role: np.clip(np.round(real[role] / scale) + zero, 0, 255).astype(np.uint8)
            for role, (scale, zero) in quant.items()
        }
        specs = {role: HeadSpec(role, heads[role].shape, np.dtype(np.uint8), *quant[role]) for role in quant}
        cases[f"{size}_{name}"] = Case(heads, specs, {})
    return cases


@cache
def _cases() -> dict[str, Case]:
    try:
        return _from_models()
    except SkipRowError:
        return _drawn()


def _timed(run: Callable[[], object], calls: int) -> list[float]:
    """Microseconds of each call; one before, that does not count, warms the caches."""
    run()
    taken = []
    for _ in range(calls):
        started = time.perf_counter()
        run()
        taken.append((time.perf_counter() - started) * 1e6)
    return taken


@cache
def _against_peers() -> dict[str, dict[str, float]]:
    """Case -> side -> median microseconds of a call, all taken in turns."""
    return _measured(("ours", "whole", "npm", "scipy"), list(_cases()))


@cache
def _against_floor() -> dict[str, dict[str, float]]:
    return _measured(("ours", "whole", "floor"), [name for name in _cases() if name.startswith("353_481")])


def _measured(sides: tuple[str, ...], names: list[str]) -> dict[str, dict[str, float]]:
    cases = {name: _cases()[name] for name in names}
    frame = Frame(np.zeros((480, 640, 3), np.uint8), "bgr", 0.0, 0.0, 0)
    times: dict[str, dict[str, list[float]]] = {name: {side: [] for side in sides} for name in cases}
    with ExitStack() as stack:
        real = {name: case.real() for name, case in cases.items()} if "npm" in sides else {}
        if real:
            npm = Npm(real, Path(stack.enter_context(tempfile.TemporaryDirectory())))
            stack.callback(npm.close)
            for name in cases:
                npm.times_us(name, 150)  # until its compiler has seen enough
            scipy = scipy_decoder()
        decoders = {name: case.decoder() for name, case in cases.items()}
        for _, (name, case) in itertools.product(range(ROUNDS), cases.items()):
            decoder, heads = decoders[name], case.heads
            runs: dict[str, Callable[[], object]] = {
                "ours": lambda decoder=decoder, heads=heads: decoder.find(heads),  # type: ignore[misc]
                "whole": lambda decoder=decoder, heads=heads: decoder(heads, AS_IS, frame),  # type: ignore[misc]
                "floor": lambda heads=heads: np.max(heads["heatmap"]),  # type: ignore[misc]
                "scipy": lambda name=name: scipy(real[name]),  # type: ignore[misc]
            }
            for side in sides:
                times[name][side] += (
                    npm.times_us(name, CALLS[side]) if side == "npm" else _timed(runs[side], CALLS[side])
                )
    return {name: {side: median(taken) for side, taken in of.items()} for name, of in times.items()}


def _vs(peer: str, names: list[str]) -> dict[str, float]:
    """Case -> times that the peer takes as long."""
    taken = _against_peers()
    return {name: taken[name][peer] / taken[name]["ours"] for name in names}


def _geomean(peer: str, target: float) -> Row:
    ratios = _vs(peer, [f"{size}_2p" for size in SIZES])
    sides = {f"{name}_{side}_us": _against_peers()[name][side] for name in ratios for side in ("ours", "whole", peer)}
    mean = math.exp(sum(map(math.log, ratios.values())) / len(ratios))
    return Row(f"personlab_vs_{peer}_geomean", mean, "times", target, sides, at_least=True)


def vs_npm_geomean() -> Row:
    """Two people, three sizes."""
    return _geomean("npm", 150)


def vs_scipy_geomean() -> Row:
    """Two people, three sizes."""
    return _geomean("scipy", 200)


def vs_npm_min() -> Row:
    """The worst of all pictures and sizes, clutter among them."""
    ratios = _vs("npm", [name for name in _cases() if not name.endswith("0p")])
    worst = min(ratios, key=lambda name: ratios[name])
    return Row("personlab_vs_npm_min", ratios[worst], "times", 30, ratios, at_least=True)


def vs_floor(people: str, target: float) -> Row:
    """353x481 against one np.max over its heatmap."""
    taken = _against_floor()[f"353_481_{people}"]
    sides = {f"{side}_us": value for side, value in taken.items()}
    return Row(f"personlab_vs_floor_{people}", taken["ours"] / taken["floor"], "ratio", target, sides)


def decode_personlab() -> Row:
    """Heads to Poses, two people at 353x481."""
    taken = _against_floor()["353_481_2p"]
    sides = {"kernel_us": taken["ours"], "floor_us": taken["floor"], "of_floor": taken["whole"] / taken["floor"]}
    return Row("decode_personlab", taken["whole"], "us", None, sides)


def cold() -> Row:
    """Right after an inference, whose weights and tensors have filled the caches, against a call that does nothing."""
    interpreter, options, specs = _interpreter("353_481")
    memory = map_memory(interpreter)
    height, width = memory.tensor.shape[1:3]
    memory.tensor[0] = cv2.resize(_pictures()["2p"], (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    heads = {role: next(head[0] for head in memory.heads if head.shape[1:] == specs[role].shape) for role in ROLES}
    decoder = Case(heads, specs, options).decoder()
    flat = [heads[role].reshape(-1) for role in ROLES]
    frame = Frame(np.zeros((480, 640, 3), np.uint8), "bgr", 0.0, 0.0, 0)
    runs: dict[str, Callable[[], object]] = {
        "ours": lambda: decoder.kernels.decode(*flat, *decoder.rest),
        "nothing": lambda: decoder.kernels.decode(*flat, 0, *decoder.rest[1:]),  # no rows
        "whole": lambda: decoder(heads, AS_IS, frame),
        "floor": lambda: np.max(heads["heatmap"]),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for name in itertools.islice(itertools.cycle(runs), 60 * len(runs)):
        memory.invoke()
        started = time.perf_counter()
        runs[name]()
        times[name].append((time.perf_counter() - started) * 1e6)
    taken = {name: median(values) for name, values in times.items()}
    sides = {f"{name}_us": value for name, value in taken.items()}
    return Row("personlab_cold", taken["ours"] / taken["nothing"], "ratio", 2, sides)


ROWS: dict[str, Callable[[], Row]] = {
    "personlab_vs_npm_geomean": vs_npm_geomean,
    "personlab_vs_npm_min": vs_npm_min,
    "personlab_vs_scipy_geomean": vs_scipy_geomean,
    "personlab_vs_floor_2p": lambda: vs_floor("2p", 3),
    "personlab_vs_floor_8p": lambda: vs_floor("8p", 9),
    "personlab_vs_floor_0p": lambda: vs_floor("0p", 1),
    "personlab_cold": cold,
    "decode_personlab": decode_personlab,
}
