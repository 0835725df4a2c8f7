"""A float model made int8, and what it lost: run beside the float one, tensor by tensor."""

from edgepose.engine.quantize.int8 import make_int8
from edgepose.engine.quantize.layers import Finding, Layer, compare, findings_alone
from edgepose.engine.quantize.tape import Tape

__all__ = ["Finding", "Layer", "Tape", "compare", "findings_alone", "make_int8"]
