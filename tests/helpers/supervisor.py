"""Stands in for systemd: binds NOTIFY_SOCKET, starts `edgepose run` as a unit would, and hears what it says."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

PICTURES = Path(__file__).resolve().parents[2] / "edgepose" / "lab" / "demo" / "pictures"
PATIENCE_S = 40.0


class Listener:
    """A bound socket and everything that came."""

    def __init__(self, address: str = "") -> None:
        """At an abstract address, or in a folder of its own: names of sockets must be short."""
        self._folder = tempfile.TemporaryDirectory()
        self.address = address or f"{self._folder.name}/notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else self.address)
        self.heard: list[dict[str, str]] = []

    def wait(self, wanted: Callable[[dict[str, str]], bool]) -> dict[str, str]:
        """The next message that is wanted."""
        until_t = time.monotonic() + PATIENCE_S
        while time.monotonic() < until_t:
            message = self.next(until_t - time.monotonic())
            if wanted(message):
                return message
        raise AssertionError(f"it never came; heard {self.heard}")

    def next(self, patience_s: float = PATIENCE_S) -> dict[str, str]:
        self.socket.settimeout(max(patience_s, 0.01))
        text = self.socket.recv(8192).decode()
        self.heard.append(dict(line.split("=", 1) for line in text.splitlines()))
        return self.heard[-1]

    def close(self) -> None:
        self.socket.close()
        self._folder.cleanup()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def env(listener: Listener | None = None, **more: str) -> dict[str, str]:
    """What systemd gives to a service, and nothing that the one who tests was given."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("JOURNAL_STREAM", "NOTIFY_SOCKET")}
    return {**inherited, **({"NOTIFY_SOCKET": listener.address} if listener else {}), **more}


class Service:
    """A running `edgepose run`."""

    def __init__(self, *arguments: str, env: Mapping[str, str], before: list[str] | None = None) -> None:
        """Start it; `before` goes before the command."""
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        self.process = subprocess.Popen(
            [*(before or []), sys.executable, "-m", "edgepose", "run", *arguments],
            env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._log,
        )  # fmt: skip

    @property
    def log(self) -> list[str]:
        """Lines so far."""
        self._log.seek(0)
        return self._log.read().splitlines()

    def wait_for(self, text: str) -> str:
        """The line of the log that has it."""
        until_t = time.monotonic() + PATIENCE_S
        while time.monotonic() < until_t:
            for line in self.log:
                if text in line:
                    return line
            assert self.process.poll() is None, self.log
            time.sleep(0.02)
        raise AssertionError(f"no {text!r} in {self.log}")

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._log.close()
