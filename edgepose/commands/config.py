"""`edgepose config`: every setting in force, as a file."""

from __future__ import annotations

import argparse
import logging
import os
import sys

from edgepose.commands.flags import add_settings, read_settings
from edgepose.core.errors import ConfigError
from edgepose.core.secret import private

log = logging.getLogger("edgepose")

HELP = "Print every setting in force, with its unit and meaning, as a file that loads back the same."
EXAMPLES = """  edgepose config --write edgepose.toml            start a settings file; one that exists stays as it is
  edgepose config --config edgepose.toml           check one: what is in force"""


TITLE = "# edgepose settings: every key, what it means, and the value in force. Flags have the same names."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument("--write", metavar="FILE", help="into a file that does not exist yet, instead of the terminal")
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    """Print them."""
    from edgepose.core import config

    cfg = read_settings(args)
    text = f"{TITLE}\n{config.to_toml(cfg)}"
    if cfg.engine.threads == 0:
        from edgepose.engine import tuned

        for model, best in sorted(tuned.read().items()):
            kept = f"{best.threads} for {model} here: measured {best.measured} by bench --tune"
            text += f"# engine.threads = 0 is {kept}\n"
    if args.write is None:
        sys.stdout.write(text)
    else:
        _write(args.write, text)
    return 0


def _write(path: str, text: str) -> None:
    """Make a file.

    Raises:
        ConfigError: it exists, or cannot be made.
    """
    try:
        with open(path, "x", encoding="utf-8", opener=private) as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"--write {path}: exists, and stays as it is; remove it first, or name another") from None
    except (OSError, ValueError) as error:
        what = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "no name of a file"
        raise ConfigError(f"--write {path!r}: cannot be written: {what}") from None
    log.info("wrote %s", path)
