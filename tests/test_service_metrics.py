"""The numbers for Prometheus, read by a parser of their own, over a real port; and the dashboard that shows them."""

from __future__ import annotations

import http.client
import json
import logging
import math
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.core.timing import Histogram
from edgepose.pipeline import build
from edgepose.service.numbers import COUNTERS
from edgepose.service.prometheus import MOST_CLIENTS, Metrics, _address, _quoted
from edgepose.service.run import Service
from edgepose.service.vitals import Board, Vitals, temperature_c, throttled
from edgepose.sink import MemorySink
from edgepose.source import ListSource
from tests.helpers.broker import Broker, free_port, wait_until
from tests.helpers.service import Camera, picture, running, settings

DASHBOARD = Path(__file__).resolve().parents[1] / "docs" / "grafana.json"
DOCS = DASHBOARD.with_name("metrics.md")

SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(text: str) -> tuple[dict[str, str], Samples]:
    """Kind of each metric, and its samples; fails on anything that the text format 0.0.4 does not allow."""
    kinds: dict[str, str] = {}
    samples: Samples = {}
    helped, family = "", ""
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped, _, says = line.removeprefix("# HELP ").partition(" ")
            assert says
        elif line.startswith("# TYPE "):
            family, kind = line.removeprefix("# TYPE ").split(" ")
            assert family == helped, "HELP and TYPE of a metric stand together, before its samples"
            assert family not in kinds, "all samples of a metric are one group"
            kinds[family] = kind
        else:
            found = SAMPLE.fullmatch(line)
            assert found, line
            name, inside, value = found.groups()
            labels = tuple((label[1], label[2]) for label in LABEL.finditer(inside or ""))
            assert sum(len(label[0]) for label in LABEL.finditer(inside or "")) == len(inside or ""), line
            stem = name if kinds[family] == "counter" else family
            assert name in [stem + ("" if kinds[family] == "counter" else end) for end in SUFFIXES[kinds[family]]], line
            assert kinds[family] != "counter" or name.endswith("_total")
            assert (name, labels) not in samples, "a sample is told once"
            samples[name, labels] = float(value)
    return kinds, samples


def get(port: int, path: str = "/metrics") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return str(answer.read().decode())


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Service]]:
    folder = tmp_path_factory.mktemp("metrics")
    port = free_port()
    with Broker(folder) as broker:
        cfg = settings(folder, broker.url, metrics={"listen": f"127.0.0.1:{port}"}, device='a "b" \\ c')
        with running(cfg, Camera(picture(), 15)) as service:
            wait_until(lambda: service.pipeline.control.looked > 10, "frames", 20)
            yield port, service


def test_the_text_is_what_prometheus_reads(service: tuple[int, Service]) -> None:
    kinds, samples = parsed(get(service[0]))
    assert set(kinds.values()) == {"counter", "gauge", "histogram"}
    assert all(name.startswith("edgepose_") for name in kinds)
    assert {f"edgepose_{counter.metric}_total" for counter in COUNTERS.values()} <= set(kinds)
    info = next(dict(labels) for name, labels in samples if name == "edgepose_info")
    assert info["device"] == r"a \"b\" \\ c"
    assert samples["edgepose_state", (("state", "running"),)] == 1
    assert sum(value for (name, _), value in samples.items() if name == "edgepose_state") == 1
    assert abs(samples["edgepose_start_time_seconds", ()] - time.time()) < 600
    assert samples["edgepose_people", ()] == 1
    assert samples["edgepose_resident_memory_bytes", ()] > 20e6
    assert samples["edgepose_open_fds", ()] > 3


def test_counters_rise_and_histograms_add_up(service: tuple[int, Service]) -> None:
    port, running_service = service
    _, before = parsed(get(port))
    looked = running_service.pipeline.control.looked
    wait_until(lambda: running_service.pipeline.control.looked > looked + 3, "frames")
    kinds, after = parsed(get(port))
    for (name, labels), value in before.items():
        if name.endswith(("_total", "_bucket", "_count")):
            assert after[name, labels] >= value, name
    assert after["edgepose_frames_looked_total", ()] >= before["edgepose_frames_looked_total", ()] + 3
    assert kinds["edgepose_stage_seconds"] == "histogram"
    for stage in ("wait", "infer", "decode", "publish", "latency"):
        rising = [
            (float(dict(labels)["le"]), value)
            for (name, labels), value in after.items()
            if name == "edgepose_stage_seconds_bucket" and dict(labels)["stage"] == stage
        ]
        assert [bound for bound, _ in rising] == sorted(bound for bound, _ in rising)
        assert [count for _, count in rising] == sorted(count for _, count in rising)
        assert rising[-1] == (math.inf, after["edgepose_stage_seconds_count", (("stage", stage),)])
        assert rising[-1][1] > 0


