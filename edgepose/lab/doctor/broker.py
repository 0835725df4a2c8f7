"""The way to the broker: name, connection, TLS, login, and whether poses may be published."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from edgepose.lab.doctor.context import Context
from edgepose.lab.doctor.finding import Finding, broken, degraded, fine, unknown

SOON_S = 21 * 86400.0
"""A certificate that ends within this is worth telling of."""

LOGIN = "$ mosquitto_passwd -b FILE USER PASSWORD   (on the broker; FILE as its password_file says, then reload it)"

CERTIFICATE = {
    10: "it has expired",
    9: "it is not valid yet: is this board's clock right?",
    18: "it signs itself, and sink.mqtt.ca_file does not name it",
    19: "its authority is not known here",
    20: "its authority is not known here",
    62: "it is for another host name",
    64: "it is for another address",
}
"""X509_V_ERR_... -> what it means."""


def check_network(context: Context) -> Iterator[Finding]:
    """Whether there is a way out at all; a matter of those who need one."""
    root = context.machine.root
    up = []
    for path in root.glob("/sys/class/net/*/operstate"):
        name = path.split("/")[-2]
        if name != "lo" and root.text(path) in ("up", "unknown"):
            up.append(name)
    route = any(
        len(row := line.split()) > 2 and row[1] == "00000000"
        for line in (root.text("/proc/net/route") or "").splitlines()
    )
    route = route or any(
        len(row := line.split()) > 9 and row[0] == "0" * 32 and row[1] == "00" and row[9] != "lo"
        for line in (root.text("/proc/net/ipv6_route") or "").splitlines()
    )
    data = {"interfaces": up, "default_route": route}
    what = f"{', '.join(up)} up" if up else "no interface is up"
    if up and route:
        yield fine("network", what, **data)
        return
    what += "" if route else ", no way out (default route)"
    do = ("$ ip -brief address", "$ nmtui   (or sudo raspi-config: choose the network)")
    needs = _host(context.cfg.sink.mqtt.broker) or (context.source == "stream" and not context.wants_pipeline)
    yield (degraded if needs else fine)("network", what, *(do if needs else ()), **data)


def _host(broker: str) -> bool:
    """Whether a broker is set that is not on this board."""
    name = broker.partition("://")[2]
    return bool(name) and not name.startswith(("localhost", "127.", "[::1]"))


def check_broker(context: Context) -> Iterator[Finding]:
    """Every step as far as one gets."""
    if not context.cfg.sink.mqtt.broker:
        yield fine(
            "broker",
            "sink.mqtt.broker is not set yet; nothing is published",
            "$ edgepose setup   (asks for it, tries it, writes the settings)",
            "$ edgepose doctor --broker mqtt://HOST",
        )
        return
    facts = context.ask("broker", 45.0)
    url = context.cfg.sink.mqtt.broker
    if "failed" in facts:
        yield broken(
            "broker", f"{url}: cannot be tried: {facts['failed']}", f"{context.pip} install paho-mqtt", **facts
        )
        return
    if "expires_t" in facts:
        yield _certificate(context, facts)
    yield STEPS[facts["step"]](context, url, {key: fact for key, fact in facts.items() if key != "troubles"})
    for told in facts.get("troubles", ()):
        yield degraded("service", f"what runs says: {told}", "mend that; `edgepose status` shows when it is gone")


def _settings(_visit: Context, _url: str, facts: dict[str, Any]) -> Finding:
    return broken("broker", facts["why"], "correct the setting it names; `edgepose config` prints them all", **facts)


def _name(_visit: Context, url: str, facts: dict[str, Any]) -> Finding:
    host = facts["host"]
    local = host.endswith(".local")
    return broken(
        "broker",
        f"{url}: {facts['why']}",
        f"$ getent hosts {host}" + ("   (names in .local need: sudo apt install libnss-mdns)" if local else ""),
        "check sink.mqtt.broker, or name the broker by its address; line `network` tells whether there is one",
        **facts,
    )


def _connect(_visit: Context, url: str, facts: dict[str, Any]) -> Finding:
    host, port = facts["host"], facts["port"]
    do = {
        "refused": (
            "is the broker running, and on this port? On its machine:",
            f"$ sudo systemctl status mosquitto; sudo ss -ltnp | grep {port}",
            "mosquitto 2 listens to its own machine only, until its settings say `listener 1883`",
        ),
        "silent": (f"$ ping -c 3 {host}", "a firewall that drops, a wrong address, or the machine is off"),
    }.get(facts["kind"], (f"$ ping -c 3 {host}", "$ ip route"))
    return broken("broker", f"{url}: {facts['why']}", *do, **facts)


def _tls(_visit: Context, url: str, facts: dict[str, Any]) -> Finding:
    if facts["kind"] == "certificate":
        meaning = CERTIFICATE.get(facts["code"], facts["why"])
        do = {
            10: ("renew the broker's certificate",),
            9: ("$ timedatectl",),
            62: (f"name the broker in sink.mqtt.broker as its certificate does, not as {facts['host']}",),
            64: (f"name the broker in sink.mqtt.broker as its certificate does, not as {facts['host']}",),
        }.get(
            facts["code"],
            (
                "copy the broker's authority (ca.crt) here, and",
                f"$ edgepose doctor --broker {url} --sink.mqtt.ca_file ca.crt",
            ),
        )
        return broken("broker", f"{url}: its certificate is refused: {meaning}", *do, **facts)
    what = "does not speak TLS" if facts["kind"] == "no tls" else "does not answer to TLS"
    plain = f"mqtt://{facts['host']}:{facts['port']}"
    return broken(
        "broker",
        f"{url}: this port {what} ({facts['why']})",
        f"$ edgepose doctor --broker {plain}   (if it is meant to be open)",
        "or give the port of its TLS listener, usually 8883",
        **facts,
    )


def _login(context: Context, url: str, facts: dict[str, Any]) -> Finding:
    kind, user = facts["kind"], context.cfg.sink.mqtt.username
    do: tuple[str, ...]
    if kind == "refused" and not user:
        do = ("it wants a login: set sink.mqtt.username and sink.mqtt.password_file",)
    elif kind == "refused":
        do = (
            f"are the name {user} and the first line of sink.mqtt.password_file right?",
            LOGIN,
        )
    elif kind == "frozen":
        do = ("a broker that hangs, or no broker: on its machine", "$ sudo systemctl restart mosquitto")
    elif kind == "version":
        do = ("set sink.mqtt.protocol to auto",)
    else:
        do = (
            "is that the broker's port, and open or TLS as it should be?",
            f"$ edgepose doctor --broker {_other(url)}",
        )
    return broken("broker", f"{url}: {facts['why']}", *do, **facts)


def _other(url: str) -> str:
    """The same broker with TLS for without; its port stays if it is none of the usual ones."""
    scheme, _, rest = url.partition("://")
    return f"{'mqtts' if scheme == 'mqtt' else 'mqtt'}://{re.sub(':(1883|8883)$', '', rest)}"


def _publish(context: Context, url: str, facts: dict[str, Any]) -> Finding:
    topic, user = f"{facts['root']}/poses", context.cfg.sink.mqtt.username
    where = f"under `user {user}`" if user else "above the first `user`"
    if facts["kind"] == "denied":
        return broken(
            "broker",
            f"{url}: lets us in, but not publish {topic}: {facts['why']}",
            f"in the broker's acl_file, {where}: `topic readwrite {facts['root']}/#`, then",
            "$ sudo systemctl reload mosquitto   (on the broker)",
            **facts,
        )
    return broken(
        "broker",
        f"{url}: lets us in, then {facts['why']}",
        "on the broker:",
        "$ sudo systemctl restart mosquitto",
        **facts,
    )


def _done(context: Context, url: str, facts: dict[str, Any]) -> Finding:
    how = f"{facts['tls']}, " if facts.get("tls") else ""
    as_whom = f" as {context.cfg.sink.mqtt.username}" if context.cfg.sink.mqtt.username else ", no login"
    may = {
        "allowed": f"may publish {facts['root']}/poses",
        "cannot tell": "MQTT 3.1.1 cannot tell whether we may publish",
        "running": "an edgepose runs here, so nothing was published: its log tells whether it may",
    }[facts["tried"]]
    what = f"{url}: MQTT {facts['version']}, {how}{facts['connect_ms']:g} ms to connect{as_whom}; {may}"
    secret = context.cfg.sink.mqtt.username and not facts.get("tls") and _host(url)
    hint = ("the password goes over the network in the open: mqtts:// hides it",) if secret else ()
    return fine("broker", what, *hint, **facts)


def _certificate(context: Context, facts: dict[str, Any]) -> Finding:
    left_s = facts["expires_t"] - context.machine.now()
    day = datetime.fromtimestamp(facts["expires_t"], timezone.utc)
    data = {"expires": day.isoformat(), "days_left": round(left_s / 86400, 1)}
    what = f"the broker's ends on {day:%Y-%m-%d}, in {left_s / 86400:.0f} days"
    if left_s < SOON_S:
        return degraded("certificate", f"{what}; then nothing gets through", "renew the broker's certificate", **data)
    return fine("certificate", what, **data)


STEPS = {
    "settings": _settings,
    "name": _name,
    "connect": _connect,
    "tls": _tls,
    "login": _login,
    "publish": _publish,
    "done": _done,
}
"""Step that was reached -> what to say of it."""


def check_secrets(context: Context) -> Iterator[Finding]:
    """Files with secrets that everybody on this board may read."""
    from edgepose.core.config import Mqtt
    from edgepose.core.secret import CREDENTIAL

    settings: Mqtt = context.cfg.sink.mqtt
    for key in ("password_file", "key_file"):
        path = getattr(settings, key)
        if not path or path.startswith(CREDENTIAL):  # which systemd sees to
            continue
        try:
            mode = context.machine.root.path(path).stat().st_mode
        except OSError:
            yield unknown("secrets", f"sink.mqtt.{key} {path}: cannot be looked at", f"$ ls -l {path}")
            continue
        if mode & 0o077:
            who = "everybody on this board" if mode & 0o007 else "its whole group"
            yield broken("secrets", f"sink.mqtt.{key} {path}: {who} may read or change it", f"$ chmod 600 {path}")
        else:
            yield fine("secrets", f"sink.mqtt.{key}: only its owner may read it")


CHECKS = {"network": check_network, "broker": check_broker, "secrets": check_secrets}
