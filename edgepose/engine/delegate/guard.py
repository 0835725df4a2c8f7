"""Keeps a delegate at work: what fails is ended, tried again after growing pauses, and the CPU stands in meanwhile.

The thread that calls `invoke` never waits for anything but its own inference. A second thread, the keeper, starts
workers, also while the CPU runs frames, and hands each over when it has proven itself on the probe picture.
It starts every child itself because a child ends with the thread that started it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import EdgeposeError, EngineError, FrameLostError
from edgepose.engine.delegate.child import FRAME, PICTURE
from edgepose.engine.delegate.finding import OpShare, TroubleError
from edgepose.engine.delegate.worker import BrokenError, StoppedError, Worker

log = logging.getLogger("edgepose.engine")

PROVEN = 10
"""A worker that ran for this many times retry_s has proven itself: what fails later is not in a row with before."""
MOST_DOUBLINGS = 6
JOIN_S = 5.0


@dataclass(frozen=True, slots=True)
class WorkerFactory:
    """How the guard gets workers, and judges them."""

    start: Callable[[Callable[[], bool]], Worker]
    """(whether it is unwanted) -> a worker on the delegate that ran the probe picture as it should.

    Raises TroubleError, or StoppedError when it is unwanted."""
    stand_in: Callable[[], Worker] | None
    """A worker on the CPU; None: the model has no file for the CPU. Raises BrokenError."""
    check: Callable[[], None]
    """See whether the probe picture's heads are still what they were; raises TroubleError."""
    explain: Callable[[BrokenError], TroubleError]
    close: Callable[[], None]
    """No worker will be started any more."""


