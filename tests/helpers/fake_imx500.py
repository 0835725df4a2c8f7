"""A picamera2.devices.imx500 without a sensor: the part that the AI Camera's source uses, as 0.3.38 has it.

Outputs travel in a frame's metadata as they do there: all numbers in a row, each tensor in Fortran order, and
libcamera's description of them.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.helpers.fake_picamera2 import CompletedRequest


class OutputTensorInfo(ctypes.LittleEndianStructure):
    _fields_ = [
        ("tensor_data_num", ctypes.c_uint32),
        ("num_dimensions", ctypes.c_uint32),
        ("size", ctypes.c_uint16 * 16),
    ]


class Exported(ctypes.LittleEndianStructure):
    _fields_ = [
        ("network_name", ctypes.c_char * 64),
        ("num_tensors", ctypes.c_uint32),
        ("info", OutputTensorInfo * 16),
        ("frameCount", ctypes.c_uint8),
    ]


def metadata_of(tensors: list[NDArray[Any]], name: bytes = b"network") -> dict[str, Any]:
    """What libcamera says of a frame that the network answered to."""
    told = Exported(network_name=name, num_tensors=len(tensors))
    for info, tensor in zip(told.info, tensors, strict=False):
        info.tensor_data_num, info.num_dimensions = tensor.size, tensor.ndim
        info.size[: tensor.ndim] = tensor.shape
    flat = np.concatenate([tensor.ravel(order="F") for tensor in tensors]).astype(float).tolist()
    return {"CnnOutputTensor": flat, "CnnOutputTensorInfo": tuple(bytes(told)), "ScalerCrop": (0, 0, 4056, 3040)}


@dataclass
class Intrinsics:
    inference_rate: float | None = None
    preserve_aspect_ratio: bool | None = None


@dataclass
class Sensor:
    """The sensor, and everything that was done to it."""

    there: bool = True
    intrinsics: Intrinsics | None = None
    roi_xywh: tuple[int, int, int, int] = (0, 0, 640, 480)
    """Of the picture, once the aspect is kept."""
    progress: tuple[int, int] | None = (1000, 2000)
    loaded: list[str] = field(default_factory=list)
    aspects: int = 0
    asked: list[int] = field(default_factory=list)


sensor = Sensor()


class IMX500:
    def __init__(self, network_file: str, camera_id: str = "", tensor_injection: bool = False):
        if not sensor.there:
            raise RuntimeError("IMX500: Requested camera dev-node not found")
        sensor.loaded.append(network_file)

    @property
    def camera_num(self) -> int:
        return 0

    @property
    def network_intrinsics(self) -> Intrinsics | None:
        return sensor.intrinsics

    def get_fw_upload_progress(self, stage_req) -> tuple[int, int]:  # type: ignore[no-untyped-def]
        sensor.asked.append(stage_req)
        if sensor.progress is None:
            raise PermissionError("fw_progress")
        return sensor.progress

    def set_auto_aspect_ratio(self) -> None:
        sensor.aspects += 1

    def get_roi_scaled(self, request: CompletedRequest, stream="main") -> tuple[int, ...]:  # type: ignore[no-untyped-def]
        assert request.get_metadata()["ScalerCrop"]
        assert request.config[stream] is not None
        return sensor.roi_xywh

    def get_outputs(self, metadata: dict[str, Any], add_batch=False):  # type: ignore[no-untyped-def]
        output = metadata.get("CnnOutputTensor")
        if not output:
            return None
        told = Exported.from_buffer_copy(bytes(metadata["CnnOutputTensorInfo"]))
        tensors, at = [], 0
        for info in told.info[: told.num_tensors]:
            shape = tuple(info.size[: info.num_dimensions])
            count = int(np.prod(shape))
            tensors.append(np.array(output[at : at + count], np.float32).reshape(shape, order="F"))
            at += count
        return [tensor[None] for tensor in tensors] if add_batch else tensors
