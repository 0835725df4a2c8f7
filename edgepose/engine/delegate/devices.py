"""Is there a Coral Edge TPU, and may we use it? Looked up in /sys and /dev; nothing is opened."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from edgepose.engine.delegate.finding import TroubleError

ROOT = Path("/")
"""Above sys and dev; tests put their own."""
USB_IDS = (("1a6e", "089a"), ("18d1", "9302"))
"""Vendor and product: as it is plugged in, and after its firmware came."""
PCI_ID = ("0x1ac1", "0x089a")
RULES = "a udev rule for 1a6e:089a and 18d1:9302"
USB_ACCESS = (
    f"install {RULES} (libedgetpu's package has one), add your user to its group, plugdev, and plug it in again"
)
PCI_ACCESS = 'put SUBSYSTEM=="apex", MODE="0660", GROUP="apex" into /etc/udev/rules.d, join that group, and reboot'


@dataclass(frozen=True, slots=True)
class Device:
    """One Edge TPU."""

    kind: str
    """usb or pci."""
    node: Path
    """What a driver opens."""

    @property
    def trouble(self) -> TroubleError | None:
        """Why this process may not use it."""
        step = USB_ACCESS if self.kind == "usb" else PCI_ACCESS
        if not self.node.exists():
            inside = "pass it into this container" if self.kind == "usb" else "load the drivers gasket and apex"
            return TroubleError(f"there is an Edge TPU but no {self.node}", inside)
        if os.access(self.node, os.R_OK | os.W_OK):
            return None
        mode = oct(self.node.stat().st_mode & 0o777)[2:]
        return TroubleError(f"no permission to read and write {self.node} (mode {mode})", step)


def edge_tpus() -> list[Device] | None:
    """Every Edge TPU of this machine; None where /sys and /dev cannot tell."""
    usb, pci = ROOT / "sys/bus/usb/devices", ROOT / "sys/bus/pci/devices"
    nodes = sorted((ROOT / "dev").glob("apex_*"))
    if not usb.is_dir() and not pci.is_dir() and not nodes:
        return None
    found = []
    for place in sorted(usb.glob("*")):
        if (_word(place / "idVendor"), _word(place / "idProduct")) in USB_IDS:
            bus, number = (int(_word(place / name) or 0) for name in ("busnum", "devnum"))
            found.append(Device("usb", ROOT / f"dev/bus/usb/{bus:03d}/{number:03d}"))
    cards = [place for place in pci.glob("*") if (_word(place / "vendor"), _word(place / "device")) == PCI_ID]
    found += [Device("pci", node) for node in nodes]
    found += [Device("pci", ROOT / f"dev/apex_{index}") for index in range(len(nodes), len(cards))]
    return found


def _word(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def check_edge_tpu(wanted: str) -> None:
    """See that the Edge TPU that is asked for is there and may be used.

    wanted  libedgetpu's way of saying: "", "usb", "usb:0", "pci", "pci:1", ":1"

    Raises:
        TroubleError: it is not, or may not.
    """
    found = edge_tpus()
    if found is None:
        return
    kind, _, number = wanted.partition(":")
    fitting = [device for device in found if kind in ("", device.kind)]
    index = int(number or 0)
    if index >= len(fitting):
        what = {"usb": "Edge TPU at USB", "pci": "Edge TPU at PCIe"}.get(kind, "Edge TPU")
        told = f"; there are {len(found)}: {', '.join(device.kind for device in found)}" if found else ""
        reason = f"no {what} number {index}{told}" if found else f"no {what} is plugged in"
        step = "plug it in, at USB 3 with a short cable" if kind != "pci" else "see that `lspci` shows 1ac1:089a"
        raise TroubleError(reason, step if not found else "correct device= in engine.delegate_options", here=False)
    # without a number any will do, so one that may be used is enough
    troubles = [device.trouble for device in (fitting if not number else fitting[index : index + 1])]
    if all(troubles) and troubles[0]:
        raise troubles[0]


def is_device_name(text: str) -> bool:
    """Whether libedgetpu understands it as a device."""
    return re.fullmatch(r"(usb|pci)?(:\d+)?", text) is not None
