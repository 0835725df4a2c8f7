"""Networks compiled for a chip that we cannot look into: what Raspberry Pi ships for its AI Camera and AI HATs.

A .rpk or .hef says nothing of its heads that we can read, so they are known here by the file's name, or by NAME.toml
beside it. Sources: picamera2's examples and rpicam-apps' stages of these files, which read the same tensors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from edgepose.core.errors import ModelError
from edgepose.engine.flatfile import Graph, Tensor
from edgepose.engine.manifest import (
    SUFFIX,
    Decoder,
    Head,
    Input,
    Licence,
    Manifest,
    Origin,
    Shape,
    read_file,
    read_manifest,
    read_model,
)

PAGES = {".rpk": "docs/boards/ai-camera.md", ".hef": "docs/boards/hailo.md"}
"""End of a chip's file -> where it is said how to describe one of one's own."""


class Network(NamedTuple):
    """One shipped file: heads in the order of the chip, float, without a batch axis."""

    title: str
    size_wh: tuple[int, int]
    heads: tuple[tuple[str, Shape], ...]
    """Role and shape."""
    decoder: str
    options: dict[str, Any]
    source: str
    """Whose reading of these tensors this is."""


HIGHERHRNET = Network(
    "HigherHRNet in the AI Camera, joints found in the sensor",
    (384, 288),
    (("tag", (30, 17)), ("index", (30, 17)), ("score", (30, 17))),
    "ae",
    {"stride": 2, "grid_wh": [192, 144], "min_person_score": 0.3, "min_joint_score": 0.3},
    "picamera2 imx500_pose_estimation_higherhrnet_demo.py",
)
POSENET = Network(
    "PoseNet in the AI Camera",
    (481, 353),
    (("heatmap", (23, 31, 17)), ("short_offset", (23, 31, 34)), ("mid_offset", (23, 31, 64))),
    "personlab",
    {"score_threshold": 0.4, "min_person_score": 0.4},
    "rpicam-apps imx500_posenet.cpp and imx500_posenet.json",
)
YOLO_SENSOR = Network(
    "YOLOv8n-pose in the AI Camera",
    (640, 640),
    (("boxes", (4, 8400)), ("scores", (1, 8400)), ("keypoints", (51, 8400))),
    "yolo_pose",
    {
        "input_wh": [640, 640], "cells": True, "score_logits": False,
        "min_person_score": 0.3, "min_joint_score": 0.3,
    },
    "picamera2 postprocess_yolov8_keypoints",
)  # fmt: skip
YOLO_HAILO = Network(
    "YOLOv8s-pose on a Hailo chip",
    (640, 640),
    tuple(
        (f"{role}_{stride}", (640 // stride, 640 // stride, channels))
        for stride in (8, 16, 32)
        for role, channels in (("boxes", 64), ("scores", 1), ("keypoints", 51))
    ),
    "yolo_pose",
    {"input_wh": [640, 640], "score_logits": False, "min_person_score": 0.5, "min_joint_score": 0.5},
    "picamera2 examples/hailo/pose.py and pose_utils.py",
)
NETWORKS: dict[str, Network] = {
    "imx500_network_higherhrnet_coco": HIGHERHRNET,
    "imx500_network_posenet": POSENET,
    "imx500_network_yolov8n_pose": YOLO_SENSOR,
    "yolov8s_pose_h8": YOLO_HAILO,
    "yolov8s_pose_h8l_pi": YOLO_HAILO,
    "yolov8s_pose_h10": YOLO_HAILO,
}
"""Stem of a shipped file -> what is in it."""


def manifest_of(path: Path) -> tuple[Manifest, bytes]:
    """What is in a .rpk or .hef file, by NAME.toml beside it or by its name; and its bytes.

    Raises:
        ModelError: no such file, or nothing says what its heads are.
    """
    beside = path.with_suffix(SUFFIX)
    if beside.is_file():
        manifest = read_manifest(beside)
        return manifest, read_model(beside, manifest)
    content = read_file(path)
    network = NETWORKS.get(path.stem)
    if network is None:
        known = ", ".join(f"{stem}{path.suffix}" for stem in NETWORKS if _suffix(stem) == path.suffix)
        raise ModelError(
            f"{path}: nobody knows what its heads mean; edgepose knows {known}; for another one write {beside.name} "
            f"beside it, as {PAGES.get(path.suffix, 'docs/models.md')} shows"
        )
    import hashlib

    return _manifest(path, network, hashlib.sha256(content).hexdigest()), content


def graph_of(manifest: Manifest) -> Graph:
    """Input and outputs as the manifest has them: the file itself cannot be asked."""
    wants = manifest.input
    heads = sorted(manifest.heads, key=lambda head: head.output)
    if [head.output for head in heads] != list(range(len(heads))):
        raise ModelError(f"{manifest.name}: heads name outputs {[head.output for head in heads]}; name each, from 0")
    return Graph(
        (Tensor("input", tuple(wants.shape), wants.dtype, 1.0, 0, 0),),
        tuple(Tensor(head.role, head.shape, head.dtype, 1.0, 0, 0) for head in heads),
        (),
    )


def _suffix(stem: str) -> str:
    return ".rpk" if stem.startswith("imx500") else ".hef"


def _manifest(path: Path, network: Network, sha256: str) -> Manifest:
    width, height = network.size_wh
    return Manifest(
        schema=1,
        name=path.stem,
        title=network.title,
        file=path.name,
        sha256=sha256,
        skeleton="coco17",
        input=Input(
            shape=(1, height, width, 3), dtype="uint8", colour="rgb", range=(0.0, 255.0), resize="linear",
            fit="letterbox", pad=114,
        ),
        heads=tuple(
            Head(role=role, output=index, shape=shape, dtype="float32", batch_axis=False)
            for index, (role, shape) in enumerate(network.heads)
        ),
        decoder=Decoder(name=network.decoder, options=dict(network.options)),
        origin=Origin(package=f"Debian {'imx500-models' if path.suffix == '.rpk' else 'hailo-models'}",
                      made=f"read as {network.source} reads it"),
        licence=Licence(spdx="NOASSERTION", notice="see the package's LICENSES; not part of edgepose"),
    )  # fmt: skip
