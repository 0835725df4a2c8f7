"""A pair of one's own: chances that are fitted, a file that `--model` takes, and what goes by without it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepose.commands.calibrate_pair import require_free, text_of, write
from edgepose.commands.cli import main
from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.engine.manifest import read_manifest
from edgepose.engine.zoo import shipped_dir
from edgepose.estimate.derive import GATE, chance_of, derived
from edgepose.estimate.pairs import PAIRS, Pair, pair_of
from edgepose.estimate.score import Logistic
from edgepose.lab.eval import calibrate
from edgepose.lab.eval.calibrate import Candidates, fit, fitted, kept
from samples.shared import shared

TRUE = Logistic(2.0, (1.0, 0.5, 4.0))


def made(count: int = 3000, empties: int = 200, seed: int = 1) -> Candidates:
    """Candidates whose chance by both looks is TRUE, ten a picture; pictures without people have unlikely ones."""
    rng = np.random.default_rng(seed)
    seen = Candidates(pictures=count // 10 + empties, people=count // 10)
    for number in range(count):
        row = [*rng.uniform(-4, 0, 2), rng.uniform(0, 1), rng.uniform(-4, 0), rng.uniform(0, 1)]
        seen.rows.append(row)
        seen.right.append(bool(rng.random() < TRUE(*row[:3])))
        seen.of.append(number // 10)
    for number in range(count // 10, count // 10 + empties):
        seen.rows.append([*rng.uniform(-5, -3, 2), 0.1, -4.0, 0.1])
        seen.right.append(False)
        seen.of.append(number)
        seen.empty.append(number)
    return seen


# ------------------------------------------------------------------------------------------------ fitting


def test_a_known_chance_is_found_again() -> None:
    seen = made(20000, 0)
    found = fit(seen.features[:, :3], np.array(seen.right))
    assert found.bias == pytest.approx(TRUE.bias, abs=0.25)
    assert found.weights == pytest.approx(TRUE.weights, abs=0.25)


def test_a_feature_that_counts_against_is_left_out() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(4000, 2))
    right = rng.random(4000) < 1 / (1 + np.exp(-(features[:, 0] * 2 - features[:, 1])))
    found = fit(features, right)
    assert found.weights[0] > 1
    assert found.weights[1] == 0


def test_chances_of_other_pictures_are_right_as_often_as_they_say() -> None:
    found = fitted(PAIRS["best"], made())
    assert found.measured["ece"] < 0.04
    for row in found.reliability:
        if row["count"] > 100:
            assert row["right"] == pytest.approx(row["score"], abs=0.1)


def test_the_gate_lets_one_of_a_hundred_empty_pictures_through() -> None:
    seen = made(empties=300)
    for number, surest in zip(seen.empty[:6], (0, 0, 0, 0, -1, -1), strict=True):  # six that look like people
        seen.rows[seen.of.index(number)] = [surest, surest, 0.95, 0.0, 0.9]
    found = fitted(PAIRS["best"], seen)
    assert found.measured["shown_without_people"] <= 3
    chances = sorted(found.pair.both(*seen.rows[seen.of.index(number)][:3]) for number in seen.empty)  # type: ignore[misc]
    assert sum(chance >= found.pair.gate for chance in chances) <= 6
    assert calibrate.LEAST_GATE <= found.pair.gate < 1


def test_few_of_the_right_ones_get_no_crop() -> None:
    seen = made()
    found = fitted(PAIRS["best"], seen)
    scores = np.exp(seen.features[np.array(seen.right), 0])
    assert found.pair.worth is not None
    assert (scores < found.pair.worth).mean() <= 0.011


@pytest.mark.parametrize(
    "seen",
    [Candidates(), made(20, 30), made(3000, 5)],
    ids=["nothing", "few candidates", "few pictures without people"],
)
def test_too_little_to_fit_to_is_refused_with_what_is_there(seen: Candidates) -> None:
    with pytest.raises(ConfigError, match=r"candidates are right and .* give more pictures, and --empty"):
        fitted(PAIRS["best"], seen)


# ------------------------------------------------------------------------------------------------ the file


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEPOSE_CONFIG_DIR", str(tmp_path))
    return tmp_path


def test_a_kept_pair_is_what_its_name_runs(folder: Path) -> None:
    found = fitted(PAIRS["best"], made())
    path = write("mine", kept(found))
    assert path == folder / "pairs" / "mine.toml"
    assert pair_of("mine") == found.pair
    assert "ece = " in text_of(kept(found))


def test_pairs_are_listed_with_ones_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("mine", kept(fitted(PAIRS["best"], made())))
    assert main(["models"]) == 0
    listed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["mine", "movenet_multipose_192x256", "movenet_thunder_256"] in listed
    assert ["default", "movenet_multipose_256x256", "movenet_lightning_192"] in listed


@pytest.mark.parametrize("name", ["default", "movenet_thunder_256", "../up", "a+b", "", "mine"])
def test_a_name_that_is_none_or_somebodys_is_refused(folder: Path, name: str) -> None:
    write("mine", kept(fitted(PAIRS["best"], made())))
    with pytest.raises(ConfigError, match="--calibrate: "):
        require_free(name, config.Config())


def test_a_damaged_pair_names_the_key(folder: Path) -> None:
    path = write("mine", kept(fitted(PAIRS["best"], made())))
    path.write_text(path.read_text().replace("gate = ", "gate = 7 # "))
    with pytest.raises(ConfigError, match=r"mine.toml: gate is 7"):
        pair_of("mine")


@pytest.mark.slow
def test_the_command_fits_keeps_and_says_how_sure(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = shared("data/sets/coco_mini_train")
    monkeypatch.setattr(calibrate, "LEAST_OF_EACH", 2)
    monkeypatch.setattr(calibrate, "LEAST_EMPTY", 3)
    flags = ["--annotations", str(sets / "person_keypoints.json"), "--images", str(sets / "images"), "--limit", "16"]
    model = "movenet_lightning_192+movenet_lightning_256"
    assert main(["eval", *flags, "--model", model, "--calibrate", "mine", "--json", str(folder / "a.json")]) == 0
    said = capsys.readouterr().out
    assert "edgepose run --model mine" in said
    assert "how far a chance can be trusted" in said
    told = json.loads((folder / "a.json").read_text())
    assert told["pictures"] == 16
    assert told["reliability"]
    pair = pair_of("mine")
    assert pair is not None
    assert (pair.finder, pair.refiner) == tuple(model.split("+"))
    assert main(["eval", *flags, "--model", "mine", "--json", str(folder / "b.json")]) == 0
    assert json.loads((folder / "b.json").read_text())["AP"] > 0


def test_one_model_cannot_be_calibrated_as_a_pair(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sets = shared("data/sets/tflite_examples")
    flags = ["--annotations", str(sets / "person_keypoints.json"), "--images", str(sets / "images")]
    assert main(["eval", *flags, "--model", "movenet_thunder_256", "--calibrate", "mine"]) == 78
    assert "is one model; --model FINDER+REFINER are two" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ without it


def manifest(name: str) -> Any:
    return read_manifest(shipped_dir() / f"{name}.toml")


@pytest.mark.parametrize("name", PAIRS)
def test_what_is_derived_is_near_what_was_fitted(name: str) -> None:
    """Log-odds of likely candidates, by both looks and by one, within 1.1 of the pair's own."""
    own = PAIRS[name]
    bare = Pair(own.finder, own.refiner)
    made_so = derived(bare, manifest(own.finder), manifest(own.refiner))
    assert made_so.both is not None
    assert own.both is not None
    for found, seen, alike in ((0.1, 0.3, 0.6), (0.3, 0.5, 0.8), (0.6, 0.7, 0.9)):
        features = math.log(found), math.log(seen), alike
        away = _odds(made_so.both(*features)) - _odds(own.both(*features))
        assert abs(away) < 1.1
    assert made_so.gate == GATE
    assert made_so.worth is not None
    assert made_so.worth < 0.06


def _odds(chance: float) -> float:
    return math.log(chance / (1 - chance))


def test_a_pair_that_was_fitted_stays_as_it_is() -> None:
    best = PAIRS["best"]
    assert derived(best, manifest(best.finder), manifest(best.refiner)) is best


def test_a_score_that_nobody_fitted_is_even_at_its_models_threshold() -> None:
    import msgspec

    bare = msgspec.structs.replace(manifest("movenet_thunder_256"), score=None)
    assert chance_of(bare)(math.log(0.2)) == pytest.approx(0.5)
