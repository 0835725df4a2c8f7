"""One target under libFuzzer, in the environment that tools/fuzz makes: drive.py TARGET [libFuzzer's options]."""

from __future__ import annotations

import logging
import random
import re
import shlex
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import atheris

KINDS = 128
"""Refusals told apart."""
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
with atheris.instrument_imports(include=["edgepose", "tomllib", "json"]):
    from samples.fuzz_targets import JSON_TARGETS, TARGETS, mutate_json


def words_file(name: str, words: tuple[str, ...]) -> str:
    """A dictionary as libFuzzer reads it."""
    lines = []
    for word in words:
        plain = word.encode().decode("unicode_escape") if "\\x" in word else word
        coded = "".join(f"\\x{byte:02x}" for byte in plain.encode("latin-1", "ignore"))
        lines.append(f'"{coded}"')
    path = Path(f"{name}.dict").absolute()
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def again(name: str) -> str:
    """A command that runs this target: libFuzzer starts itself anew when it reduces inputs."""
    path = Path(f"{name}.sh").absolute()
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(__file__)} {name} "$@"\n')
    path.chmod(0o700)
    return str(path)


def _said() -> Callable[[int], int]:
    """Libraries in C tell nothing of what they reach: what a refusal says counts as code of its own."""
    made: dict[str, Callable[[int], int]] = {}
    lines = "".join(f"    if kind == {kind}:\n        return {kind}\n" for kind in range(KINDS))
    exec(f"def said(kind):\n{lines}    return 0\n", made)  # noqa: S102 (nothing from outside is in it)
    return atheris.instrument_func(made["said"])


def main() -> None:
    """Run; does not return."""
    if sys.argv[1:] == ["--list"]:
        print(*TARGETS, sep="\n")
        return
    name, *options = sys.argv[1:]
    target = TARGETS[name]
    logging.disable()
    said = _said()
    options += [f"-max_len={target.longest}"]
    if target.words:
        options.append(f"-dict={words_file(name, target.words)}")

    def one(data: bytes) -> None:
        said(zlib.crc32(re.sub(r"\d+|'.*'|`.*`", "", target(data)).encode()) % KINDS)

    def change(data: bytes, longest: int, seed: int) -> bytes:
        """Half of the JSON that is tried stays JSON."""
        changed = mutate_json(data, random.Random(seed)) if seed % 2 else data  # noqa: S311
        return changed[:longest] if changed != data else bytes(atheris.Mutate(data, longest))

    atheris.Setup([again(name), *options], one, custom_mutator=change if name in JSON_TARGETS else None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
