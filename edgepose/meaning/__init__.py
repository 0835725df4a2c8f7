"""Poses in, events and gauges out: what people do, by rules from settings. Pure: no files, no clocks, no pictures.

meaning = Meaning(rules_of(tomllib.loads(text), "rules.toml"), COCO17, (640, 480))
meant = meaning.update(poses)        # meant.events, meant.gauges
"""

from __future__ import annotations

from edgepose.meaning.engine import Meaning
from edgepose.meaning.records import Event, Gauge, Meant
from edgepose.meaning.rules import KINDS
from edgepose.meaning.settings import Rules, rules_of
from edgepose.meaning.user import Person, rule

__all__ = ["KINDS", "Event", "Gauge", "Meaning", "Meant", "Person", "Rules", "rule", "rules_of"]
