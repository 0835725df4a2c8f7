"""The rule files that are shipped: a name instead of a path."""

from __future__ import annotations

import difflib
from pathlib import Path

from edgepose.core.errors import ConfigError

FOLDER = Path(__file__).with_name("ready")


def shipped() -> dict[str, Path]:
    """Name -> file."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.toml"))}


def path_of(name: str) -> Path:
    """The file that is meant: a path, or the name of a shipped one.

    Raises:
        ConfigError: there is none.
    """
    path, files = Path(name), shipped()
    if path.is_file() or path.suffix == ".toml":
        return path
    if name in files:
        return files[name]
    near = difflib.get_close_matches(name, files, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(files)}, or give the path of a .toml file"
    raise ConfigError(f"meaning.rules {name}: no such file, nor a shipped one; {hint}")
