"""JSON Schema of all that is published or taken, made from the structs; their docstrings are the descriptions."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from edgepose.wire.commands import COMMANDS
from edgepose.wire.messages import SCHEMAS
from edgepose.wire.poses_json import SCHEMA, Message

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Kind(NamedTuple):
    """One thing that has a schema."""

    struct: type[Struct]
    urn: str
    """Identifies the schema; there is nothing to fetch there."""
    schema: str
    """What the key `schema` says; empty for a command, which has none."""


def _urn(schema: str) -> str:
    return f"urn:{schema.replace('.', ':').replace('/', ':')}"


_NAMES: dict[type[Struct], str] = {Message: SCHEMA, **SCHEMAS}
PUBLISHED = {schema.removeprefix("edgepose.").partition("/")[0]: struct for struct, schema in _NAMES.items()}
KINDS: dict[str, Kind] = {
    **{name: Kind(struct, _urn(_NAMES[struct]), _NAMES[struct]) for name, struct in PUBLISHED.items()},
    **{f"control-{name}": Kind(struct, _urn(f"edgepose.control-{name}/1"), "") for name, struct in COMMANDS.items()},
}
"""Name, which is that of its file, -> what it is."""


def json_schema(name: str) -> dict[str, Any]:
    """Of one of KINDS, draft 2020-12, complete in itself."""
    kind = KINDS[name]
    definitions = components([name], "#/$defs/{name}")
    whole = definitions.pop(kind.struct.__name__)
    head = {"$schema": DIALECT, "$id": kind.urn}
    return {**head, **whole, **({"$defs": definitions} if definitions else {})}


def any_published() -> dict[str, Any]:
    """One schema for every JSON object that is published."""
    return {
        "$schema": DIALECT,
        "$id": "urn:edgepose:published:1",
        "title": "Published",
        "description": "Any JSON object that edgepose publishes; `schema` says which.",
        "oneOf": [{"$ref": f"#/$defs/{struct.__name__}"} for struct in PUBLISHED.values()],
        "$defs": components(list(PUBLISHED), "#/$defs/{name}"),
    }


def components(names: Sequence[str], ref_template: str) -> dict[str, Any]:
    """Schema of each struct that KINDS of these names need, by the struct's name; references as the template says."""
    kinds = [KINDS[name] for name in names]
    _, made = msgspec.json.schema_components([kind.struct for kind in kinds], ref_template=ref_template)
    structs = _reached([kind.struct for kind in kinds])
    for title, schema in made.items():
        schema["description"] = inspect.getdoc(structs[title])
        for field, text in field_texts(structs[title]).items():
            schema["properties"][field]["description"] = text
    for kind in kinds:
        if kind.schema:
            made[kind.struct.__name__]["properties"]["schema"] = {
                **made[kind.struct.__name__]["properties"]["schema"],
                "const": kind.schema,
            }
    return made


def _reached(structs: Sequence[type[Struct]]) -> dict[str, type[Struct]]:
    """These structs and those inside them, by name."""
    found: dict[str, type[Struct]] = {}

    def look(at: object) -> None:
        if isinstance(at, msgspec.inspect.StructType):
            found[at.cls.__name__] = at.cls
            for field in at.fields:
                look(field.type)
        for inner in ("item_type", "key_type", "value_type", "types", "item_types"):
            more = getattr(at, inner, ())
            for one in more if isinstance(more, tuple) else (more,):
                look(one)

    for struct in structs:
        look(msgspec.inspect.type_info(struct))
    return found


def field_texts(struct: type[Struct]) -> dict[str, str]:
    """The string under each field of a struct and of those it is made of, in one line each; from the source."""
    texts: dict[str, str] = {}
    for base in reversed(struct.__mro__):
        if issubclass(base, Struct) and base is not Struct:
            (of_class,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
            texts |= _texts_under(of_class.body if isinstance(of_class, ast.ClassDef) else [])
    return texts


def _texts_under(body: list[ast.stmt]) -> dict[str, str]:
    texts = {}
    for field, below in pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        ):
            texts[field.target.id] = " ".join(below.value.value.split())
    return texts
