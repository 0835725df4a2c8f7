"""Poses in other programs' files: COCO json, CSV, OpenPose's json, BVH, MOT, glTF, TRC, C3D. Rows are sinks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgepose.sink.export.bvh import BvhFolder
from edgepose.sink.export.c3d import C3dFile
from edgepose.sink.export.coco import CocoFile, CocoResults
from edgepose.sink.export.gltf import GltfFile
from edgepose.sink.export.mot import MotFolder
from edgepose.sink.export.motionfile import MotionSink
from edgepose.sink.export.openpose import OpenPoseFolder
from edgepose.sink.export.output import FileSink
from edgepose.sink.export.table import CsvFile
from edgepose.sink.export.trc import TrcFile

__all__ = [
    "FORMATS",
    "BvhFolder",
    "C3dFile",
    "CocoFile",
    "CocoResults",
    "CsvFile",
    "GltfFile",
    "MotFolder",
    "OpenPoseFolder",
    "TrcFile",
]

FORMATS: dict[str, Callable[[Path], FileSink | OpenPoseFolder | MotionSink]] = {
    "coco": CocoFile,
    "coco-results": CocoResults,
    "csv": CsvFile,
    "openpose": OpenPoseFolder,
    "bvh": BvhFolder,
    "mot": MotFolder,
    "trc": TrcFile,
    "c3d": C3dFile,
    "gltf": GltfFile,
}
"""Name -> opens it: a file, for openpose, bvh and mot a folder. What was there is replaced when all is written."""
