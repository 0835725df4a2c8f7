"""All checks, and the one who runs them: in order, each for a limited time, none able to end the doctor."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from edgepose.lab.doctor import board, broker, cameras, models, power, resources, settings, software
from edgepose.lab.doctor.context import Context, NotTriedError
from edgepose.lab.doctor.finding import Finding, degraded, unknown

Predictor = Callable[[Context], Iterable[Finding]]


class Check(NamedTuple):
    """One function of the table below."""

    group: str
    name: str
    look: Predictor
    limit_s: float


def _group(name: str, looks: Mapping[str, Predictor], limit_s: float = 15.0) -> list[Check]:
    return [Check(name, key, look, limit_s) for key, look in looks.items()]


CHECKS: tuple[Check, ...] = (
    *_group("settings", {**settings.CHECKS, "threads": resources.check_threads}),
    *_group("board", {**board.CHECKS, **resources.CHECKS}),
    *_group("power", power.CHECKS),
    *_group("software", software.CHECKS, 120.0),
    *_group("models", models.CHECKS, 400.0),
    *_group("cameras", cameras.CHECKS, 60.0),
    *_group("broker", broker.CHECKS, 60.0),
)
"""Every check in the order of the page; its limit is beyond those of the children it asks."""


class Found(NamedTuple):
    """A finding and where it belongs."""

    group: str
    finding: Finding


def examine(context: Context, only: Iterable[str] = (), saw: Callable[[str], None] = lambda _: None) -> Iterator[Found]:
    """Run the checks of the groups in `only` (empty: all); `saw` hears the name of each before it starts."""
    wanted = set(only)
    for check in CHECKS:
        if wanted and check.group not in wanted:
            continue
        saw(f"{check.group}: {check.name}")
        for finding in run_check(check, context):
            yield Found(check.group, finding)


def run_check(check: Check, context: Context) -> list[Finding]:
    """What one check finds, or that it failed or took too long, which is a finding too."""
    findings: list[Finding] = []
    failures: list[Exception] = []

    def look() -> None:
        try:
            for finding in check.look(context):
                findings.append(finding)  # noqa: PERF402 (what came before a failure is kept)
        except NotTriedError as reason:
            findings.append(unknown(check.name, f"not tried: {reason}", "mend that first: part `software` tells how"))
        except Exception as error:  # noqa: BLE001 (a doctor who faints helps nobody: a bug in one check is reported as that)
            failures.append(error)

    thread = threading.Thread(target=look, name=f"doctor-{check.name}", daemon=True)
    started = time.monotonic()
    thread.start()
    thread.join(check.limit_s)
    again = f"$ edgepose doctor --only {check.group}   (and please report it with this line)"
    if thread.is_alive():
        late = f"the check did not end in {time.monotonic() - started:.0f} s"
        return [*findings, degraded(check.name, late, again, check_failed="late")]
    if failures:
        what = f"the check itself failed: {failures[0]!r}"
        return [*findings, degraded(check.name, what, again, check_failed=repr(failures[0]))]
    return findings
