"""The AsyncAPI 3.0 document of the whole contract: every topic, what is in it, who sends it. Made from TOPICS."""

from __future__ import annotations

import inspect
from typing import Any

from edgepose.wire import binary
from edgepose.wire.commands import COMMANDS
from edgepose.wire.schema import KINDS, components
from edgepose.wire.topics import ROOT, TOPICS, Topic

VERSION = "1.0.0"
"""Of the contract: the first number is that of the schemas."""
ANSWERS = "control/answer"
PARAMETERS = {
    "device": {"description": "name of the board, as the setting `device` says"},
    "camera": {"description": "name of the camera, as the setting `camera` says"},
}
BINARY = "PosesBinary"


def document() -> dict[str, Any]:
    """All of it."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for topic in TOPICS:
        for suffix, messages in _addresses(topic).items():
            key = suffix.replace("/", "_")
            channels[key] = {
                "address": f"{ROOT}/{suffix}",
                "description": topic.says,
                "parameters": {name: {"$ref": f"#/components/parameters/{name}"} for name in PARAMETERS},
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
            }
            operations[key] = {
                "action": "receive" if topic.taken else "send",
                "channel": {"$ref": f"#/channels/{key}"},
                "summary": topic.says if not topic.taken else _command(suffix).__doc__,
                "messages": [{"$ref": f"#/channels/{key}/messages/{name}"} for name in messages],
                "bindings": {"mqtt": {"qos": topic.qos, "retain": topic.kept, "bindingVersion": "0.2.0"}},
            }
            if topic.taken:
                answers = ANSWERS.replace("/", "_")
                operations[key]["reply"] = {
                    "channel": {"$ref": f"#/channels/{answers}"},
                    "messages": [{"$ref": f"#/channels/{answers}/messages/Answer"}],
                }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "edgepose",
            "version": VERSION,
            "description": "Human poses from a camera on a small board, over MQTT. Readers ignore what they do not "
            "know; nothing changes its meaning within a version.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"schemas": _schemas(), "messages": _messages(), "parameters": PARAMETERS},
    }


def _addresses(topic: Topic) -> dict[str, list[str]]:
    """Each topic as one address or, where it stands for several, as all of them -> names of the messages there."""
    if topic.taken:
        return {topic.suffix.replace("+", name): [struct.__name__] for name, struct in COMMANDS.items()}
    if topic.message == "Message":
        return {topic.suffix: ["Poses", BINARY]}
    return {topic.suffix: [topic.message if "|" not in topic.message else topic.suffix.capitalize()]}


def _command(suffix: str) -> type:
    return COMMANDS[suffix.rpartition("/")[2]]


def _messages() -> dict[str, Any]:
    """Every message by the name that `_addresses` gives it."""
    made: dict[str, Any] = {}
    for name, kind in KINDS.items():
        title = kind.struct.__name__
        made["Poses" if name == "poses" else title] = {
            "title": kind.schema or name,
            "summary": (inspect.getdoc(kind.struct) or "").partition("\n")[0],
            "contentType": "application/json",
            "payload": {"$ref": f"#/components/schemas/{title}"},
        }
    made[BINARY] = {
        "title": "poses, binary form, version 1",
        "summary": (binary.__doc__ or "").partition("\n")[0],
        "description": binary.__doc__,
        "contentType": "application/octet-stream",
        "payload": {"type": "string", "format": "binary"},
    }
    made["Picture"] = {
        "summary": "a picture with its people drawn on it",
        "contentType": "image/jpeg",
        "payload": {"type": "string", "format": "binary"},
    }
    for topic in TOPICS:
        if "|" in topic.message:
            made[topic.suffix.capitalize()] = {
                "summary": topic.says,
                "contentType": "text/plain",
                "payload": {"type": "string", "enum": topic.message.split(" | ")},
            }
    return made


def _schemas() -> dict[str, Any]:
    """Of all structs, in draft 7, which every tool for AsyncAPI reads."""
    made: dict[str, Any] = _draft_7(components(list(KINDS), "#/components/schemas/{name}"))
    return made


def _draft_7(schema: Any) -> Any:
    """The same with arrays of fixed places written as draft 7 has them."""
    if isinstance(schema, list):
        return [_draft_7(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _draft_7(value) for key, value in schema.items()}
    if "prefixItems" in made:
        made["additionalItems"] = made.pop("items", True)
        made["items"] = made.pop("prefixItems")
    return made
