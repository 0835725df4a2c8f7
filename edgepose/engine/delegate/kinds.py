"""What can run a model: a row per kind of delegate, how to find its library and device, and what its failures mean."""

from __future__ import annotations

import difflib
import os
import re
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgepose.core import config, places
from edgepose.core.errors import ConfigError
from edgepose.engine.delegate import hailo, ort
from edgepose.engine.delegate.devices import check_edge_tpu, is_device_name
from edgepose.engine.delegate.finding import Difference, Finding, OpShare, TroubleError

__all__ = ["DELEGATES", "Delegate", "Difference", "Finding", "OpShare", "TroubleError"]

WHERE = "engine.delegate_options"
EXPECTED = {"device": "usb, pci, usb:0, pci:1 or :0", "provider": f"one of {', '.join(ort.PROVIDERS)}"}
"""Option -> what it may be."""
EDGETPU_OP = "edgetpu-custom-op"


@dataclass(frozen=True, slots=True)
class Delegate:
    """One kind of delegate."""

    what: str
    library: str = ""
    """Its usual name; empty: it must be set."""
    install: str = ""
    """What to do where the library is missing."""
    options: Mapping[str, Callable[[str], bool]] | None = None
    """Its options and what each may be; None: the library's own, which it checks itself."""
    look: Callable[[Mapping[str, str], str], None] = lambda _options, _library: None
    """(options, library) -> nothing; raises TroubleError where what it needs is not here."""


def _look_for_edge_tpu(options: Mapping[str, str], _library: str) -> None:
    check_edge_tpu(options.get("device", ""))


def _look_for_nnapi(_options: Mapping[str, str], library: str) -> None:
    if library:
        return
    if hasattr(sys, "getandroidapilevel") or "ANDROID_ROOT" in os.environ:
        raise TroubleError(
            "TFLite for Python has no switch for Android's NNAPI",
            "name the vendor's delegate library in engine.delegate_library, or use the cpu, which is often as fast",
            lasting=True,
            here=False,
        )
    raise TroubleError(
        "NNAPI is a part of Android, and this is not Android",
        "where the board's vendor has a delegate library use engine.delegate = 'external' and engine.delegate_library; "
        "on i.MX that is libvx_delegate.so or libethosu_delegate.so",
        lasting=True,
        here=False,
    )


def _is_one_of(*values: str) -> Callable[[str], bool]:
    return lambda value: value in values


DELEGATES: dict[str, Delegate] = {
    "cpu": Delegate("the CPU, by XNNPACK where it can"),
    "edgetpu": Delegate(
        "a Coral Edge TPU at USB or PCIe",
        "libedgetpu.so.1",
        "install libedgetpu1-std for TFLite 2.17 or later (github.com/feranick/libedgetpu has it)",
        {
            "device": is_device_name,
            "Performance": _is_one_of("Low", "Medium", "High", "Max"),
            "Usb.AlwaysDfu": _is_one_of("True", "False"),
            "Usb.MaxBulkInQueueLength": lambda value: value.isdigit() and int(value) < 256,
        },
        _look_for_edge_tpu,
    ),
    "hailo": Delegate("a Hailo chip on an AI HAT+ or AI Kit", options={}, look=hailo.look),
    "onnxruntime": Delegate(
        "ONNX Runtime, by CUDA or TensorRT on a Jetson",
        options={"provider": _is_one_of(*ort.PROVIDERS)},
        look=ort.look,
    ),
    "nnapi": Delegate("Android's NNAPI, by a vendor's library", look=_look_for_nnapi),
    "external": Delegate("any delegate library: VX, Ethos-U, Arm NN, GPU"),
}
"""engine.delegate -> how."""


# ------------------------------------------------------------------------------------------------ settings


def read_options(cfg: config.Engine) -> dict[str, str]:
    """engine.delegate_options as keys and values.

    Raises:
        ConfigError: not "key=value, key=value", or not an option of this delegate.
    """
    found: dict[str, str] = {}
    known = DELEGATES[cfg.delegate].options
    for pair in filter(None, map(str.strip, cfg.delegate_options.split(","))):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not (key and equals):
            raise ConfigError(f"{WHERE}: {pair!r} is not key=value")
        if key in found:
            raise ConfigError(f"{WHERE}: {key} is given twice")
        if known is not None and key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
            raise ConfigError(f"{WHERE}: {key} is not an option of {cfg.delegate}; {hint}")
        if known is not None and not known[key](value):
            said = EXPECTED.get(key, "a value that libedgetpu knows")
            raise ConfigError(f"{WHERE}: {key} is {value!r}, expected {said}")
        found[key] = value
    return found


