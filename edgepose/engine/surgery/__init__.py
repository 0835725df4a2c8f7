"""Graph surgery: a stock .tflite file cut at its heads, without TensorFlow or the generated classes of its schema."""

from edgepose.engine.surgery.names import name_of
from edgepose.engine.surgery.plan import DELEGATED, Plan, make_plan

__all__ = ["DELEGATED", "Plan", "make_plan", "name_of"]
