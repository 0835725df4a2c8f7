"""Answers tried on the real thing: the camera gives a picture, the broker takes a message."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.lab.setup.answers import Answers


def settings(answers: Answers) -> config.Config:
    """Those that come of the answers; raises ConfigError."""
    return config.load(None, answers.settings())


def camera(answers: Answers) -> str:
    """Take a picture; what came.

    Raises:
        EdgeposeError: none came, and why.
    """
    from edgepose.source import open_source

    with _quiet(), open_source(settings(answers).source) as source:
        for frame in source:
            height, width = frame.image.shape[:2]
            return f"a picture of {width}x{height}"
    raise ConfigError(f"{answers.source}: gives no picture")


def broker(answers: Answers) -> str:
    """Log in and publish an empty frame; what the broker said.

    Raises:
        ConfigError: how far one got, and why no further.
    """
    if not answers.broker:
        return "nothing is published; poses go where `edgepose run` is told"
    from edgepose.lab.doctor import broker_probe

    with _quiet():
        facts = broker_probe.look(settings(answers))
    if facts["step"] != "done":
        raise LoginError(facts["why"]) if facts["step"] == "login" else ConfigError(facts["why"])
    return f"connected by MQTT {facts['version']}{', encrypted' if facts['encrypted'] else ''}"


class LoginError(ConfigError):
    """The broker is there and does not let us in."""


def name(answers: Answers) -> str:
    """Whether the name is free at the broker; the root of the topics.

    Raises:
        ConfigError: it is no name, or somebody of that name is connected.
    """
    cfg = settings(answers)
    root = f"edgepose/{cfg.device_name}/{cfg.camera}"
    if answers.broker:
        from edgepose.service.fleet import Fleet

        with _quiet(), Fleet(cfg) as fleet:
            fleet.settle()
            online = [device.name for device in fleet.devices() if device.online and device.root == root]
        if online:
            raise ConfigError(f"{online[0]} is online at that broker already; another name, or stop that one first")
    return f"topics begin with {root}"


def cameras() -> list[str]:
    """What may be a camera here, the likeliest first."""
    from edgepose.lab.doctor.cameras import scan
    from edgepose.lab.doctor.context import Context

    found, _ = scan(Context(config.Config()))
    usable = [camera.path for camera in found if not camera.is_csi]
    return usable + ["picamera2"] * any(camera.is_csi for camera in found)


@contextmanager
def _quiet() -> Iterator[None]:
    """What libraries and stages log while something is tried is not the dialogue."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