def find_library(cfg: config.Engine) -> str:
    """The library of the delegate, as an absolute path or as a name for the loader.

    Raises:
        ConfigError: external without a library, or a file that cannot be one.
    """
    row = DELEGATES[cfg.delegate]
    name = cfg.delegate_library or row.library
    if not name and cfg.delegate == "external":
        raise ConfigError(
            "engine.delegate_library: external needs one, such as /usr/lib/libvx_delegate.so or libarmnnDelegate.so"
        )
    if "/" not in name:
        return name
    path = places.at_home(name).absolute()
    problem = _not_a_library(path)
    if problem:
        raise TroubleError(f"{path}: {problem}", "correct engine.delegate_library", lasting=True, here=False)
    return str(path)


def _not_a_library(path: Path) -> str:
    """Why a file is no shared library for this machine; empty: it may be one."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return "is not a file"
        with path.open("rb") as file, Path("/proc/self/exe").open("rb") as own:
            head, ours = file.read(20), own.read(20)
    except OSError as error:
        return f"{'no such file' if isinstance(error, FileNotFoundError) else f'cannot be read: {error.strerror}'}"
    if head[:4] != b"\x7fELF":
        kind = "a text file" if head and all(9 <= byte < 127 for byte in head) else "no ELF file"
        return f"is {kind}, not a shared library"
    if head[4:6] != ours[4:6] or head[18:20] != ours[18:20]:  # word size, byte order; processor
        return "is built for another processor"
    return ""


# ------------------------------------------------------------------------------------------------ what went wrong

DOING = {
    "start": "while its process started",
    "load": "while its library was loaded",
    "model": "while it took the model",
    "run": "in its first inference",
    "frame": "in an inference",
}
UNPLUG = "unplug the device and plug it in again, look at `dmesg`"


def explain(cfg: config.Engine, library: str, step: str, kind: str, message: str) -> TroubleError:
    """What a worker's failure means, and what to do.

    step, kind, message  as of worker.BrokenError
    """
    row = DELEGATES[cfg.delegate]
    if cfg.delegate == "hailo" and (special := hailo.explain(step, kind, message)):
        return special
    if cfg.delegate == "onnxruntime" and (special := ort.explain(step, message)):
        return special
    if kind == "hang":
        return TroubleError(f"{cfg.delegate} hangs {DOING[step]}: {message}", UNPLUG)
    if kind == "crash":
        return TroubleError(
            f"{cfg.delegate} crashed {DOING[step]} ({message})",
            UNPLUG if step == "frame" else "use a build of its library for this TFLite runtime and system",
        )
    if step == "start":
        return TroubleError(f"{cfg.delegate} could not start its process: {message}", "free memory, or raise the limit")
    if step == "load":
        return _explain_load(row, library, kind, message)
    if unresolved := re.search(r"unresolved custom op: ([\w-]+)", message):
        right = "engine.delegate = 'edgetpu'" if unresolved[1] == EDGETPU_OP else "a build of the model without it"
        return TroubleError(
            f"{library} does not take the model's operator {unresolved[1]}", f"use {right}", lasting=True
        )
    if step == "model":
        return TroubleError(f"{cfg.delegate} refuses the model: {message}", "use a model that was made for it")
    return TroubleError(f"{cfg.delegate} failed {DOING[step]}: {message}", UNPLUG)


def _explain_load(row: Delegate, library: str, kind: str, message: str) -> TroubleError:
    if kind == "OSError":
        missing = re.match(r"(\S+): cannot open shared object file", message)
        if missing and missing[1] != library:
            return TroubleError(f"{library} needs {missing[1]}, which is missing", "install it", lasting=True)
        if missing:
            install = row.install or "install it, or correct engine.delegate_library"
            return TroubleError(f"there is no library {library}", install, lasting=True, here=False)
        return TroubleError(f"{library} cannot be loaded: {message}", "install it again", lasting=True)
    if kind == "AttributeError":
        return TroubleError(
            f"{library} is a library but no TFLite delegate: it has no tflite_plugin_create_delegate",
            "correct engine.delegate_library",
            lasting=True,
        )
    if kind == "ValueError":
        own = message.partition(f"Failed to load delegate from {library}")[2].strip() or "it does not say why"
        return TroubleError(
            f"{library} refuses to start: {own}",
            "see that its device is plugged in and not in use by another process, and engine.delegate_options",
        )
    return TroubleError(f"{library} cannot be loaded: {message}", "install a build of it for this TFLite runtime")


def check_claims(cfg: config.Engine, share: OpShare) -> None:
    """See that it does anything at all.

    Raises:
        TroubleError: all would run on the CPU.
    """
    if not share.claimed:
        raise TroubleError(
            f"{cfg.delegate} takes none of the model's {len(share.left)} operators: all would run on the CPU",
            "use a model that was compiled for it" if cfg.delegate == "edgetpu" else "see its options, or use the cpu",
            lasting=True,
        )
