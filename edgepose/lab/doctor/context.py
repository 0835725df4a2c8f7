"""What all checks of one run share: the machine, the settings, and what was found out already."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

from edgepose.core.config import Config
from edgepose.lab.doctor.machine import Machine

LIVE = frozenset(("v4l2", "picamera2", "imx500", "stream"))
BY_LIBCAMERA = ("picamera2", "imx500")
"""Sources that picamera2 reads."""
"""Kinds of sources that cannot wait."""

BOARDS: tuple[tuple[str, str, str], ...] = (
    (r"Raspberry Pi Zero 2", "zero2w", "raspberry-pi-zero-2w.md"),
    (r"Raspberry Pi (5|500|Compute Module 5)", "pi5", "raspberry-pi-5.md"),
    (r"Raspberry Pi (4|400|Compute Module 4)", "pi4", "raspberry-pi-4.md"),
    (r"Raspberry Pi (3|Compute Module 3)", "pi3", "raspberry-pi-3.md"),
    (r"Raspberry Pi", "pi", "generic.md"),
    (r"Jetson|NVIDIA.*(Orin|Xavier|Nano|Thor)", "jetson", "jetson.md"),
    (r"Phanbell|Coral", "coral", "coral.md"),
    (r"i\.MX ?(8|9)", "imx", "imx.md"),
)
"""What the model's name holds -> kind of board, its page in docs/boards."""

PIS = frozenset(("zero2w", "pi3", "pi4", "pi5", "pi"))

PROFILES = {
    "numpy1": '"numpy<2" "opencv-python-headless<4.12" "ml-dtypes<0.6"',
    "tflite": '"tflite-runtime==2.14.*" "numpy<2" "opencv-python-headless<4.12" "ml-dtypes<0.6"',
}
"""Profile -> what it comes down to, where tools/constraints is not at hand."""


WITHOUT_NUMPY = frozenset(("numpy", "packages", "picamera2"))
"""Probes that tell something even where numpy does not work."""


class NotTriedError(Exception):
    """Something else has to be mended before this can be looked at."""


class Context:
    """One run of the doctor. Checks run one after another, so nothing here is locked."""

    def __init__(
        self, cfg: Config, machine: Machine | None = None, *, config_path: Path | None = None, wrong: str = ""
    ) -> None:
        self.cfg = cfg
        self.machine = machine or Machine()
        self.config_path = config_path
        """The settings file in force."""
        self.wrong = wrong
        """What is wrong with the settings; `cfg` is the default then."""
        self._answers: dict[str, dict[str, Any]] = {}

    def ask(self, name: str, limit_s: float = 30.0) -> dict[str, Any]:
        """What a probe says, asked once.

        Raises:
            NotTriedError: it needs numpy, which does not work here.
        """
        if name not in WITHOUT_NUMPY and "failed" in self.ask("numpy"):
            raise NotTriedError("numpy does not work")
        if name not in self._answers:
            self._answers[name] = self.machine.ask(name, self.cfg, limit_s)
        return self._answers[name]

    @functools.cached_property
    def model(self) -> str:
        """The board's name as it calls itself; empty when it does not."""
        root = self.machine.root
        for path in ("/proc/device-tree/model", "/sys/firmware/devicetree/base/model"):
            if name := root.text(path):
                return name
        named = [root.text(f"/sys/class/dmi/id/{key}") or "" for key in ("sys_vendor", "product_name")]
        return " ".join(word for word in named if word and "to be filled" not in word.lower())

    @functools.cached_property
    def kind(self) -> str:
        """What kind of board: a word of BOARDS, or "generic"."""
        return next((kind for pattern, kind, _ in BOARDS if re.search(pattern, self.model)), "generic")

    @property
    def page(self) -> str:
        """Its page in the documentation."""
        return "docs/boards/" + next((page for _, kind, page in BOARDS if kind == self.kind), "generic.md")

    @functools.cached_property
    def source(self) -> str:
        """Kind of the source the settings name: a row of SOURCES; "" for none, "?" for one nobody reads."""
        if not self.cfg.source.uri:
            return ""
        try:
            kind: str = self.ask("source").get("kind", "?")
        except NotTriedError:
            return "?"
        return kind

    @property
    def source_shown(self) -> str:
        """The source's address without secrets."""
        if not self.cfg.source.uri:
            return "no source"
        try:
            shown: str = self.ask("source").get("shown", "a source")
        except NotTriedError:
            return "a source"
        return shown

    @property
    def is_live(self) -> bool:
        """Whether frames come at their own time; taken for granted while no source is named."""
        return self.source in LIVE or not self.source

    @property
    def wants_pipeline(self) -> bool:
        """Whether the source is a GStreamer pipeline."""
        return self.source == "stream" and " ! " in self.cfg.source.uri

    @property
    def pip(self) -> str:
        """The pip of the environment that edgepose runs in, as it can be typed."""
        python = self.machine.python
        if python.in_venv and self.machine.env.get("VIRTUAL_ENV") == python.prefix:
            return "$ pip"
        return f"$ {python.executable} -m pip"

    def profile(self, name: str) -> str:
        """The command that brings this environment to a profile of tools/constraints that works: numpy1 or tflite."""
        here = Path(__file__).resolve().parents[3]
        file = here / "tools" / "constraints" / f"{name}.txt"
        if file.is_file():
            what = f"'{here}[tflite]'" if name == "tflite" else here
            return f"{self.pip} install -c {file} {what}"
        return f"{self.pip} install {PROFILES[name]}"


def plural(count: int, one: str, many: str = "") -> str:
    """A number and its noun: 1 camera, 2 cameras."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def size(count: float) -> str:
    """Bytes as a person says them: "512 MiB", "1.9 GiB"."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
