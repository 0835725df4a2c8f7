"""Where pictures come from: cameras and their modes, whether we may use them, and the source that is configured."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from edgepose.core import places
from edgepose.lab.doctor import v4l2
from edgepose.lab.doctor.context import BY_LIBCAMERA, PIS, Context, plural
from edgepose.lab.doctor.finding import Finding, broken, degraded, fine, unknown

NODES = ("/dev/video*", "/dev/media*", "/dev/dma_heap/*", "/dev/vcio")
"""Nodes that cameras and their processors are used through; those of accelerators are reported with the delegates."""

CORAL_USB = frozenset((("1a6e", "089a"), ("18d1", "9302")))
"""Vendor and product of a Coral stick, before and after its first use."""

CONNECT_S = 3.0


def scan(context: Context) -> tuple[list[v4l2.Camera], list[str]]:
    """V4L2 cameras, and nodes that could not be opened."""
    cameras, closed = [], []
    for path in context.machine.root.glob("/dev/video[0-9]*"):
        try:
            device = context.machine.open(context.machine.root.path(path))
        except OSError:
            closed.append(path)
            continue
        try:
            camera = v4l2.look(path, device)
        except OSError:
            camera = None
        finally:
            device.close()
        if camera is not None:
            cameras.append(camera)
    return cameras, closed


def check_cameras(context: Context) -> Iterator[Finding]:
    """Every camera there is, then whether the configured one is among them."""
    cameras, closed = scan(context)
    libcamera = (
        context.ask("picamera2").get("cameras", ()) if context.kind in PIS or context.source in BY_LIBCAMERA else ()
    )
    for each in cameras:
        note = (
            "; on a ribbon cable, so not read as V4L2: --source picamera2"
            if each.is_csi and context.kind in PIS
            else ""
        )
        if each.is_csi and context.kind == "jetson":
            note = "; on a ribbon cable: its pictures come through nvarguscamerasrc"
        yield fine(
            f"camera {each.path}",
            f"{each.card} ({each.driver}): {v4l2.summary(each)}{note}",
            card=each.card,
            driver=each.driver,
            csi=each.is_csi,
            modes=[
                {"code": mode.code, "size_wh": list(mode.size_wh), "fps": round(mode.fps, 3)} for mode in each.modes
            ],
        )
    for found in libcamera:
        yield fine(f"camera picamera2:{found['number']}", found["model"], **found)
    if not cameras and not libcamera:
        hidden = f"; {', '.join(closed)} cannot be opened" if closed else ""
        yield fine("cameras", f"none found{hidden}")
    yield from _configured(context, cameras, closed, list(libcamera))


def _configured(
    context: Context, cameras: list[v4l2.Camera], closed: list[str], libcamera: list[dict[str, object]]
) -> Iterator[Finding]:
    """The source of the settings, judged."""
    uri = context.cfg.source.uri
    if not context.source:
        ways = [f"--source {camera.path}" for camera in cameras if not camera.is_csi]
        ways += [f"--source picamera2:{found['number']}" for found in libcamera]
        yield fine(
            "source",
            "source.uri is not set yet, so no camera was judged",
            "$ edgepose setup   (asks for it, tries it, writes the settings)",
            f"$ edgepose doctor {(ways or ['--source FILE_OR_CAMERA'])[0]}",
        )
    elif context.source == "v4l2":
        yield _v4l2(context, cameras, closed)
    elif context.source == "picamera2":
        number = uri.partition(":")[2] or "0"
        if "cameras" not in context.ask("picamera2"):
            return  # why not is said in the software's part
        if any(str(found["number"]) == number for found in libcamera):
            yield fine("source", f"{uri}: there")
        else:
            yield broken(
                "source",
                f"{uri}: libcamera sees {plural(len(libcamera), 'camera')}",
                "check the cable: contacts towards the socket's, latch closed, board off while plugging",
                "$ rpicam-hello --list-cameras   (libcamera-hello on older systems)",
            )
    elif context.source == "imx500":
        if "cameras" in context.ask("picamera2"):
            yield _sensor(context, libcamera)
    elif context.source == "stream":
        yield _stream(context)
    else:
        yield _file(context)


def _sensor(context: Context, libcamera: list[dict[str, object]]) -> Finding:
    """The AI Camera: seen by libcamera, picamera2's part for it, and the network's file."""
    network = context.cfg.source.network
    install = "$ sudo apt install imx500-all   (firmware and networks; then reboot)"
    if not any(found["model"] == "imx500" for found in libcamera):
        what = f"no AI Camera among {plural(len(libcamera), 'camera')} that libcamera sees"
        return broken("source", what, install, "$ rpicam-hello --list-cameras")
    if why := context.ask("picamera2").get("imx500"):
        return broken("source", f"picamera2.devices.imx500 cannot be imported: {why}", install)
    if not context.machine.root.exists(network):
        return broken("source", f"source.network: {network}: not there", install, "or correct source.network")
    return fine("source", f"the AI Camera is there, and {Path(network).stem} for its sensor (untested on hardware)")


def _v4l2(context: Context, cameras: list[v4l2.Camera], closed: list[str]) -> Finding:
    uri = context.cfg.source.uri
    path = f"/dev/video{int(uri)}" if uri.isdecimal() else uri
    path = next(
        (each for each in (path, _link(context, path)) if each in closed or any(each == c.path for c in cameras)), path
    )
    camera = next((each for each in cameras if each.path == path), None)
    if camera is None:
        there = ", ".join(each.path for each in cameras)
        if path in closed:
            if context.machine.root.may(path, os.R_OK | os.W_OK):
                return broken(
                    "source", f"{path}: cannot be opened, though we may", f"$ sudo fuser -v {path}   (who has it)"
                )
            return broken("source", f"{path}: {context.machine.user} may not open it", *_join(context, path))
        if not context.machine.root.exists(path):
            return broken(
                "source",
                f"{path}: not there; {f'there is {there}' if there else 'no camera is connected'}",
                "$ lsusb   (is it on the list? another port, another cable)",
                "$ dmesg | tail -30   (what the kernel said when it was plugged in)",
            )
        return broken(
            "source",
            f"{path}: not a camera but one of its helpers" + (f"; there is {there}" if there else ""),
            "$ v4l2-ctl --list-devices   (sudo apt install v4l-utils)",
        )
    if camera.is_csi:
        how = "picamera2" if context.kind in PIS else "'nvarguscamerasrc ! ... ! appsink' (see docs/boards/jetson.md)"
        return broken(
            "source",
            f"{path}: a sensor on a ribbon cable gives raw data here, no pictures",
            f"$ edgepose doctor --source {how}",
        )
    return _mode(context, camera)


def _link(context: Context, path: str) -> str:
    """Where a name such as /dev/v4l/by-id/... leads."""
    try:
        return "/dev/" + context.machine.root.path(path).resolve().name
    except OSError:
        return path


def _mode(context: Context, camera: v4l2.Camera) -> Finding:
    """Whether a camera can do what is asked of it."""
    (width, height), fps = context.cfg.source.size_wh, context.cfg.source.fps
    asked = f"{width}x{height} at {fps:g} Hz"
    same = [mode for mode in camera.modes if mode.size_wh == (width, height)]
    if camera.stepwise or not camera.modes:
        return fine("source", f"{camera.path}: there; asked for {asked}")
    if not same:
        sizes = sorted({mode.size_wh for mode in camera.modes})
        near = min(sizes, key=lambda wh: abs(wh[0] * wh[1] - width * height))
        return degraded(
            "source",
            f"{camera.path}: has no {width}x{height} and will give another size",
            f"$ edgepose run --source.size_wh {near[0]}x{near[1]}   (the nearest it has; or set it in edgepose.toml)",
        )
    best = max(mode.fps for mode in same)
    if best and best < fps - 0.5:
        return degraded(
            "source",
            f"{camera.path}: gives {width}x{height} at {best:g} Hz at most, {fps:g} are asked for",
            f"$ edgepose run --source.fps {best:g}   (or a smaller source.size_wh)",
        )
    return fine("source", f"{camera.path}: there, and has {asked}")


def _stream(context: Context) -> Finding:
    """A pipeline's parts, or whether a host answers."""
    uri, facts = context.cfg.source.uri, context.ask("source")
    if context.wants_pipeline:
        return _pipeline(context)
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port or facts["ports"].get(parts.scheme.lower())
    except ValueError:  # whose message may hold a piece of the password
        return broken("source", f"{context.source_shown}: no address", "correct source.uri")
    if not host or not port or parts.scheme in ("udp", "rtp"):
        return unknown(
            "source",
            f"{context.source_shown}: shows only when it runs",
            f"$ edgepose run --source {context.source_shown}",
        )
    try:
        socket.create_connection((host, port), CONNECT_S).close()
    except OSError as error:
        return broken(
            "source",
            f"{host}:{port} does not answer: {error.strerror or error}",
            f"$ ping -c 3 {host}",
            "check source.uri, the camera's power and the network",
        )
    return fine("source", f"{host}:{port} answers; whether it gives video shows when it runs")


