"""What turns pictures into poses: models, the loops that decode them, delegates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgepose.lab.doctor.context import Context, plural
from edgepose.lab.doctor.finding import Finding, broken, degraded, fine, unknown

LOOPS = {
    "aot": "compiled ahead of time",
    "numba": "compiled at each start",
    "numpy": "plain numpy",
}
"""Kind of kernels -> what that means."""


def check_models(context: Context) -> Iterator[Finding]:
    """The models in use: hash and a run; the others: hash."""
    facts = context.ask("models", 120.0)
    if "failed" in facts:
        yield broken("models", f"cannot be tried: {facts['failed']}", "$ edgepose models verify", **facts)
        return
    if facts.get("wrong"):
        yield broken("models", facts["wrong"], "$ edgepose models   (lists what there is)")
    for each in facts["models"]:
        if each["name"] in facts["used"]:
            yield _used(context, each)
    others = [each for each in facts["models"] if each["name"] not in facts["used"]]
    bad = [each for each in others if "why" in each]
    for each in bad:
        yield degraded(
            "model",
            f"{each['name']} is not in use and not sound: {each['why']}",
            "$ edgepose models verify",
            "reinstall edgepose, or import the model again",
            **each,
        )
    sound = [each["name"] for each in others if "why" not in each]
    if sound:
        yield fine("other models", f"{len(sound)} sound: {', '.join(sound)}", names=sound)


def _used(context: Context, facts: dict[str, Any]) -> Finding:
    name = facts["name"]
    if "why" in facts:
        do = ["$ edgepose models verify", "$ edgepose models   (lists what there is)"]
        return broken("model", f"{name}: {facts['why']}", *do, **facts)
    if chip := facts.get("chip"):
        return fine("model", f"{name}: runs {chip}, no run on the CPU", **facts)
    if facts.get("edgetpu"):
        if context.cfg.engine.delegate == "edgetpu":
            return fine("model", f"{name}: sound, for the Edge TPU only", **facts)
        return broken(
            "model",
            f"{name} is compiled for the Edge TPU, and engine.delegate is {context.cfg.engine.delegate}",
            "$ edgepose run --engine.delegate edgetpu   (or set it in edgepose.toml)",
            "or choose the build of it for the CPU: `edgepose models`",
            **facts,
        )
    return fine(
        "model",
        f"{name}: sound, one run on the CPU {facts['invoke_ms']:g} ms ({facts['runtime']}, "
        f"{plural(facts['threads'], 'thread')}; no benchmark, for that: edgepose bench)",
        **facts,
    )


def check_kernels(context: Context) -> Iterator[Finding]:
    """How the loops of each decoder run, judged by that of the models in use."""
    facts = context.ask("kernels")
    if "failed" in facts:
        yield degraded("kernels", f"cannot be looked at: {facts['failed']}", "$ edgepose kernels", **facts)
        return
    families: dict[str, dict[str, str]] = facts["families"]
    needed = _families_in_use(context, families)
    counts = {kind: [name for name, each in families.items() if each["kind"] == kind] for kind in LOOPS}
    said = "; ".join(f"{LOOPS[kind]}: {', '.join(names)}" for kind, names in counts.items() if names)
    data = {
        "families": {name: each["kind"] for name, each in families.items()},
        "needed": needed,
        "numba": facts.get("numba"),
    }
    asked = context.cfg.decode.kernels
    slow = [name for name in needed if families[name]["kind"] != "aot"]
    if asked == "numpy":
        yield fine("kernels", "decode.kernels = numpy: plain loops, as asked", **data)
    elif asked == "numba":
        yield _numba(context, said, data)
    elif not slow:
        yield fine("kernels", said, **data)
    elif asked == "aot":
        why = families[slow[0]]["why"]
        yield broken("kernels", f"decode.kernels is aot: {why}", 'or set decode.kernels = "auto"', **data)
    elif context.machine.python.bits == 32:
        yield fine("kernels", f"{said}: same poses, more time; none are compiled for 32-bit systems", **data)
    else:
        yield degraded(
            "kernels",
            f"{said}: {families[slow[0]]['why']}",
            f"{context.pip} install --force-reinstall --no-deps edgepose   (the libraries come with it)",
            f"{context.pip} install numba   (where there is no library: compiles them at each start)",
            **data,
        )


def _families_in_use(context: Context, families: dict[str, Any]) -> list[str]:
    """Families of loops that a run needs: those of its models' decoders, of the tracker and the smoother."""
    facts = context.ask("models", 120.0)
    loops = {each.get("loops") for each in facts.get("models", ()) if each["name"] in facts.get("used", ())}
    loops |= {"smooth"} if context.cfg.smooth.preset != "off" else set()
    loops |= {"track"} if context.cfg.track.mode != "off" else set()
    return sorted(name for name in families if name in loops)


def _numba(context: Context, said: str, data: dict[str, Any]) -> Finding:
    if data["numba"] is None:
        what, do = "decode.kernels is numba, and it is not installed", f"{context.pip} install numba"
    elif "failed" in (facts := context.ask("numba", 60.0)):
        what = f"decode.kernels is numba, which does not work: {facts['failed']}"
        do = f'{context.pip} install --upgrade "numba>=0.60"'
    else:
        return fine("kernels", f"decode.kernels = numba: compiled at each start, as asked; else: {said}", **data)
    return broken("kernels", what, do, 'or set decode.kernels = "auto"', **data)


def check_delegates(context: Context) -> Iterator[Finding]:
    """What the engine found out about each kind of delegate."""
    facts = context.ask("delegates", 180.0)
    asked = context.cfg.engine.delegate
    if "failed" in facts:
        if asked == "cpu":
            yield unknown("delegates", f"cannot be tried: {facts['failed']}", "$ edgepose models verify")
        else:
            yield broken("delegates", f"cannot be tried: {facts['failed']}", "$ edgepose run --engine.delegate cpu")
        return
    models = context.ask("models", 120.0)
    known = {models.get("wrong"), *(each.get("why") for each in models.get("models", ()))}
    for each in sorted(facts["delegates"], key=lambda each: not each["asked"]):
        topic = f"delegate {each['name']}"
        if not each["asked"]:
            state = {"ok": "can be used", "unavailable": "not here", "failed": "is here and fails"}[each["state"]]
            yield fine(topic, f"{state}: {each['reason']}; not asked for", **each)
        elif each["state"] != "ok" and each["reason"] in known:
            yield unknown(topic, "not tried, as the model cannot be used", "mend the model first", **each)
        else:
            yield _asked(context, each)


def _asked(context: Context, facts: dict[str, Any]) -> Finding:
    topic, name = f"delegate {facts['name']}", facts["name"]
    if facts["state"] == "ok":
        return fine(topic, facts["reason"], **facts)
    do = [facts["next_step"]] if facts.get("next_step") else []
    if context.cfg.engine.on_failure == "cpu" and name != "cpu":
        return degraded(
            topic,
            f"{facts['reason']}; the CPU runs the model instead (engine.on_failure = cpu)",
            *(do or ["$ edgepose run --engine.delegate cpu   (asks for what really runs)"]),
            **facts,
        )
    return broken(topic, facts["reason"], *(do or ["$ edgepose run --engine.delegate cpu"]), **facts)


CHECKS = {"models": check_models, "kernels": check_kernels, "delegates": check_delegates}
