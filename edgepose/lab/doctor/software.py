"""What edgepose stands on: numpy, TFLite runtimes, OpenCV, picamera2, and what does not go together."""

from __future__ import annotations

from collections.abc import Iterator

from edgepose.lab.doctor.context import BY_LIBCAMERA, PIS, Context
from edgepose.lab.doctor.finding import Finding, broken, degraded, fine

ABI = ("numpy.dtype size changed", "_ARRAY_API", "compiled using NumPy 1", "numpy.core.multiarray", "multiarray failed")
"""What extensions built for another numpy say."""

OLDEST_OPENCV = (4, 8)

APT = "/usr/lib/python3/dist-packages"
"""Where apt puts Python packages."""


def check_numpy(context: Context) -> Iterator[Finding]:
    """Which generation, as that decides what else works."""
    facts = context.ask("numpy")
    if "failed" in facts:
        yield broken(
            "numpy", f"does not work: {facts['failed']}", f"{context.pip} install --force-reinstall numpy", **facts
        )
        return
    major = _major(facts["version"])
    yield fine(
        "numpy",
        f"{facts['version']}, generation {major}",
        version=facts["version"],
        generation=major,
        file=facts.get("file", ""),
    )


def _major(version: str) -> int:
    first = version.partition(".")[0]
    return int(first) if first.isdigit() else 0


def _release(version: str) -> tuple[int, ...]:
    """Its first two numbers."""
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _numpy(context: Context) -> int:
    """Generation of numpy; 0: none works."""
    return _major(context.ask("numpy").get("version", "0"))


def check_runtimes(context: Context) -> Iterator[Finding]:
    """Each TFLite runtime was really tried; the settings decide which is needed."""
    facts = context.ask("runtimes")
    wanted = context.cfg.engine.runtime
    runtimes: dict[str, dict[str, str]] = facts.get("runtimes", {})
    works = {name: each["version"] for name, each in runtimes.items() if "version" in each}
    data = {"works": works, "fails": {name: each["why"] for name, each in runtimes.items() if "why" in each}}
    if "failed" in facts:
        yield broken(
            "tflite runtime", f"cannot be tried: {facts['failed']}", f"{context.pip} install ai-edge-litert", **data
        )
        return
    chosen = wanted if wanted != "auto" else next(iter(works), "")
    if chosen in works:
        others = "".join(f"; {name}: {_short(each['why'])}" for name, each in runtimes.items() if "why" in each)
        yield fine("tflite runtime", f"{chosen} {works[chosen]} ran a test model{others}", **data)
    elif works:
        yield broken(
            "tflite runtime",
            f"engine.runtime is {wanted}: {_short(runtimes[wanted]['why'])}",
            f'set engine.runtime = "auto", which takes {next(iter(works))}, or',
            *_install(context, wanted),
            **data,
        )
    else:
        whys = "; ".join(f"{name}: {_short(each['why'])}" for name, each in runtimes.items())
        yield broken("tflite runtime", f"none works: {whys}", *_install(context, "litert"), **data)


def _short(why: str) -> str:
    return why.partition(", type:")[0]


def _install(context: Context, name: str) -> list[str]:
    python = context.machine.python
    if name == "litert" and python.bits == 64:
        return [f"{context.pip} install ai-edge-litert"]
    if python.version[:2] > (3, 11):
        return ["tflite-runtime ends at Python 3.11: make an environment with that", "$ uv venv --python 3.11"]
    return [context.profile("tflite")]


