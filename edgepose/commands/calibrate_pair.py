"""`edgepose eval --calibrate NAME`: a pair of one's own, fitted to annotated pictures and kept under a name."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edgepose.commands.progress import Progress
from edgepose.core.errors import ConfigError

if TYPE_CHECKING:
    from edgepose.core.config import Config
    from edgepose.lab.eval.calibrate import Calibrated
    from edgepose.lab.eval.truth import Truth


def calibrate_pair(args: argparse.Namespace, cfg: Config, truth: Truth) -> int:
    """Fit the pair of `--model`, keep it, and say how good its chances are."""
    from edgepose.estimate.pairs import pair_of
    from edgepose.lab.eval.calibrate import MARGINS, calibrate, kept

    name = args.calibrate
    pair = pair_of(cfg.engine.model)
    if pair is None:
        raise ConfigError(f"--calibrate: {cfg.engine.model} is one model; --model FINDER+REFINER are two")
    require_free(name, cfg)
    peopled = sum(not picture.empty for picture in truth.pictures)
    count = peopled * len(MARGINS) + len(truth.pictures) + len(truth.empties)
    found = calibrate(cfg, pair, truth, Progress("pictures", count, name))
    path = write(name, kept(found))
    _say(found, name, path)
    if args.json:
        import json

        from edgepose.lab.output import write_text

        write_text(args.json, json.dumps({**found.measured, "reliability": found.reliability}, indent=1) + "\n")
    return 0


def require_free(name: str, cfg: Config) -> None:
    """See that a name is one, and nobody's yet.

    Raises:
        ConfigError: it is not.
    """
    from edgepose.engine.zoo import list_models
    from edgepose.estimate.pairs import NAME, PAIRS, own_pair

    if not NAME.fullmatch(name):
        raise ConfigError(f"--calibrate: {name!r} is no name; expected letters, digits, _ and -, at most 64")
    if name in PAIRS or name in {path.stem for path in list_models(cfg.engine.models_dir)}:
        raise ConfigError(f"--calibrate: {name} is a model's name already; choose another")
    if path := own_pair(name):
        raise ConfigError(f"--calibrate: {path} is there already; remove it, or choose another name")


def write(name: str, pair: object) -> Path:
    """Keep a pair in the first folder of settings that can be written.

    Raises:
        ConfigError: none can.
    """
    from edgepose.core import places
    from edgepose.engine.manifest import SUFFIX
    from edgepose.estimate.pairs import FOLDER

    text = text_of(pair)
    said = ""
    for folder in places.settings():
        path = folder / FOLDER / f"{name}{SUFFIX}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            said = said or f"{path}: {error.strerror}"
            continue
        return path
    raise ConfigError(f"{said or 'there is no HOME'}; set EDGEPOSE_CONFIG_DIR to a folder that can be written")


def text_of(pair: object) -> str:
    """A pair file's TOML."""
    import msgspec

    from edgepose.core.config import toml_value

    raw = msgspec.to_builtins(pair)
    measured = raw.pop("measured")
    lines = ["# Written by `edgepose eval --calibrate`; engine.model takes its name. Delete it to forget."]
    lines += [f"{key} = {toml_value(value)}" for key, value in raw.items()]
    lines += ["", "[measured]", *(f"{key} = {toml_value(value)}" for key, value in measured.items())]
    return "\n".join(lines) + "\n"


def _say(found: Calibrated, name: str, path: Path) -> None:
    from edgepose.lab.output import say_table

    pair, told = found.pair, found.measured
    sys.stdout.write(
        f"{pair.finder} + {pair.refiner}: {told['people']} people and {told['without_people']} pictures without, "
        f"{told['candidates']} candidates, {told['right']} of them right\n\n"
    )
    say_table(
        [
            ("margin", f"{pair.margin:g}", f"side of a crop; OKS of everybody's best candidate {told['mean_oks']:g}"),
            ("worth", f"{pair.worth:g}", "finder's score from which a candidate gets a crop"),
            ("gate", f"{pair.gate:g}", f"keeps {told['kept']:.0%} of the right ones, shows somebody in "
             f"{told['shown_without_people']} of {told['without_people']} pictures without people"),
            ("ece", f"{told['ece']:.4f}", f"mean distance of a chance from the share right, {told['folds']} folds"),
        ]
    )  # fmt: skip
    sys.stdout.write("\nhow far a chance can be trusted, in pictures it was not fitted to:\n")
    say_table(
        [
            (f"  {row['low']:.1f} to {row['high']:.1f}", f"{row['right']:.2f}",
             f"of {row['count']:.0f} are right, told as {row['score']:.2f} on average")
            for row in found.reliability
        ]
    )  # fmt: skip
    sys.stdout.write(f"\nkept as {path}: edgepose run --model {name}\n")
