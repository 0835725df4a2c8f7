"""edgepose: a sensor of human pose for small boards.

    with edgepose.open("default") as pose:
        poses = pose(image)
    for poses in edgepose.watch("picamera2"): ...
    for poses in edgepose.listen("mqtt://broker/edgepose/+/+"): ...

docs/python.md is the manual. Nothing is loaded before it is used.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing has it, whose import takes longer than all of this
__version__ = "0.1.0"

__all__ = [
    "Config",
    "ConfigError",
    "EdgeposeError",
    "EngineError",
    "Frame",
    "FrameLostError",
    "ModelError",
    "Person",
    "Poses",
    "SinkError",
    "Skeleton",
    "SourceError",
    "Space",
    "__version__",
    "draw",
    "listen",
    "open",
    "watch",
]  # fmt: skip

if TYPE_CHECKING:
    from typing import Any

    from edgepose.core.config import Config
    from edgepose.core.errors import (
        ConfigError,
        EdgeposeError,
        EngineError,
        FrameLostError,
        ModelError,
        SinkError,
        SourceError,
    )
    from edgepose.core.poses import Frame, Person, Poses, Skeleton, Space
    from edgepose.face.listen import listen
    from edgepose.face.predict import draw
    from edgepose.face.predict import open_model as open  # noqa: A004 (edgepose.open, as tarfile.open)
    from edgepose.face.watch import watch

_WHERE = {
    "open": ("face.predict", "open_model"),
    "draw": ("face.predict", "draw"),
    "watch": ("face.watch", "watch"),
    "listen": ("face.listen", "listen"),
    "Config": ("core.config", "Config"),
    **{name: ("core.poses", name) for name in ("Frame", "Person", "Poses", "Skeleton", "Space")},
    **{name: ("core.errors", name) for name in __all__ if name.endswith("Error")},
}
"""Name -> module and name there."""


def __getattr__(name: str) -> Any:
    """Load what is asked for first."""
    if name not in _WHERE:
        raise AttributeError(f"module 'edgepose' has no attribute {name!r}")
    from importlib import import_module

    module, there = _WHERE[name]
    found = getattr(import_module(f"edgepose.{module}"), there)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
