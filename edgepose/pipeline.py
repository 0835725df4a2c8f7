"""The loop, and what builds it from settings; the only module that knows all stages."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from edgepose import config
from edgepose.engine import Engine
from edgepose.estimate import Estimate, open_estimate
from edgepose.poses import Frame, Poses

if TYPE_CHECKING:
    from edgepose.sink import Sink
    from edgepose.source import Source


class Pipeline:
    """source -> estimate -> sinks; owns them and closes them."""

    def __init__(self, source: Source, estimate: Estimate, sinks: Sequence[Sink]) -> None:
        self.source, self.estimate, self.sinks = source, estimate, sinks
        self._stopping = threading.Event()

    @property
    def engine(self) -> Engine:
        """The one that sees whole frames."""
        return self.estimate.engines[0]

    def run(self, watch: Callable[[Poses, Frame], None] | None = None) -> None:
        """Take every frame the source gives to the sinks; `watch` sees the same as they do."""
        for frame in self.source:
            poses = self.estimate(frame, None)
            for sink in self.sinks:
                sink.write(poses, frame)
            if watch:
                watch(poses, frame)
            if self._stopping.is_set():
                break

    def stop(self) -> None:
        """End `run` after the frame it is at; safe from a signal handler and from any thread."""
        self._stopping.set()
        # closing takes locks that the interrupted thread may hold, so another thread does it
        threading.Thread(target=self.source.close, name="edgepose-stop", daemon=True).start()

    def close(self) -> None:
        """Close everything, source first, so that sinks see the end and flush."""
        with ExitStack() as stack:
            stack.callback(self.estimate.close)
            for sink in reversed(self.sinks):
                stack.callback(sink.close)
            stack.callback(self.source.close)

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def build(cfg: config.Config, source: Source | None = None, sinks: Sequence[Sink] | None = None) -> Pipeline:
    """Open every stage that `cfg` describes; `source` and `sinks` replace its own.

    Raises:
        ConfigError: a setting or a model is wrong; what was opened before it is closed again.
        SourceError: the source gives nothing.
    """
    from edgepose.sink import open_sinks
    from edgepose.source import open_source

    with ExitStack() as opened:
        estimate = open_estimate(cfg)
        opened.callback(estimate.close)
        source = opened.enter_context(open_source(cfg.source) if source is None else source)
        if sinks is None:
            sinks = [opened.enter_context(sink) for sink in open_sinks(cfg, source.live)]
        pipeline = Pipeline(source, estimate, sinks)
        opened.pop_all()
        return pipeline
