"""The tables of docs/stream.md, made from TOPICS and the structs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgepose.wire import binary
from edgepose.wire.commands import COMMANDS
from edgepose.wire.schema import KINDS, components
from edgepose.wire.topics import ROOT, TOPICS


def topics() -> str:
    """Every topic, how it behaves, what is in it."""
    rows = [
        (
            f"`{topic.suffix}`",
            "takes" if topic.taken else "sends",
            str(topic.qos),
            "yes" if topic.kept else "",
            topic.message if "|" not in topic.message else topic.message.replace(" | ", " or "),
            topic.says,
        )
        for topic in TOPICS
    ]
    heads = ("topic", "edgepose", "QoS", "kept", "payload", "says")
    return f"Below `sink.mqtt.topic`, which is `{ROOT}` unless set otherwise:\n\n{_table(heads, rows)}"


def messages() -> str:
    """Every key of every message and command."""
    made = components(list(KINDS), "{name}")
    parts = []
    for name, kind in KINDS.items():
        title = kind.struct.__name__
        parts.append(_section(f"`{kind.schema or name.replace('-', '/')}`", made[title]))
        parts += [
            _section(f"{other} (of {title})", made[other])
            for other in made
            if other not in {kind.struct.__name__ for kind in KINDS.values()} and f"'{other}'" in str(made[title])
        ]
    return "\n\n".join(parts)


def binary_form() -> str:
    """How the bytes of the binary form lie."""
    return f"```text\n{(binary.__doc__ or '').strip()}\n```"


def commands() -> str:
    """Every command, in a line each."""
    rows = [
        (f"`control/{name}`", f"`{EXAMPLES[name]}`", " ".join((struct.__doc__ or "").split()), f"`{RESULTS[name]}`")
        for name, struct in COMMANDS.items()
    ]
    return _table(("topic", "for example", "does", "`result` of the answer"), rows)


def _section(heading: str, schema: dict[str, Any]) -> str:
    must = schema.get("required", ())
    rows = [
        (f"`{field}`", _type(about), "yes" if field in must else "", about["description"])
        for field, about in schema["properties"].items()
    ]
    return f"### {heading}\n\n{schema['description']}\n\n" + _table(("key", "type", "always", "meaning"), rows)


def _type(about: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "const" in about:
        return f'"{about["const"]}"'
    if "enum" in about:
        return " or ".join(f'"{value}"' for value in about["enum"])
    if "examples" in about:
        return f"{about['type']}: {', '.join(about['examples'])}"
    if "anyOf" in about:
        return " or ".join(_type(one) for one in about["anyOf"] if one != {"type": "null"} or "default" not in about)
    if "$ref" in about:
        return str(about["$ref"])
    if about.get("type") == "array":
        if "prefixItems" in about:
            return f"[{', '.join(_type(one) for one in about['prefixItems'])}]"
        if about.get("minItems") == about.get("maxItems") is not None:
            return f"[{about['minItems']} x {_type(about['items'])}]"
        return f"list of {_type(about['items'])}"
    if about.get("type") == "object":
        inner = about.get("additionalProperties")
        return f"object of {_type(inner)}" if inner else "object"
    return str(about.get("type", "anything")) + (" (time)" if about.get("format") == "date-time" else "")


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


EXAMPLES = {
    **dict.fromkeys(COMMANDS, "{}"),
    "rate": '{"max_fps": 5}',
    "model": '{"model": "movenet_thunder_256", "id": "42"}',
    "smoothing": '{"preset": "strong"}',
    "power": '{"max_cpu": 0.5, "wake": true}',
}
RESULTS = {
    "pause": '{"paused": true}',
    "resume": '{"paused": false}',
    "rate": '{"max_fps": 5.0}',
    "model": '{"model": "movenet_thunder_256", "engines": ["..."]}',
    "smoothing": '{"preset": "strong"}',
    "calibrate": "{}",
    "power": '{"mode": "auto", "max_cpu": 0.5, "max_temp_c": null, "state": "active"}',
    "snapshot": '{"jpeg": "base64 of it", "seq": 7, "people": 2, "size_wh": [640, 480]}',
    "restart": "{}",
    "status": '{"status": {...}, "health": {...}}',
}
TABLES = {"topics": topics, "commands": commands, "messages": messages, "binary": binary_form}
"""Name between the markers in docs/stream.md -> what stands there."""


def between_markers(page: str) -> str:
    """A page of Markdown with each table made anew: <!-- topics --> ... <!-- end of topics -->."""
    for name, make in TABLES.items():
        before, start, rest = page.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- end of {name} -->")
        page = f"{before}{start}\n{make()}\n\n{end}{after}" if start and end else page
    return page


def rewrite(path: str) -> None:
    """Make the tables of a page anew."""
    page = Path(path)
    page.write_text(between_markers(page.read_text(encoding="utf-8")), encoding="utf-8")
