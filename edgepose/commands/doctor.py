"""`edgepose doctor`: looks at this board and says what works, what does not, and what to type."""

from __future__ import annotations

import argparse
import io
import logging
import shutil
import sys
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import edgepose
from edgepose.commands.flags import add_settings, read_settings, settings_file
from edgepose.core.errors import ConfigError

if TYPE_CHECKING:
    from edgepose.core.config import Config
    from edgepose.lab.doctor.context import Context
    from edgepose.lab.doctor.examine import Found
    from edgepose.lab.doctor.machine import Machine

HELP = "Look at this board and say what works, what does not, and what to type: exits 0 fine, 1 degraded, 2 broken."
EXAMPLES = """  edgepose doctor                                  this board, with ./edgepose.toml if there is one
  edgepose doctor --source picamera2 --broker mqtts://broker.local
                                                   judged by what you are about to run
  edgepose doctor --only power --only cameras      some of the page
  edgepose doctor --json                           for a fleet; the exit code says the same: 0, 1 or 2"""

GROUPS = ("settings", "board", "power", "software", "models", "cameras", "broker")
"""Parts of the page, in its order."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    asked = parser.add_argument_group("the doctor")
    asked.add_argument("--json", action="store_true", help="everything as JSON, with keys that stay")
    asked.add_argument(
        "--only",
        action="append",
        default=[],
        choices=GROUPS,
        metavar="GROUP",
        help=f"look at this part only; may be given several times: {', '.join(GROUPS)}",
    )
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    """Examine this machine, also where the settings are wrong: they are a patient too."""
    from edgepose.core.config import Config

    try:
        cfg, wrong = read_settings(args), ""
    except ConfigError as error:
        cfg, wrong = Config(), str(error)
    return report(args, cfg, wrong)


def report(args: argparse.Namespace, cfg: Config, wrong: str = "", machine: Machine | None = None) -> int:
    """Examine, print, and say how it is: 0 fine, 1 degraded, 2 broken.

    wrong  what is wrong with the settings; `cfg` is the default then
    """
    from edgepose.lab.doctor.context import Context
    from edgepose.lab.doctor.finding import exit_code
    from edgepose.lab.doctor.page import as_json, write

    path = settings_file(args)
    context = Context(cfg, machine, config_path=path if path and path.is_file() else None, wrong=wrong)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without "°" gets a question mark
    logging.disable(logging.WARNING)  # what libraries and stages log on the way is not the page
    try:
        found = _examine(context, args.only, as_page=not args.json)
    finally:
        logging.disable(logging.NOTSET)
    if args.json:
        write(sys.stdout, as_json(found, cfg.device_name, _now(context).isoformat(timespec="seconds")) + "\n")
    return exit_code([each.finding for each in found])


def _examine(context: Context, only: list[str], *, as_page: bool) -> list[Found]:
    from edgepose.commands.progress import Line
    from edgepose.lab.doctor.examine import examine
    from edgepose.lab.doctor.page import Page, is_coloured

    started = time.monotonic()
    line = Line()
    found: list[Found] = []
    page = Page(
        sys.stdout,
        shutil.get_terminal_size((100, 24)).columns,
        coloured=is_coloured(sys.stdout, context.machine.env),
    )
    if as_page:
        page.head(f"edgepose {edgepose.__version__} on {context.cfg.device_name}, {_now(context):%Y-%m-%d %H:%M} UTC")
    try:
        for each in examine(context, only, lambda name: line.show(f"looking at {name} ...")):
            found.append(each)
            if as_page:
                line.clear()
                page.add(each)
    finally:
        line.clear()
    if as_page:
        page.foot(found, time.monotonic() - started)
    return found


def _now(context: Context) -> datetime:
    return datetime.fromtimestamp(context.machine.now(), timezone.utc)
