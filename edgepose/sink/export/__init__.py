"""Poses in other programs' files, a frame at a time: COCO json, CSV, OpenPose-style json. Rows of FORMATS are sinks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgepose.sink.export.coco import CocoFile, CocoResults
from edgepose.sink.export.openpose import OpenPoseFolder
from edgepose.sink.export.output import FileSink
from edgepose.sink.export.table import CsvFile

__all__ = ["FORMATS", "CocoFile", "CocoResults", "CsvFile", "OpenPoseFolder"]

FORMATS: dict[str, Callable[[Path], FileSink | OpenPoseFolder]] = {
    "coco": CocoFile,
    "coco-results": CocoResults,
    "csv": CsvFile,
    "openpose": OpenPoseFolder,
}
"""Name -> opens it: a file, for openpose a folder. What was there is replaced when all of the new is written."""
