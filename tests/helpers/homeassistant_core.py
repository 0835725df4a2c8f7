# mypy: ignore-errors
"""Runs Home Assistant's own Core beside a broker and prints what it made of the devices there, as JSON.

Started by a Python that has it: `python homeassistant_core.py BROKER_PORT FOLDER ENTITIES`; needs nothing of edgepose.
{"version", "entities": {unique id: [entity id, state]}, "device": its name, "log": warnings and errors}
"""

import asyncio
import json
import logging
import socket
import sys
import time
from pathlib import Path
from types import MappingProxyType

from homeassistant import auth, bootstrap, loader
from homeassistant.config_entries import ConfigEntries, ConfigEntry
from homeassistant.const import __version__
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry, entity_registry
from homeassistant.setup import async_setup_component

WAIT_S = 60.0
SETTLE_S = 3.0


class Log(logging.Handler):
    """What is worse than a note."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        self.lines.append(f"{record.levelname} {record.name}: {record.getMessage()}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def main(port, folder, wanted):
    log = Log()
    logging.getLogger("homeassistant").addHandler(log)
    (Path(folder) / "configuration.yaml").touch()
    hass = HomeAssistant(folder)
    hass.config.skip_pip = True
    hass.config.safe_mode = True
    loader.async_setup(hass)
    hass.config_entries = ConfigEntries(hass, {})
    await bootstrap.async_load_base_functionality(hass)
    await hass.config_entries.async_initialize()
    hass.auth = await auth.auth_manager_from_config(hass, [{"type": "homeassistant"}], [])
    await async_setup_component(hass, "http", {"http": {"server_host": "127.0.0.1", "server_port": free_port()}})
    await hass.config_entries.async_add(
        ConfigEntry(
            version=1, minor_version=2, domain="mqtt", title="broker", source="user", unique_id=None, options={},
            data={"broker": "127.0.0.1", "port": port, "discovery": True}, discovery_keys=MappingProxyType({}),
            subentries_data=None,
        )
    )  # fmt: skip
    await hass.async_start()
    registry = entity_registry.async_get(hass)
    until = time.monotonic() + WAIT_S
    while len(registry.entities) < wanted and time.monotonic() < until:
        await asyncio.sleep(0.2)
    await asyncio.sleep(SETTLE_S)
    entities = {
        entry.unique_id: [entry.entity_id, state.state if (state := hass.states.get(entry.entity_id)) else None]
        for entry in registry.entities.values()
    }
    devices = [device.name for device in device_registry.async_get(hass).devices.values()]
    print(json.dumps({"version": __version__, "entities": entities, "devices": devices, "log": log.lines}), flush=True)
    sys.stdin.read()  # until whoever asked has forgotten the device
    await asyncio.sleep(SETTLE_S)
    left = len(registry.entities)
    print(json.dumps({"left": left, "log": log.lines}), flush=True)
    await hass.async_stop(force=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
