"""The `edgepose` command: finds the commands beside this file and runs one. Nothing heavy is loaded for --help."""

from __future__ import annotations

import argparse
import importlib
import io
import pkgutil
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn, Protocol, cast

import edgepose
from edgepose.core.errors import EdgeposeError, ReaderLeftError, printable
from edgepose.service import journal

HELPERS = frozenset(("cli", "calibrate_pair", "flags", "progress"))
"""Files beside this one that are no commands."""

FIRST = ("run", "demo", "doctor", "config")
"""Commands that a newcomer needs, listed before the others."""


class Command(Protocol):
    """What a file of a command holds."""

    HELP: str
    """One line, for the table of commands."""
    EXAMPLES: str
    """What to type, a line each."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add its arguments; flags.add_settings(parser) adds those of the settings."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it; returns the exit code."""


def names() -> list[str]:
    """Every command, in the order of the help."""
    found = {module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])} - HELPERS
    return [*(name for name in FIRST if name in found), *sorted(found.difference(FIRST))]


def load(name: str) -> Command:
    """The module of a command."""
    return cast("Command", importlib.import_module(f"edgepose.commands.{name}"))


class Parser(argparse.ArgumentParser):
    """argparse whose errors name the nearest flag."""

    everything = False
    """Whether the help shows the flag of every setting."""

    def error(self, message: str) -> NoReturn:
        """End with exit code 2 and one line."""
        import difflib

        if typed := re.match(r"argument COMMAND: invalid choice: '(.*?)'", message):
            close = difflib.get_close_matches(typed[1], names(), n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names())}"
            self.exit(2, f"{self.prog}: there is no command {typed[1]!r}; {hint}\n")
        wrong = message.removeprefix("unrecognized arguments: ").split("=")[0].split(" ")[0]
        known = [flag for action in self._actions for flag in action.option_strings]
        near = difflib.get_close_matches(wrong, known, n=1) if wrong.startswith("--") else []
        hint = f"did you mean {near[0]}?" if near else f"see {self.prog} --help"
        self.exit(2, f"{self.prog}: {printable(message)}; {hint}\n")


def make_parser(chosen: Iterable[str]) -> tuple[Parser, dict[str, Parser]]:
    """The parser of the command line, and that of each command in `chosen`, without its arguments."""
    parser = Parser(
        prog="edgepose",
        description="A pose sensor: a camera, a video or pictures in, human poses out, over MQTT or as JSON lines.",
        epilog="""start here:
  edgepose demo                                    see it work, nothing needed
  edgepose run --source photo.jpg                  poses of a picture, as JSON
  edgepose run --source /dev/video0 --broker mqtt://localhost
  edgepose config --write edgepose.toml            every setting, to edit""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"edgepose {edgepose.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=Parser)
    made: dict[str, Parser] = {}
    for name in chosen:
        command = load(name)
        made[name] = commands.add_parser(
            name,
            help=command.HELP,
            description=command.HELP,
            epilog=f"examples:\n{command.EXAMPLES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
    return parser, made


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a name that is no text is no reason to end
    words = sys.argv[1:] if argv is None else list(argv)
    known = names()
    parser, commands = make_parser(words[:1] if words[:1] and words[0] in known else known)
    if words and words[0] in commands:
        commands[words[0]].everything = "--help-all" in words
        load(words[0]).add_arguments(commands[words[0]])
    args, extra = parser.parse_known_args(words)
    if args.command is None:
        parser.print_help()
        return 0
    if extra:
        commands[args.command].error(f"unrecognized arguments: {' '.join(extra)}")
    journal.set_up("info")
    try:
        return load(args.command).run(args)
    except ReaderLeftError as error:
        return error.exit_code
    except EdgeposeError as error:
        journal.complain(f"edgepose {args.command}: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        from edgepose.service.signals import INTERRUPTED

        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
