"""`edgepose kernels`: how the decoders' loops run here, and building them ahead of time."""

from __future__ import annotations

import argparse
import difflib
import time
from collections.abc import Sequence
from pathlib import Path

from edgepose.core.errors import ConfigError
from edgepose.lab.output import say

MEANINGS = {
    "aot": "compiled ahead of time: no numba in memory, nothing to wait for",
    "numba": "compiled while running: seconds and some 100 MiB at every start",
    "numpy": "plain numpy: the same poses, more time per frame",
}


HELP = "Say how each decoder's loops would run and why not better, or compile them ahead of time."
EXAMPLES = """  edgepose kernels                                 what is in use, where it is, why not better
  edgepose kernels build                           compile now what the first run compiles in the background
  edgepose kernels build --folder /usr/lib/edgepose/kernels
                                                   for an image; EDGEPOSE_KERNELS says where it lies"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument("action", nargs="?", choices=("status", "build"), default="status")
    parser.add_argument("names", nargs="*", metavar="FAMILY", help="decoder families to build; default: all")
    parser.add_argument("--folder", default="", metavar="DIR", help="where to put them; default: the cache")


def run(args: argparse.Namespace) -> int:
    """Say or build."""
    return status() if args.action == "status" else build(args.names, args.folder)


def status() -> int:
    """A line per family: what `decode.kernels = "auto"` gives, where it is, why nothing better."""
    from edgepose import kernels
    from edgepose.kernels.aot import native

    states = {name: kernels.state(name) for name in native.families()}
    width = max(map(len, states))
    say(f"{'FAMILY':<{width}}  IN USE  WHERE, OR WHY NOT BETTER")
    for name, state in states.items():
        say(f"{name:<{width}}  {state.kind:<6}  {state.where or state.why}")
    say()
    for kind in dict.fromkeys(state.kind for state in states.values()):
        say(f"{kind:<6} {MEANINGS[kind]}")
    if any(state.kind != "aot" for state in states.values()) and native.installed_numba():
        say("edgepose kernels build   compiles them for this machine")
    return 0


def build(names: Sequence[str], folder: str) -> int:
    """Compile families ahead of time into a folder.

    Raises:
        ConfigError: there is no such family, no numba, no folder, or one cannot be built.
    """
    from edgepose.kernels.aot import background, native

    known = native.families()
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise ConfigError(f"kernels: no family {name!r}; {hint}")
    if native.installed_numba() is None:
        raise ConfigError("kernels: numba builds them and is not installed; pip install numba (here only to build)")
    try:
        into = _own_folder(Path(folder).expanduser()) if folder else native.writable_folder()
    except native.UnusableError as error:
        raise ConfigError(f"kernels: nowhere to put them: {error}; name a folder with --folder") from None
    failures = []
    for name in names or known:
        started = time.monotonic()
        try:
            background.build_now([name], into)
        except native.UnusableError as error:
            failures.append(str(error))
            say(f"{name:<12} failed")
        else:
            say(f"{name:<12} {into / native.library_name(name)}  {time.monotonic() - started:.1f} s")
    if failures:
        raise ConfigError(f"kernels: {'; '.join(failures)}; numba compiles these while running")
    if folder and into not in native.folders():
        say(f"set EDGEPOSE_KERNELS={into} where edgepose runs, so that it looks there")
    return 0


def _own_folder(folder: Path) -> Path:
    from edgepose.kernels.aot import native

    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        native.check_owner(folder)
    except OSError as error:
        raise native.UnusableError(f"{folder}: {error.strerror}") from None
    return folder