def check_opencv(context: Context) -> Iterator[Finding]:
    """Version, what it was built with, and which of several copies is in use."""
    facts = context.ask("opencv")
    if "failed" in facts:
        facts = {"copies": [], "packages": [], "why": facts["failed"]}
    packages, copies = facts["packages"], facts["copies"]
    if "why" in facts:
        yield broken("opencv", f"cannot be imported: {facts['why']}", *_opencv_fix(context, facts["why"]), **facts)
        return
    able: dict[str, bool] = facts["able"]
    has = ", ".join(f"{name} {'yes' if there else 'NO'}" for name, there in able.items())
    others = [folder for folder in copies if not facts["file"].startswith(folder)]
    shadow = f"; it hides the one in {', '.join(others)}" if others else ""
    what = f"{facts['version']}, {has}{shadow}"
    if len(packages) > 1:
        names = " ".join(each.split()[0] for each in packages)
        yield degraded(
            "opencv",
            f"{what}; {' and '.join(packages)} are installed over each other in one folder",
            f"{context.pip} uninstall -y {names}",
            f"{context.pip} install opencv-python-headless",
            **facts,
        )
        return
    if _release(facts["version"]) < OLDEST_OPENCV:
        oldest = ".".join(map(str, OLDEST_OPENCV))
        yield degraded(
            "opencv",
            f"{what}: older than {oldest}, the oldest that edgepose is tested with",
            f"{context.pip} install --upgrade opencv-python-headless",
            **facts,
        )
    elif not able["GStreamer"] and context.wants_pipeline:
        yield broken(
            "opencv",
            f"{what}: source.uri is a GStreamer pipeline, which no OpenCV from pip can run",
            *_gstreamer_fix(context, others),
            **facts,
        )
    elif not able["GStreamer"] and context.kind == "jetson":
        yield fine(
            "opencv",
            f"{what}: good for USB and network cameras; a CSI camera of a Jetson comes only through GStreamer "
            "(nvarguscamerasrc), which no OpenCV from pip can run",
            *_gstreamer_fix(context, others),
            **facts,
        )
    elif not able["FFMPEG"] and context.source in ("video", "stream") and not context.wants_pipeline:
        yield broken(
            "opencv",
            f"{what}: without FFmpeg it reads no videos and no streams",
            f"{context.pip} install --force-reinstall opencv-python-headless",
            **facts,
        )
    else:
        yield fine("opencv", what, **facts)


def _gstreamer_fix(context: Context, others: list[str]) -> list[str]:
    """How to come to an OpenCV with GStreamer: the system's, with pip's out of its way."""
    do = []
    if not others:
        from_jetpack = context.kind == "jetson"
        do += [
            "$ sudo apt install nvidia-opencv   (JetPack's)" if from_jetpack else "$ sudo apt install python3-opencv"
        ]
    if context.machine.python.in_venv and not _sees_system(context):
        do += [f"$ sed -i 's/= false/= true/' {context.machine.python.prefix}/pyvenv.cfg"]
    do += [f"{context.pip} uninstall -y opencv-python-headless opencv-python"]
    if _numpy(context) >= 2 and context.machine.python.version[:2] < (
        3,
        13,
    ):  # systems with 3.13 have numpy 2 themselves
        do += [f'{context.pip} install "numpy<2"   (the system\'s OpenCV is built for it)']
    return do


def _opencv_fix(context: Context, why: str) -> list[str]:
    if "libGL" in why or "libgthread" in why:
        return [f"{context.pip} uninstall -y opencv-python", f"{context.pip} install opencv-python-headless"]
    if any(sign in why for sign in ABI):
        return [
            context.profile("numpy1")
            if _numpy(context) < 2
            else f"{context.pip} install --upgrade opencv-python-headless"
        ]
    if "No module named" in why:
        return [f"{context.pip} install opencv-python-headless"]
    return [f"{context.pip} install --force-reinstall opencv-python-headless"]


def _sees_system(context: Context) -> bool:
    """Whether the environment sees what apt installed."""
    python = context.machine.python
    if not python.in_venv:
        return True
    text = context.machine.root.text(f"{python.prefix}/pyvenv.cfg") or ""
    pairs = dict(line.replace(" ", "").lower().split("=", 1) for line in text.splitlines() if "=" in line)
    return pairs.get("include-system-site-packages") == "true"


def check_picamera2(context: Context) -> Iterator[Finding]:
    """Importable, or why not; only a problem where the camera is the source."""
    if context.kind not in PIS and context.source not in BY_LIBCAMERA:
        yield fine("picamera2", "not a Raspberry Pi, not needed")
        return
    facts = context.ask("picamera2")
    cameras = facts.get("cameras")
    if cameras is not None:
        yield fine("picamera2", "can be imported")
        return
    why = facts.get("why") or facts["failed"]
    do = _picamera2_fix(context, why)
    if context.source in BY_LIBCAMERA:
        yield broken("picamera2", f"cannot be imported: {why}", *do, why=why)
    else:
        yield fine("picamera2", f"cannot be imported ({why}); only --source picamera2 needs it", *do, why=why)


