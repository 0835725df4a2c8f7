"""`edgepose config`: every setting in force, as a file."""

from __future__ import annotations

import argparse
import sys

from edgepose.commands.flags import add_settings, read_settings

HELP = "Print every setting in force, with its unit and meaning, as a file that loads back the same."
EXAMPLES = """  edgepose config > edgepose.toml                  start a settings file
  edgepose config --config edgepose.toml           check one: what is in force"""


TITLE = "# edgepose settings: every key, what it means, and the value in force. Flags have the same names."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    """Print them."""
    from edgepose.core import config

    cfg = read_settings(args)
    sys.stdout.write(f"{TITLE}\n")
    sys.stdout.write(config.to_toml(cfg))
    if cfg.engine.threads == 0:
        from edgepose.engine import tuned

        for model, best in sorted(tuned.read().items()):
            kept = f"{best.threads} for {model} here: measured {best.measured} by bench --tune"
            sys.stdout.write(f"# engine.threads = 0 is {kept}\n")
    return 0
