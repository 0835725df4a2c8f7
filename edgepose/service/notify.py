"""Telling systemd how we are: datagrams to NOTIFY_SOCKET, as sd_notify(3) describes. Nothing here blocks or raises."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

MOST_BYTES = 4096
"""Of one datagram; what a STATUS line may have is far less."""


class Notify:
    """One way to the supervisor; without NOTIFY_SOCKET every call does nothing."""

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        env = os.environ if env is None else env
        address = env.get("NOTIFY_SOCKET", "")
        self.on = address.startswith(("/", "@")) and len(address) > 1
        """Whether somebody wants to know."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.again = False
        """The end that comes asks for another start."""
        self._status = ""
        self._socket: socket.socket | None = None
        if self.on:
            import socket

            try:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
                self._socket.setblocking(False)  # a supervisor that does not read must not stop us
            except OSError:
                self.on = False

    def send(self, **fields: str | int) -> bool:
        """Send `READY=1` and the like in one datagram; whether it was taken.

        A STATUS is one line; one that was said last is left out.
        """
        if self._socket is None:
            return False
        told = {name: " ".join(str(value).split()) for name, value in fields.items()}
        if told.get("STATUS", "") == self._status and "STATUS" in told:
            del told["STATUS"]
        if not told:
            return True
        datagram = "\n".join(f"{name}={value}" for name, value in told.items()).encode()[:MOST_BYTES]
        try:
            self._socket.sendto(datagram, self._address)
        except OSError:  # full, or nobody there (any more)
            return False
        self._status = told.get("STATUS", self._status)
        return True

    def close(self) -> None:
        """Say nothing any more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
