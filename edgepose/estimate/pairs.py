"""Which two models work together, by name, and what was measured of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta

from edgepose.core import config, places
from edgepose.core.config import Section
from edgepose.core.errors import ModelError
from edgepose.engine.manifest import SUFFIX
from edgepose.engine.zoo import list_models
from edgepose.estimate.score import Logistic


class Pair(NamedTuple):
    """A finder of people in whole frames and a refiner of one person in a crop; they may be the same model."""

    finder: str
    refiner: str
    margin: float | None = None
    """Side of a crop over the longer side of the finder's pose; None: by the refiner's size."""
    worth: float | None = None
    """Raw finder score from which a candidate is worth a crop; None: the finder's own threshold."""
    found: Logistic | None = None
    """Chance of a person by log of the finder's score; None: that score."""
    crop: Logistic | None = None
    """The same by the refiner's."""
    both: Logistic | None = None
    """By both logs and how alike the two poses are (OKS); None: the geometric mean of the scores."""
    again: Logistic | None = None
    """By the log of the refiner's score and how alike the pose is to that of the look before, through another crop;
    None: as `crop`."""
    gate: float = 0.3
    """Chance from which a person in a single picture is told of."""
    enter: float = 0.4
    """Chance from which somebody in a video is followed."""
    believe: float | None = None
    """Chance, by all looks, from which who is followed gets an id; None: when seen twice with `enter`."""
    stay: float = 0.2
    """Chance down to which somebody with an id is told of."""


PAIRS = {
    "default": Pair(
        "movenet_multipose_256x256", "movenet_lightning_192", margin=1.25, worth=0.042,
        found=Logistic(4.45, (2.08,)), crop=Logistic(2.62, (1.07,)), both=Logistic(2.69, (0.96, 0.58, 5.04)),
        again=Logistic(-0.04, (1.2, 6.6)),
        gate=0.87, enter=0.5, believe=0.97, stay=0.25,
    ),
    "landscape": Pair(
        "movenet_multipose_192x256", "movenet_lightning_256", margin=1.45, worth=0.04,
        found=Logistic(3.74, (1.75,)), crop=Logistic(2.99, (1.1,)), both=Logistic(2.82, (0.77, 0.72, 5.73)),
        again=Logistic(-0.37, (1.25, 7.84)),
        gate=0.85, enter=0.5, believe=0.97, stay=0.25,
    ),
    "best": Pair(
        "movenet_multipose_192x256", "movenet_thunder_256", margin=1.4, worth=0.04,
        found=Logistic(3.74, (1.75,)), crop=Logistic(3.91, (1.6,)), both=Logistic(3.91, (0.65, 1.26, 5.01)),
        again=Logistic(0.57, (1.61, 7.53)),
        gate=0.86, enter=0.5, believe=0.98, stay=0.25,
    ),
    "light": Pair(
        "movenet_lightning_192", "movenet_lightning_192", margin=1.25, worth=0.042,
        found=Logistic(5.89, (3.12,)), crop=Logistic(3.88, (2.03,)), both=Logistic(4.87, (1.29, 1.52, 3.23)),
        again=Logistic(0.58, (1.82, 6.69)),
        gate=0.79, enter=0.5, believe=0.97, stay=0.25,
    ),
}  # fmt: skip
"""What `engine.model` may name instead of a model.

Chances: fitted to the candidates in pictures with people and in 303 without (66 pictures, parts and mirror images of
them); gates: about one of a hundred of these shows somebody.
"""


class PairFile(Section, frozen=True, kw_only=True):
    """A pair that `edgepose eval --calibrate NAME` measured, as it is kept."""

    schema: Literal[1]
    finder: str
    refiner: str
    margin: Annotated[float, Meta(gt=0.5, lt=5)]
    worth: Annotated[float, Meta(ge=0, le=1)]
    found: tuple[float, float]
    """Bias and weights of the chances, as Pair has them."""
    crop: tuple[float, float]
    both: tuple[float, float, float, float]
    again: tuple[float, float, float]
    gate: Annotated[float, Meta(ge=0, le=1)]
    enter: Annotated[float, Meta(ge=0, le=1)]
    believe: Annotated[float, Meta(ge=0, le=1)]
    stay: Annotated[float, Meta(ge=0, le=1)]
    measured: dict[str, Any] = {}
    """On what, and how sure its chances are."""

    @property
    def pair(self) -> Pair:
        """What the estimate goes by."""
        raw = {name: getattr(self, name) for name in Pair._fields}
        return Pair(**raw | {name: Logistic(raw[name][0], raw[name][1:]) for name in CHANCES})


CHANCES = ("found", "crop", "both", "again")
FOLDER = "pairs"
"""Of places.settings()."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def own_pair(name: str) -> Path | None:
    """The file of a pair of one's own; None: there is none of that name."""
    if not NAME.fullmatch(name):
        return None
    paths = (folder / FOLDER / f"{name}{SUFFIX}" for folder in places.settings())
    return next((path for path in paths if path.is_file()), None)


def own_pairs() -> list[Path]:
    """The files of all pairs of one's own; of two of one name the one that is taken."""
    found = {path.stem: path for folder in places.settings()[::-1] for path in (folder / FOLDER).glob(f"*{SUFFIX}")}
    return [path for name, path in sorted(found.items()) if NAME.fullmatch(name)]


def read_pair(path: Path) -> Pair:
    """A pair that was measured here.

    Raises:
        ConfigError: it is damaged; names the key.
    """
    return config.convert(config.read_toml(path), PairFile, str(path)).pair


def require_known(cfg: config.Engine) -> None:
    """Refuse a name that is neither a pair nor a model, naming both.

    Raises:
        ModelError: with what was probably meant.
    """
    if "/" in cfg.model or Path(cfg.model).suffix or "+" in cfg.model:
        return
    models = [path.stem for path in list_models(cfg.models_dir)]
    if cfg.model in models:
        return
    import difflib

    near = difflib.get_close_matches(cfg.model, (*PAIRS, *models), n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}? " if near else ""
    raise ModelError(
        f"engine.model: no model {cfg.model!r}; {hint}there are: pairs {', '.join(PAIRS)}, "
        f"and models {', '.join(models) or 'none'}; a file is given by its path, NAME.tflite"
    )


def pair_of(name: str) -> Pair | None:
    """The pair that `engine.model` names: one of PAIRS, one's own, or FINDER+REFINER; None: it names one model.

    Raises:
        ConfigError: the file of a pair of one's own is damaged.
    """
    if name in PAIRS:
        return PAIRS[name]
    if path := own_pair(name):
        return read_pair(path)
    finder, plus, refiner = name.partition("+")
    if not plus or Path(name).is_file():
        return None
    known = {(pair.finder, pair.refiner): pair for pair in PAIRS.values()}
    return known.get((finder, refiner), Pair(finder, refiner))
