"""One frame, from picture to pose: ours against the loop that people run today, and against our bare invoke.

stock  resize, set_tensor, invoke of the stock int8 MoveNet Lightning, get_tensor
ours   resize into the model's input, invoke, decode (many people)
bare   invoke of our model, nothing else
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import cycle
from typing import Any

import cv2
import numpy as np

from edgepose.core import config
from edgepose.core.poses import Frame
from edgepose.engine import Engine
from edgepose.engine.zoo import find_model, verify_model
from edgepose.estimate import SingleModel, open_estimate
from edgepose.lab.demo.scene import SceneSource
from edgepose.pipeline import Pipeline, build
from edgepose.sink import MemorySink
from edgepose.source import ListSource
from tools.benches.row import Row, SkipRowError, interleaved_ms
from tools.benches.stock import stock_model

MODEL = "movenet_lightning_192"
ROUNDS = 40


def frames() -> list[Frame]:
    """Eight 640x480 views of the demo's photographs."""
    scene = SceneSource(8.0)
    seen = []
    for seq in range(0, 240, 30):
        scene.see(seq)
        seen.append(Frame(scene.image(seq), "bgr", 0.0, 0.0, seq))
    return seen


def _ours(pipeline: Pipeline, pictures: Iterator[Frame]) -> Callable[[], object]:
    estimate = pipeline.estimate
    return lambda: estimate(next(pictures), None)


def _stock(interpreter: Any, pictures: Iterator[Frame]) -> Callable[[], object]:
    wanted, out = interpreter.get_input_details()[0], interpreter.get_output_details()[0]["index"]
    _, height, width, _ = wanted["shape"]

    def one() -> object:
        small = cv2.resize(next(pictures).image, (int(width), int(height)))
        interpreter.set_tensor(wanted["index"], np.expand_dims(small, 0))
        interpreter.invoke()
        return interpreter.get_tensor(out)

    return one


def _interpreter(engine: Engine, content: bytes, threads: int) -> Any:
    interpreter = engine.runtime.interpreter(model_content=content, num_threads=threads)
    interpreter.allocate_tensors()
    return interpreter


def _measure(threads: int) -> dict[str, float]:
    cv2.setNumThreads(threads)
    cfg = config.Config(engine=config.Engine(model=MODEL, threads=threads))
    with build(cfg, source=ListSource([]), sinks=[MemorySink(1)]) as pipeline:
        content = verify_model(find_model(cfg.engine.model))[2]
        bare = _interpreter(pipeline.engine, content, threads)
        seen = frames()
        runs = {"ours": _ours(pipeline, cycle(seen)), "bare": bare.invoke}
        try:
            stock = stock_model().read_bytes()
            runs["stock"] = _stock(_interpreter(pipeline.engine, stock, threads), cycle(seen))
        except SkipRowError:
            pass
        return interleaved_ms(runs, ROUNDS)


def frame_vs_stock(threads: int, target: float) -> Row:
    """Ours / the loop of today."""
    stock_model()
    taken = _measure(threads)
    sides = {"ours_ms": taken["ours"], "stock_ms": taken["stock"]}
    return Row(f"frame_vs_stock_{threads}t", taken["ours"] / taken["stock"], "ratio", target, sides)


def frame_vs_invoke(threads: int, target: float) -> Row:
    """Ours / our bare invoke."""
    taken = _measure(threads)
    sides = {"ours_ms": taken["ours"], "invoke_ms": taken["bare"]}
    return Row(f"frame_vs_invoke_{threads}t", taken["ours"] / taken["bare"], "ratio", target, sides)


def decode_movenet() -> Row:
    """Microseconds to decode one real picture's heads, and how many times np.max over its heatmaps that is."""
    cfg = config.Config(engine=config.Engine(model=MODEL))
    with closing(open_estimate(cfg)) as estimate:
        if not isinstance(estimate, SingleModel):
            raise SkipRowError(f"{MODEL} is not looked through once")
        look, frame = estimate.look, frames()[0]
        tensor, crop = look.preprocess(frame)
        heads = look.engine.run(tensor)
        runs: dict[str, Callable[[], object]] = {"floor": heads["heatmap"].max}
        runs["decode"] = lambda: look.decode(heads, crop, frame)
        taken = interleaved_ms(runs, ROUNDS)
    sides = {"floor_us": taken["floor"] * 1e3, "of_floor": taken["decode"] / taken["floor"]}
    return Row("decode_movenet", taken["decode"] * 1e3, "us", None, sides)
