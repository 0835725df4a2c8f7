"""A broker for the demo: mosquitto where it is installed, else a Python one in a process of its own."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from edgepose.core.errors import ConfigError, EdgeposeError

HOST = "127.0.0.1"
START_S = 15.0


@contextlib.contextmanager
def local_broker() -> Iterator[tuple[str, str]]:
    """Run a broker on a free port of this machine only; yields its URL and what it is.

    Raises:
        ConfigError: neither mosquitto nor amqtt is installed.
        EdgeposeError: it does not start.
    """
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="edgepose-broker-") as folder:
        name, command = _command(port, Path(folder))
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as broker:
            try:
                _wait(port, broker, name)
                yield f"mqtt://{HOST}:{port}", name
            finally:
                broker.terminate()


def _command(port: int, folder: Path) -> tuple[str, list[str]]:
    # Debian installs mosquitto where only root's PATH looks
    mosquitto = shutil.which(
        "mosquitto", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    )
    if mosquitto:
        settings = folder / "mosquitto.conf"
        # without no-delay mosquitto holds small messages back for up to 40 ms
        lines = f"listener {port} {HOST}", "allow_anonymous true", "persistence false", "set_tcp_nodelay true", ""
        settings.write_text("\n".join(lines), encoding="utf-8")
        return "mosquitto", [mosquitto, "-c", str(settings)]
    if importlib.util.find_spec("amqtt"):
        return "amqtt", [sys.executable, "-m", "edgepose.lab.demo.broker", str(port)]
    raise ConfigError("demo: no broker here; sudo apt install mosquitto, or pip install 'edgepose[demo]', or --broker")


def _wait(port: int, broker: subprocess.Popen[bytes], name: str) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and broker.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.05)
    raise EdgeposeError(f"demo: {name} does not answer on {HOST}:{port}; give another broker with --broker")


def _serve(port: int) -> None:
    """Run the Python broker until it is ended."""
    import asyncio

    from amqtt.broker import Broker

    async def serve() -> None:
        await Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            }
        ).start()
        await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
