"""One model: whole frames, or a crop that follows the one person it sees."""

from __future__ import annotations

import time
from dataclasses import replace

from edgepose.core import config
from edgepose.core.poses import Frame, Poses
from edgepose.engine import Engine
from edgepose.estimate import missing
from edgepose.estimate.base import Found
from edgepose.estimate.boxes import BodyBox
from edgepose.estimate.framing import Framing
from edgepose.estimate.predictor import Box, Predictor
from edgepose.estimate.score import Logistic, chances
from edgepose.estimate.turned import Turn

MARGIN = 1.35
"""Of a crop around joints, where the skeleton has no torso."""


class SingleModel:
    """One look at each frame; as Estimate."""

    def __init__(self, cfg: config.Config, look: Predictor, follow: bool) -> None:
        """`follow`: the model sees one person, and its next crop comes from where that one is expected."""
        self.look, self.counts = look, look.counts
        self.skeleton = look.skeleton
        self.engines: tuple[Engine, ...] = (look.engine,)
        self.next_box = BodyBox(look.skeleton, MARGIN) if follow else None
        self.says_why = cfg.estimate.missing
        self.framing = Framing(look.skeleton) if follow and look.upright else None
        self.passes = cfg.estimate.passes
        self.lost = False
        """Nobody was in the last frame: look everywhere."""
        model = look.engine.manifest
        own = float(model.decoder.options.get("min_person_score", 0.0))
        gate, self.enter_score, self.stay_score = own, own, own
        self.believe_score: float | None = None
        self.chance: Logistic | None = None
        if model.score:
            self.chance = Logistic(model.score.bias, (model.score.slope,))
            gate, self.enter_score, self.stay_score = model.score.gate, model.score.enter, model.score.stay
        if not cfg.estimate.gate:
            gate = self.enter_score = self.stay_score = 0.0
        set_to = cfg.decode.min_person_score
        self.gate_still = gate if set_to is None else set_to
        self.gate_live = self.stay_score if set_to is None else set_to

    def __call__(self, frame: Frame, expected: Poses | None) -> Found:
        """As Estimate."""
        found = self._look(frame, self._box(expected), expected)
        for _ in range(self.passes - 1):
            if self.next_box and len(found.poses):
                found = self._look(frame, self.next_box(found.poses.xy[0]), found.poses)
        poses = self.judged(found.poses, expected is None)
        raw = found.raw and found.raw._replace(nothing_expected=expected is None)
        return replace(found, poses=poses, decoded_t=time.monotonic(), raw=raw)

    def judged(self, poses: Poses, nothing_expected: bool) -> Poses:
        """Those who are surely there, with the chance that they are."""
        poses = replace(poses, person_score=chances(poses.person_score, self.chance))
        # best first, so whoever is reported comes first; chances rise with scores
        there = int((poses.person_score >= (self.gate_still if nothing_expected else self.gate_live)).sum())
        self.lost = not there
        poses = poses if there == len(poses) else poses.rows(slice(there))
        return missing.told(poses, poses.xy, poses.score, poses.person_score) if self.says_why and there else poses

    def _look(self, frame: Frame, box: Box | None, around: Poses | None) -> Found:
        """Once, at a box around somebody; turned as they are, if the model wants them upright."""
        framed = self.framing(around.xy[0]) if box and self.framing and around is not None else None
        return self.look.turned(frame, framed.box, Turn(framed.degrees)) if framed else self.look(frame, box)

    def _box(self, expected: Poses | None) -> Box | None:
        """What to look at; None: everything."""
        if self.next_box is None or self.lost or expected is None or not len(expected):
            return None
        return self.next_box(expected.xy[0])

    def close(self) -> None:
        """As Estimate."""
        self.look.engine.close()
