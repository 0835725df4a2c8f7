"""A hailo_platform without a chip: the calls that picamera2's Hailo makes, which runs on it too.

Its .hef files are made by `hef_of`: what the network answers to any picture that is not black, for which chip it is,
and what goes wrong. FAKE_HAILO in the environment is the chip that is plugged in.
"""

from __future__ import annotations

import io
import json
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

MARK = b"\x01HEF"


def hef_of(outputs: dict[str, Any], picture: tuple[int, int, int] = (640, 640, 3), **what: Any) -> bytes:
    """The content of a file: layer -> its answer; arch: the chip; fails: crash, hang or throw, after so many runs."""
    box = io.BytesIO()
    np.savez(box, what=json.dumps({"arch": "HAILO8", "picture": picture, **what}), **outputs)
    return MARK + box.getvalue()


class HailoRTException(Exception):  # noqa: N818
    pass


class FormatType:
    AUTO, UINT8, UINT16, FLOAT32 = "auto", "uint8", "uint16", "float32"


class HailoSchedulingAlgorithm:
    NONE, ROUND_ROBIN = range(2)


class _Info:
    def __init__(self, name: str, shape: Any, kind: str) -> None:
        self.name, self.shape, self.format = name, list(shape), SimpleNamespace(type=kind)

    def set_format_type(self, type: str) -> None:  # noqa: A002
        self.format.type = type


class HEF:
    def __init__(self, hef_source: str) -> None:
        content = Path(hef_source).read_bytes()
        if not content.startswith(MARK):
            raise HailoRTException("libhailort failed with error: 26 (HAILO_INVALID_HEF)")
        loaded = dict(np.load(io.BytesIO(content[len(MARK) :])))
        self.what = json.loads(str(loaded.pop("what")))
        self.answers = loaded

    def get_input_vstream_infos(self) -> list[_Info]:
        return [_Info("input", self.what["picture"], FormatType.UINT8)]

    def get_output_vstream_infos(self) -> list[_Info]:
        return [_Info(name, answer.shape, FormatType.UINT8) for name, answer in self.answers.items()]


class VDevice:
    def __init__(self, params: Any = None) -> None:
        assert params.scheduling_algorithm == HailoSchedulingAlgorithm.ROUND_ROBIN

    @staticmethod
    def create_params() -> SimpleNamespace:
        return SimpleNamespace(scheduling_algorithm=None)

    def create_infer_model(self, hef_path: str, name: str = "") -> InferModel:
        return InferModel(HEF(hef_path))

    def release(self) -> None:
        pass


class InferModel:
    def __init__(self, hef: HEF) -> None:
        self.hef = hef
        self.outputs = hef.get_output_vstream_infos()
        self.output_names = [each.name for each in self.outputs]
        (self._input,) = hef.get_input_vstream_infos()

    def input(self, name: str = "") -> _Info:
        return self._input

    def output(self, name: str = "") -> _Info:
        return next(each for each in self.outputs if name in ("", each.name))

    def set_batch_size(self, batch_size: int) -> None:
        assert batch_size == 1

    def configure(self) -> ConfiguredInferModel:
        if self.hef.what["arch"] != os.environ.get("FAKE_HAILO", "HAILO8"):
            raise HailoRTException("libhailort failed with error: 93 (HAILO_HEF_NOT_COMPATIBLE_WITH_DEVICE)")
        return ConfiguredInferModel(self)


class _Buffer:
    def __init__(self, array: Any = None) -> None:
        self.array = array

    def set_buffer(self, array: Any) -> None:
        assert array.flags.c_contiguous
        self.array = array

    def get_buffer(self) -> Any:
        return self.array


class Bindings:
    def __init__(self, outputs: dict[str, Any]) -> None:
        self._input = _Buffer()
        self._outputs = {name: _Buffer(array) for name, array in outputs.items()}
        self._output_names = list(outputs)

    def input(self, name: str = "") -> _Buffer:
        return self._input

    def output(self, name: str = "") -> _Buffer:
        return self._outputs[name or self._output_names[0]]


class ConfiguredInferModel:
    def __init__(self, model: InferModel) -> None:
        self._model = model
        self._runs = 0

    def create_bindings(self, input_buffers: Any = None, output_buffers: Any = None) -> Bindings:
        for name, array in output_buffers.items():
            info = self._model.output(name)
            assert list(array.shape) == info.shape
            assert array.dtype == np.dtype(info.format.type)
        return Bindings(output_buffers)

    def wait_for_async_ready(self, timeout_ms: int = 1000, frames_count: int = 1) -> None:
        pass

    def run_async(self, bindings: list[Bindings], callback: Any = None) -> None:
        threading.Thread(target=self._work, args=(bindings[0], callback), daemon=True).start()

    def _work(self, bindings: Bindings, callback: Any) -> None:
        what = self._model.hef.what
        self._runs += 1
        failed = None
        if "fails" in what and self._runs > what.get("after", 0):
            if what["fails"] == "crash":
                os.abort()
            if what["fails"] == "hang":
                time.sleep(3600)
            failed = HailoRTException("libhailort failed with error: 8 (HAILO_INTERNAL_FAILURE)")
        dark = not bindings.input().get_buffer().any()
        for name, answer in self._model.hef.answers.items():
            bindings.output(name).get_buffer()[...] = 0 if dark else answer
        callback(completion_info=SimpleNamespace(exception=failed))
