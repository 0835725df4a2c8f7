"""What this machine is: board, processor, system, Python, C library."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edgepose.lab.doctor.context import PIS, Context
from edgepose.lab.doctor.finding import Finding, broken, degraded, fine, unknown

PARTS = {
    ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd04"): "Cortex-A35",
    ("0x41", "0xd05"): "Cortex-A55",
    ("0x41", "0xd07"): "Cortex-A57",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd09"): "Cortex-A73",
    ("0x41", "0xd0a"): "Cortex-A75",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd0d"): "Cortex-A77",
    ("0x41", "0xd41"): "Cortex-A78",
    ("0x41", "0xd42"): "Cortex-A78AE",
    ("0x41", "0xc07"): "Cortex-A7",
    ("0x4e", "0x003"): "NVIDIA Denver 2",
    ("0x4e", "0x004"): "NVIDIA Carmel",
}
"""Implementer and part of an ARM core -> its name."""

INT8: tuple[tuple[frozenset[str], str, str], ...] = (
    (frozenset({"i8mm"}), "i8mm", "multiplies int8 matrices in one instruction, the best there is for int8 models"),
    (frozenset({"asimddp"}), "asimddp", "four int8 products in one instruction, which int8 models use"),
    (frozenset({"avx512_vnni", "avx_vnni"}), "VNNI", "four int8 products in one instruction, which int8 models use"),
    (frozenset({"avx2"}), "AVX2", "an int8 product takes several instructions (no VNNI), as usual for a PC"),
    (frozenset({"asimd"}), "NEON", "an int8 product takes several instructions (no asimddp), as usual for its age"),
    (frozenset({"neon"}), "NEON", "an int8 product takes several instructions, as usual for 32-bit"),
    (frozenset({"sse4_1"}), "SSE4.1", "narrow instructions (no AVX2): int8 models are slow here"),
)
"""Feature flags of /proc/cpuinfo, best first -> their name, and what they mean for int8 models."""

ENDED = {("debian", "10"), ("debian", "11"), ("raspbian", "10"), ("raspbian", "11"), ("ubuntu", "18.04")}
"""Systems too old for the packages edgepose stands on."""

OLDEST_GLIBC = (2, 27)
"""Of the litert wheels."""


def cpuinfo(text: str) -> list[dict[str, str]]:
    """/proc/cpuinfo as a record per core; later lines without a core (Hardware, Model) are a record too."""
    records = []
    for block in re.split(r"\n\s*\n", text):
        pairs = [line.partition(":") for line in block.splitlines() if ":" in line]
        records.append({key.strip(): value.strip() for key, _, value in pairs})
    return [record for record in records if record]


def check_model(context: Context) -> Iterator[Finding]:
    """What the board calls itself."""
    root = context.machine.root
    name = context.model
    if not name:
        records = cpuinfo(root.text("/proc/cpuinfo") or "")
        name = next((each[key] for key in ("Model", "Hardware") for each in records if key in each), "")
    jetpack = re.match(r"# R(\d+) \(release\), REVISION: ([\d.]+)", root.text("/etc/nv_tegra_release") or "")
    linux = f", L4T {jetpack[1]}.{jetpack[2]}" if jetpack else ""
    what = f"{name}{linux}" if name else "tells no name: a virtual machine, a container, or a PC without DMI"
    yield fine("board", what, name=name, kind=context.kind, page=context.page)


def check_processor(context: Context) -> Iterator[Finding]:
    """Cores, and what their instructions mean for int8 models."""
    machine = context.machine
    records = cpuinfo(machine.root.text("/proc/cpuinfo") or "")
    cores = [each for each in records if "processor" in each]
    if not cores:
        yield unknown("processor", "/proc/cpuinfo says nothing", "$ mount -t proc proc /proc   (in a chroot or image)")
        return
    names = dict.fromkeys(_core_name(each) for each in cores)
    features = set((cores[0].get("Features") or cores[0].get("flags") or "").split())
    name, meaning = next(
        ((name, meaning) for flags, name, meaning in INT8 if flags & features),
        ("plain", "knows no vector instructions that are known here"),
    )
    limit = "" if machine.cores == len(cores) else f", {machine.cores} of them for this process"
    what = f"{len(cores)} x {' + '.join(names)}{limit}; {name}: {meaning}"
    data = {
        "cores": len(cores),
        "usable_cores": machine.cores,
        "names": list(names),
        "int8": name,
        "machine": machine.python.machine,
    }
    if machine.python.bits == 32 and (machine.python.machine in ("aarch64", "armv8l") or "asimd" in features):
        yield degraded(
            "processor",
            f"{what}; but this system is 32-bit on a 64-bit processor: no litert and no numba are made for it",
            "install the 64-bit system (Raspberry Pi OS 64-bit) on a new card",
            **data,
        )
        return
    yield fine("processor", what, **data)


def _core_name(core: dict[str, str]) -> str:
    part = PARTS.get((core.get("CPU implementer", ""), core.get("CPU part", "")))
    return part or core.get("model name") or f"core {core.get('CPU part', 'of unknown make')}"


def os_release(text: str) -> dict[str, str]:
    """/etc/os-release as pairs."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}


