"""A life under systemd, from before the settings are read to the last word; without systemd nothing of it happens."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import signal
import threading
import time
from collections.abc import Iterator

from edgepose.core.errors import ConfigError
from edgepose.service.notify import Notify
from edgepose.service.restarts import GOOD_S, Restarts
from edgepose.service.signals import handled

log = logging.getLogger("edgepose.service")

EXTEND_S = 30.0


@contextlib.contextmanager
def supervised(notify: Notify | None = None, restarts: Restarts | None = None) -> Iterator[Notify]:
    """Pause where lives before this one ended early; tell the supervisor what this one died of."""
    notify = notify or Notify()
    if not notify.on:
        yield notify
        return
    with contextlib.suppress(ValueError, OSError, RuntimeError):  # standard error is closed
        faulthandler.enable()  # the watchdog's SIGABRT tells where every thread was
    restarts = restarts or Restarts()
    try:
        _hold_off(restarts, notify)
    except _StoppedError:
        restarts.good()
        raise SystemExit(0) from None
    restarts.begin()
    long_enough = threading.Timer(GOOD_S, restarts.good)
    long_enough.daemon = True
    long_enough.start()
    try:
        yield notify
    except ConfigError as error:
        restarts.good()  # nobody will restart it
        notify.send(STATUS=f"not started: {error}", ERRNO=22)
        raise
    except Exception as error:
        notify.send(STATUS=f"failed: {error}")
        raise
    else:
        if not notify.again:  # whoever asks for it again and again must not use up the starts that systemd allows
            restarts.good()
    finally:
        long_enough.cancel()
        notify.close()


class _StoppedError(Exception):
    """SIGTERM during the pause."""


def _hold_off(restarts: Restarts, notify: Notify) -> None:
    """Wait as long as the lives before this one ask for.

    Raises:
        _StoppedError: nobody wants this life any more.
    """
    if restarts.pause_s <= 0:
        return

    def stop(_number: int, _frame: object) -> None:
        raise _StoppedError

    said = f"{restarts.early} early ends in a row; waits {restarts.pause_s:.0f} s before the next try"
    log.warning("%s", said)
    with handled({signal.SIGTERM: stop, signal.SIGINT: stop}):
        until_t = time.monotonic() + restarts.pause_s
        while (left_s := until_t - time.monotonic()) > 0:
            notify.send(EXTEND_TIMEOUT_USEC=int(EXTEND_S * 1e6), STATUS=said)
            time.sleep(min(left_s, EXTEND_S / 3))
