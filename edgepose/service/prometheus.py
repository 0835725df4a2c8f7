"""Numbers for Prometheus on a port of their own, if one is asked for: text format 0.0.4 on /metrics."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from edgepose.core.errors import ConfigError
from edgepose.core.timing import STAGES, Histogram
from edgepose.service.few_clients import FewClients
from edgepose.service.numbers import COUNTERS, Gauges
from edgepose.service.state import State

if TYPE_CHECKING:
    from edgepose import wire
    from edgepose.core.poses import Frame, Poses
    from edgepose.service.numbers import Numbers
    from edgepose.service.reporting import Reporter

log = logging.getLogger("edgepose.service")

CONTENT = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS_S = tuple(step * 2.0**power for power in range(-11, 3) for step in (1.0, 1.5))
"""Of the histograms: from half a millisecond to six seconds, two for each doubling."""
TIMEOUT_S = 5.0
"""For a client to say what it wants, and to take the answer."""
MOST_CLIENTS = 4
"""At a time; more are turned away."""
BACKLOG = 8
RETRY_S = 5.0
"""From one attempt to open the port to the next."""
MOST_REQUEST_LINE = 1024

Labels = dict[str, str]


class Family(NamedTuple):
    """One metric: all its samples."""

    name: str
    kind: str
    """counter, gauge or histogram."""
    help: str
    samples: list[tuple[str, Labels, float]]
    """What is added to the name, labels, value."""


def families(numbers: Numbers, status: wire.Status) -> Iterator[Family]:
    """Everything there is to tell; what the board does not tell is left out."""
    info = {"version": status.version, "device": status.device, "camera": status.camera, "model": status.model}
    yield _gauge("edgepose_info", "What runs; always 1.", 1, info)
    states = [("", {"state": name}, float(name == status.state)) for name in get_args(State)]
    yield Family("edgepose_state", "gauge", "1 for what the service does, 0 for what it does not.", states)
    yield _gauge("edgepose_start_time_seconds", "When the run started, Unix time.", time.time() - numbers.uptime_s)
    for name, counter in COUNTERS.items():
        if name in numbers.counts:
            says = f"{counter.says[0].upper()}{counter.says[1:]}."
            yield Family(f"edgepose_{counter.metric}_total", "counter", says, [("", {}, numbers.counts[name])])
    yield _gauge("edgepose_people", "People in the newest frame.", numbers.people)
    yield _gauge("edgepose_frames_per_second", "Frames looked at a second, over the last seconds.", numbers.fps)
    stages = [sample for name in STAGES for sample in _histogram(numbers.stages[name], {"stage": name})]
    yield Family("edgepose_stage_seconds", "histogram", "How long each stage took; latency is all of it.", stages)
    if numbers.spool:
        yield _gauge("edgepose_spool_events", "Events that wait on disk for the broker.", numbers.spool["kept"])
        for name, says in (("dropped", "dropped because the spool was full"), ("failed", "that the disk did not take")):
            yield Family(f"edgepose_spool_{name}_total", "counter", f"Events {says}.", [("", {}, numbers.spool[name])])
    delegate = {"delegate": numbers.delegate or "cpu"}
    yield _gauge("edgepose_delegate_info", "What computes, where it is not the CPU as asked; always 1.", 1, delegate)
    yield from _told("edgepose_cpu_ratio", "CPU time lately, as a share of one core.", numbers.cpu)
    yield from _power(numbers)
    vitals = numbers.vitals
    yield from _told("edgepose_temperature_celsius", "Of the hottest sensor.", vitals.temperature_c)
    yield from _told("edgepose_throttled", "1 while supply or heat slow the board down.", vitals.held_back)
    yield from _told("edgepose_resident_memory_bytes", "What this process holds in memory.", vitals.memory_bytes)
    yield from _told("edgepose_open_fds", "Files and sockets that this process has open.", vitals.open_files)


RULES = {
    "fired": ("edgepose_rule_events_total", "Events that a rule has told."),
    "suppressed": ("edgepose_rule_suppressed_total", "Events that a rule has held back."),
    "judged_s": ("edgepose_rule_judged_seconds_total", "Seconds of people that a rule could judge."),
    "unjudged_s": ("edgepose_rule_unjudged_seconds_total", "Seconds of people that a rule could not judge."),
}
"""What is counted of each rule -> metric, what it says."""


def rule_families(rules: Mapping[str, Mapping[str, float]]) -> Iterator[Family]:
    """Of the rules; none without."""
    for key, (name, says) in RULES.items() if rules else ():
        samples = [("", {"rule": rule}, counts[key]) for rule, counts in rules.items()]
        yield Family(name, "counter", says, samples)


WHYS = ("start", "motion", "scene", "timer", "people", "command")
"""Why the camera is looked at more often."""


def _power(numbers: Numbers) -> Iterator[Family]:
    """Nothing where every frame is looked at."""
    power = numbers.power
    if power is None:
        return
    states = [("", {"state": name}, float(name == power.state)) for name in power.shares]
    yield Family("edgepose_power_state", "gauge", "1 for how much the camera is looked at.", states)
    shares = [("", {"state": name}, share) for name, share in power.shares.items()]
    yield Family("edgepose_power_share", "gauge", "Share of the time since the start in each state.", shares)
    yield Family("edgepose_power_wakes_total", "counter", "Times that it left empty or calm.", [("", {}, power.wakes)])
    woke = [("", {"why": name}, float(name == power.why)) for name in WHYS]
    yield Family("edgepose_power_woke", "gauge", "1 for why it last left empty or calm.", woke)
    limits = [
        ("", {"by": name}, float(name == power.limited)) for name in ("cpu", "temperature", "throttled", "schedule")
    ]
    yield Family("edgepose_power_limited", "gauge", "1 for what holds the frame rate down.", limits)
    yield from _told("edgepose_under_voltage", "1 while the supply is too weak.", power.under_voltage)


def _gauge(name: str, says: str, value: float, labels: Labels | None = None) -> Family:
    return Family(name, "gauge", says, [("", labels or {}, value)])


def _told(name: str, says: str, value: float | None) -> Iterator[Family]:
    if value is not None:
        yield _gauge(name, says, float(value))


def _histogram(times: Histogram, labels: Labels) -> Iterator[tuple[str, Labels, float]]:
    for bound, count in zip(BOUNDS_S, times.up_to(BOUNDS_S), strict=True):
        yield "_bucket", {**labels, "le": repr(bound)}, count
    yield "_bucket", {**labels, "le": "+Inf"}, times.count
    yield "_sum", labels, times.sum_s
    yield "_count", labels, times.count


def as_text(told: Iterator[Family]) -> str:
    """In Prometheus' text format."""
    lines = []
    for family in told:
        lines.append(f"# HELP {family.name} {_escaped(family.help)}")
        lines.append(f"# TYPE {family.name} {family.kind}")
        for suffix, labels, value in family.samples:
            inside = ",".join(f'{name}="{_quoted(text)}"' for name, text in labels.items())
            lines.append(f"{family.name}{suffix}{f'{{{inside}}}' if inside else ''} {_number(value)}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', r"\"")


