"""Poses as OSC over UDP: plain numbers, or an avatar's bones as VMC has them."""

from __future__ import annotations

from edgepose.sink.osc.sink import OscSink

__all__ = ["OscSink"]
