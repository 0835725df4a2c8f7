"""`edgepose kernels`: how the loops of decoders, tracker and smoother run here."""

from __future__ import annotations

import argparse

from edgepose.lab.output import say

MEANINGS = {
    "aot": "compiled ahead of time, comes with edgepose: nothing to compile, nothing to wait for",
    "numba": "compiled while running: seconds and some 100 MiB at every start",
    "numpy": "plain numpy: the same poses, more time per frame",
}


HELP = "Say how each decoder's loops would run and why not better."
EXAMPLES = "  edgepose kernels                                 what is in use, where it is, why not better"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There are none."""


def run(args: argparse.Namespace) -> int:  # noqa: ARG001 - as every command
    """A line per family: what `decode.kernels = "auto"` gives, where it is, why nothing better."""
    from edgepose import kernels

    states = {name: kernels.state(name) for name in kernels.families()}
    width = max(map(len, states))
    say(f"{'FAMILY':<{width}}  IN USE  WHERE, OR WHY NOT BETTER")
    for name, state in states.items():
        say(f"{name:<{width}}  {state.kind:<6}  {state.where or state.why}")
    say()
    for kind in dict.fromkeys(state.kind for state in states.values()):
        say(f"{kind:<6} {MEANINGS[kind]}")
    if any(state.kind == "numpy" for state in states.values()):
        say("pip install 'edgepose[numba]'   compiles them while running")
    return 0
