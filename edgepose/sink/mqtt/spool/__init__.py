"""A queue on disk that loses nothing it told to have kept: events wait here for the broker."""

from __future__ import annotations

from edgepose.sink.mqtt.spool.disk import Item
from edgepose.sink.mqtt.spool.queue import Spool, state_folder

__all__ = ["Item", "Spool", "state_folder"]
