"""Room to work in: memory, swap, disk, threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from edgepose.core import places
from edgepose.lab.doctor.context import Context, NotTriedError, plural, size
from edgepose.lab.doctor.finding import Finding, broken, degraded, fine, unknown

NEEDED = 200 * 2**20
"""Bytes a run may take: runtime, OpenCV, models."""
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


def check_memory(context: Context) -> Iterator[Finding]:
    """What is free for a run, and what catches it when that is not enough."""
    root = context.machine.root
    facts = meminfo(root.text("/proc/meminfo") or "")
    if "MemTotal" not in facts:
        yield unknown("memory", "/proc/meminfo says nothing", "$ free -m")
        return
    total, free = facts["MemTotal"], facts.get("MemAvailable", facts.get("MemFree", 0))
    limit = root.text("/sys/fs/cgroup/memory.max") or ""
    if limit.isdigit() and int(limit) < total:
        used = root.text("/sys/fs/cgroup/memory.current") or "0"
        total, free = int(limit), min(free, int(limit) - int(used if used.isdigit() else 0))
    what = f"{size(free)} free of {size(total)}"
    data = {"free_bytes": free, "total_bytes": total}
    if free < NEEDED:
        yield degraded(
            "memory",
            f"{what}; a run takes up to {size(NEEDED)}",
            "$ sudo systemctl set-default multi-user.target   (no desktop from the next start on)",
            **data,
        )
    else:
        yield fine("memory", what, **data)
    yield _swap(facts, total)


def _swap(facts: dict[str, int], total: int) -> Finding:
    swap, free = facts.get("SwapTotal", 0), facts.get("SwapFree", 0)
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


def check_disk(context: Context) -> Iterator[Finding]:
    """The folders edgepose writes to: can it, and is there room."""
    jsonl, overlay = context.cfg.sink.jsonl.path, context.cfg.sink.overlay.path
    if jsonl and jsonl != "-":
        yield _output(context, "disk: jsonl", str(Path(jsonl).parent), "sink.jsonl.path")
    if overlay:
        folder = Path(overlay).parent if Path(overlay).suffix else Path(overlay)
        yield _output(context, "disk: overlay", str(folder), "sink.overlay.path")
    yield _cache(context)
    temporary = context.machine.env.get("TMPDIR") or "/tmp"  # noqa: S108 (looked at only)
    if why := _not_writable(context, temporary):
        yield degraded(
            "disk: temporary",
            f"{why}: kernels cannot be built where a C compiler links them",
            "$ export TMPDIR=FOLDER   (one that can be written to)",
            path=temporary,
        )
    else:
        yield _room(context, "disk: temporary", temporary)
    if context.cfg.engine.delegate != "cpu" and context.cfg.engine.delegate_process == "child":
        yield _shared_memory(context)


def _output(context: Context, topic: str, folder: str, setting: str) -> Finding:
    path = str(places.at_home(folder).absolute())
    if why := _not_writable(context, path):
        return broken(
            topic,
            f"{why}, and {setting} lies there",
            f"set {setting} to a folder that {context.machine.user} may write to, such as one made by",
            f"$ sudo install -d -o {context.machine.user} /var/lib/edgepose",
            path=path,
        )
    return _room(context, topic, path)


def _cache(context: Context) -> Finding:
    """Where what was found out once is kept: the first folder that can be written to, as core/places has them."""
    env = context.machine.env
    home = env.get("XDG_CACHE_HOME") or (env.get("HOME", "") and env["HOME"] + "/.cache")
    folders = [f"{base}/edgepose" for base in (env.get("CACHE_DIRECTORY", "").split(":")[0], home) if base]
    reasons = {folder: _not_writable(context, folder) for folder in folders}
    usable = next((folder for folder, why in reasons.items() if not why), "")
    if usable:
        return _room(context, "disk: cache", usable)
    return degraded(
        "disk: cache",
        f"{'; '.join(reasons.values()) or 'no folder'}: trials of models and delegates are not remembered, so each "
        "start does that work again",
        "$ export XDG_CACHE_HOME=FOLDER   (one that can be written to; in a unit: CacheDirectory=edgepose)",
        path=folders[0] if folders else "",
    )


def _nearest(context: Context, path: str) -> str:
    """The folder itself, or the one above it in which it would be made."""
    there = Path(path)
    while not context.machine.root.exists(str(there)) and there != there.parent:
        there = there.parent
    return str(there)


def _not_writable(context: Context, path: str) -> str:
    """Why a folder cannot be written to, or made; empty: it can."""
    folder = _nearest(context, path)
    if context.machine.root.may(folder, os.W_OK | os.X_OK):
        return ""
    return (
        f"{folder} is read-only"
        if _is_read_only(context, folder)
        else f"{context.machine.user} may not write to {folder}"
    )


def _room(context: Context, topic: str, path: str) -> Finding:
    space = context.machine.root.free(_nearest(context, path))
    if space is None:
        return unknown(topic, f"{path}: room cannot be told", f"$ df -h {path}", path=path)
    free, total = space
    what = f"{size(free)} free of {size(total)} at {path}"
    if free < LITTLE_DISK:
        return degraded(
            topic,
            f"{what}: nearly full",
            f"$ sudo du -xhd1 {_nearest(context, path)} | sort -h",
            "$ sudo journalctl --vacuum-size=50M",
            path=path,
            free_bytes=free,
            total_bytes=total,
        )
    return fine(topic, what, path=path, free_bytes=free, total_bytes=total)


def _is_read_only(context: Context, folder: str) -> bool:
    best, options = "", ""
    for line in (context.machine.root.text("/proc/mounts") or "").splitlines():
        row = line.split()
        if len(row) < 4:
            continue
        mounted = row[1].rstrip("/")
        if (folder == mounted or folder.startswith(mounted + "/")) and len(mounted) >= len(best):
            best, options = mounted, row[3]
    return "ro" in options.split(",")


def _shared_memory(context: Context) -> Finding:
    root = context.machine.root
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


def check_threads(context: Context) -> Iterator[Finding]:
    """Threads of one inference against the cores there are."""
    machine, threads = context.machine, context.cfg.engine.threads
    cores: float = machine.cores
    quota = (machine.root.text("/sys/fs/cgroup/cpu.max") or "max").split()
    if len(quota) == 2 and quota[0].isdigit():
        cores = min(cores, int(quota[0]) / int(quota[1]))
    have = plural(int(cores), "core") if cores == int(cores) else f"{cores:.1f} cores"
    kept = {} if threads else _kept(context)
    used = threads or max(kept.values(), default=max(1, min(4, machine.cores - 1)))
    data = {"threads": used, "set": threads, "cores": cores, "tuned": kept}
    how = "engine.threads" if threads else "`edgepose bench --tune`" if kept else "engine.threads = 0"
    what = f"{used} for an inference, of {have} (by {how})"
    if used > cores:
        yield degraded(
            "threads",
            f"{what}: threads wait for each other, which can take ten times as long",
            "$ edgepose bench --tune   (tries each number with the camera running)",
            f"or set engine.threads = {max(1, int(cores) - 1)}",
            **data,
        )
    elif not kept and context.is_live:
        yield fine("threads", what, "$ edgepose bench --tune   (finds the best with the camera running)", **data)
    else:
        yield fine("threads", what, **data)


def _kept(context: Context) -> dict[str, int]:
    """Model -> threads that were found best on this board."""
    try:
        kept: dict[str, int] = context.ask("tuned").get("threads", {})
    except NotTriedError:
        return {}
    return kept


CHECKS = {"memory": check_memory, "disk": check_disk}
