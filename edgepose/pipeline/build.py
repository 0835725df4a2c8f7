"""A pipeline from settings; the only module that opens all stages."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from edgepose.core import config
from edgepose.core.timing import StageTimes
from edgepose.estimate import open_estimate
from edgepose.pipeline.loop import Pipeline
from edgepose.pipeline.power.opening import governor_of
from edgepose.pipeline.stages import stages_of

if TYPE_CHECKING:
    from edgepose.engine import Engine
    from edgepose.sink import Sink
    from edgepose.source import Source

log = logging.getLogger("edgepose.pipeline")

AS_A_CAMERA = "set source.pace to real to play it as a camera would"


def build(
    cfg: config.Config, source: Source | None = None, sinks: Sequence[Sink] | None = None, *, patient: bool = False
) -> Pipeline:
    """Open every stage that `cfg` describes; `source` and `sinks` replace its own.

    patient  a camera that is away at the start is waited for

    Raises:
        ConfigError: a setting or a model is wrong; what was opened before it is closed again.
        SourceError: the source gives nothing.
    """
    from edgepose.sink import open_sinks
    from edgepose.sink.apart import inputs_of, outputs_of, require_apart
    from edgepose.source import open_paced

    require_apart(outputs_of(cfg), inputs_of(cfg))
    times = StageTimes()
    with ExitStack() as opened:
        estimate = open_estimate(cfg)
        opened.callback(estimate.close)
        source = opened.enter_context(open_paced(cfg.source) if source is None else source)
        if sinks is None:
            sinks = [opened.enter_context(sink) for sink in open_sinks(cfg, source.live, times.poses_sent)]
        recorder = None
        if cfg.sink.record.path:
            from edgepose.pipeline.recorder import Recorder

            recorder = Recorder(cfg, source.live, source.still, estimate, patient=bool(sinks))
            opened.callback(recorder.close)
        if cfg.service.max_fps and not source.live:
            log.warning("service.max_fps is for cameras, every frame of a recording is looked at; %s", AS_A_CAMERA)
        stages = stages_of(cfg, source, estimate)
        pipeline = Pipeline(
            source, stages, sinks, recorder=recorder, governor=governor_of(cfg, source), times=times, patient=patient
        )
        opened.pop_all()
        return pipeline


def described(engine: Engine) -> str:
    """The model and what runs it, for a person."""
    from edgepose.engine import tuned

    if not engine.threads:
        return f"{engine.manifest.name} on {engine.runtime.name}"
    best = " (as tuned)" if engine.threads == tuned.threads(engine.manifest.name) else ""
    where = f"{engine.runtime.name} {engine.runtime.version}, {engine.threads} thread(s){best}"
    return f"{engine.manifest.name} on {where}{f', {engine.ran_on}' if engine.ran_on else ''}"
