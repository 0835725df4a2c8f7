"""`edgepose models convert`: an ONNX file as a .tflite, checked against onnxruntime where that is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgepose.core.errors import ModelError
from edgepose.core.places import at_home
from edgepose.engine.onnx import Converted, convert
from edgepose.engine.onnx.judge import available, judge
from edgepose.engine.onnx.network import read_file
from edgepose.engine.runtime import load_runtime
from edgepose.lab.output import say

MOST_PICTURES = 4
INSTALL = "pip install 'edgepose[onnx]'"


def convert_all(names: Sequence[str], out: str, shape: str, pictures: str) -> int:
    """Convert files; `out`: where to, of a single one."""
    if not names or (out and len(names) > 1):
        raise ModelError("convert which file? edgepose models convert FILE.onnx [--out FILE.tflite]")
    for name in names:
        path = at_home(name)
        convert_one(path, at_home(out) if out else path.with_suffix(".tflite"), sizes(shape), pictures)
    return 0


def sizes(text: str) -> list[int]:
    """`1,3,256,256` as numbers.

    Raises:
        ModelError: it is something else.
    """
    try:
        found = [int(part) for part in text.replace("x", ",").split(",")] if text else []
    except ValueError:
        found = [0]
    if min(found, default=1) < 1:
        raise ModelError(f"--shape {text}: expected the input's sizes, such as 1,3,256,256")
    return found


def convert_one(path: Path, out: Path, shape: Sequence[int], pictures: str) -> None:
    """Convert a file, check what came of it, and write that.

    Raises:
        ModelError: damaged, with nodes that cannot be converted, or it computes something else; nothing is written.
    """
    content, network = read_file(path)
    made = convert(network, str(path), shape)
    ends = ", ".join(end.said for end in made.outputs)
    say(f"{path.name}: {len(network.nodes)} nodes became {made.steps} operators, {made.transposes} of them transposes")
    say(f"  input {made.inputs[0].said}; outputs {ends}" if made.inputs else f"  outputs {ends}")
    say(f"  {_checked(content, made, path, pictures)}")
    if out.exists() and out.read_bytes() != made.content:
        raise ModelError(f"{out}: is there already and differs; give another --out, or remove it")
    try:
        out.write_bytes(made.content)
    except OSError as error:
        raise ModelError(f"{out}: cannot be written: {error.strerror}; give another --out") from None
    say(f"wrote {out}, {len(made.content)} bytes; next: edgepose models import {out}")


def _checked(content: bytes, made: Converted, path: Path, pictures: str) -> str:
    """What the comparison said, or why there was none.

    Raises:
        ModelError: it computes something else.
    """
    if not available():
        return f"not checked: onnxruntime is not installed, type: {INSTALL}"
    verdict = judge(content, made, load_runtime("auto"), _real(made, pictures), str(path))
    worst = max(verdict.off.values())
    if verdict.bad:
        raise ModelError(
            f"{path}: what came of it computes something else than onnxruntime: {', '.join(verdict.bad)} off by "
            f"{worst:.2g} of the range, allowed is {verdict.tolerance:g}; a mistake of edgepose, please report it"
        )
    return f"checked against onnxruntime on {verdict.pictures} inputs: off by {worst:.1e} of the range at most"


def _real(made: Converted, pictures: str) -> list[np.ndarray[Any, Any]]:
    """Photographs in 0..1, in the size of the input; none where it takes no picture."""
    if len(made.inputs) != 1 or len(made.inputs[0].shape) != 4 or not pictures:
        return []
    import cv2

    from edgepose.lab.models.views import read_pictures

    end = made.inputs[0]
    _, height, width, channels = (end.shape[axis] for axis in end.perm)
    if channels != 3:
        return []
    frames = read_pictures(pictures)[:MOST_PICTURES]
    return [cv2.resize(frame.image, (width, height)).astype(np.float32) / 255 for frame in frames]
