"""Opens what `engine.model` names: one model, or a pair."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TypeVar

import msgspec

from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.core.poses import BLAZEPOSE4
from edgepose.engine import Engine, open_engine
from edgepose.engine.zoo import find_model
from edgepose.estimate.base import Estimate
from edgepose.estimate.decode import sees_one, stands_upright
from edgepose.estimate.derive import derived
from edgepose.estimate.finder_refiner import FinderRefiner
from edgepose.estimate.pairs import Pair, pair_of, require_known
from edgepose.estimate.predictor import Predictor, new_counts
from edgepose.estimate.score import raw_of
from edgepose.estimate.sensed import SensedPredictor
from edgepose.estimate.single import SingleModel

PairT = TypeVar("PairT", bound=FinderRefiner)
LEAST_RAW = 0.01
"""Scores of candidates that are told of when nothing is held back."""
SPARE, MOST = 2, 50
"""Candidates of a finder per person asked for, as some turn out to be nobody or somebody else; and most of them."""


def open_estimate(cfg: config.Config) -> Estimate:
    """What `engine.model` names, opened.

    Raises:
        ConfigError: a setting or a model is wrong.
    """
    if cfg.source.senses:
        return _sensed(cfg)
    on_hailo = cfg.engine.delegate == "hailo"  # whose files have names of their own
    pair = None if on_hailo else pair_of(cfg.engine.model)
    if pair is None and not on_hailo:
        require_known(cfg.engine)
    with ExitStack() as opened:
        estimate = _one(cfg, cfg.engine.model, opened) if pair is None else _two(cfg, pair, opened)
        opened.pop_all()
    return estimate


def _engine(cfg: config.Config, model: str, opened: ExitStack) -> Engine:
    return opened.enter_context(open_engine(msgspec.structs.replace(cfg.engine, model=model)))


def _one(cfg: config.Config, name: str, opened: ExitStack) -> SingleModel:
    return single_model(cfg, _engine(cfg, name, opened))


def _sensed(cfg: config.Config) -> SingleModel:
    """What reads the answers of a network in the camera."""
    if cfg.engine.model != config.Engine().model:
        raise ConfigError(
            f"engine.model is {cfg.engine.model!r}, but the AI Camera's sensor runs source.network; leave it at "
            "its default, or use source picamera2 to run a model on the processor"
        )
    from edgepose.engine.sensor import open_sensor

    return single_model(cfg, open_sensor(cfg.source.network), SensedPredictor)


def single_model(cfg: config.Config, engine: Engine, predictor: type[Predictor] = Predictor) -> SingleModel:
    """What looks at each frame once with an opened model."""
    model, decode = engine.manifest, cfg.decode
    if model.score:
        least = 0.0 if not cfg.estimate.gate else min(model.score.gate, model.score.stay)
        least = least if decode.min_person_score is None else decode.min_person_score
        raw = max(raw_of(least, model.score.bias, model.score.slope), LEAST_RAW)
        decode = msgspec.structs.replace(decode, min_person_score=raw)
    elif not cfg.estimate.gate and decode.min_person_score is None:
        decode = msgspec.structs.replace(decode, min_person_score=LEAST_RAW)
    follow = cfg.estimate.crops and sees_one(model.decoder.name, model.decoder.options, cfg.decode.max_people)
    return SingleModel(cfg, predictor(engine, decode, new_counts()), follow)


def _two(cfg: config.Config, pair: Pair, opened: ExitStack) -> Estimate:
    if not cfg.estimate.crops:
        return _one(cfg, pair.finder, opened)
    return open_pair(cfg, pair, opened, FinderRefiner)


def open_pair(cfg: config.Config, pair: Pair, opened: ExitStack, kind: type[PairT]) -> PairT:
    """A pair that looks twice; `opened` closes its engines.

    Raises:
        ConfigError: a model is wrong, or the two do not go together.
    """
    finder = _engine(cfg, pair.finder, opened)
    same = find_model(pair.finder, cfg.engine.models_dir) == find_model(pair.refiner, cfg.engine.models_dir)
    refiner = finder if same else _engine(cfg, pair.refiner, opened)
    _check(finder, refiner)
    pair = derived(pair, finder.manifest, refiner.manifest)
    counts = new_counts()
    # the finder's candidates: as sure as a crop is worth, or all of them
    worth = pair.worth if cfg.estimate.gate else LEAST_RAW
    people = min(MOST, SPARE * max(cfg.decode.max_people, 2))
    joint = 0.0 if finder.manifest.decoder.name == "movenet" else None  # it has a coarse pose besides
    find = config.Decode(max_people=people, min_person_score=worth, min_joint_score=joint, kernels=cfg.decode.kernels)
    # a crop tells of whoever is in it; how sure that is comes later
    refine = config.Decode(max_people=1, min_person_score=0.0, min_joint_score=0.0, kernels=cfg.decode.kernels)
    return kind(cfg, pair, Predictor(finder, find, counts), Predictor(refiner, refine, counts))


def _check(finder: Engine, refiner: Engine) -> None:
    """Raise ConfigError unless one finds many people and the other refines one."""
    found, refined = finder.manifest, refiner.manifest
    if sees_one(found.decoder.name, found.decoder.options, MOST):
        raise ConfigError(
            f"engine.model: {found.name} sees one person and cannot find many; put a bottom-up model before the +"
        )
    if not sees_one(refined.decoder.name, refined.decoder.options, 1):
        raise ConfigError(
            f"engine.model: {refined.name} is no one-person model and cannot refine; put a top-down model after the +"
        )
    framed = found.joints == BLAZEPOSE4 and stands_upright(refined.decoder.name, refined.decoder.options)
    if not framed and not set(found.joints.joints) & set(refined.joints.joints):
        raise ConfigError(f"engine.model: {found.name} and {refined.name} have no joint in common")
