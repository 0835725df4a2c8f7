"""`edgepose doctor`: looks at this board and says what works, what does not, and what to type."""

from __future__ import annotations

import argparse
import io
import logging
import shutil
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TextIO

import edgepose
from edgepose.core.config import Config
from edgepose.lab.doctor.context import Context
from edgepose.lab.doctor.examine import Found, examine
from edgepose.lab.doctor.finding import exit_code
from edgepose.lab.doctor.machine import Machine
from edgepose.lab.doctor.page import Page, as_json, is_coloured, write


def run_doctor(args: argparse.Namespace, cfg: Config, wrong: str = "", machine: Machine | None = None) -> int:
    """Examine, print, and say how it is: 0 fine, 1 degraded, 2 broken.

    wrong  what is wrong with the settings; `cfg` is the default then
    """
    path = Path(args.config) if args.config else Path("edgepose.toml")
    context = Context(cfg, machine, config_path=path if path.is_file() else None, wrong=wrong)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without "°" gets a question mark
    logging.disable(logging.WARNING)  # what libraries and stages tell on the way is not the page
    try:
        found = _examine(context, args.only, as_page=not args.json)
    finally:
        logging.disable(logging.NOTSET)
    if args.json:
        write(sys.stdout, as_json(found, cfg.device_name, _now(context).isoformat(timespec="seconds")) + "\n")
    return exit_code([each.finding for each in found])


def _examine(context: Context, only: list[str], *, as_page: bool) -> list[Found]:
    started = time.monotonic()
    progress = Waiting(sys.stderr)
    found: list[Found] = []
    page = Page(
        sys.stdout,
        shutil.get_terminal_size((100, 24)).columns,
        coloured=is_coloured(sys.stdout, context.machine.env),
    )
    if as_page:
        page.head(f"edgepose {edgepose.__version__} on {context.cfg.device_name}, {_now(context):%Y-%m-%d %H:%M} UTC")
    try:
        for each in examine(context, only, progress.saw):
            found.append(each)
            if as_page:
                progress.clear()
                page.add(each)
    finally:
        progress.clear()
    if as_page:
        page.foot(found, time.monotonic() - started)
    return found


def _now(context: Context) -> datetime:
    return datetime.fromtimestamp(context.machine.now(), timezone.utc)


class Waiting:
    """Says on a terminal what is being looked at, and takes it back."""

    def __init__(self, to: TextIO) -> None:
        self._to = to
        self._shown = 0

    def saw(self, name: str) -> None:
        """What comes next."""
        if self._to.isatty():
            self.clear()
            text = f"looking at {name} ..."
            self._to.write(text)
            self._to.flush()
            self._shown = len(text)

    def clear(self) -> None:
        """Take it back."""
        if self._shown:
            self._to.write("\r" + " " * self._shown + "\r")
            self._to.flush()
            self._shown = 0
