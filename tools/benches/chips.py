"""Decoders of what other chips compute, against those chips' own Python; and the time that int8 saves.

picamera2's decoding is read from its source where `./tools/test` laid it, or where it is installed.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

import edgepose
from edgepose.core import config
from edgepose.core.opencv import cv2
from edgepose.core.poses import COCO17, HeadSpec
from edgepose.engine import open_engine
from edgepose.engine.chips import HIGHERHRNET
from edgepose.estimate.decode import open_decoder
from samples.crowds import AS_IS, FRAME, crowd, heatmaps
from tools.benches.row import Row, SkipRowError, interleaved_ms
from tools.benches.stock import shared

F = np.float32
GRID_WH = 192, 144
PEOPLE = 3
HIGHERNET = "devices/imx500/postprocess_highernet.py"


def picamera2_decoding() -> ModuleType:
    """picamera2's own HigherHRNet decoding.

    Raises:
        SkipRowError: its source or munkres is not here.
    """
    spec = importlib.util.find_spec("picamera2")
    base = Path(os.environ.get("EDGEPOSE_PICAMERA2") or Path(sys.prefix) / "picamera2")
    there = [Path(spec.origin).parent / HIGHERNET] if spec and spec.origin else []
    there += sorted(base.glob(f"*/picamera2/{HIGHERNET}"))
    if not there:
        raise SkipRowError("picamera2's source is not here; ./tools/test fetches it")
    found = importlib.util.spec_from_file_location("postprocess_highernet", there[-1])
    if not (found and found.loader):
        raise SkipRowError(f"{there[-1]} cannot be loaded")
    module = importlib.util.module_from_spec(found)
    try:
        found.loader.exec_module(module)
    except ImportError as error:
        raise SkipRowError(str(error)) from None
    return module


def higherhrnet_heads() -> dict[str, NDArray[np.float32]]:
    """(72, 96, 34) coarse heatmaps and tags, (144, 192, 17) heatmaps of three people."""
    cells = crowd(PEOPLE, GRID_WH, seed=3, skeleton=COCO17, tall=56, apart=6)
    rows, columns = np.mgrid[:72, :96]
    tag = np.zeros((72, 96, 17), F)
    for number, person in enumerate(cells):
        for joint, (x, y) in enumerate((person - 0.5) / 2):
            tag[np.hypot(columns - x, rows - y) < 3, joint] = 4.0 * number
    coarse = heatmaps((cells - 0.5) / 2, (96, 72), sigma=1.0)
    return {"tag": np.concatenate([coarse, tag], axis=2), "heatmap": heatmaps(cells, GRID_WH, sigma=2.0)}


def decode_ae_higherhrnet() -> Row:
    """How many times as fast as picamera2's Python the raw heads of HigherHRNet become people."""
    theirs = picamera2_decoding()
    heads = higherhrnet_heads()
    specs = {role: HeadSpec(role, head.shape, np.dtype(F), 1.0, 0) for role, head in heads.items()}
    options = {**HIGHERHRNET.options, "grid_wh": [], "average": True}
    decode = open_decoder("bench", "ae", options, COCO17, specs, config.Decode(max_people=30))
    batch = [heads["tag"][None], heads["heatmap"][None]]
    if not len(decode(heads, AS_IS, FRAME)) == len(_theirs(theirs, batch)[0]) == PEOPLE:
        raise ValueError("the two find other people")
    taken = interleaved_ms(
        {"ours": lambda: decode(heads, AS_IS, FRAME), "theirs": lambda: _theirs(theirs, batch)}, rounds=5, burst=3
    )
    sides = {"ours_ms": taken["ours"], "picamera2_ms": taken["theirs"]}
    return Row("decode_ae_higherhrnet", taken["theirs"] / taken["ours"], "x", 50, sides, at_least=True)


def _theirs(module: ModuleType, batch: list[NDArray[Any]]) -> Any:
    return module.postprocess_higherhrnet(batch, (288, 384), (0, 0), (0, 0), network_postprocess=False)


def decode_yolo_pose_end2end() -> Row:
    """Three hundred rows of people whom the network told apart itself, six of them likely."""
    rows = np.zeros((300, 57), F)
    rng = np.random.default_rng(6)
    for person in range(6):
        joints = np.concatenate((rng.uniform(100, 500, (17, 2)), np.full((17, 1), 0.8)), axis=1)
        low, high = joints[:, :2].min(axis=0), joints[:, :2].max(axis=0)
        rows[person] = [*low, *high, 0.9 - person / 20, 0, *joints.ravel()]
    options = {
        "input_wh": [640, 640], "units": "pixels", "suppressed": True, "min_person_score": 0.3, "min_joint_score": 0.3,
    }  # fmt: skip
    spec = HeadSpec("pose", rows.shape, np.dtype(F), 1.0, 0)
    decode = open_decoder("bench", "yolo_pose", options, COCO17, {"pose": spec}, config.Decode())
    heads = {"pose": rows}
    taken = interleaved_ms({"decode": lambda: decode(heads, AS_IS, FRAME), "floor": rows.max}, 40)
    sides = {"floor_us": taken["floor"] * 1e3, "of_floor": taken["decode"] / taken["floor"]}
    return Row("decode_yolo_pose_end2end", taken["decode"] * 1e3, "us", None, sides)


def quantized_vs_float_time() -> Row:
    """Time of an inference of the hourglass as `edgepose models quantize` makes it, over that of its float file."""
    from edgepose.core.errors import EdgeposeError
    from edgepose.engine.quantize.int8 import make_int8
    from edgepose.lab.models.views import changed, read_bundle, read_pictures, written

    path = shared("models/hourglass_192_aic14_float.tflite")
    pictures = read_pictures(str(Path(edgepose.__file__).parent / "lab" / "demo" / "pictures"))
    exact = read_bundle(path)
    with tempfile.TemporaryDirectory() as folder:
        small = [cv2.resize(picture.image, (192, 192)).astype(F) for picture in pictures]
        try:
            content = make_int8(exact.content, str(path), small, exact.span)
        except (EdgeposeError, ImportError) as error:
            raise SkipRowError(str(error)) from None
        made = changed(exact, content, "int8", "tools/bench")
        files = [written(bundle, Path(folder)) for bundle in (exact, made)]
        engines = [open_engine(config.Engine(model=str(file), threads=1)) for file in files]
        runs: dict[str, Callable[[], object]] = {
            name: (lambda engine=engine: engine.run(engine.input.tensor))  # type: ignore[misc]
            for name, engine in zip(("float", "int8"), engines, strict=True)
        }
        taken = interleaved_ms(runs, rounds=10, burst=5)
        for engine in engines:
            engine.close()
    sides = {"int8_ms": taken["int8"], "float_ms": taken["float"]}
    return Row("quantized_vs_float_time", taken["int8"] / taken["float"], "x", 0.5, sides)


ROWS: dict[str, Callable[[], Row]] = {
    "decode_ae_higherhrnet": decode_ae_higherhrnet,
    "decode_yolo_pose_end2end": decode_yolo_pose_end2end,
    "quantized_vs_float_time": quantized_vs_float_time,
}
