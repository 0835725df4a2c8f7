"""A queue on disk that loses nothing it told to have kept: events wait here for the broker."""

from __future__ import annotations

from edgepose.sink.mqtt.spool.disk import Item
from edgepose.sink.mqtt.spool.queue import Spool

__all__ = ["Item", "Spool"]