def _pipeline(context: Context) -> Finding:
    """Elements that GStreamer does not have here."""
    uri = context.cfg.source.uri
    if "appsink" not in uri.rsplit(" ! ", 1)[-1]:
        return broken(
            "source",
            "the GStreamer pipeline does not end in appsink",
            "end source.uri in ` ! appsink drop=true max-buffers=1 sync=false`",
        )
    names = [words.split()[0] for words in uri.split(" ! ") if words.split()]
    elements = [name for name in names if "/" not in name and name != "appsink"]
    answers = {name: context.machine.run(["gst-inspect-1.0", "--exists", name], 10.0) for name in elements}
    missing = [name for name, answer in answers.items() if answer is not None and answer.code]
    if missing:
        hint = ": JetPack brings it, a container needs --runtime nvidia" if missing[0].startswith("nv") else ""
        return broken(
            "source",
            f"GStreamer has no {', '.join(missing)} here{hint}",
            f"$ gst-inspect-1.0 {missing[0]}",
            "$ sudo apt install gstreamer1.0-tools gstreamer1.0-plugins-good gstreamer1.0-plugins-bad",
        )
    if elements and all(answer is None for answer in answers.values()):
        return unknown(
            "source", "a GStreamer pipeline; its elements cannot be looked up", "$ sudo apt install gstreamer1.0-tools"
        )
    return fine("source", f"a GStreamer pipeline of {plural(len(names), 'element')}, all there")


