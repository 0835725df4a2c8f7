"""`edgepose man`: the manual page, made from the parser."""

from __future__ import annotations

import argparse
import re

HELP = "Print the manual page, for man, made from the parser."
EXAMPLES = """  edgepose man > edgepose.1                        then: man ./edgepose.1"""

HEAD = r""".TH EDGEPOSE 1 "" "edgepose {version}" "User Commands"
.SH NAME
edgepose \- sensor of human poses: a camera in, poses out over MQTT
.SH SYNOPSIS
.B edgepose
.I COMMAND
[\fIoptions\fR]
.SH DESCRIPTION
A camera, a video or pictures in, human poses out, over MQTT, as JSON lines, drawn on the picture or recorded.
Every setting of a settings file is also a flag of the same name:
.B edgepose config
prints them all.
.SH COMMANDS"""
TAIL = r""".SH FILES
.TP
.I ./edgepose.toml
Settings, read where it lies in the current folder.
.TP
.I /etc/edgepose/edgepose.toml
Settings of the service.
.SH EXIT STATUS
.TP
.B 0
All is well.
.TP
.B 1
It failed while running, or is degraded.
.TP
.B 2
The command line is wrong.
.TP
.B 78
Settings or model are wrong."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def run(args: argparse.Namespace) -> int:  # noqa: ARG001 (the same for each command)
    """Print it."""
    from edgepose.lab.output import say

    say(page())
    return 0


def page() -> str:
    """The page, in man's own macros."""
    import edgepose
    from edgepose.commands import cli, completion

    lines = [HEAD.format(version=edgepose.__version__)]
    for name, (does, flags) in completion.commands(everything=False).items():
        lines += [f".SS {name}", escaped(does)]
        for flag, says, words in flags:
            follows = f" {'|'.join(words)}" if words else ""
            lines += [".TP", rf"\fB{escaped(flag)}\fR{escaped(follows)}", escaped(says) or r"\&"]
        lines += [".PP", ".nf", escaped(cli.load(name).EXAMPLES), ".fi"]
    return "\n".join([*lines, TAIL])


def escaped(text: str) -> str:
    """As man prints it unchanged: no backslash, hyphen, or dot or quote at the start of a line means anything."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return re.sub(r"(?m)^([.'])", r"\\&\1", text)
