"""Coral's PoseNet models without their decoder op, run on a picture; nothing of theirs is copied into the project."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core.poses import HeadSpec

ROLES = ("heatmap", "short_offset", "mid_offset")


@dataclass(frozen=True)
class Ran:
    """What a model said to one picture."""

    heads: dict[str, NDArray[Any]]
    specs: dict[str, HeadSpec]
    size_wh: tuple[int, int]
    """Of the model's input."""

    @property
    def quant(self) -> dict[str, tuple[float, int]]:
        """Role -> scale, zero point."""
        return {role: (spec.scale, spec.zero_point) for role, spec in self.specs.items()}


def heads_only(path: Path, requantised: bool = True) -> bytes:
    """The model with the inputs of its decoder op as outputs.

    requantised  False: also without the conversions before the op, which make uint8 of the graph's own int8
    """
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    flatbuffers = pytest.importorskip("flatbuffers")
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    graph, codes = model.subgraphs[0], model.operatorCodes
    decoder = next(op for op in graph.operators if codes[op.opcodeIndex].customCode in (b"PosenetDecoderOp",))
    dropped, outputs = [decoder], list(decoder.inputs)
    if not requantised:
        makes = {int(out): op for op in graph.operators for out in op.outputs}
        dropped += [makes[out] for out in outputs]
        assert {codes[op.opcodeIndex].builtinCode for op in dropped[1:]} == {schema.BuiltinOperator.QUANTIZE}
        outputs = [int(makes[out].inputs[0]) for out in outputs]
    graph.operators = [op for op in graph.operators if not any(op is one for one in dropped)]
    graph.outputs, model.signatureDefs = np.array(outputs, np.int32), None
    builder = flatbuffers.Builder(1 << 21)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def run(content: bytes, rgb: NDArray[np.uint8], delegated: bool = True) -> Ran:
    """Heads for a picture stretched to the model's input by nearest pixel, as Coral's engine does.

    delegated  by XNNPACK; False: by the runtime's own kernels
    """
    interpreter_module = pytest.importorskip("ai_edge_litert.interpreter")
    kinds = interpreter_module.OpResolverType
    kind = kinds.AUTO if delegated else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = interpreter_module.Interpreter(
        model_content=content, num_threads=1, experimental_op_resolver_type=kind
    )
    interpreter.allocate_tensors()
    wanted = interpreter.get_input_details()[0]
    height, width = (int(side) for side in wanted["shape"][1:3])
    interpreter.set_tensor(wanted["index"], nearest(rgb, (height, width))[None])
    interpreter.invoke()
    heads, specs = {}, {}
    for role, out in zip(ROLES, interpreter.get_output_details(), strict=True):
        heads[role] = interpreter.get_tensor(out["index"])[0].copy()
        scale, zero = out["quantization"]
        specs[role] = HeadSpec(role, heads[role].shape, heads[role].dtype, float(scale), int(zero))
    return Ran(heads, specs, (width, height))


def nearest(image: NDArray[np.uint8], size_yx: tuple[int, int]) -> NDArray[np.uint8]:
    """The pixel under each new one's centre, of two that touch there the later one.

    OpenCV 4.11 and 5 differ in such columns and rows from each other, and a joint that the model hardly sees went
    13 pixels elsewhere for one column of 641.
    """
    rows, columns = ((2 * np.arange(n) + 1) * of // (2 * n) for n, of in zip(size_yx, image.shape[:2], strict=True))
    return np.ascontiguousarray(image[rows][:, columns])


def reference_poses(path: Path) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """What Coral's decoder found: (N, 17, 2) x, y in model pixels, (N, 17) joint scores, (N,) pose scores."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    xy = np.array([[float(row["keypoint_x"]), float(row["keypoint_y"])] for row in rows]).reshape(-1, 17, 2)
    score = np.array([float(row["keypoint_score"]) for row in rows]).reshape(-1, 17)
    return xy, score, np.array([float(row["pose_score"]) for row in rows])[::17]
