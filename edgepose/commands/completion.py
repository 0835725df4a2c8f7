"""`edgepose completion`: what a shell offers after Tab, made from the parser."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator

HELP = "Print a completion for a shell: commands, flags, and what follows them."
EXAMPLES = """  edgepose completion bash > ~/.local/share/bash-completion/completions/edgepose
  edgepose completion zsh > ~/.zfunc/_edgepose          a folder of $fpath
  edgepose completion fish > ~/.config/fish/completions/edgepose.fish"""

BASH = """# completion of edgepose for bash
_edgepose() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} command=${{COMP_WORDS[1]}} flags words
  local before=${{COMP_WORDS[COMP_CWORD-1]}}
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W {commands} -- "$word"))
    return
  fi
  case $command in
{flags}
  esac
  case "$command $before" in
{choices}
  esac
  if [ -n "$words" ]; then
    COMPREPLY=($(compgen -W "$words" -- "$word"))
  elif [ "${{word:0:1}}" = - ]; then
    COMPREPLY=($(compgen -W "$flags" -- "$word"))
  else
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}}
complete -o filenames -F _edgepose edgepose
"""
ZSH = """#compdef edgepose
# completion of edgepose for zsh
_edgepose() {{
  local -a names
  if (( CURRENT == 2 )); then
    names=(
{commands}
    )
    _describe command names
    return
  fi
  case "$words[2] $words[CURRENT-1]" in
{choices}
  esac
  if [[ $words[CURRENT] != -* ]]; then
    _files
    return
  fi
  case $words[2] in
{flags}
  esac
}}
if [[ $funcstack[1] == _edgepose ]]; then _edgepose "$@"; else compdef _edgepose edgepose; fi
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument("shell", choices=sorted(SHELLS), metavar="SHELL", help=", ".join(sorted(SHELLS)))


def run(args: argparse.Namespace) -> int:
    """Print it."""
    from edgepose.lab.output import say

    say(SHELLS[args.shell](commands()).rstrip())
    return 0


SHOWN = 90
"""Letters of what something does, where a shell shows it beside its name."""

Flag = tuple[str, str, tuple[str, ...]]
"""Its name, what it does in a line, the words that may follow it where there are only some."""
Commands = dict[str, tuple[str, list[Flag]]]
"""Name -> what it does, its flags."""


def commands(everything: bool = True) -> Commands:
    """Every command with its flags, as its parser has them; `everything`: also those that only --help-all shows."""
    from edgepose.commands import cli

    names = cli.names()
    _, parsers = cli.make_parser(names)
    made: Commands = {}
    for name in names:
        parsers[name].everything = everything
        cli.load(name).add_arguments(parsers[name])
        made[name] = cli.load(name).HELP, list(_flags(parsers[name]))
    return made


def _flags(parser: argparse.ArgumentParser) -> Iterator[Flag]:
    for action in parser._actions:
        if action.help == argparse.SUPPRESS:
            continue
        for flag in action.option_strings:
            listed = "" if action.metavar is None or isinstance(action.metavar, tuple) else action.metavar
            words = tuple(listed.split("|")) if "|" in listed else ()
            words = words or tuple(map(str, action.choices or ()))
            yield flag, _line(action.help or ""), words


def _line(text: str) -> str:
    """Without what only argparse understands, in one line."""
    return re.sub(r"\s+", " ", re.sub(r"%\(\w+\)\w|%", "", text)).strip()


def bash(known: Commands) -> str:
    """For bash 3.2 and newer."""
    flags = "\n".join(
        f"    {name}) flags={shlex.quote(' '.join(flag for flag, _, _ in of))} ;;" for name, (_, of) in known.items()
    )
    choices = "\n".join(
        f"    {shlex.quote(f'{name} {flag}')}) words={shlex.quote(' '.join(words))} ;;"
        for name, (_, of) in known.items() for flag, _, words in of if words
    )  # fmt: skip
    return BASH.format(commands=shlex.quote(" ".join(known)), flags=flags, choices=choices)


def zsh(known: Commands) -> str:
    """For zsh 5."""
    lines = "\n".join(f"      {shlex.quote(f'{name}:{_line(says)}')}" for name, (says, _) in known.items())
    flags = "\n".join(
        f"    {name}) compadd -- {' '.join(shlex.quote(flag) for flag, _, _ in of)} ;;"
        for name, (_, of) in known.items()
    )
    choices = "\n".join(
        f"    {shlex.quote(f'{name} {flag}')}) compadd -- {shlex.join(words)}; return ;;"
        for name, (_, of) in known.items() for flag, _, words in of if words
    )  # fmt: skip
    return ZSH.format(commands=lines, flags=flags, choices=choices)


def fish(known: Commands) -> str:
    """For fish 3."""
    lines = ["# completion of edgepose for fish"]
    for name, (says, flags) in known.items():
        lines.append(f"complete -c edgepose -n __fish_use_subcommand -a {name} -d {_quoted(_line(says)[:SHOWN])}")
        for flag, whole, words in flags:
            does = whole[:SHOWN]
            kind = f"-l {_quoted(flag[2:])}" if flag.startswith("--") else f"-s {flag[1:]}"
            follows = f" -x -a {_quoted(' '.join(words))}" if words else ""
            lines.append(
                f"complete -c edgepose -n '__fish_seen_subcommand_from {name}' {kind}{follows} -d {_quoted(does)}"
            )
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """As fish reads it: a quote and a backslash are escaped by a backslash."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


SHELLS = {"bash": bash, "zsh": zsh, "fish": fish}
"""Shell -> what makes its completion."""
