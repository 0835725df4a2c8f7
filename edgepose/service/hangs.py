"""Says when the camera hangs upside down, on its side or tilted, and what turns its pictures."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edgepose.follow.hanging import Hang, Hanging

if TYPE_CHECKING:
    from edgepose.core import config
    from edgepose.core.poses import Frame, Poses
    from edgepose.service.base import Host

log = logging.getLogger("edgepose.service")

HOW = {180: "upside down", 90: "on its side", 270: "on its side"}


class Hangs:
    """A part of the service: its trouble is in `status`, and in the log once."""

    def __init__(self, service: Host) -> None:
        self._service = service
        self._source, self._hanging = service.cfg.source, Hanging()
        self._said = ""
        self.troubles: list[str] = []

    def start(self) -> None:
        """Nothing to open."""

    def saw(self, poses: Poses, _frame: Frame) -> None:
        """One frame's people more."""
        source = self._service.cfg.source
        if source != self._source:
            self._source, self._hanging = source, Hanging()
        hang = self._hanging.update(poses)
        self.troubles = [] if hang is None else [trouble(hang, source)]
        if self.troubles and self._said != self.troubles[0]:
            self._said = self.troubles[0]
            log.warning("%s", self._said)

    def stop(self) -> None:
        """Nothing to close."""


def trouble(hang: Hang, source: config.Source) -> str:
    """What is said of it: what is seen, and what to do."""
    if hang.tilted:
        side = "right" if hang.heads > 0 else "left"
        return f"camera: everybody leans {abs(hang.heads)} degrees to the {side}, so it hangs tilted: straighten it"
    return (
        f"camera: people stand {'on their heads' if hang.heads == 180 else 'sideways'}, so it hangs {HOW[hang.heads]}: "
        f"set source.rotate = {upright(hang.heads, source)}"
    )


def upright(heads: int, source: config.Source) -> int:
    """source.rotate by which heads point up that point `heads` degrees clockwise from it with the settings as they are.

    Pictures are mirrored after they are turned, which turns the angle round.
    """
    return (source.rotate + (heads if source.mirror else -heads)) % 360
