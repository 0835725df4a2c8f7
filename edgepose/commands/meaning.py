"""`edgepose meaning`: rules judged again on recordings, explained, and taught by example."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepose.commands.flags import add_settings, read_settings

if TYPE_CHECKING:
    from edgepose.core import config
    from edgepose.meaning import Rules

HELP = "Judge rules again on recordings, explain why one fired or not, teach a gesture by example."
EXAMPLES = """  edgepose meaning check day.epr --rules care-room            a shipped file by its name
  edgepose meaning check *.epr --rules my.toml --truth truth.csv --page report.html
  edgepose meaning check *.epr --rules my.toml --truth truth.csv --sweep fall.drop_torso=0.6:1.4 --picture sweep.svg
  edgepose meaning explain day.epr --rules my.toml --at 12.5 --rule fall
  edgepose meaning teach thumbs recording.epr --from 2 --until 5 --to gestures.json
  edgepose meaning rules                                      the shipped rule files, and where they are

truth.csv has a line for each thing that happened: recording,rule,begin_s,end_s - or how often: recording,rule,count."""
STEPS = 9
"""Of a sweep."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument("action", choices=("check", "explain", "teach", "rules"), help="what to do")
    parser.add_argument("names", nargs="*", metavar="RECORDING", help="recordings (.epr); teach: NAME RECORDING")
    group = parser.add_argument_group("what is judged")
    group.add_argument("--rules", default="", metavar="FILE", help="rules; default: meaning.rules of the settings")
    group.add_argument("--truth", default="", metavar="CSV", help="check: what really happened")
    group.add_argument("--sweep", default="", metavar="RULE.KEY=A:B", help="check: one setting from A to B")
    group.add_argument("--picture", default="sweep.svg", metavar="SVG", help="check: where the sweep is drawn")
    group.add_argument("--page", default="", metavar="HTML", help="check: a page with timelines")
    group.add_argument("--at", type=float, default=0.0, metavar="S", help="explain: seconds from the start")
    group.add_argument("--rule", default="", metavar="NAME", help="explain: only that one")
    group.add_argument("--from", dest="from_s", type=float, default=0.0, metavar="S", help="teach: from there")
    group.add_argument("--until", dest="to_s", type=float, default=float("inf"), metavar="S", help="teach: to there")
    group.add_argument("--to", default="gestures.json", metavar="FILE", help="teach: added to that file")
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    """Do it."""
    return {"check": _check, "explain": _explain, "teach": _teach, "rules": _rules}[args.action](args)


def _rules(_args: argparse.Namespace) -> int:
    from edgepose.lab.output import say
    from edgepose.meaning.shipped import FOLDER, shipped

    for name, path in shipped().items():
        first = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        say(f"{name:<14}{first}")
    say(f"in {FOLDER}; copy one and change it, or: --meaning.rules NAME")
    return 0


def _raw(args: argparse.Namespace, cfg: config.Config) -> tuple[dict[str, Any], str]:
    from edgepose.core.config import read_toml
    from edgepose.core.errors import ConfigError
    from edgepose.meaning.shipped import path_of

    where = args.rules or cfg.meaning.rules
    if not where:
        raise ConfigError("meaning.rules is empty; name a file: --rules FILE; `edgepose meaning rules` lists some")
    path = path_of(where)
    return read_toml(path), str(path)


def _check(args: argparse.Namespace) -> int:
    from edgepose.lab.meaning import judge, page
    from edgepose.lab.output import require_folder, say, write_text
    from edgepose.meaning import rules_of
    from edgepose.sink.apart import require_apart

    cfg = read_settings(args)
    written = (("page", args.page), ("picture", args.picture if args.sweep else ""))
    for flag, path in written:
        require_folder(flag, path)
    read = [("--rules", args.rules), ("meaning.rules", cfg.meaning.rules), ("--truth", args.truth)]
    require_apart(
        [(f"--{flag}", path) for flag, path in written], [*read, *(("RECORDING", name) for name in args.names)]
    )
    raw, where = _raw(args, cfg)
    rules = rules_of(raw, where)
    truth = judge.truth_of(Path(args.truth), rules) if args.truth else []
    films = {name: judge.poses_of(Path(name), cfg) for name in _named(args)}
    judged = [judge.judge(Path(name).name, poses, rules, trace=bool(args.page)) for name, poses in films.items()]
    for one in judged:
        say(f"{one.name}: {one.seconds:.1f} s")
        for event in one.events:
            say(f"  {page.line(event)}")
    scores = judge.score(judged, truth, rules)
    say(f"{'RULE':<18}{'TRUE':>6}{'FOUND':>7}{'FALSE':>7}{'A HOUR':>9}{'ONSET':>8}{'UNJUDGED':>10}  COUNTS true/told")
    for name, made in scores.items():
        onset = f"{_median(made.onset_s):+.2f}" if made.onset_s else "-"
        counts = " ".join(f"{true}/{told}" for true, told in made.counts)
        say(
            f"{name:<18}{made.true:>6}{made.found:>7}{made.false:>7}{made.false_per_hour:>9.1f}{onset:>8}"
            f"{made.unjudged_s:>9.1f}s  {counts}"
        )
    if args.sweep:
        _sweep(args, raw, where, films, truth)
    if args.page:
        write_text(args.page, page.report(judged, _gates(rules, films), scores, rules, f"rules of {where}"))
    return 0