def _picamera2_fix(context: Context, why: str) -> list[str]:
    """The steps that lead from this error to a working camera stack."""
    root, python = context.machine.root, context.machine.python
    if any(sign in why for sign in ABI):
        return [
            "apt's camera packages are built for numpy 1, and this environment has numpy 2",
            context.profile("numpy1"),
        ]
    do = []
    if not root.exists(f"{APT}/picamera2"):
        do += ["$ sudo apt install --no-install-recommends python3-picamera2"]
    system = _system_python(context)
    if python.in_venv and system and system != python.version[:2]:
        return [
            *do,
            "the camera stack is built for the system's Python "
            f"{system[0]}.{system[1]}, this is {python.version[0]}.{python.version[1]}: make an environment from that",
            "$ /usr/bin/python3 -m venv --system-site-packages edgepose-env",
        ]
    if not _sees_system(context):
        do += [
            "this environment does not see what apt installs: let it, or make it with --system-site-packages",
            f"$ sed -i 's/= false/= true/' {python.prefix}/pyvenv.cfg",
        ]
    return do or ["$ sudo apt install --reinstall python3-picamera2 python3-libcamera"]


def _system_python(context: Context) -> tuple[int, int] | None:
    """Version of /usr/bin/python3, read off the link."""
    try:
        name = context.machine.root.path("/usr/bin/python3").resolve().name
        major, minor = name.removeprefix("python").split(".")
        return int(major), int(minor)
    except (OSError, ValueError):
        return None


def check_conflicts(context: Context) -> Iterator[Finding]:
    """Triangles that pip does not see: packages that each are fine and do not go together."""
    packages = context.ask("packages")
    opencv, generation = context.ask("opencv"), _numpy(context)
    found = False
    if "failed" in packages:
        yield degraded(
            "conflicts", f"the list of packages cannot be read: {packages['failed']}", f"{context.pip} check"
        )
        return
    newer = _release(opencv.get("version", "0.0")) >= (4, 12)
    if generation == 1 and newer and any("opencv" in each for each in opencv.get("packages", ())):
        found = True
        yield degraded(
            "conflicts",
            f"opencv {opencv['version']} asks for numpy 2, and numpy is 1: the next `pip install` changes one of them",
            context.profile("numpy1"),
        )
    if generation >= 2 and "tflite-runtime" in packages:
        found = True
        works = "version" in context.ask("runtimes").get("runtimes", {}).get("litert", {})
        what = f"tflite-runtime {packages['tflite-runtime']} dies with numpy 2"
        if works:
            yield fine("conflicts", f"{what}; litert works here", f"{context.pip} uninstall -y tflite-runtime")
        else:
            yield broken(
                "conflicts",
                what,
                f"{context.pip} install ai-edge-litert",
                "or go back to numpy 1:",
                context.profile("tflite"),
            )
    has_camera = context.kind in PIS or context.source in BY_LIBCAMERA
    if generation >= 2 and has_camera and any(sign in context.ask("picamera2").get("why", "") for sign in ABI):
        found = True
        judged = degraded if context.source in ("", *BY_LIBCAMERA) else fine
        yield judged("conflicts", "apt's picamera2 is built for numpy 1, and numpy is 2", context.profile("numpy1"))
    if "pycoral" in packages:
        found = True
        yield degraded(
            "conflicts",
            f"pycoral {packages['pycoral']} is an unrelated program of that name, not Google's library; "
            "edgepose needs neither",
            f"{context.pip} uninstall -y pycoral",
        )
    if not found:
        yield fine("conflicts", "none of the known ones")


CHECKS = {
    "numpy": check_numpy,
    "runtimes": check_runtimes,
    "opencv": check_opencv,
    "picamera2": check_picamera2,
    "conflicts": check_conflicts,
}
