"""What a pair that nobody measured may go by: made from how sure each of its two models is by itself.

In the four pairs that were fitted (PAIRS) the chance by both looks has log-odds near FINDER times those of the finder's
manifest plus REFINER times the refiner's plus ALIKE times how alike the two poses are; the same holds for one look.
The numbers here are means over these four; how far a pair made so falls behind is told in docs/models.md.
"""

from __future__ import annotations

import math

from edgepose.engine.manifest import Manifest
from edgepose.estimate.pairs import Pair
from edgepose.estimate.score import LEAST, Logistic

FINDER, REFINER, ALIKE, BOTH = 0.55, 0.46, 4.75, -0.28
"""Shares of both models' log-odds, what one more of OKS adds, and what is always added."""
SURER = 1.32
"""Log-odds of a finder's candidate over those of its manifest, which tells of whole pictures."""
CROP, CROP_BIAS = 0.66, 0.58
AGAIN, AGAIN_ALIKE, AGAIN_BIAS = 0.67, 7.17, -2.62
WORTH = -2.5
"""Log-odds of a candidate, by its finder's manifest, from which a crop is worth its time."""
STEEP = 2.0
"""Log-odds per log of a score that nobody fitted; it is even at the model's own threshold."""
LEAST_THRESHOLD = 0.05
GATE, ENTER, BELIEVE, STAY = 0.91, 0.5, 0.97, 0.25


def derived(pair: Pair, finder: Manifest, refiner: Manifest) -> Pair:
    """The pair with chances and gates; as it is where it has them."""
    if pair.both is not None:
        return pair
    found, seen = chance_of(finder), chance_of(refiner)
    (by_found,), (by_seen,) = found.weights, seen.weights
    return pair._replace(
        worth=pair.worth or min(1.0, max(LEAST, math.exp((WORTH - found.bias) / by_found))),
        found=Logistic(SURER * found.bias, (SURER * by_found,)),
        crop=Logistic(CROP * seen.bias + CROP_BIAS, (CROP * by_seen,)),
        both=Logistic(
            FINDER * found.bias + REFINER * seen.bias + BOTH, (FINDER * by_found, REFINER * by_seen, ALIKE)
        ),
        again=Logistic(AGAIN * seen.bias + AGAIN_BIAS, (AGAIN * by_seen, AGAIN_ALIKE)),
        gate=GATE, enter=ENTER, believe=BELIEVE, stay=STAY,
    )  # fmt: skip


def chance_of(model: Manifest) -> Logistic:
    """How sure a model's person score is: as fitted, else even at the threshold that its manifest gives."""
    if model.score:
        return Logistic(model.score.bias, (model.score.slope,))
    threshold = float(model.decoder.options.get("min_person_score", 0.0))
    return Logistic(-STEEP * math.log(max(threshold, LEAST_THRESHOLD)), (STEEP,))