def _number(value: float) -> str:
    return repr(int(value)) if float(value).is_integer() else repr(float(value))


class Metrics:
    """A part of the service: answers GET /metrics, and GET /healthz with 200 while it runs as it should."""

    def __init__(self, listen: str, gauges: Gauges, reporter: Reporter) -> None:
        self._listen, self._gauges, self._reporter = listen, gauges, reporter
        self._address = "", 0
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._retry_t = 0.0
        self.troubles: list[str] = []
        """Why the port is not open."""

    @property
    def port(self) -> int:
        """On which it answers."""
        return self._server.server_port if self._server else 0

    def start(self) -> None:
        """Open the port, now or later: an address may come with the network.

        Raises:
            ConfigError: it never can be opened.
        """
        self._address = _address(self._listen)
        self._open()

    def tick(self) -> None:
        """Try again, if it is time."""
        if self._server is None and time.monotonic() >= self._retry_t:
            self._open()

    def _open(self) -> None:
        self._retry_t = time.monotonic() + RETRY_S
        try:
            self._server = _Server(self._address, self)
        except PermissionError:
            raise ConfigError(f"metrics.listen is {self._listen}: only root may; take a port above 1023") from None
        except OSError as error:
            trouble = f"metrics.listen: cannot listen on {self._listen}: {error.strerror}"
            if trouble not in self.troubles:
                log.warning("%s; tried again every %g s", trouble, RETRY_S)
            self.troubles = [trouble]
            return
        self.troubles = []
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.5}, name="edgepose-metrics", daemon=True
        )
        self._thread.start()
        log.info("metrics on http://%s/metrics", self._listen)

    def saw(self, poses: Poses, frame: Frame) -> None:
        """The gauges have seen it."""

    def stop(self) -> None:
        """Close the port."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        if self._thread is not None:
            self._thread.join()

    def text(self) -> str:
        """What /metrics says now."""
        every = chain(families(self._gauges.read(), self._reporter.status()), rule_families(self._gauges.rules()))
        return as_text(every)

    def healthy(self) -> tuple[bool, str]:
        """What /healthz says now."""
        status = self._reporter.status()
        return status.state != "waiting", f"{status.state} {status.reason}".strip()


def _address(listen: str) -> tuple[str, int]:
    """Host and port of metrics.listen; warns of one that others can reach."""
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not 0 <= int(port) < 65536:
        raise ConfigError(f"metrics.listen is {listen!r}, expected a port up to 65535")
    local = host == "localhost"
    with contextlib.suppress(ValueError):
        local = ipaddress.ip_address(host).is_loopback
    if not local:
        log.warning("metrics.listen is %s: everybody who reaches this port can read the numbers", listen)
    return host, int(port)


class _Server(FewClients):
    """Each of its clients has little time."""

    request_queue_size = BACKLOG

    def __init__(self, address: tuple[str, int], metrics: Metrics) -> None:
        self.metrics = metrics
        found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family = found[0][0]
        super().__init__(address, _Handler, MOST_CLIENTS)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """As the base, but who sends a byte now and then is not waited for."""
        ends = threading.Timer(2 * TIMEOUT_S, _hang_up, [request])
        ends.daemon = True
        ends.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            ends.cancel()


def _hang_up(request: Any) -> None:
    with contextlib.suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "edgepose", ""
    timeout = TIMEOUT_S

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        metrics = self.server.metrics
        path = self.path[:MOST_REQUEST_LINE].partition("?")[0]
        if path == "/metrics":
            self._send(200, metrics.text(), CONTENT)
        elif path == "/healthz":
            well, said = metrics.healthy()
            self._send(200 if well else 503, f"{said}\n", "text/plain; charset=utf-8")
        else:
            self._send(404, "there are /metrics and /healthz\n", "text/plain; charset=utf-8")

    def _send(self, code: int, text: str, content: str) -> None:
        body = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", content)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (its name in the base class)
        """Not a line for each question."""
        log.debug("metrics: %s", format % args)
