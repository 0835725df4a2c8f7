"""A stock model file turned into one of ours: heads recognised, everything else cut away, manifest written."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgepose.core import config
from edgepose.core.errors import ModelError
from edgepose.engine.flatfile import Graph, read_graph
from edgepose.engine.manifest import Manifest
from edgepose.engine.surgery import graphs, manifest_text, rows, shapes, yolo
from edgepose.engine.surgery.found import Found, Shaped
from edgepose.engine.surgery.intake import Intake, find_intake
from edgepose.engine.surgery.names import name_of
from edgepose.engine.surgery.net import Cut, Net
from edgepose.engine.surgery.writing import write_model

RECOGNISERS = (
    graphs.posenet_decoder,
    graphs.movenet,
    shapes.posenet_heads,
    shapes.paf,
    shapes.efficientpose,
    shapes.heatmap,
    shapes.higherhrnet,
    shapes.heatmap_depth,
    shapes.integral,
    shapes.score_maps,
    rows.movenet_outputs,
    rows.blazepose,
    rows.box_heatmap,
    yolo.yolo_pose,
    yolo.yolo_split,
    yolo.yolo_grids,
    rows.simcc,
    rows.coordinates,
)
"""Asked in this order; the first that knows the model answers."""
DELEGATED = frozenset(
    """
    ABS ADD AVERAGE_POOL_2D BATCH_MATMUL CEIL CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE DIV ELU
    EXP EXPAND_DIMS FLOOR FULLY_CONNECTED GELU HARD_SWISH L2_NORMALIZATION LEAKY_RELU LOG LOGISTIC MAXIMUM MAX_POOL_2D
    MEAN MINIMUM MUL NEG PACK PAD PRELU QUANTIZE REDUCE_MAX REDUCE_MIN RELU RELU6 RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR
    RESIZE_NEAREST_NEIGHBOR ROUND RSQRT SLICE SOFTMAX SPACE_TO_DEPTH SPLIT SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE
    STRIDED_SLICE SUB SUM TANH TRANSPOSE TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM
    """.split()  # noqa: SIM905
)
"""Operators that XNNPACK or the Edge TPU compiler lists as its own."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be written for one file."""

    found: Found
    intake: Intake
    content: bytes
    """The cut model."""
    graph: Graph
    """What it says about itself."""
    manifest: Manifest
    table: Mapping[str, Any]
    """The manifest as it is written."""
    dropped: tuple[str, ...]
    """Operators of the file that are not in the cut model, in order."""

    @property
    def text(self) -> str:
        """The manifest as TOML."""
        return manifest_text.toml(self.table)

    def with_options(self, options: Mapping[str, Any]) -> Plan:
        """The same with some of the decoder's options measured."""
        decoder = {**self.table["decoder"], "options": {**self.table["decoder"]["options"], **options}}
        table = {**self.table, "decoder": decoder}
        return replace(self, table=table, manifest=config.convert(table, Manifest, f"manifest of {self.manifest.name}"))

    @property
    def warnings(self) -> list[str]:
        """What a person should know before relying on it."""
        return [*self.found.warnings, *([self.intake.said] if self.intake.said else [])]


def recognise(net: Net) -> Found:
    """The family of a model and its heads.

    Raises:
        ModelError: none of those known.
    """
    for recogniser in RECOGNISERS:
        found = recogniser(net)
        if found:
            return found
    outputs = ", ".join(str(list(net.values[index].shape)) for index in net.outputs[:8]) or "none"
    raise ModelError(
        f"{net.where}: no heads are recognised (outputs {outputs}); "
        "write a manifest by hand, `edgepose models show NAME` prints one to start from"
    )


def make_plan(content: bytes, path: Path, name: str = "") -> Plan:
    """Recognise a model and cut it, in memory.

    content  the file's bytes
    path     where they come from, for messages and for the manifest's name
    name     of the new model; "": as the file

    Raises:
        ModelError: damaged, not known, or not cut soundly.
    """
    net = Net(content, str(path))
    found = recognise(net)
    intake = find_intake(net, found.span)
    cut = Cut(net, [intake.tensor])
    outputs = {role: _output(cut, head) for role, head in found.heads.items()}
    if len(set(outputs.values())) < len(outputs):
        raise ModelError(f"{path}: one tensor seems to be two heads; write a manifest by hand")
    made = write_model(cut.model(list(outputs.values())))
    graph = read_graph(made, f"{path}, cut")
    dropped = Counter(op.name for op in net.ops) - Counter(map(name_of, graph.ops))
    origin = manifest_text.Origin(path.name, hashlib.sha256(content).hexdigest(), sum(dropped.values()), len(net.ops))
    table = manifest_text.table(name or model_name(path), made, graph, found, intake, origin)
    manifest = config.convert(table, Manifest, f"manifest of {path}")
    return Plan(found, intake, made, graph, manifest, table, tuple(dropped.elements()))


def _output(cut: Cut, head: int | Shaped) -> int:
    return cut.reshape(head.tensor, head.shape) if isinstance(head, Shaped) else head


def model_name(path: Path) -> str:
    """A file's name as that of a model."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", path.stem).lstrip("_.-")[:64] or "model"
