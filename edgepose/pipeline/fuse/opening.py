"""A pipeline around a room: nobody is followed or smoothed again, everything behind that is as for a camera."""

from __future__ import annotations

from contextlib import ExitStack

from edgepose.core import config
from edgepose.core.timing import StageTimes
from edgepose.pipeline.fuse.source import Fused, FuseSource
from edgepose.pipeline.loop import Pipeline
from edgepose.pipeline.stages import stages_of


def room_pipeline(cfg: config.Config, source: FuseSource, estimate: Fused) -> Pipeline:
    """Open the sinks that `cfg` names.

    Raises:
        ConfigError, SinkError: as open_sinks.
    """
    from edgepose.sink import open_sinks

    times = StageTimes()
    with ExitStack() as opened:
        opened.enter_context(source)
        sinks = [opened.enter_context(sink) for sink in open_sinks(cfg, True, times.poses_sent)]
        recorder = None
        if cfg.sink.record.path:
            from edgepose.pipeline.recorder import Recorder

            recorder = Recorder(cfg, True, False, estimate, followed=True, patient=bool(sinks))
            opened.callback(recorder.close)
        pipeline = Pipeline(source, stages_of(cfg, source, estimate), sinks, recorder=recorder, times=times)
        opened.pop_all()
        return pipeline
