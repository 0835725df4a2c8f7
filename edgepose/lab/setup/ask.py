"""The dialogue: over a plain terminal, in lines; each answer is tried, and asked again where it does not work."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgepose.core.config import Config
from edgepose.core.errors import ConfigError, EdgeposeError
from edgepose.core.secret import masked, private
from edgepose.lab.output import say
from edgepose.lab.setup import tries
from edgepose.lab.setup.answers import DEFAULT, MEANS, PUBLISH, Answers

Try = Callable[[Answers], str]


def line(question: str, default: str) -> str:
    """One answer; Enter takes the default.

    Raises:
        ConfigError: nobody is there to answer.
    """
    shown = masked(default)
    sys.stdout.write(f"{question}{f' [{shown}]' if shown else ''}: ")
    sys.stdout.flush()
    typed = sys.stdin.readline()
    if not typed:
        raise ConfigError("nobody answers here; --yes takes the answers given as flags, and the defaults")
    return typed.strip() or default


def agreed(question: str) -> bool:
    """Yes or no; Enter is no."""
    return line(f"{question} [y/N]", "").lower() in ("y", "yes")


def asked(args: argparse.Namespace, before: dict[str, Any], secrets: Path) -> Answers:
    """All four, tried; a password that is typed goes into a file in the folder `secrets`.

    Raises:
        EdgeposeError: with --yes, an answer does not work.
    """
    was = _defaults(before)
    answers = Answers(
        source=args.source or was.source,
        broker=was.broker if args.broker is None else args.broker,
        device=args.device or was.device,
        publish=args.publish or was.publish,
        username=args.username or was.username,
        password_file=args.password_file or was.password_file,
    )
    if args.yes and not answers.source:
        raise ConfigError("no camera was found here; add --source CAMERA_OR_FILE")
    if not args.yes:
        say("Four questions; Enter takes what stands in brackets, Ctrl-C ends it without a change.\n")
    for number, (question, field, does) in enumerate(QUESTIONS, 1):
        one = _Question(f"{number}. {question}", field, does)
        answers = one.settled(answers, args, secrets)
    return answers


def _defaults(before: dict[str, Any]) -> Answers:
    """What the settings say already, or what is found here."""
    source, mqtt = before.get("source", {}), before.get("sink", {}).get("mqtt", {})
    found = source.get("uri", "") or next(iter(tries.cameras()), "")
    publish = DEFAULT
    if before.get("home_assistant", {}).get("on"):
        publish = "home-assistant"
    elif mqtt.get("format") == "binary":
        publish = "binary"
    elif mqtt.get("events") is False:
        publish = "poses"
    return Answers(
        source=found,
        broker=mqtt.get("broker", ""),
        device=before.get("device", "") or Config().device_name,
        publish=publish,
        username=mqtt.get("username", ""),
        password_file=mqtt.get("password_file", ""),
    )


def _publish(answers: Answers) -> str:
    if answers.publish not in PUBLISH:
        raise ConfigError(f"{answers.publish!r} is none of {', '.join(PUBLISH)}")
    return MEANS[answers.publish] if answers.broker else "nothing, without a broker"


QUESTIONS: tuple[tuple[str, str, Try], ...] = (
    ("Camera: /dev/video0, picamera2, rtsp://..., a file", "source", tries.camera),
    ("Broker: mqtt://HOST or mqtts://HOST; none publishes nothing", "broker", tries.broker),
    ("Name of this board in topics", "device", tries.name),
    (f"What to publish: {', '.join(PUBLISH)}", "publish", _publish),
)
"""What is asked, which answer it is, how it is tried."""


@dataclass(frozen=True)
class _Question:
    text: str
    field: str
    does: Try

    def settled(self, answers: Answers, args: argparse.Namespace, secrets: Path) -> Answers:
        """The answers with this one, which works or is taken all the same."""
        ask = not args.yes and getattr(args, self.field) is None
        while True:
            if ask:
                typed = line(self.text, getattr(answers, self.field))
                answers = replace(answers, **{self.field: "" if typed == "none" else typed})
            try:
                say(f"   ok: {self._tried(answers)}")
            except EdgeposeError as error:
                if args.yes and not args.untried:
                    raise
                say(f"   does not work: {error}")
                if args.untried or agreed("   take it all the same"):
                    return answers
                if ask := not isinstance(error, tries.LoginError):
                    continue
                answers = _login(answers, secrets)
            else:
                return answers

    def _tried(self, answers: Answers) -> str:
        if not getattr(answers, self.field) and self.field != "broker":
            raise ConfigError("an answer is needed")
        return self.does(answers)


def _login(answers: Answers, secrets: Path) -> Answers:
    """Ask for the login."""
    user = line("   login name at the broker", answers.username)
    path = secrets / "password"
    with open(path, "w", encoding="utf-8", opener=private) as file:
        file.write(getpass.getpass("   password (not shown): ") + "\n")
    return replace(answers, username=user, password_file=str(path))