def check_system(context: Context) -> Iterator[Finding]:
    """The distribution and its age."""
    facts = os_release(context.machine.root.text("/etc/os-release") or "")
    name = facts.get("PRETTY_NAME", "")
    pi = context.kind in PIS and context.machine.root.exists("/etc/rpi-issue")
    issue = " (Raspberry Pi OS)" if pi else ""
    data = {"id": facts.get("ID", ""), "version": facts.get("VERSION_ID", ""), "pi_os": pi}
    if not name:
        yield unknown("system", "/etc/os-release does not tell the distribution", "$ cat /etc/*release", **data)
    elif (facts.get("ID"), facts.get("VERSION_ID")) in ENDED:
        yield degraded(
            "system",
            f"{name}{issue}: older than the packages edgepose stands on",
            "install a current system: Debian 12 (Bookworm), Ubuntu 22.04, or newer",
            **data,
        )
    else:
        yield fine(
            "system", f"{name}{issue}, Linux {context.machine.root.text('/proc/sys/kernel/osrelease') or '?'}", **data
        )


def check_python(context: Context) -> Iterator[Finding]:
    """Version, environment, and the C library underneath."""
    python = context.machine.python
    version = ".".join(map(str, python.version))
    where = f"environment {python.prefix}" if python.in_venv else "the system's own"
    data = {"version": version, "bits": python.bits, "venv": python.in_venv, "prefix": python.prefix}
    what = f"{version}, {python.bits}-bit, {where}"
    if python.version[:2] < (3, 10):
        yield broken(
            "python",
            f"{what}: edgepose needs 3.10",
            "install Python 3.10 or newer and make a new environment",
            "$ uv venv --python 3.11 edgepose-env",
            **data,
        )
    elif not python.gil:
        yield degraded(
            "python",
            f"{what}, free-threaded: compiled kernels do not know its objects",
            "use the ordinary build of Python",
            "$ python3 -m venv edgepose-env",
            **data,
        )
    else:
        yield fine("python", what, **data)
    yield _libc(python.libc)


def _libc(libc: tuple[str, str]) -> Finding:
    name, version = libc
    if name != "glibc":
        return broken(
            "C library",
            f"{name or 'not glibc'} (Alpine has musl): no TFLite runtime is made for it",
            "use a system with glibc: Debian, Raspberry Pi OS, Ubuntu",
            name=name,
            version=version,
        )
    if tuple(map(int, version.split(".")[:2])) < OLDEST_GLIBC:
        needs = ".".join(map(str, OLDEST_GLIBC))
        return broken(
            "C library",
            f"glibc {version}: litert needs {needs}",
            "install a current system",
            name=name,
            version=version,
        )
    return fine("C library", f"glibc {version}", name=name, version=version)


CHECKS = {"board": check_model, "processor": check_processor, "system": check_system, "python": check_python}
