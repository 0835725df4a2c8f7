"""Writes what this machine answers to fixed questions: `python -m tools.arm.answers FILE [--like FILE] [MODEL...]`.

For each shipped model and picture the input tensor, the raw heads, and the people the plain kernels find in them; for
tiny models of every type the heads alone. A second machine runs its models on the first one's tensors (--like), for
OpenCV resizes a little differently on each. compare.py holds the answers of two machines against each other.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.poses import Frame
from edgepose.engine import open_engine
from edgepose.engine.runtime import load_runtime
from edgepose.engine.zoo import shipped_dir
from edgepose.estimate.decode import open_decoder
from edgepose.estimate.preprocess import Preprocess
from samples import tiny_models

PICTURES = Path(__file__).parents[2] / "edgepose" / "lab" / "demo" / "pictures"

Answers = dict[str, NDArray[Any]]


def of_shipped(name: str, like: Answers) -> Answers:
    """What one shipped model answers to noise and to two photographs."""
    from edgepose.core.opencv import cv2

    images = {path.stem: np.asarray(cv2.imread(str(path)), np.uint8) for path in sorted(PICTURES.glob("*.jpg"))}
    images["noise"] = np.random.default_rng(11).integers(0, 256, (200, 300, 3), np.uint8)
    answers: Answers = {}
    with open_engine(config.Engine(model=name, threads=1)) as engine:
        manifest = engine.manifest
        decode = open_decoder(
            name, manifest.decoder.name, manifest.decoder.options, manifest.joints, engine.heads,
            config.Decode(kernels="numpy", min_person_score=0.0),
        )  # fmt: skip
        preprocess = Preprocess(engine.input)
        for seq, (picture, image) in enumerate(images.items()):
            frame = Frame(image, "bgr", t=0.0, taken_t=0.0, seq=seq, name=picture)
            tensor, crop = preprocess(frame)
            question = f"input/{name}/{picture}"
            answers[question] = np.array(tensor)
            heads = engine.run(like.get(question, tensor))
            answers |= {f"heads/{name}/{picture}/{role}": np.array(head) for role, head in heads.items()}
            poses = decode(heads, crop, frame)
            answers[f"xy/{name}/{picture}"] = np.array(poses.xy)
            answers[f"score/{name}/{picture}"] = np.array(poses.score)
    return answers


def of_tiny(dtype: str) -> Answers:
    """What a model of two convolutions answers to noise."""
    interpreter = load_runtime("auto").interpreter(model_content=tiny_models.build(dtype), num_threads=1)
    interpreter.allocate_tensors()
    told = interpreter.get_input_details()[0]
    noise = np.random.default_rng(12).integers(0, 256, told["shape"], np.uint8)
    interpreter.set_tensor(told["index"], noise.view(dtype) if dtype != "float32" else (noise / 255).astype(dtype))
    interpreter.invoke()
    outputs = enumerate(interpreter.get_output_details())
    return {f"tiny/{dtype}/{at}": interpreter.get_tensor(output["index"]) for at, output in outputs}


def facts() -> dict[str, str]:
    """Whose answers these are."""
    from edgepose.core.opencv import cv2

    runtime = load_runtime("auto")
    versions = {"python": platform.python_version(), "numpy": np.__version__, "opencv": cv2.__version__}
    return {"machine": platform.machine(), "runtime": f"{runtime.name} {runtime.version}", **versions}


def main() -> None:
    """Write the answers of these models, or of all, into an .npz."""
    parser = argparse.ArgumentParser(prog="answers", description="What this machine answers to fixed questions.")
    parser.add_argument("file", type=Path, help=".npz to write")
    parser.add_argument("--like", type=Path, metavar="NPZ", help="run the models on the tensors in there")
    parser.add_argument("models", nargs="*", help="shipped models; default all")
    args = parser.parse_intermixed_args()
    like: Answers = dict(np.load(args.like)) if args.like else {}
    answers: Answers = {"facts": np.array(json.dumps(facts()))}
    for name in args.models or sorted(each.stem for each in shipped_dir().glob("*.toml")):
        answers |= of_shipped(name, like)
    for dtype in tiny_models.QUANTISED:
        answers |= of_tiny(dtype)
    np.savez_compressed(args.file, **answers)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
