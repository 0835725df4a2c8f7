"""A real mosquitto: TLS and passwords for the service, its state on disk with every change."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from tools.soaking.certificates import Certificates

PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
NAME, PASSWORD = "service", "right-password"
READER, READER_PASSWORD = "reader", "reader-password"
START_S = 10.0

SETTINGS = """
user {user}
log_dest file {folder}/mosquitto.log
allow_anonymous false
password_file {passwords}
persistence true
persistence_location {folder}/state/
autosave_interval 1
autosave_on_changes true
max_queued_messages 100000
set_tcp_nodelay {nodelay}
listener {plain} 127.0.0.1
listener {tls} 127.0.0.1
certfile {certificate}
keyfile {key}
"""


def program(name: str) -> str:
    """Its path; a RuntimeError says what to install."""
    found = shutil.which(name, path=PATH)
    if found is None:
        raise RuntimeError(f"{name} is not installed; sudo apt install mosquitto openssl")
    return found


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """Keeps every change on disk, unless `forget` is called between two lives."""

    def __init__(self, folder: Path, *, nodelay: bool = True) -> None:
        """nodelay: send at once; mosquitto itself waits for more unless told otherwise."""
        folder.mkdir()
        self._state, self._passwords, self._settings = folder / "state", folder / "passwords", folder / "mosquitto.conf"
        self._state.mkdir()
        self.certificates = Certificates(folder / "tls")
        self.plain, self.tls = free_port(), free_port()
        self.set_password(PASSWORD)
        self._text = SETTINGS.format(
            user=getpass.getuser(),
            nodelay=str(nodelay).lower(),
            folder=folder,
            passwords=self._passwords,
            plain=self.plain,
            tls=self.tls,
            certificate=self.certificates.certificate,
            key=self.certificates.key,
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def set_password(self, word: str) -> None:
        """What the service has to say, from the next start or `reload` on."""
        file = self._passwords.with_suffix(".new")
        file.write_text(f"{NAME}:{word}\n{READER}:{READER_PASSWORD}\n")
        file.chmod(0o600)
        subprocess.run([program("mosquitto_passwd"), "-U", file], check=True, capture_output=True)
        file.replace(self._passwords)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._running.pid

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("mosquitto is not running")
        return self._process

    def start(self, limits: str = "") -> None:
        """Run it, and wait until it takes connections. limits: settings that make it do less, to the service alone."""
        self._settings.write_text(self._text + limits)
        self._process = process = subprocess.Popen(
            [program("mosquitto"), "-c", self._settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until_t = time.monotonic() + START_S
        while time.monotonic() < until_t:
            if process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.tls), 1):
                return
            time.sleep(0.02)
        raise RuntimeError(f"mosquitto does not start; see {self._settings.parent}/mosquitto.log")

    def send(self, number: signal.Signals) -> None:
        """SIGSTOP freezes it, SIGCONT wakes it up again, SIGHUP makes it read passwords and certificates again."""
        self._running.send_signal(number)

    def reload(self) -> None:
        """Read passwords and certificates again."""
        self.send(signal.SIGHUP)

    def kill(self) -> None:
        """End it at once, without a chance to write anything."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def forget(self) -> None:
        """Lose sessions, retained messages and all it has acknowledged; while it is not running."""
        shutil.rmtree(self._state)
        self._state.mkdir()

    def restart(self, limits: str = "") -> None:
        """Killed, and there again."""
        self.kill()
        self.start(limits)
