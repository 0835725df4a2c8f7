"""Keeps what the estimate found, before anybody is followed or smoothed: what `edgepose replay` starts from."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import replace
from pathlib import Path

import msgspec

import edgepose
from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.core.poses import Poses
from edgepose.estimate import Estimate, Found
from edgepose.estimate.single import SingleModel
from edgepose.wire.recording import HeadShape, RawHeads, Session, Writer, text_of
from edgepose.wire.recording.chunks import MOST_BYTES
from edgepose.wire.recording.session import shape_of

log = logging.getLogger("edgepose.pipeline")

SECTIONS = ("engine", "decode", "estimate", "track", "smooth")
"""Settings that poses depend on. Addresses, names, passwords and keys are in others."""


class Recorder:
    """Writes `sink.record.path`; closes it."""

    def __init__(
        self,
        cfg: config.Config,
        live: bool,
        still: bool,
        estimate: Estimate,
        *,
        followed: bool = False,
        patient: bool = False,
    ) -> None:
        """Open the file; `followed`: as Source, `patient`: as Writer.

        Raises:
            SinkError: it cannot be written now.
            ConfigError: it can never be; or raw heads are asked for, and the model is a pair or has too many.
        """
        self._cfg, self._live, self._still, self._followed = cfg, live, still, followed
        if cfg.sink.record.heads and not _heads(estimate):
            raise ConfigError(
                "sink.record.heads: only the heads of a single model can be decoded anew, of up to 32 MB a frame; "
                "set engine.model to one, or sink.record.heads to false"
            )
        path = Path(cfg.sink.record.path)
        if path.suffix.lower() != ".epr" and not path.exists():
            log.warning("sink.record.path %s: recordings are called .epr; this will be one, and nothing else", path)
        self._writer = Writer(path, wait=not live, patient=patient)
        self._estimate: Estimate | None = None
        self._with_heads = False

    @property
    def counts(self) -> dict[str, int]:
        """Frames "unrecorded", as the disk was full or slow."""
        return {"unrecorded": self._writer.counts["unrecorded"]}

    def keep(self, found: Found, estimate: Estimate) -> Poses:
        """Keep what was found; of a camera's frames the same come back with the time of day that is kept."""
        if estimate is not self._estimate:
            session = self._session(estimate)
            self._writer.begin(session)
            self._estimate, self._with_heads = estimate, bool(session.heads)
        poses = found.poses
        raw = RawHeads(*found.raw) if self._with_heads and found.raw is not None else None
        if not self._live:
            self._writer.add(poses, math.nan, raw)
            return poses
        wall = self._writer.add(poses, time.time() - time.monotonic(), raw)
        return replace(poses, taken_wall=poses.taken_t + wall)

    def close(self) -> None:
        """Bring everything to the disk; a second call does nothing."""
        self._writer.close()

    def _session(self, estimate: Estimate) -> Session:
        cfg = self._cfg
        raw = msgspec.to_builtins(cfg)
        return Session(
            device=cfg.device_name,
            camera=cfg.camera,
            live=self._live,
            still=self._still,
            followed=self._followed,
            continues=self._estimate is not None,
            started=time.time(),
            edgepose=edgepose.__version__,
            enter_score=estimate.enter_score,
            stay_score=estimate.stay_score,
            believe_score=estimate.believe_score,
            skeleton=text_of(estimate.skeleton),
            models=[msgspec.to_builtins(engine.manifest) for engine in estimate.engines],
            settings={section: raw[section] for section in SECTIONS},
            heads=_heads(estimate) if cfg.sink.record.heads else [],
        )


def _heads(estimate: Estimate) -> list[HeadShape]:
    """Those that can be kept; empty: of a pair, whose crops depend on poses, or too large."""
    if not isinstance(estimate, SingleModel):
        return []
    heads = [shape_of(spec) for spec in estimate.look.engine.heads.values()]
    return heads if sum(head.size for head in heads) <= MOST_BYTES // 2 else []
