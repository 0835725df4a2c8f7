"""TFLite behind one small interface: `open_engine(settings)` gives an Engine, `engine.run(tensor)` its raw heads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgepose.engine.opening import open_engine
    from edgepose.engine.tflite import Engine

__all__ = ["Engine", "open_engine"]


def __getattr__(name: str) -> Any:
    """Load what opens engines when it is asked for: a child that only runs a model needs none of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from edgepose.engine import opening

    return getattr(opening, name)
