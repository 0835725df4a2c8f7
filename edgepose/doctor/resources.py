"""Room to work in: memory, swap, disk, threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from edgepose.doctor.finding import Finding, broken, degraded, fine, unknown
from edgepose.doctor.visit import Visit, plural, size

NEEDED = 200 * 2**20
"""Bytes a run may take: runtime, OpenCV, model, and numba while it compiles."""
LITTLE_DISK = 200 * 2**20
"""Bytes below which a disk is nearly full."""
SHM = "/dev/shm"  # noqa: S108 (looked at only)
"""Where frames wait for a delegate's process."""
LITTLE_SHM = 16 * 2**20
"""Bytes that frames on their way to a delegate's process may take."""


def meminfo(text: str) -> dict[str, int]:
    """/proc/meminfo in bytes."""
    rows = (line.split() for line in text.splitlines())
    return {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows if len(row) >= 2 and row[1].isdigit()}


def check_memory(visit: Visit) -> Iterator[Finding]:
    """What is free for a run, and what catches it when that is not enough."""
    root = visit.machine.root
    told = meminfo(root.text("/proc/meminfo") or "")
    if "MemTotal" not in told:
        yield unknown("memory", "/proc/meminfo says nothing", "$ free -m")
        return
    total, free = told["MemTotal"], told.get("MemAvailable", told.get("MemFree", 0))
    limit = root.text("/sys/fs/cgroup/memory.max") or ""
    if limit.isdigit() and int(limit) < total:
        used = root.text("/sys/fs/cgroup/memory.current") or "0"
        total, free = int(limit), min(free, int(limit) - int(used if used.isdigit() else 0))
    what = f"{size(free)} free of {size(total)}"
    data = {"free_bytes": free, "total_bytes": total}
    if free < NEEDED:
        yield degraded(
            "memory",
            f"{what}; a run takes up to {size(NEEDED)} while its kernels are not built",
            "$ edgepose kernels build   (then a run takes 100 MiB less)",
            "$ sudo systemctl set-default multi-user.target   (no desktop from the next start on)",
            **data,
        )
    else:
        yield fine("memory", what, **data)
    yield _swap(told, total)


def _swap(told: dict[str, int], total: int) -> Finding:
    swap, free = told.get("SwapTotal", 0), told.get("SwapFree", 0)
    data = {"total_bytes": swap, "used_bytes": swap - free}
    if swap:
        return fine("swap", f"{size(swap - free)} used of {size(swap)}", **data)
    if total <= 2**30:
        return degraded(
            "swap",
            f"none, with {size(total)} of memory: what does not fit is killed",
            "$ sudo apt install zram-tools   (swap in compressed memory; spares the card)",
            **data,
        )
    return fine("swap", "none, and none needed", **data)


def check_disk(visit: Visit) -> Iterator[Finding]:
    """The folders edgepose writes to: can it, and is there room."""
    for topic, path, needed_for, is_asked in _folders(visit):
        yield _folder(visit, topic, path, needed_for, is_asked)
    if visit.cfg.engine.delegate != "cpu" and visit.cfg.engine.delegate_process == "child":
        yield _shared_memory(visit)