def test_head_is_get_without_the_text(service: tuple[int, Service]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service[0], timeout=5)
    connection.request("HEAD", "/metrics")
    answer = connection.getresponse()
    assert answer.status == 200
    assert int(answer.headers["Content-Length"]) > 1000
    assert answer.read() == b""
    connection.close()


def test_there_is_nothing_else_on_the_port(service: tuple[int, Service]) -> None:
    port, _ = service
    assert get(port, "/metrics?x=1").startswith("# HELP")
    assert get(port, "/healthz") == "running\n"
    for path in ("/", "/metrics/", "/../metrics", "/snapshot"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            get(port, path)
        assert caught.value.code == 404
        caught.value.close()
    for method in ("POST", "PUT", "DELETE"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(
                urllib.request.Request(f"http://127.0.0.1:{port}/metrics", b"x", method=method), timeout=5
            )
        assert caught.value.code == 501
        caught.value.close()


def test_clients_that_say_nothing_or_too_much_do_not_keep_others_out_for_long(service: tuple[int, Service]) -> None:
    port, _ = service
    silent = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(MOST_CLIENTS)]
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as one_more:
            one_more.settimeout(5)
            with pytest.raises((ConnectionError, AssertionError)):
                assert one_more.recv(10)  # turned away at once
    finally:
        for client in silent:
            client.close()

    def answers() -> bool:
        try:
            return get(port).startswith("# HELP")
        except OSError:
            return False

    wait_until(answers, "room again")
    with socket.create_connection(("127.0.0.1", port), 5) as loud:
        loud.settimeout(5)
        loud.sendall(b"GET /" + b"x" * 70000 + b" HTTP/1.1\r\n\r\n")
        assert b" 414 " in loud.recv(100)
    assert answers()


def test_healthz_says_no_while_frames_are_missing(tmp_path: Path) -> None:
    port = free_port()
    camera = Camera(picture())
    camera.away = True
    cfg = config.convert({"metrics": {"listen": f"127.0.0.1:{port}"}}, config.Config, "test")
    with running(cfg, camera, [MemorySink()]):

        def says_no() -> bool:
            try:
                get(port, "/healthz")
            except urllib.error.HTTPError as error:
                error.close()
                return error.code == 503
            return False

        assert get(port, "/healthz") == "starting\n"
        wait_until(says_no, "503", 10)
        _, samples = parsed(get(port))
        assert samples["edgepose_state", (("state", "waiting"),)] == 1
        assert ("edgepose_poses_sent_total", ()) not in samples  # there is no broker


def test_a_port_that_is_taken_is_told_in_status_and_opened_when_it_is_free(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or an address that comes with the network: no setting is wrong, and frames flow meanwhile."""
    monkeypatch.setattr("edgepose.service.prometheus.RETRY_S", 0.1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        cfg = config.convert({"metrics": {"listen": f"127.0.0.1:{port}"}}, config.Config, "test")
        with running(cfg, Camera(picture()), sinks=[MemorySink()]) as service:
            (metrics,) = [part for part in service.parts if isinstance(part, Metrics)]
            assert metrics.troubles == [f"metrics.listen: cannot listen on 127.0.0.1:{port}: Address already in use"]
            wait_until(lambda: service.pipeline.control.looked > 0, "a frame", 20)
            taken.close()
            wait_until(lambda: not metrics.troubles, "the port to be opened")
            assert "edgepose_info" in get(port)
    assert sum("tried again" in message for message in caplog.messages) == 1


def test_an_address_that_is_not_there_yet_is_no_wrong_setting() -> None:
    cfg = config.convert({"metrics": {"listen": "192.0.2.7:9464"}}, config.Config, "test")
    with (
        build(cfg, source=ListSource([]), sinks=[MemorySink()]) as pipeline,
        Service(cfg, pipeline) as service,
    ):
        (metrics,) = [part for part in service.parts if isinstance(part, Metrics)]
        assert "Cannot assign requested address" in metrics.troubles[0]


@pytest.mark.parametrize(
    ("listen", "warns"),
    [
        ("127.0.0.1:1", False),
        ("localhost:1", False),
        ("[::1]:1", False),
        ("0.0.0.0:1", True),
        ("192.168.1.2:1", True),
        ("board:1", True),
    ],
)
def test_an_address_that_others_can_reach_is_warned_of(
    listen: str, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        _address(listen)
    assert bool(caplog.records) is warns


def test_a_port_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="65535"):
        _address("127.0.0.1:70000")


def test_nothing_is_started_or_loaded_that_is_not_asked_for(tmp_path: Path) -> None:
    code = (
        "import io, sys, threading; sys.stdout = io.StringIO(); from edgepose.commands.cli import main;"
        f"main(['run', '--source', {str(Path(__file__).parents[1] / 'edgepose/lab/demo/pictures')!r},"
        "'--decode.kernels', 'numpy', '--jsonl', '/dev/null']); sys.stdout = sys.__stdout__;"
        "print([n for n in ('http.server', 'paho', 'sqlite3', 'edgepose.service.control',"
        "'edgepose.service.prometheus', 'edgepose.service.homeassistant', 'edgepose.service.numbers')"
        "if n in sys.modules], [t.name for t in threading.enumerate() if t.name.startswith('edgepose')])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[] []\n"


def test_the_dashboard_shows_only_what_there_is() -> None:
    names = told_names()
    dashboard: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    used = set(re.findall(r"\bedgepose_\w+", " ".join(_expressions(dashboard))))
    assert used <= names, used - names
    assert len(used) > 15
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)


def test_every_metric_is_in_the_docs_and_the_docs_know_no_other() -> None:
    told = set(re.findall(r"`(edgepose_\w+)", DOCS.read_text(encoding="utf-8")))
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in told_names()}
    assert told == families


def told_names() -> set[str]:
    """Names of all samples of a service that tells everything."""
    from edgepose.core.timing import STAGES
    from edgepose.pipeline.power.governor import Report
    from edgepose.service.numbers import Numbers
    from edgepose.service.prometheus import as_text, families
    from tests.test_service_status import STATUS

    times = {name: Histogram() for name in STAGES}
    spool = {"kept": 0, "dropped": 0, "failed": 0}
    numbers = Numbers(
        1.0,
        0,
        0.0,
        dict.fromkeys(COUNTERS, 0),
        times,
        times,
        spool,
        "edgetpu",
        Vitals(50.0, 0, 10**8, 20),
        0.1,
        Report("empty", {"empty": 1.0}, "start", None, 0, 0, "", 10.0, False),
    )
    return {name for name, _ in parsed(as_text(families(numbers, STATUS)))[1]}


def _expressions(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inside in value.items():
            if key in ("expr", "query") and isinstance(inside, str):
                yield inside
            else:
                yield from _expressions(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from _expressions(inside)


def test_label_values_are_escaped() -> None:
    assert _quoted('a"b\\c\nd') == r"a\"b\\c\nd"


def test_counts_below_a_bound_are_exact_where_buckets_meet() -> None:
    times = Histogram()
    for milliseconds in (1, 3, 3.9, 5, 100, 7000):
        times.add(milliseconds / 1000)
    assert times.up_to([2**-9, 2**-8, 1.5 * 2**-8, 1.0, 8.0]) == [1, 3, 4, 5, 6]


def test_the_difference_of_two_histograms_is_what_came_between() -> None:
    times = Histogram()
    for _ in range(100):
        times.add(0.001)
    before = times.copy()
    for _ in range(10):
        times.add(1.0)
    lately = times.since(before)
    assert lately.count == 10
    assert 1.0 <= lately.quantile(0.5) <= 1.04
    assert lately.sum_s == pytest.approx(10)
    assert times.quantile(0.5) < 0.002


# ------------------------------------------------------------------------------------------------ vitals


def board(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_the_hottest_sensor_counts_and_one_that_always_says_100_does_not(tmp_path: Path) -> None:
    zones = "sys/class/thermal/thermal_zone"
    root = board(
        tmp_path,
        {
            f"{zones}0/type": "cpu", f"{zones}0/temp": "51250\n", f"{zones}1/type": "gpu", f"{zones}1/temp": "48000",
            f"{zones}2/type": "PMIC-Die", f"{zones}2/temp": "100000",
            f"{zones}3/type": "x", f"{zones}3/temp": "-274000",
        },
    )  # fmt: skip
    assert temperature_c(root) == 51.25
    assert temperature_c(tmp_path / "nothing") is None


@pytest.mark.parametrize(("bits", "now"), [("0", False), ("50005", True), ("50000", False), ("4", True)])
def test_throttling_is_what_holds_now(tmp_path: Path, bits: str, now: bool) -> None:
    root = board(tmp_path, {"sys/devices/platform/soc/soc:firmware/get_throttled": f"{bits}\n"})
    assert throttled(root) == int(bits, 16)
    assert Board(root).vitals().held_back is now


def test_without_a_firmware_file_the_voltage_alarm_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert throttled(tmp_path) is None
    root = board(tmp_path, {"sys/class/hwmon/hwmon1/name": "rpi_volt", "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1"})
    assert throttled(root) == 1


def test_the_board_is_not_asked_at_every_question(tmp_path: Path) -> None:
    root = board(
        tmp_path, {"sys/class/thermal/thermal_zone0/temp": "40000", "sys/class/thermal/thermal_zone0/type": "c"}
    )
    asked = Board(root, every_s=1000)
    assert asked.vitals().temperature_c == 40
    (root / "sys/class/thermal/thermal_zone0/temp").write_text("50000")
    assert asked.vitals().temperature_c == 40
    assert Board(root).vitals().temperature_c == 50


def test_metrics_without_a_server_have_no_port() -> None:
    assert Metrics("127.0.0.1:0", None, None).port == 0  # type: ignore[arg-type]