def _file(context: Context) -> Finding:
    facts = context.ask("source")
    if why := facts.get("failed"):
        return unknown("source", f"cannot be looked at: {why}", "mend what part `software` tells first")
    if facts["wrong"]:
        return broken("source", facts["wrong"], "correct source.uri")
    path = places.at_home(context.cfg.source.uri)
    if not os.access(path, os.R_OK):
        return broken("source", f"{path}: may not be read by {context.machine.user}", f"$ sudo chmod a+r {path}")
    return fine("source", f"{path}: a {facts['kind']}, no camera needed", kind=facts["kind"])


# ------------------------------------------------------------------------------------------------ who may


def check_permissions(context: Context) -> Iterator[Finding]:
    """Device nodes that are there and that we may not open, one line per group that would help."""
    root = context.machine.root
    nodes = [path for pattern in NODES for path in root.glob(pattern)]
    refused: dict[str, list[str]] = {}
    for path in nodes:
        if not root.may(path, os.R_OK | os.W_OK):
            refused.setdefault(root.group(path), []).append(path)
    if not nodes:
        yield fine("permissions", "no device nodes of cameras here")
    elif not refused:
        yield fine("permissions", f"{context.machine.user} may use {plural(len(nodes), 'device node')}", nodes=nodes)
    for group, paths in refused.items():
        shown = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
        what = f"{context.machine.user} may not open {shown} (group {group})"
        say = degraded if any(_is_needed(context, path) for path in paths) else fine
        yield say("permissions", what, *_join(context, paths[0]), group=group, nodes=paths)


