"""ONNX in: read without a library, written as .tflite; and our own networks written as ONNX for other runtimes."""

from edgepose.engine.onnx.convert import Converted, convert

__all__ = ["Converted", "convert"]