def _median(values: list[float]) -> float:
    from statistics import median

    return median(values)


def _gates(rules: Rules, films: dict[str, Any]) -> list[tuple[str, Any]]:
    from edgepose.meaning import Meaning

    first = next(iter(films.values()))[0]
    made = Meaning(rules, first.skeleton, first.size_wh)
    return [(rule.name, gate) for rule in made.rules for gate in rule.gates]


def _named(args: argparse.Namespace) -> list[str]:
    from edgepose.core.errors import ConfigError

    if not args.names:
        raise ConfigError("no recording; `edgepose run --source ... --record day.epr` makes one")
    return list(args.names)


def _sweep(args: argparse.Namespace, raw: dict[str, Any], where: str, films: dict[str, Any], truth: list[Any]) -> None:
    import re

    from edgepose.core.errors import ConfigError
    from edgepose.lab.meaning import judge, page
    from edgepose.lab.output import say, write_text
    from edgepose.meaning import rules_of

    asked = re.fullmatch(r"([^=]+)\.(\w+)=([-\d.e]+):([-\d.e]+)", args.sweep)
    if not asked:
        raise ConfigError(f"--sweep {args.sweep}: expected RULE.KEY=FROM:TO, such as fall.drop_torso=0.6:1.4")
    rule, key, low, high = asked[1], asked[2], float(asked[3]), float(asked[4])
    if rule not in {one.called for one in rules_of(raw, where).rules}:
        raise ConfigError(f"--sweep {args.sweep}: {rule!r} is no rule of {where}")

    def judged_with(changed: Any) -> judge.Score:
        rules = rules_of(changed, where)
        again = [judge.judge(Path(name).name, poses, rules) for name, poses in films.items()]
        return judge.score(again, truth, rules)[rule]

    steps = [low + (high - low) * at / (STEPS - 1) for at in range(STEPS)]
    points = judge.sweep(raw, rule, key, steps, judged_with)
    say(f"{key:>12}{'FOUND':>7}{'OF':>5}{'FALSE A HOUR':>14}")
    for value, one in points:
        say(f"{value:>12g}{one.found:>7}{one.true:>5}{one.false_per_hour:>14.1f}")
    write_text(args.picture, page.trade_off(points, rule, key))


def _explain(args: argparse.Namespace) -> int:
    from edgepose.lab.meaning import judge
    from edgepose.lab.meaning.explain import explain
    from edgepose.lab.output import say
    from edgepose.meaning import rules_of
    from edgepose.meaning.settings import known

    cfg = read_settings(args)
    raw, where = _raw(args, cfg)
    rules = rules_of(raw, where)
    if args.rule:
        known(args.rule, [rule.called for rule in rules.rules], "--rule", "rule")
    for name in _named(args):
        for line in explain(judge.poses_of(Path(name), cfg), rules, args.at, args.rule):
            say(line)
    return 0


def _teach(args: argparse.Namespace) -> int:
    import numpy as np

    from edgepose.core.errors import ConfigError
    from edgepose.lab.meaning import judge
    from edgepose.lab.output import require_folder, say, write_text
    from edgepose.meaning import taught
    from edgepose.sink.apart import require_apart

    if len(args.names) != 2:
        raise ConfigError("teach needs two words: NAME RECORDING")
    name, recording = args.names
    require_folder("to", args.to)
    path = Path(args.to)
    require_apart([("--to", args.to)], [("RECORDING", recording)])
    known = taught.file_of(path, args.to) if path.is_file() else {}
    films = judge.poses_of(Path(recording), read_settings(args))
    start_t = films[0].t
    inside = [poses for poses in films if args.from_s <= poses.t - start_t <= args.to_s]
    shown = taught.examples(inside)
    if not len(shown):
        raise ConfigError(f"{recording}: nobody's arms are seen between --from and --until")
    known[name] = np.concatenate((known.get(name, np.zeros((0, 12, 2))), shown))
    outside = taught.examples([poses for poses in films if not args.from_s <= poses.t - start_t <= args.to_s])
    if len(outside):
        known[taught.OTHER] = np.concatenate((known.get(taught.OTHER, np.zeros((0, 12, 2))), outside))
    write_text(args.to, taught.written(known))
    say(f"{len(shown)} examples of {name}, {len(outside)} of nothing in {args.to}")
    return 0
