"""`edgepose setup`: four questions, each answer tried, then a settings file and the service."""

from __future__ import annotations

import argparse

HELP = "Ask for camera, broker, name and what to publish; try each answer, write the settings file, offer the service."
EXAMPLES = """  edgepose setup                                   asks; Enter takes what is in brackets, Ctrl-C ends it
  sudo edgepose setup                              the service's settings, and starts it
  edgepose setup --yes --source /dev/video0 --broker mqtt://homeassistant.local --publish home-assistant
                                                   asks nothing; ends with 78 where an answer does not work"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    from edgepose.lab.setup.answers import PUBLISH

    parser.add_argument("--yes", action="store_true", help="ask nothing: the answers given here, else the defaults")
    parser.add_argument("--source", metavar="CAMERA", help="a camera, stream or file")
    parser.add_argument("--broker", metavar="ADDRESS", help="mqtt://HOST or mqtts://HOST; empty publishes nothing")
    parser.add_argument("--username", default="", metavar="NAME", help="login name at the broker")
    parser.add_argument("--password_file", default="", metavar="FILE", help="its first line is the password there")
    parser.add_argument("--device", metavar="NAME", help="what this board is called in topics")
    parser.add_argument("--publish", choices=tuple(PUBLISH), metavar="WHAT", help=", ".join(PUBLISH))
    parser.add_argument(
        "--config", metavar="FILE", help="settings file; default: the service's for root where there is one, else here"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="with --yes: change a file that names a source already; a copy is kept"
    )
    parser.add_argument("--untried", action="store_true", help="take answers that do not work now")


def run(args: argparse.Namespace) -> int:
    """Ask, write, offer."""
    import tempfile
    from pathlib import Path

    from edgepose.lab.output import say
    from edgepose.lab.setup import write
    from edgepose.lab.setup.ask import asked
    from edgepose.lab.setup.start import start

    path = write.chosen(args.config)
    before = write.before(path)
    write.require_allowed(path, before, args)
    with tempfile.TemporaryDirectory(prefix="edgepose-setup-") as secrets:  # a password typed is gone with it
        answers = asked(args, before, Path(secrets))
        if not write.confirmed(path, before, args):
            say(f"{path} stays as it is")
            return 1
        write.write(path, before, answers, Path(secrets))
    return start(path, args)
