"""`edgepose schema`: the published contract, for machines and for people."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from edgepose.commands.flags import add_settings, read_settings
from edgepose.core.errors import ConfigError

HELP = "Print or write the published contract: JSON Schema, AsyncAPI, the topic reference."
EXAMPLES = """  edgepose schema                                  one JSON Schema for all that is published
  edgepose schema poses                            of one message: poses, event, status, ...
  edgepose schema control-rate                     of one command
  edgepose schema --format asyncapi                the AsyncAPI document: topics, messages, who sends
  edgepose schema --format markdown                the reference for people
  edgepose schema --out docs/schema                a file for each message and command, and asyncapi.json"""

JSON_SCHEMA, ASYNCAPI, MARKDOWN = "json-schema", "asyncapi", "markdown"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument("name", nargs="?", default="", metavar="NAME", help="one message or command; default: all")
    parser.add_argument(
        "--format", choices=(JSON_SCHEMA, ASYNCAPI, MARKDOWN), help="what to write; default: json-schema; --out: all"
    )
    parser.add_argument("--out", metavar="DIR", help="write files into this folder instead of printing")
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    """Print or write."""
    read_settings(args)
    made = files(args.name, args.format)
    if not args.out:
        sys.stdout.write(printed(args.name, args.format or JSON_SCHEMA))
        return 0
    folder = Path(args.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in made.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--out {folder}: {error.strerror}; give a folder that can be written") from None
    sys.stdout.write(f"{len(made)} files in {folder}\n")
    return 0


def printed(name: str, form: str) -> str:
    """What goes to standard output: one document."""
    from edgepose.wire import schema

    if form == JSON_SCHEMA and not name:
        return _text(schema.any_published())
    (text,) = files(name, form).values()
    return text


def files(name: str = "", form: str | None = None) -> dict[str, str]:
    """Name of each file -> its text; form None: JSON Schema and AsyncAPI.

    Raises:
        ConfigError: there is no such message.
    """
    from edgepose.wire import asyncapi, reference, schema

    if name and name not in schema.KINDS:
        raise ConfigError(f"{name}: no such message or command; there are {', '.join(schema.KINDS)}")
    if name and form not in (None, JSON_SCHEMA):
        raise ConfigError(f"{name}: {form} is of the whole contract; leave the name out")
    made: dict[str, str] = {}
    if form in (None, JSON_SCHEMA):
        made = {f"{kind}.json": _text(schema.json_schema(kind)) for kind in ([name] if name else schema.KINDS)}
    if form == ASYNCAPI or (form is None and not name):
        made["asyncapi.json"] = _text(asyncapi.document())
    if form == MARKDOWN:
        made["reference.md"] = "\n\n".join(make() for make in reference.TABLES.values()) + "\n"
    return made


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
