"""What the page may ask for, and who answers it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence

from edgepose.lab.view.hub import Hub
from edgepose.lab.view.reel import Reel
from edgepose.lab.view.server import JSON, WAIT_S, Answer, NotThereError, Query, Route, as_json

Picture = Callable[[str], tuple[bytes, str]]
"""Root of a camera -> a JPEG, or why there is none."""


def no_picture(_root: str) -> tuple[bytes, str]:
    """Of a recording."""
    return b"", "a recording has no pictures"


def routes(hub: Hub, reels: Sequence[Reel] = ()) -> dict[str, Route]:
    """Name -> what it answers."""

    def news(query: Query) -> Answer:
        return as_json(hub.since(int(query.get("after", "0")), WAIT_S))

    def which(query: Query) -> Reel:
        number = int(query.get("reel", "0"))
        if not 0 <= number < len(reels):
            raise NotThereError("there is no such recording")
        return reels[number]

    def block(query: Query) -> Answer:
        frames = which(query).block(int(query.get("block", "0")))
        if frames is None:
            raise NotThereError("there is no such block yet")
        return 200, JSON, frames

    return {
        "next": news,
        "reels": lambda _query: as_json([reel.described() for reel in reels]),
        "ribbon": lambda query: as_json(which(query).ribbon()),
        "block": block,
    }


def picture_route(hub: Hub, picture: Picture) -> Route:
    """Ask a camera that is known for a picture."""

    def answer(query: Query) -> Answer:
        root = query.get("camera", "")
        if hub.names(root) is None:
            raise NotThereError("there is no such camera")
        jpeg, why = picture(root)
        return as_json({"jpeg": base64.b64encode(jpeg).decode()} if jpeg else {"error": why})

    return answer
