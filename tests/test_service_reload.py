"""Settings put into a pipeline that runs: what changes, what stays, and what a bad one leaves alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest

from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.core.poses import Frame
from edgepose.estimate import Estimate
from edgepose.pipeline import Pipeline, build
from edgepose.service.models import try_estimate
from edgepose.service.reload import AT_ONCE, NEVER, REOPENED, is_one_of
from edgepose.service.run import Service
from edgepose.service.settings import changed
from edgepose.sink import MemorySink
from edgepose.source.base import BaseSource
from tests.test_pipeline import picture

SHOWN = picture("astronaut.jpg")


class Endless(BaseSource):
    """A video that ends when it is closed."""

    def __iter__(self) -> Iterator[Frame]:
        seq = 0
        while not self.closed:
            t = time.monotonic()
            yield Frame(np.asarray(SHOWN, np.uint8), "bgr", t, t, seq)
            seq += 1


def while_running(does: Callable[[Service], None], new: Callable[[config.Config], config.Config]) -> Pipeline:
    """Run a pipeline whose settings, read again, are `new`; `does` runs beside it."""
    cfg = config.Config(source=config.Source(uri="0"), track=config.Track(mode="on"))
    memory = MemorySink(keep=1)
    wrong: list[BaseException] = []
    with build(cfg, source=Endless(), sinks=[memory]) as pipeline:
        service = Service(cfg, pipeline, lambda: new(cfg))

        def beside() -> None:
            try:
                does(service)
            except BaseException as error:  # noqa: BLE001  raised again below
                wrong.append(error)
            pipeline.stop()

        thread = threading.Thread(target=beside)
        pipeline.control.ask(thread.start)
        pipeline.run()
        thread.join()
    for error in wrong:
        raise error
    return pipeline


def having(key: str, value: Any) -> Callable[[config.Config], config.Config]:
    """The settings with another value."""

    def new(cfg: config.Config) -> config.Config:
        raw = msgspec.to_builtins(cfg)
        config.put(raw, key, value)
        return config.convert(raw, config.Config, "settings")

    return new


def test_another_filter_takes_over_and_everybody_keeps_their_id() -> None:
    def does(service: Service) -> None:
        before, tracker = service.pipeline.control.stages().smoother, service.pipeline.control.stages().tracker
        assert service.reload.now()
        assert service.pipeline.control.stages().smoother is not before
        assert service.cfg.smooth.preset == "strong"
        assert service.pipeline.control.stages().tracker is tracker is not None

    while_running(does, having("smooth.preset", "strong"))


def test_scores_of_who_enters_change_while_it_runs() -> None:
    def does(service: Service) -> None:
        assert service.reload.now()
        tracker = service.pipeline.control.stages().tracker
        assert tracker is not None
        assert tracker.enter_score == 0.9

    while_running(does, having("track.enter_score", 0.9))


def test_the_frame_rate_changes_while_it_runs() -> None:
    def does(service: Service) -> None:
        assert service.reload.now()
        assert service.pipeline.control._pace.max_fps == 5.0

    while_running(does, having("service.max_fps", 5.0))


def test_another_model_is_tried_and_takes_over() -> None:
    def does(service: Service) -> None:
        assert service.reload.now()
        assert service.pipeline.engine.manifest.name == "movenet_lightning_256"
        assert service.cfg.engine.model == "movenet_lightning_256"

    while_running(does, having("engine.model", "movenet_lightning_256"))


def test_a_model_that_does_not_open_leaves_everything_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    def new(cfg: config.Config) -> config.Config:
        return having("smooth.preset", "off")(having("engine.model", "nobody")(cfg))

    def does(service: Service) -> None:
        before = service.pipeline.control.stages(), service.cfg
        assert not service.reload.now()
        assert (service.pipeline.control.stages(), service.cfg) == before

    while_running(does, new)
    assert sum("refused" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sink.mqtt.broker", "mqtt://host/path"),
        ("sink.mqtt.broker", "host"),
        ("source.uri", "/nowhere.mp4"),
        ("source.uri", ""),
        ("source.password_file", "/nowhere"),
    ],
)
def test_what_would_not_start_again_is_refused_though_it_would_only_matter_then(key: str, value: str) -> None:
    def does(service: Service) -> None:
        cfg = service.cfg
        assert not service.reload.now()
        assert service.cfg is cfg

    while_running(does, having(key, value))


def test_what_a_command_changed_stays_unless_the_file_changes_it() -> None:
    def does(service: Service) -> None:
        done = threading.Event()
        service.settings.soon(having("smooth.preset", "off"), done.set)  # as control does
        assert done.wait(20)
        assert service.reload.now()
        assert (service.cfg.smooth.preset, service.cfg.service.max_fps) == ("off", 7.0)

    while_running(does, having("service.max_fps", 7.0))


def test_what_a_command_changes_while_a_model_opens_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    opening, goes_on = threading.Event(), threading.Event()

    def slow(cfg: config.Config, frame: Frame | None) -> Estimate:
        opening.set()
        assert goes_on.wait(20)
        return try_estimate(cfg, frame)

    monkeypatch.setattr("edgepose.service.settings.try_estimate", slow)

    def does(service: Service) -> None:
        reloads = threading.Thread(target=service.reload.now)
        reloads.start()
        assert opening.wait(20)
        done = threading.Event()
        service.settings.soon(having("smooth.preset", "off"), done.set)  # as control does
        assert done.wait(20)
        goes_on.set()
        reloads.join(20)
        assert (service.cfg.smooth.preset, service.cfg.engine.model) == ("off", "movenet_lightning_192")
        assert service.pipeline.control.stages().smoother is None
        assert service.pipeline.engine.manifest.name == "movenet_lightning_192"

    while_running(does, having("engine.model", "movenet_lightning_192"))


def test_a_file_that_cannot_be_read_is_refused() -> None:
    def new(_cfg: config.Config) -> config.Config:
        raise ConfigError("edgepose.toml: no such file")

    def does(service: Service) -> None:
        assert not service.reload.now()

    while_running(does, new)


def test_every_setting_changes_at_once_or_with_the_model_or_with_a_restart() -> None:
    keys = [setting.key for setting in config.settings()]
    assert not [key for key in keys if is_one_of(key, AT_ONCE) and is_one_of(key, REOPENED)]
    for name in (*AT_ONCE, *REOPENED, *NEVER):
        assert any(key == name or key.startswith(name) for key in keys), f"{name} is no setting any more"
    assert not is_one_of("track.mode", AT_ONCE)
    assert not is_one_of("logs", ("log",))
    assert changed(config.Config(), config.Config(log="debug", camera="door")) == ["camera", "log"]
