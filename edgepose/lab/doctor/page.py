"""Findings as a page to act on, or as JSON."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Iterable, Mapping
from typing import TextIO

import edgepose
from edgepose.core.places import utf8
from edgepose.lab.doctor.examine import Found
from edgepose.lab.doctor.finding import STATES, State, exit_code

SCHEMA = "edgepose.doctor/1"

COLOURS: dict[State, str] = {"fine": "\033[32m", "degraded": "\033[33m", "broken": "\033[1;31m", "unknown": "\033[36m"}
PLAIN, BOLD, DIM = "\033[0m", "\033[1m", "\033[2m"

MARKS: dict[State, str] = {"fine": "fine", "degraded": "DEGRADED", "broken": "BROKEN", "unknown": "unknown"}
"""What is wrong stands out without colour too."""

VERDICTS = ("fine", "degraded", "broken")
"""By exit code."""

STATE_WIDTH = max(map(len, MARKS.values()))
TOPIC_WIDTH = 17
MOST_WIDTH = 120


def write(to: TextIO, text: str) -> None:
    """Write, or drop what nobody reads any more (`| head`): the exit code still counts."""
    try:
        to.write(utf8(text))
        to.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, to.fileno())
        os.close(nowhere)


def is_coloured(stream: TextIO, env: Mapping[str, str]) -> bool:
    """Colour goes to terminals only, and not where NO_COLOR is set or the terminal is dumb."""
    return stream.isatty() and not env.get("NO_COLOR") and env.get("TERM") != "dumb"


class Page:
    """Writes findings as they come."""

    def __init__(self, to: TextIO, width: int, *, coloured: bool = False) -> None:
        self._to, self._coloured = to, coloured
        self._width = max(60, min(width, MOST_WIDTH))
        self._group = ""

    def head(self, line: str) -> None:
        """The first line."""
        self._line(self._dye(BOLD, line))

    def add(self, found: Found) -> None:
        """One finding, and what to do under it."""
        finding = found.finding
        if found.group != self._group:
            self._group = found.group
            self._line("")
            self._line(self._dye(BOLD, found.group))
        mark = self._dye(COLOURS[finding.state], MARKS[finding.state].ljust(STATE_WIDTH))
        indent = 2 + STATE_WIDTH + 2 + TOPIC_WIDTH + 2
        topic = finding.topic.ljust(TOPIC_WIDTH)
        first, *rest = self._wrap(finding.what, indent + max(0, len(topic) - TOPIC_WIDTH)) or [""]
        self._line(f"  {mark}  {topic}  {first}")
        more = self._wrap(" ".join(rest), indent)
        for line in more:
            self._line(" " * indent + line)
        for step in finding.do:
            self._step(step, indent)

    def _step(self, step: str, indent: int) -> None:
        """A command stays on one line, to be copied; words are wrapped."""
        if step.startswith("$ "):
            command, gap, note = step.partition("   (")
            self._line(" " * indent + self._dye(BOLD, command) + (self._dye(DIM, gap + note) if note else ""))
            return
        for number, line in enumerate(self._wrap(step, indent + 2)):
            self._line(" " * indent + ("- " if number == 0 else "  ") + line)

    def foot(self, found: list[Found], took_s: float) -> None:
        """The verdict in one line, and the worst again, as a page is long."""
        states = [each.finding.state for each in found]
        code = exit_code([each.finding for each in found])
        counts = ", ".join(f"{states.count(state)} {state}" for state in STATES if states.count(state))
        verdict = self._dye(COLOURS[VERDICTS[code]], VERDICTS[code].upper())  # type: ignore[index]
        self._line("")
        self._line(f"{verdict}: {counts or 'nothing was looked at'}, in {took_s:.1f} s")
        bad = [each for state in ("broken", "degraded") for each in found if each.finding.state == state]
        for each in bad:
            text = f"{each.group}, {each.finding.topic}: {each.finding.what}"
            self._line("  " + textwrap.shorten(text, self._width - 2, placeholder=" ..."))

    def _wrap(self, text: str, indent: int) -> list[str]:
        width = max(24, self._width - indent)
        return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)

    def _dye(self, colour: str, text: str) -> str:
        return f"{colour}{text}{PLAIN}" if self._coloured else text

    def _line(self, text: str) -> None:
        write(self._to, text.rstrip() + "\n")


def as_json(found: Iterable[Found], device: str, at: str) -> str:
    """Everything for a program; the keys are in docs/doctor.md and stay."""
    entries = list(found)
    code = exit_code([each.finding for each in entries])
    states = [each.finding.state for each in entries]
    facts = {
        "schema": SCHEMA,
        "edgepose": edgepose.__version__,
        "device": device,
        "at": at,
        "state": VERDICTS[code],
        "counts": {state: states.count(state) for state in STATES},
        "findings": [
            {
                "group": each.group,
                "topic": each.finding.topic,
                "state": each.finding.state,
                "what": each.finding.what,
                "do": list(each.finding.do),
                "data": dict(each.finding.data),
            }
            for each in entries
        ],
    }
    return utf8(json.dumps(facts, indent=1, ensure_ascii=False))
