"""Commands over MQTT: each gets an answer, and one that is refused has changed nothing.

They come in the thread of the MQTT sink, which must not wait: what changes the loop is asked of the loop's thread, and
what takes long (another model, a picture) has a thread of its own, one at a time.
"""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from edgepose import wire
from edgepose.core.errors import EdgeposeError
from edgepose.service.reporting import Reporter, as_plain
from edgepose.wire.commands import ID_CHARS, Model, Rate, SetPower, Smoothing
from edgepose.wire.messages import ANSWER

if TYPE_CHECKING:
    from edgepose.core import config
    from edgepose.core.poses import Frame, Poses
    from edgepose.service.base import Host
    from edgepose.sink.base import Topics

log = logging.getLogger("edgepose.service")

Respond = Callable[..., None]
"""respond(result) for what was done, respond(error=...) for why it was not."""

SNAPSHOT_S = 5.0
"""Longest wait for a frame to show."""
JOIN_S = 5.0


class RateLimit:
    """So many a minute, in bursts of at most that."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = float(per_minute), clock
        self._left, self._t = self._most, clock()

    def take(self) -> bool:
        """Whether one more is allowed."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._t) * self._most / 60)
        self._t = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Control:
    """A part of the service: takes commands."""

    def __init__(self, service: Host, mqtt: Topics, reporter: Reporter) -> None:
        self._service, self._mqtt, self._reporter = service, mqtt, reporter
        cfg = service.cfg.control
        self._max_bytes, self._snapshots = cfg.max_bytes, cfg.snapshot
        self._allowance = RateLimit(cfg.per_minute)
        self._per_minute = cfg.per_minute
        self._refusing = False
        self._worker: threading.Thread | None = None
        self._busy = False
        self._newest: tuple[Poses, Frame] | None = None
        self._wants_frame, self._has_frame = threading.Event(), threading.Event()
        self._does: dict[str, Callable[[Any, Respond], None]] = {
            "pause": lambda command, respond: self._pause(command.on, respond),
            "resume": lambda _, respond: self._pause(False, respond),
            "rate": self._rate,
            "model": self._model,
            "smoothing": self._smoothing,
            "calibrate": self._calibrate,
            "power": self._power,
            "snapshot": self._snapshot,
            "restart": self._restart,
            "status": self._status,
        }

    def start(self) -> None:
        """Listen."""
        self._mqtt.subscribe("control/+", self.handle)

    def stop(self) -> None:
        """Let what is being done end."""
        self._has_frame.set()
        if self._worker is not None:
            self._worker.join(JOIN_S)

    def saw(self, poses: Poses, frame: Frame) -> None:
        """Keep a frame if somebody wants one."""
        if self._wants_frame.is_set():
            self._wants_frame.clear()
            self._newest = poses, frame
            self._has_frame.set()

    def handle(self, payload: bytes, suffix: str, reply: Callable[[bytes], None]) -> None:
        """Do what a message asks for, or say why not; never raises."""
        allowed = self._allowance.take()
        if not allowed and self._refusing:  # a flood costs as little as can be: the poses need the time
            return
        name = suffix.removeprefix("control/")
        told = name if name in wire.COMMANDS else "".join(c if c.isprintable() else "?" for c in name[:40])

        def respond(result: dict[str, Any] | None = None, *, error: str = "") -> None:
            if error:
                log.info("command %s refused: %s", told, error)
            elif told != "status":
                log.info("command %s: done", told)
            id_ = _id_of(payload) if len(payload) <= self._max_bytes else ""
            answer = wire.Answer(schema=ANSWER, command=told, ok=not error, error=error, id=id_, result=result or {})
            reply(wire.encode_struct(answer))

        self._refusing = not allowed
        if not allowed:  # one answer a burst: a flood must not be answered with a flood
            respond(error=f"more than {self._per_minute} commands a minute (control.per_minute)")
            return
        if len(payload) > self._max_bytes:
            respond(error=f"{len(payload)} bytes, expected at most {self._max_bytes} (control.max_bytes)")
            return
        try:
            command = wire.decode_command(name, payload)
        except ValueError as error:
            respond(error=str(error))
            return
        try:
            self._does[name](command, respond)
        except Exception as error:
            log.exception("command %s: unexpected", told)
            respond(error=f"unexpected {type(error).__name__}; the log says more")

    # ------------------------------------------------------------------------------------------- in the loop's thread

    def _pause(self, paused: bool, respond: Respond) -> None:
        control = self._service.pipeline.control

        def act() -> None:
            control.pause(paused)
            respond({"paused": paused})

        control.ask(act)

    def _rate(self, command: Rate, respond: Respond) -> None:
        if not self._service.pipeline.source.live:
            respond(error="max_fps is for cameras; of a recording every frame is taken, unless source.pace is real")
            return

        def edit(cfg: config.Config) -> config.Config:
            return replace(cfg, service=replace(cfg.service, max_fps=command.max_fps))

        self._service.settings.soon(edit, lambda: respond({"max_fps": command.max_fps}))

    def _smoothing(self, command: Smoothing, respond: Respond) -> None:
        if self._service.pipeline.control.stages().tracker is None:
            respond(error="nobody is followed here, so nothing is smoothed; track.mode says why")
            return

        def edit(cfg: config.Config) -> config.Config:
            return replace(cfg, smooth=replace(cfg.smooth, preset=command.preset))

        self._service.settings.soon(edit, lambda: respond({"preset": command.preset}))

    def _power(self, command: SetPower, respond: Respond) -> None:
        pipeline = self._service.pipeline
        if not pipeline.source.live:
            respond(error="power is for cameras; of a recording every frame is taken")
            return
        asked = {name: getattr(command, name) for name in ("mode", "max_cpu", "max_temp_c")}
        changes = {name: value for name, value in asked.items() if value is not msgspec.UNSET}

        def edit(cfg: config.Config) -> config.Config:
            return replace(cfg, power=replace(cfg.power, **changes))

        def done() -> None:
            if command.wake and pipeline.governor is not None:
                pipeline.governor.wake()
            power = self._service.cfg.power
            state = "off" if pipeline.governor is None else pipeline.governor.report().state
            respond({"mode": power.mode, "max_cpu": power.max_cpu, "max_temp_c": power.max_temp_c, "state": state})

        self._service.settings.soon(edit, done)

    def _restart(self, _: wire.Command, respond: Respond) -> None:
        respond({})
        self._service.restart()

    def _status(self, _: wire.Command, respond: Respond) -> None:
        respond({"status": as_plain(self._reporter.status()), "health": as_plain(self._reporter.health())})

    # ------------------------------------------------------------------------------------------- in its own thread

    def _aside(self, does: Callable[[Respond], None], respond: Respond) -> None:
        """Let a thread do it; the next one may come as soon as this one is answered."""
        if self._busy:
            respond(error="busy with a command before; ask again when that is answered")
            return
        self._busy = True

        def answer(*result: Any, **error: Any) -> None:
            self._busy = False
            respond(*result, **error)

        def work() -> None:
            try:
                does(answer)
            except EdgeposeError as error:
                answer(error=str(error))
            except Exception as error:
                log.exception("command: unexpected")
                answer(error=f"unexpected {type(error).__name__}; the log says more")

        self._worker = threading.Thread(target=work, name="edgepose-command", daemon=True)
        self._worker.start()

    def _model(self, command: Model, respond: Respond) -> None:
        self._aside(lambda answer: self._other_model(command.model, answer), respond)

    def _other_model(self, name: str, respond: Respond) -> None:
        from edgepose.service.models import check_name, with_model

        settings = self._service.settings
        check_name(name, settings.cfg.engine.models_dir)
        seen = self._frame(1.0)
        settings.change(
            lambda cfg: with_model(cfg, name),
            lambda: respond({"model": name, "engines": self._reporter.status().engines}),
            anew=True,
            frame=seen[1] if seen else None,
        )

    def _calibrate(self, _command: wire.Command, respond: Respond) -> None:
        meaning = self._service.pipeline.control.stages().meaning
        if meaning is None:
            respond(error="there are no rules (meaning.rules)")
            return
        meaning.calibrate()
        respond()

    def _snapshot(self, _: wire.Command, respond: Respond) -> None:
        if not self._snapshots:
            respond(error="pictures stay on the device; control.snapshot = true in its settings lets them out")
            return
        self._aside(self._picture, respond)

    def _picture(self, respond: Respond) -> None:
        from edgepose.service.snapshot import jpeg

        seen = self._frame(SNAPSHOT_S)
        if seen is None:
            respond(error=f"no frame within {SNAPSHOT_S:g} s: {self._service.pipeline.control.waiting or 'none comes'}")
            return
        picture = jpeg(*seen)
        respond(picture)
        if self._service.cfg.home_assistant.on:  # its camera reads pictures, not answers
            self._mqtt.publish_now("snapshot", base64.b64decode(picture["jpeg"]))

    def _frame(self, timeout_s: float) -> tuple[Poses, Frame] | None:
        """The next frame and its people; None: none came."""
        self._has_frame.clear()
        self._wants_frame.set()
        self._has_frame.wait(timeout_s)
        self._wants_frame.clear()
        seen, self._newest = self._newest, None
        return seen


class _Id(msgspec.Struct):
    """All that is read of a command before anything else."""

    id: str = ""


_id_decoder = msgspec.json.Decoder(_Id)


def _id_of(payload: bytes) -> str:
    """The command's id, also of one that is wrong otherwise; empty where none can be read."""
    try:
        return _id_decoder.decode(payload or b"{}").id[:ID_CHARS]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