def _is_needed(context: Context, path: str) -> bool:
    if path == "/dev/vcio":
        return False
    return context.source in ("", "v4l2", *BY_LIBCAMERA) and (
        not path.startswith("/dev/dma_heap") or context.source in BY_LIBCAMERA
    )


def _join(context: Context, path: str) -> tuple[str, ...]:
    """How our user gets into the group of a node."""
    machine = context.machine
    group = machine.root.group(path)
    if group in ("root", "0", ""):
        rule = f'KERNEL=="{path.rpartition("/")[2].rstrip("0123456789")}*", GROUP="video", MODE="0660"'
        return (
            f"$ echo '{rule}' | sudo tee /etc/udev/rules.d/99-edgepose.rules",
            "$ sudo udevadm control --reload && sudo udevadm trigger   (then plug it in again)",
        )
    if machine.user in _members(context, group) and group not in machine.groups:
        return (
            f"{machine.user} is in {group} since after this login: log out and in again, or restart the service",
            f"$ newgrp {group}   (for this terminal)",
        )
    if group in machine.groups:
        return (f"$ sudo chmod g+rw {path}",)
    return (f"$ sudo usermod -aG {group} {machine.user}   (then log out and in again)",)


def _members(context: Context, group: str) -> list[str]:
    for line in (context.machine.root.text("/etc/group") or "").splitlines():
        row = line.split(":")
        if len(row) == 4 and row[0] == group:
            return row[3].split(",")
    return []


def coral_usb(context: Context) -> Iterator[str]:
    """Device nodes of Coral sticks."""
    root = context.machine.root
    for path in root.glob("/sys/bus/usb/devices/*/idVendor"):
        folder = path.rpartition("/")[0]
        if (root.text(path), root.text(f"{folder}/idProduct")) in CORAL_USB:
            bus, device = (int(root.text(f"{folder}/{key}") or 0) for key in ("busnum", "devnum"))
            yield f"/dev/bus/usb/{bus:03d}/{device:03d}"


def check_accelerators(context: Context) -> Iterator[Finding]:
    """Corals that are connected, used or not."""
    root = context.machine.root
    yield from _hailo(context)
    found = [f"USB ({path})" for path in coral_usb(context)] + [f"PCIe ({path})" for path in root.glob("/dev/apex_*")]
    if not found:
        return
    what = f"{', '.join(found)} connected"
    if context.cfg.engine.delegate == "edgetpu":
        hot = [(root.text(path) or "") for path in root.glob("/sys/class/apex/apex_*/temp")]
        heat = f", {int(hot[0]) / 1000:.0f} °C" if hot and hot[0].isdigit() else ""
        yield fine("coral", what + heat)
    else:
        yield fine(
            "coral",
            f"{what} and not used: engine.delegate is {context.cfg.engine.delegate}",
            "docs/boards/coral.md tells how",
        )


def _hailo(context: Context) -> Iterator[Finding]:
    """Hailo chips that are connected, used or not."""
    for path in context.machine.root.glob("/dev/hailo[0-9]*"):
        if context.cfg.engine.delegate == "hailo":
            yield fine("hailo", f"{path} connected")
        else:
            unused = f"{path} connected and not used: engine.delegate is {context.cfg.engine.delegate}"
            yield fine("hailo", unused, "docs/boards/hailo.md tells how")


CHECKS = {"cameras": check_cameras, "permissions": check_permissions, "accelerators": check_accelerators}
