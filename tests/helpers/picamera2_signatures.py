"""Reads the signatures of picamera2 out of its source, without importing it: it needs libcamera, this does not.

Record them anew from the folder that holds the package (of `pip download picamera2 --no-deps`, unpacked):

    python -m tests.helpers.picamera2_signatures FOLDER > tests/golden/picamera2_signatures.json
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

Signatures = dict[str, dict[str, str]]
"""Class.method -> parameter -> its default as written, "required" where it has none."""

RELEASES = ("0.3.24", "0.3.38")
"""The oldest that pyproject.toml allows, and the one the signatures are recorded of; `./tools/test` fetches both."""

FILES = {"picamera2.py": ("Picamera2",), "request.py": ("MappedArray", "CompletedRequest")}
"""File of the package -> its classes that a camera source meets."""


def signatures_in(text: str, classes: tuple[str, ...]) -> Signatures:
    """The methods of `classes`, public ones and the constructor; of overloads the last, which is the real one."""
    found: Signatures = {}
    for owner in ast.parse(text).body:
        if not isinstance(owner, ast.ClassDef) or owner.name not in classes:
            continue
        for method in owner.body:
            if isinstance(method, ast.FunctionDef) and (method.name == "__init__" or not method.name.startswith("_")):
                found[f"{owner.name}.{method.name}"] = _parameters(method.args)
    return found


def _parameters(arguments: ast.arguments) -> dict[str, str]:
    names = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
    defaults = [ast.unparse(each) for each in arguments.defaults]
    parameters = dict(zip(names, ["required"] * (len(names) - len(defaults)) + defaults, strict=True))
    for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        parameters[each.arg] = ast.unparse(default) if default else "required"
    return {name: default for name, default in parameters.items() if name != "self"}


def signatures_of(package: Path) -> Signatures:
    """The signatures of the picamera2 whose files lie in `package`."""
    found: Signatures = {}
    for name, classes in FILES.items():
        found |= signatures_in((package / name).read_text(encoding="utf-8"), classes)
    return found


if __name__ == "__main__":
    recorded = signatures_of(Path(sys.argv[1]) / "picamera2")
    rows = (f"  {json.dumps(name)}: {json.dumps(recorded[name])}" for name in sorted(recorded))
    print("{\n" + ",\n".join(rows) + "\n}")
