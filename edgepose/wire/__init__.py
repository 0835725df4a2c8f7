"""The published contract: Poses, events, status, health, commands <-> bytes. No clocks and no I/O in here.

Rules of version 1: readers ignore keys, flags, tags and trailing bytes they do not know, for it may gain some; what is
here never changes its meaning within a version. `edgepose schema` prints it for machines.
"""

from __future__ import annotations

from edgepose.wire import binary
from edgepose.wire.commands import COMMANDS, Command, decode_command
from edgepose.wire.messages import (
    Answer,
    Event,
    Health,
    Meaning,
    Numbering,
    Power,
    Presence,
    Status,
    decode_event,
    decode_struct,
    encode_event,
    encode_struct,
    event_of,
    event_of_rule,
    meaning_of,
)
from edgepose.wire.poses_json import SCHEMA, Keypoint, Message, Person, Point, decode, encode, iso_utc
from edgepose.wire.topics import TOPICS, Topic

__all__ = [
    "COMMANDS",
    "SCHEMA",
    "TOPICS",
    "Answer",
    "Command",
    "Event",
    "Health",
    "Keypoint",
    "Meaning",
    "Message",
    "Numbering",
    "Person",
    "Point",
    "Power",
    "Presence",
    "Status",
    "Topic",
    "binary",
    "decode",
    "decode_command",
    "decode_event",
    "decode_struct",
    "encode",
    "encode_event",
    "encode_struct",
    "event_of",
    "event_of_rule",
    "iso_utc",
    "meaning_of",
]
