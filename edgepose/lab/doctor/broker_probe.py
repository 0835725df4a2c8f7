"""How far one gets with the broker, step by step, by the sink's own checks; looked at in the child."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgepose.core.config import Config
from edgepose.core.errors import ConfigError, SourceError, one_line

if TYPE_CHECKING:
    from edgepose.sink.mqtt.connection import Connection
    from edgepose.sink.mqtt.target import Target

ANSWER_S = 5.0
"""Longest wait at each step."""
MOST_TROUBLES = 8


def look(cfg: Config) -> dict[str, Any]:
    """{"step": the last one reached, "kind", "why": what went wrong there, ...what was learnt on the way}.

    Steps: settings, name, connect, tls, login, publish, done.
    """
    from edgepose.sink.mqtt.target import target

    try:
        aim = target(cfg.sink.mqtt, cfg.device_name, cfg.camera)
    except ConfigError as error:
        return {"step": "settings", "why": str(error)}
    facts: dict[str, Any] = {"host": aim.host, "port": aim.port, "encrypted": aim.tls is not None, "root": aim.root}
    for step in (_name, _connect, _tls):
        if trouble := step(aim, facts):
            return facts | trouble
    facts |= _login(cfg, aim)
    if facts["step"] == "done" and (troubles := _troubles(cfg, aim)):
        facts["troubles"] = troubles
    return facts


def _troubles(cfg: Config, aim: Target) -> list[str]:
    """What the service of this device and camera says does not work, while it runs."""
    from edgepose.service.fleet import Fleet

    try:
        with Fleet(cfg) as fleet:
            fleet.settle()
            here = [device for device in fleet.devices([aim.root]) if device.online and device.status]
    except (ConfigError, SourceError):
        return []  # a broker that lets nobody read
    return [one_line(told) for device in here if device.status for told in device.status.troubles[:MOST_TROUBLES]]


def _name(aim: Target, facts: dict[str, Any]) -> dict[str, Any] | None:
    """The host's addresses; the system's resolver cannot be stopped, so it is left behind when it takes too long."""
    answer: list[Any] = []

    def resolve() -> None:
        try:
            answer.append(socket.getaddrinfo(aim.host, aim.port, type=socket.SOCK_STREAM))
        except OSError as error:
            answer.append(error)

    thread = threading.Thread(target=resolve, daemon=True)
    thread.start()
    thread.join(ANSWER_S)
    if not answer:
        return {"step": "name", "kind": "slow", "why": f"no name server answered in {ANSWER_S:g} s"}
    if isinstance(answer[0], OSError):
        return {"step": "name", "kind": "unknown host", "why": f"the name {aim.host} is not known"}
    facts["addresses"] = sorted({each[4][0] for each in answer[0]})
    return None


def _connect(aim: Target, facts: dict[str, Any]) -> dict[str, Any] | None:
    started = time.monotonic()
    try:
        socket.create_connection((aim.host, aim.port), ANSWER_S).close()
    except TimeoutError:
        return {"step": "connect", "kind": "silent", "why": f"{aim.host}:{aim.port} does not answer"}
    except ConnectionRefusedError:
        return {"step": "connect", "kind": "refused", "why": f"nothing listens at {aim.host}:{aim.port}"}
    except OSError as error:
        return {"step": "connect", "kind": "away", "why": f"{aim.host}:{aim.port}: {error.strerror or error}"}
    facts["connect_ms"] = round((time.monotonic() - started) * 1e3, 1)
    return None


def _tls(aim: Target, facts: dict[str, Any]) -> dict[str, Any] | None:
    if aim.tls is None:
        return None
    try:
        with socket.create_connection((aim.host, aim.port), ANSWER_S) as plain:
            plain.settimeout(ANSWER_S)
            with aim.tls.wrap_socket(plain, server_hostname=aim.host) as secure:
                facts["tls"] = secure.version()
                facts["expires"] = (secure.getpeercert() or {}).get("notAfter", "")
    except ssl.SSLCertVerificationError as error:
        return {"step": "tls", "kind": "certificate", "why": error.verify_message, "code": error.verify_code}
    except ssl.SSLError as error:
        return {"step": "tls", "kind": "no tls", "why": (error.reason or str(error)).replace("_", " ").lower()}
    except TimeoutError:
        return {"step": "tls", "kind": "frozen", "why": f"took the connection and said nothing for {ANSWER_S:g} s"}
    except OSError as error:
        return {"step": "tls", "kind": "no tls", "why": error.strerror or str(error) or "it hung up"}
    if facts["expires"]:
        facts["expires_t"] = ssl.cert_time_to_seconds(facts["expires"])
    return None


def _login(cfg: Config, aim: Target) -> dict[str, Any]:
    """Log in under another client name than the service has, so that the broker does not end that one.

    A message without people is published only if no edgepose is running here; its last will is then the truth.
    """
    from edgepose.lab.doctor.running import running
    from edgepose.sink.mqtt.connection import connect
    from edgepose.sink.mqtt.reasons import ConnectionDown
    from edgepose.sink.mqtt.sink import TOO_NEW

    here = running()
    own = replace(aim, client_id=f"{aim.client_id}-doctor", root=f"{aim.root}/doctor" if here else aim.root)
    near, far = socket.socketpair()
    with near, far:
        for version in own.versions:
            try:
                connection = connect(own, version, ANSWER_S, near, lambda: False)
            except ConnectionDown as down:
                if down.kind in TOO_NEW and version != own.versions[-1]:
                    continue
                return {"step": "login", "kind": down.kind, "why": str(down)}
            facts: dict[str, Any] = {"version": version}
            try:
                facts |= {"tried": "running"} if here else _publish(cfg, connection, near, f"{own.root}/poses")
                connection.leave(near, ANSWER_S)
            except ConnectionDown as down:
                return facts | {"step": "publish", "kind": down.kind, "why": str(down)}
            finally:
                connection.close()
            return {"step": "done"} | facts
    raise AssertionError("unreachable: there is a last version")


def _publish(cfg: Config, connection: Connection, wake: socket.socket, topic: str) -> dict[str, Any]:
    """Whether a pose may be published: MQTT 5 says so, 3.1.1 does not, so there it is not tried."""
    if connection.version != "5":
        return {"tried": "cannot tell"}
    from edgepose import wire
    from edgepose.sink.mqtt.lanes import MessageProperties, Outgoing

    connection.publish(
        Outgoing(topic, _nobody(cfg), 1, False, MessageProperties(wire.SCHEMA, expiry_s=cfg.sink.mqtt.expiry_s))
    )
    deadline = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline:
        for acknowledged in connection.turn(0.25, wake):
            if acknowledged.denied:
                return {"step": "publish", "kind": "denied", "why": acknowledged.denied}
            return {"tried": "allowed"}
    return {"step": "publish", "kind": "frozen", "why": f"did not answer a message for {ANSWER_S:g} s"}


def _nobody(cfg: Config) -> bytes:
    """A message of a frame with no people."""
    import numpy as np

    from edgepose import wire
    from edgepose.core.poses import COCO17, Poses

    joints = len(COCO17.joints)
    now = time.monotonic()
    nobody = Poses(
        t=now,
        taken_t=now,
        seq=0,
        size_wh=cfg.source.size_wh,
        xy=np.zeros((0, joints, 2), np.float32),
        score=np.zeros((0, joints), np.float32),
        person_score=np.zeros(0, np.float32),
        track_id=np.zeros(0, np.int32),
        skeleton=COCO17,
        name="edgepose doctor",
    )
    return wire.encode(nobody, cfg.device_name, cfg.camera, now, time.time())
