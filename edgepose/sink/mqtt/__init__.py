"""Poses, events and state to an MQTT broker."""

from __future__ import annotations

from edgepose.sink.mqtt.sink import MqttSink

__all__ = ["MqttSink"]
