"""TFLite behind one small interface: `open_engine(settings)` gives an Engine, `engine.run(tensor)` its raw heads."""

from edgepose.engine.tflite import Engine, open_engine

__all__ = ["Engine", "open_engine"]