def _folders(visit: Visit) -> Iterator[tuple[str, str, str, bool]]:
    """Topic, folder, what for, and whether the settings ask for it."""
    jsonl, overlay = visit.cfg.sink.jsonl.path, visit.cfg.sink.overlay.path
    if jsonl and jsonl != "-":
        yield "disk: jsonl", _absolute(str(Path(jsonl).parent)), "sink.jsonl.path", True
    if overlay:
        folder = Path(overlay) if not Path(overlay).suffix else Path(overlay).parent
        yield "disk: overlay", _absolute(str(folder)), "sink.overlay.path", True
    env = visit.machine.env
    cache = env.get("CACHE_DIRECTORY", "").split(":")[0] or env.get("XDG_CACHE_HOME") or f"{env.get('HOME', '')}/.cache"
    yield "disk: cache", f"{cache}/edgepose", "compiled kernels", False
    yield "disk: temporary", env.get("TMPDIR") or "/tmp", "building kernels", False  # noqa: S108 (looked at only)


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def _folder(visit: Visit, topic: str, path: str, what_for: str, is_asked: bool) -> Finding:
    root = visit.machine.root
    there = Path(path)
    while not root.exists(str(there)) and there != there.parent:
        there = there.parent
    folder = str(there)
    data = {"path": path}
    if not root.may(folder, os.W_OK | os.X_OK):
        why = "is read-only" if _is_read_only(visit, folder) else f"may not be written to by {visit.machine.user}"
        if is_asked:
            return broken(
                topic,
                f"{folder} {why}, and {what_for} lies there",
                f"change {what_for}, or",
                f"$ sudo chown {visit.machine.user} {folder}",
                **data,
            )
        setting = "TMPDIR" if "temporary" in topic else "XDG_CACHE_HOME"
        return degraded(
            topic,
            f"{folder} {why}: {what_for} cannot be kept, so each start does that work again",
            f"$ export {setting}=FOLDER   (one that can be written to; in a unit: Environment=, or CacheDirectory=)",
            **data,
        )
    space = root.free(folder)
    if space is None:
        return unknown(topic, f"{folder}: room cannot be told", f"$ df -h {folder}", **data)
    free, total = space
    data |= {"free_bytes": free, "total_bytes": total}  # type: ignore[dict-item]
    what = f"{size(free)} free of {size(total)} at {path}"
    if free < LITTLE_DISK:
        return degraded(
            topic,
            f"{what}, for {what_for}: nearly full",
            f"$ sudo du -xhd1 {folder} | sort -h",
            "$ sudo journalctl --vacuum-size=50M",
            **data,
        )
    return fine(topic, what, **data)


def _is_read_only(visit: Visit, folder: str) -> bool:
    best, options = "", ""
    for line in (visit.machine.root.text("/proc/mounts") or "").splitlines():
        row = line.split()
        if len(row) < 4:
            continue
        mounted = row[1].rstrip("/")
        if (folder == mounted or folder.startswith(mounted + "/")) and len(mounted) >= len(best):
            best, options = mounted, row[3]
    return "ro" in options.split(",")


def _shared_memory(visit: Visit) -> Finding:
    root = visit.machine.root
    space = root.free(SHM) if root.exists(SHM) else None
    if space is None:
        return degraded(
            "shared memory",
            f"{SHM} is not there: frames cannot go to the delegate's own process",
            f"$ sudo mount -t tmpfs tmpfs {SHM}",
            "or let the delegate run in this process: --engine.delegate_process inline",
        )
    if space[0] < LITTLE_SHM:
        return degraded(
            "shared memory",
            f"{size(space[0])} free at {SHM}: too little for frames",
            f"$ sudo mount -o remount,size=64M {SHM}   (docker run --shm-size=64m)",
            free_bytes=space[0],
        )
    return fine("shared memory", f"{size(space[0])} free at {SHM}", free_bytes=space[0])


def check_threads(visit: Visit) -> Iterator[Finding]:
    """Threads of one inference against the cores there are."""
    machine, threads = visit.machine, visit.cfg.engine.threads
    cores: float = machine.cores
    quota = (machine.root.text("/sys/fs/cgroup/cpu.max") or "max").split()
    if len(quota) == 2 and quota[0].isdigit():
        cores = min(cores, int(quota[0]) / int(quota[1]))
    data = {"threads": threads, "cores": cores}
    have = plural(int(cores), "core") if cores == int(cores) else f"{cores:.1f} cores"
    if not threads:
        used = max(1, min(4, machine.cores - 1))
        data["used"] = used
        if used > cores:
            yield degraded(
                "threads",
                f"engine.threads is 0, which takes {used}, but this process is limited to {have}",
                f"$ edgepose run --engine.threads {max(1, int(cores))}   (or set it in edgepose.toml)",
                **data,
            )
            return
        yield fine("threads", f"{used} for an inference, of {have}; `edgepose bench --tune` tries others", **data)
    elif threads > cores:
        yield degraded(
            "threads",
            f"engine.threads is {threads} on {have}: threads wait for each other, which can take ten times as long",
            "$ edgepose bench --tune   (tries each number with the camera running)",
            "or set engine.threads = 0",
            **data,
        )
    else:
        hint = (
            ()
            if threads < cores or not visit.is_live
            else ("one core less leaves room for camera and system: `edgepose bench --tune` tells",)
        )
        yield fine("threads", f"{threads} for an inference, of {have}", *hint, **data)


CHECKS = {"memory": check_memory, "disk": check_disk}