class Guard:
    """A Memory whose `invoke` outlives what a delegate does."""

    def __init__(
        self, cfg: config.Engine, tensor: NDArray[Any], heads: Sequence[NDArray[Any]], means: WorkerFactory
    ) -> None:
        """Start the delegate, or what stands in for it, and wait for either.

        Raises:
            EdgeposeError: it cannot be used, and nothing may or can stand in.
        """
        self.tensor, self.heads = tensor, list(heads)
        self.ran_on = ""
        """What ran the last frame: "edgetpu", "cpu instead of edgetpu"."""
        self.counts = {"failures": 0, "restarts": 0, "fallbacks": 0}
        """Times that the delegate failed, was started again, and was replaced by the CPU."""
        self.trouble = ""
        """Why the delegate is not in use; empty while it is."""
        self.share: OpShare | None = None
        """What the delegate takes of the model."""
        self._cfg, self._means = cfg, means
        self._deadline_s = cfg.deadline_ms / 1e3
        self._worker: Worker | None = None
        self._on_cpu = False
        self._changed = threading.Condition()
        """Guards what follows, which both threads use."""
        self._offer: tuple[Worker, bool] | None = None
        """A worker to take over, and whether it is on the CPU."""
        self._wanted, self._closing = True, False
        """The keeper should start the delegate; or end."""
        self._dead: EdgeposeError | None = None
        """Why no frame will ever run again."""
        self._failures, self._tries, self._started = 0, 0, False
        """Failures in a row; attempts since the delegate last proved itself; whether there was one ever."""
        self._last = TroubleError(f"{cfg.delegate} was not started")
        self._since_t, self._check_t = 0.0, float("inf")
        """When the worker took over; when the probe picture is due."""
        self._checking = False
        self._keeper = threading.Thread(target=self._keep, name="edgepose-delegate", daemon=True)
        self._keeper.start()
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._offer is not None or self._dead is not None)
        except BaseException:  # Ctrl-C
            self.close()
            raise
        if self._dead is not None:
            self.close()
            raise self._dead
        self._take_over()

    # -------------------------------------------------------------------------------------------- the caller's thread

    def invoke(self) -> None:
        """Run the model on `tensor` into `heads`.

        Raises:
            FrameLostError: the delegate failed, or is being started again.
            EngineError: nothing is left to run it.
        """
        if self._offer is not None:
            self._take_over()
        worker = self._worker
        if worker is None:
            raise self._dead or FrameLostError(f"engine: {self.trouble or self._cfg.delegate}; this frame is lost")
        try:
            if self._checking:
                worker.collect(self._deadline_s)
                self._checking = False
                self._means.check()
            worker.post(FRAME)
            worker.collect(self._deadline_s)
        except BrokenError as error:
            if self._on_cpu:
                raise EngineError(f"engine: the CPU failed while running: {error.message}") from None
            raise self._failed(worker, self._means.explain(error)) from None
        except TroubleError as trouble:
            raise self._failed(worker, trouble) from None
        if not self._on_cpu and time.monotonic() >= self._check_t:
            with contextlib.suppress(BrokenError):  # the next frame will find out
                worker.post(PICTURE)  # its answer is there long before that
            self._checking = True
            self._check_t = time.monotonic() + self._cfg.check_s

    def _take_over(self) -> None:
        with self._changed:
            if self._offer is None:
                return
            if self._worker is not None:
                self._worker.end()
            (self._worker, self._on_cpu), self._offer = self._offer, None
        self._since_t, self._checking = time.monotonic(), False
        self._check_t = self._since_t + self._cfg.check_s if self._cfg.check_s else float("inf")
        if self._on_cpu:
            self.ran_on = f"cpu instead of {self._cfg.delegate}"
            return
        delegate, share = self._cfg.delegate, self._worker.share
        if self.trouble:
            log.warning("%s works again", delegate)
        elif share and not self.ran_on:
            log.info("%s takes %d of %d operators", delegate, len(share.claimed), len(share.claimed) + len(share.left))
        self.ran_on, self.trouble, self.share = delegate, "", share

    def _failed(self, worker: Worker, trouble: TroubleError) -> FrameLostError:
        """End it, and let the keeper see to another."""
        self._worker, self._checking = None, False
        worker.end(kill=True)
        with self._changed:
            if time.monotonic() - self._since_t > PROVEN * self._cfg.retry_s:
                self._failures = self._tries = 0
            self._note(trouble)
            self._wanted = True
            self._changed.notify_all()
        return FrameLostError(f"engine: {trouble.reason}; this frame is lost")

    def close(self) -> None:
        """End everything; a second call does nothing."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            left = [self._offer[0]] if self._offer else []
            self._offer = None
        worker, self._worker = self._worker, None
        for each in [*left, *([worker] if worker else [])]:
            each.end()
        self._keeper.join(JOIN_S)
        self._means.close()

    # -------------------------------------------------------------------------------------------- the keeper's thread

    def _keep(self) -> None:
        try:
            self._keep_on()
        finally:  # a mistake in here must not leave the other thread waiting for ever
            with self._changed:
                if self._dead is None and not self._closing:
                    self._dead = EngineError(f"engine: nobody starts {self._cfg.delegate} any more; restart edgepose")
                self._changed.notify_all()

    def _keep_on(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted or self._closing)
                if self._failures:
                    if self._failures >= self._cfg.max_failures:
                        self._stand_in()
                    if self._dead is None:
                        self._changed.wait_for(lambda: self._closing, self._pause_s())
                if self._closing or self._dead is not None:
                    return
                again, self._started, self._tries = self._started, True, self._tries + 1
            self._start(again)

    def _pause_s(self) -> float:
        return float(self._cfg.retry_s * 2 ** min(max(0, self._tries - 1), MOST_DOUBLINGS))

    def _start(self, again: bool) -> None:
        if again:
            self.counts["restarts"] += 1
        try:
            worker = self._means.start(lambda: self._closing)
        except StoppedError:
            return
        except TroubleError as trouble:
            with self._changed:
                self._note(trouble)
                if not again:  # at the start nobody waits for a second try
                    self._failures = max(self._failures, self._cfg.max_failures)
                if trouble.lasting:
                    self._failures = max(self._failures, self._cfg.max_failures)
                    self._wanted = False
                    self._stand_in()
            return
        with self._changed:
            self._wanted = False
            self._hand_over(worker, on_cpu=False)

    def _note(self, trouble: TroubleError) -> None:
        """Count and tell of a failure; the lock is held."""
        self.counts["failures"] += 1
        self._failures += 1
        # on the CPU already: what is tried in vain in the background is not news
        level = logging.DEBUG if self._on_cpu and self.trouble else logging.WARNING
        log.log(level, "%s", str(trouble))
        self.trouble = trouble.reason
        # a new one: what was raised holds its frames, and those hold this
        self._last = TroubleError(trouble.reason, trouble.next_step, lasting=trouble.lasting, here=trouble.here)

    def _stand_in(self) -> None:
        """Let the CPU take over, unless it has, or may not; the lock is held."""
        offered = self._offer[1] if self._offer else False
        if self._dead is not None or offered or (self._on_cpu and self._worker):
            return
        delegate = self._cfg.delegate
        why = ""
        if self._cfg.on_failure == "error":
            why = "engine.on_failure is 'error'"
        elif self._means.stand_in is None:
            why = "the model has no file for the CPU"
        else:
            try:
                worker = self._means.stand_in()
            except BrokenError as error:
                why = f"the CPU cannot run it either: {error.message}"
        if why:
            self._dead = self._last.error(f"engine.delegate = {delegate!r}: {self._last}; {why}")
            self._wanted = False
            self._changed.notify_all()
            return
        self.counts["fallbacks"] += 1
        log.warning("the CPU runs the model instead of %s", delegate)
        self._hand_over(worker, on_cpu=True)

    def _hand_over(self, worker: Worker, on_cpu: bool) -> None:
        """Offer a worker to the caller's thread; the lock is held."""
        if self._closing:
            worker.end()
            return
        if self._offer is not None:
            self._offer[0].end()
        self._offer = (worker, on_cpu)
        self._changed.notify_all()
