"""Shorter names of the settings that people set first, as flags and as keywords."""

SHORT = {
    "source": "source.uri",
    "model": "engine.model",
    "broker": "sink.mqtt.broker",
    "jsonl": "sink.jsonl.path",
    "overlay": "sink.overlay.path",
    "record": "sink.record.path",
    "overwrite": "sink.jsonl.overwrite",
}
