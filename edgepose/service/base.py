"""What a service is made of, and what its parts know of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgepose.core import config
    from edgepose.core.poses import Frame, Poses
    from edgepose.pipeline import Pipeline
    from edgepose.service.notify import Notify
    from edgepose.service.settings import Settings
    from edgepose.service.state import ServiceState


class Part(Protocol):
    """One thing that a service does."""

    def start(self) -> None:
        """Begin; raises what is wrong with the settings."""

    def saw(self, poses: Poses, frame: Frame) -> None:
        """A frame is done, after the sinks have it; called by the thread that publishes, so must not block."""

    def stop(self) -> None:
        """End; the sinks are still open."""


@runtime_checkable
class Ticking(Part, Protocol):
    """One that has something to do now and then."""

    def tick(self) -> None:
        """Called several times a second by a thread of the service; must not block for long."""


class Host(Protocol):
    """The service as its parts see it."""

    pipeline: Pipeline
    settings: Settings
    notify: Notify
    read: Callable[[], config.Config] | None
    """Reads the settings again; None: there is nothing to read."""
    started_t: float
    """Monotonic seconds."""
    state: ServiceState
    parts: list[Part]
    """What it does around the loop."""

    @property
    def cfg(self) -> config.Config:
        """The settings in force."""

    def stopping(self) -> None:
        """The run ends soon; safe in a signal handler."""

    def restart(self) -> None:
        """End the run, and ask for another."""
