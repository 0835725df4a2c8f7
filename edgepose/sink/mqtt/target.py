"""From the settings of the MQTT sink to what a connection needs, everything checked before the first frame."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
import string
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from edgepose.core import secret
from edgepose.core.config import Mqtt
from edgepose.core.errors import ConfigError

PORTS = {"mqtt": 1883, "mqtts": 8883}
VERSIONS = {"auto": ("5", "3.1.1"), "5": ("5",), "3.1.1": ("3.1.1",)}


@dataclass(frozen=True, slots=True)
class Target:
    """A broker, how to log in there, and where to publish."""

    url: str
    """As set; holds no secret."""
    host: str
    port: int
    tls: ssl.SSLContext | None
    username: str
    password: str = field(repr=False)
    client_id: str
    root: str
    """Topics start with it, without a slash at the end."""
    versions: tuple[str, ...]
    """MQTT versions to try, best first."""
    keepalive_s: int
    expiry_s: int


def target(settings: Mqtt, device: str, camera: str) -> Target:
    """Check `settings` and read the files they name.

    Raises:
        ConfigError: naming the setting.
    """
    host, port, encrypted = _address(settings.broker)
    return Target(
        url=settings.broker,
        host=host,
        port=port,
        tls=_tls(settings, encrypted),
        username=settings.username,
        password=_password(settings),
        client_id=settings.client_id or f"edgepose-{device}-{camera}-{board()}",
        root=_root(settings.topic, device=device, camera=camera),
        versions=VERSIONS[settings.protocol],
        keepalive_s=settings.keepalive_s,
        expiry_s=settings.expiry_s,
    )


def board(root: Path = Path("/")) -> str:
    """Eight letters that are this board's own, the same at each start: two boards of one name must not end each other.

    Of what differs also where both were written from one image: the processor's serial number, the network's address.
    """
    cards = sorted(root.glob("sys/class/net/*/device"))
    files = [root / "etc/machine-id", root / "proc/device-tree/serial-number"]
    files += [card.with_name("address") for card in cards[:1]]
    told = []
    for file in files:
        with contextlib.suppress(OSError):
            told.append(file.read_bytes())
    return hashlib.sha256(b"\0".join(told)).hexdigest()[:8]


def _address(url: str) -> tuple[str, int, bool]:
    """Host, port, encrypted."""
    wanted = "expected mqtt://host[:port] or mqtts://host[:port]"
    if "@" in url:
        raise ConfigError(
            "sink.mqtt.broker holds a login; put the name into sink.mqtt.username and the password into the file "
            "that sink.mqtt.password_file names"
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError:  # UnicodeError is one
        raise ConfigError(f"sink.mqtt.broker is {url!r}: not an address; {wanted}") from None
    if parts.scheme not in PORTS:
        hint = "" if "://" in url else f"; did you mean mqtt://{url}?"
        raise ConfigError(f"sink.mqtt.broker is {url!r}, {wanted}{hint}")
    if not host or port == 0 or parts.path.strip("/") or parts.query or parts.fragment:
        raise ConfigError(f"sink.mqtt.broker is {url!r}, {wanted} and nothing after it")
    return host, port or PORTS[parts.scheme], parts.scheme == "mqtts"


def _tls(settings: Mqtt, encrypted: bool) -> ssl.SSLContext | None:
    files = {"ca_file": settings.ca_file, "cert_file": settings.cert_file, "key_file": settings.key_file}
    for key, path in files.items():
        if path and not encrypted:
            raise ConfigError(f"sink.mqtt.{key} is set, but the broker is not mqtts://; change one of the two")
        if path:
            content = secret.read(f"sink.mqtt.{key}", path, private=key == "key_file")
            if b"PRIVATE KEY" in content:  # both may be in one file
                secret.read(f"sink.mqtt.{key}", path, private=True)
            files[key] = str(secret.place(f"sink.mqtt.{key}", path))
    if settings.key_file and not settings.cert_file:
        raise ConfigError("sink.mqtt.key_file is set without sink.mqtt.cert_file; set both")
    if not encrypted:
        return None
    try:
        context = ssl.create_default_context(cafile=files["ca_file"] or None)
    except ssl.SSLError as error:
        raise ConfigError(f"sink.mqtt.ca_file {settings.ca_file}: not a PEM certificate: {error.reason}") from None
    context.sslsocket_class = _TidySocket
    if settings.cert_file:
        try:  # the empty password keeps OpenSSL from asking for one on the terminal
            context.load_cert_chain(files["cert_file"], files["key_file"] or None, password="")
        except ssl.SSLError as error:
            raise ConfigError(
                f"sink.mqtt.cert_file {settings.cert_file}: does not load with its key: {error.reason or error}; "
                "both must be PEM, belong together and have no password"
            ) from None
    return context


class _TidySocket(ssl.SSLSocket):
    """Closes when the handshake fails; paho forgets it then."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def _password(settings: Mqtt) -> str:
    if not settings.password_file:
        return ""
    if not settings.username:
        raise ConfigError("sink.mqtt.password_file is set without sink.mqtt.username; set both")
    return secret.first_line("sink.mqtt.password_file", settings.password_file)


def _root(topic: str, **names: str) -> str:
    try:
        wanted = [field for _, field, _, _ in string.Formatter().parse(topic) if field is not None]
        for field in wanted:
            if field not in names:
                raise ConfigError(
                    f"sink.mqtt.topic is {topic!r}: {{{field}}} is not known; {{device}} and {{camera}} are"
                )
        root = topic.format_map(names).rstrip("/")
    except ValueError as error:
        raise ConfigError(f"sink.mqtt.topic is {topic!r}: {error}; write {{{{ and }}}} for braces") from None
    if not root:
        raise ConfigError(f"sink.mqtt.topic is {topic!r}, expected a topic such as edgepose/{{device}}/{{camera}}")
    return root
