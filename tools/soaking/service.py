"""The service as systemd would run it: told when it is ready, its watchdog listened to, started again when it ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

RESTART_S = 2.0
"""As RestartSec of the unit."""
WATCHDOG_S = 30.0
"""As WatchdogSec of the unit."""
SAMPLE_S = 0.5
STOP_S = 20.0
"""As TimeoutStopSec of the unit."""

UNWANTED = re.compile(r"Traceback|Exception|unexpected|Fatal|\bbug\b", re.IGNORECASE)
"""In a log line: something that nobody planned."""


class Sample(NamedTuple):
    """What one life held at one moment."""

    life: int
    t: float
    """Monotonic seconds."""
    rss_bytes: int
    files: int


class Supervised:
    """One service that is always running, until `stop`."""

    def __init__(self, settings: Path, folder: Path, env: dict[str, str]) -> None:
        self._settings, self._log = settings, folder / "service.log"
        address = str(folder / "notify")
        self._notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notified.bind(address)
        self._notified.settimeout(SAMPLE_S)
        self._env = {
            **os.environ,
            **env,
            "NOTIFY_SOCKET": address,
            "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6)),
            "XDG_STATE_HOME": str(folder / "home"),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._wanted = True
        self._hold = False
        """Do not start it again yet."""
        self.lives = 0
        self.ready = threading.Event()
        self.samples: list[Sample] = []
        self.unplanned: list[str] = []
        """Ends nobody asked for, log lines nobody planned, a watchdog that was not fed."""
        self.reloads: list[str] = []
        """What it told of settings it read again."""
        self.told: list[str] = []
        """Its log, line by line."""
        self._killed = False
        self._fed_t = time.monotonic()
        self._threads = [
            threading.Thread(target=target, name=f"soak-{target.__name__}", daemon=True)
            for target in (self._supervise, self._listen, self._sample)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def kill(self, hold: bool = False) -> None:
        """SIGKILL, at whatever it is doing. hold: it stays away until `release`."""
        with self._lock:
            self._hold = hold
            process = self._process
            if process is not None:
                self._killed = True
                self.ready.clear()
                process.kill()
                process.wait()

    def release(self) -> None:
        """Start it again, now."""
        self._hold = False

    def waited_s(self) -> dict[str, float]:
        """For how long each of its threads, so far, could run and was not let: the machine is busy."""
        waited: dict[str, float] = {}
        for task in Path(f"/proc/{self.pid}/task").glob("*"):
            with contextlib.suppress(OSError, ValueError, IndexError):  # it ended meanwhile, or a kernel without
                waited[task.name] = int((task / "schedstat").read_text(encoding="ascii").split()[1]) / 1e9
        return waited

    def hangup(self) -> None:
        """Read the settings again."""
        pid = self.pid
        if pid is not None:
            os.kill(pid, signal.SIGHUP)

    def stop(self) -> int:
        """SIGTERM, as `systemctl stop`; its exit code."""
        self._wanted = False
        process = self._process
        code = 0
        if process is not None:
            process.terminate()
            try:
                code = process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
        for thread in self._threads:
            thread.join(3 * SAMPLE_S)
        self._notified.close()
        return code

    # ---------------------------------------------------------------------------------------------------- threads

    def _supervise(self) -> None:
        while self._wanted:
            with self._lock:
                self.lives += 1
                self._fed_t = time.monotonic()
                self._killed = False
                self._process = process = subprocess.Popen(
                    [sys.executable, "-m", "edgepose", "run", "--config", str(self._settings)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env=self._env,
                )
            reading = threading.Thread(target=self._read, args=(process,), name="soak-log", daemon=True)
            reading.start()
            code = process.wait()
            reading.join()
            if self._wanted and not self._killed:
                self.unplanned.append(f"life {self.lives} ended with {code}")
                self.ready.clear()
            until_t = time.monotonic() + RESTART_S
            held = self._hold
            while self._wanted and (self._hold if held else time.monotonic() < until_t):
                time.sleep(0.02)

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        with process.stderr or contextlib.nullcontext(()) as lines, self._log.open("ab") as kept:
            for line in lines:
                kept.write(b"%.3f %d " % (time.time(), self.lives) + line)
                kept.flush()
                text = line.decode(errors="replace").strip()
                self.told.append(text)
                if UNWANTED.search(text):
                    self.unplanned.append(f"log of life {self.lives}: {text[:200]}")
                if "settings read again" in text:
                    self.reloads.append(text)

    def _listen(self) -> None:
        while self._wanted:
            with contextlib.suppress(TimeoutError, socket.timeout):
                told = self._notified.recv(8192).decode(errors="replace").splitlines()
                if "READY=1" in told:
                    self.ready.set()
                if "WATCHDOG=1" in told:
                    self._fed_t = time.monotonic()
            if self.ready.is_set() and self.pid and time.monotonic() - self._fed_t > WATCHDOG_S:
                self.unplanned.append(f"life {self.lives} did not feed the watchdog for {WATCHDOG_S:g} s")
                self._fed_t = time.monotonic()

    def _sample(self) -> None:
        while self._wanted:
            time.sleep(SAMPLE_S)
            life, pid = self.lives, self.pid
            if pid is not None and self.ready.is_set():
                with contextlib.suppress(OSError, ValueError, IndexError):  # it ended meanwhile
                    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
                    self.samples.append(Sample(life, time.monotonic(), rss_bytes(pid), files))


def rss_bytes(pid: int) -> int:
    """Resident memory, exact: /proc/PID/statm is off by some pages for each processor."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return int(text.partition("Rss:")[2].split()[0]) * 1024
