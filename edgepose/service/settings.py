"""The settings in force, and how they change while frames come: all at once, between two frames.

What takes long, opening a model, happens beside the loop, with whatever else changes meanwhile: an edit is made anew
of the settings in force when the loop takes it, and what was opened for others is opened again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.service.models import try_estimate

if TYPE_CHECKING:
    from edgepose.core.poses import Frame
    from edgepose.estimate import Estimate
    from edgepose.pipeline import Pipeline

log = logging.getLogger("edgepose.service")

Edit = Callable[[config.Config], config.Config]
"""Settings -> what they should be."""

OPENED = ("engine", "decode", "estimate")
"""Sections that a model is opened by."""
TAKES_OVER_S = 30.0
"""The loop may take this long to put something in force before that is logged."""


class Settings:
    """Those of a running pipeline; any thread."""

    def __init__(self, cfg: config.Config, pipeline: Pipeline) -> None:
        self._cfg, self._pipeline = cfg, pipeline
        self._ended = threading.Event()

    @property
    def cfg(self) -> config.Config:
        """In force."""
        return self._cfg

    def soon(self, edit: Edit, then: Callable[[], None]) -> None:
        """Change what needs no model opened; `then` is called in the loop's thread when that is done."""

        def act() -> None:
            self._put(edit(self._cfg), None)
            then()

        self._pipeline.control.ask(act)

    def change(self, edit: Edit, then: Callable[[], None], *, anew: bool = False, frame: Frame | None = None) -> bool:
        """Change anything, and wait until it is in force; False: the run ended before.

        then   called in the loop's thread
        anew   the model is opened again though nothing about it changes
        frame  for the new model to be tried on

        Raises:
            EdgeposeError: it cannot be; nothing has changed.
        """
        while True:
            wanted = edit(self._cfg)
            opens = anew or opened_by(wanted) != opened_by(self._cfg)
            if opens and not self._pipeline.control.stages().estimate.engines:
                raise ConfigError("no model runs here: the poses come from cameras or a sensor that have their own")
            estimate = try_estimate(wanted, frame) if opens else None
            taken = _Handed(lambda wanted=wanted, estimate=estimate: self._take(edit, wanted, estimate, then))  # type: ignore[misc]
            self._pipeline.control.ask(taken)
            if not taken.wait(self._ended) and taken.give_up():
                if estimate is not None:
                    estimate.close()
                return False
            if taken.error is not None:
                raise taken.error
            if taken.fits:
                return True

    def end(self) -> None:
        """The loop takes nothing any more."""
        self._ended.set()

    def _take(self, edit: Edit, wanted: config.Config, estimate: Estimate | None, then: Callable[[], None]) -> bool:
        """In the loop's thread; False: what was opened is not what the settings of now ask for."""
        try:
            cfg = edit(self._cfg)
            fits = opened_by(cfg) == opened_by(wanted)
        except BaseException:
            fits = False
            raise
        finally:
            if estimate is not None and not fits:
                estimate.close()
        if fits:
            self._put(cfg, estimate)
            then()
        return fits

    def _put(self, cfg: config.Config, estimate: Estimate | None) -> None:
        self._pipeline.change(cfg, estimate)
        self._cfg = cfg


class _Handed:
    """Something for the loop's thread to do, unless it is given up before."""

    def __init__(self, does: Callable[[], bool]) -> None:
        self._does, self._lock, self._done = does, threading.Lock(), threading.Event()
        self._given_up = False
        self.fits = False
        self.error: ConfigError | None = None

    def __call__(self) -> None:
        with self._lock:
            if self._given_up:
                return
            try:
                self.fits = self._does()
            except ConfigError as error:
                self.error = error
            self._done.set()

    def wait(self, ended: threading.Event) -> bool:
        """Until it is done; False: the run ended."""
        waited_s = 0.0
        while not self._done.wait(0.1):
            if ended.is_set():
                return self._done.is_set()
            waited_s += 0.1
            if TAKES_OVER_S <= waited_s < TAKES_OVER_S + 0.1:
                log.warning("settings wait for the loop, which is busy")
        return True

    def give_up(self) -> bool:
        """Never do it; False: it is done already."""
        with self._lock:
            self._given_up = not self._done.is_set()
            return self._given_up


def opened_by(cfg: config.Config) -> tuple[Any, ...]:
    """What a model is opened by."""
    return tuple(getattr(cfg, section) for section in OPENED)


def changed(before: config.Config, after: config.Config) -> list[str]:
    """Keys of the settings that differ."""
    old, new = msgspec.to_builtins(before), msgspec.to_builtins(after)
    return [setting.key for setting in config.settings() if _at(old, setting.key) != _at(new, setting.key)]


def with_changes(cfg: config.Config, new: config.Config, keys: list[str]) -> config.Config:
    """`cfg` with the values that `new` has for some keys."""
    raw, other = msgspec.to_builtins(cfg), msgspec.to_builtins(new)
    for key in keys:
        config.put(raw, key, _at(other, key))
    return config.convert(raw, config.Config, "settings")


def _at(raw: Any, key: str) -> Any:
    for part in key.split("."):
        raw = raw[part]
    return raw
