"""Why a rule did or did not fire at a time: every gate, every condition, value against limit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from edgepose.core.poses import Poses
from edgepose.meaning import Meaning, Rules


def explain(poses: Sequence[Poses], rules: Rules, at_s: float, wanted: str = "") -> Iterator[str]:
    """Lines of text for the frame at `at_s` seconds from the start."""
    meaning = Meaning(rules, poses[0].skeleton, poses[0].size_wh)
    start_t = poses[0].t
    for one in poses:
        meaning.update(one)
        if one.t - start_t >= at_s - 1e-6:
            break
    moment = meaning.moment
    if moment is None or not len(moment.slots):
        yield f"at {at_s:.2f} s nobody is seen"
        return
    yield f"at {moment.t - start_t:.2f} s, frame {moment.seq}"
    for rule in meaning.rules:
        if wanted and rule.name != wanted:
            continue
        for person, slot in enumerate(moment.slots.tolist()):
            station = moment.stations[slot]
            yield f"{rule.name} ({rule.kind}), id {station.id}, station {station.number}:"
            for number, gate in enumerate(rule.gates):
                on = bool(rule.on[slot, number])
                held_s = moment.t - float(rule.onset_t[slot, number])
                since = f" for {held_s:.2f} s" if on and math.isfinite(held_s) else ""
                yield f"  {gate.name}: {'on' if on else 'off'}{since}; holds {gate.hold_s:g} s"
                for part in gate.conditions:
                    value = moment.value(person, part.feature)
                    limit = part.exit if on else part.enter
                    met = "cannot tell" if math.isnan(value) else "met" if (value >= limit) == part.above else "not met"
                    sign = ">=" if part.above else "<="
                    yield f"    {part.feature} is {value:.3g}, wants {sign} {limit:g}: {met}"
