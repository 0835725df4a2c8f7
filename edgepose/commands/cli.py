"""The `edgepose` command. Each command imports what it needs inside, so that --help is instant."""

from __future__ import annotations

import argparse
import difflib
import gc
import importlib
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import edgepose
from edgepose.core import config
from edgepose.core.errors import ConfigError, EdgeposeError
from edgepose.core.secret import holds_password
from edgepose.service import journal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgepose.core.poses import Frame, Poses
    from edgepose.service.notify import Notify
    from edgepose.service.run import Service

log = logging.getLogger("edgepose")

SHORT_FLAGS = {
    "--source": "source.uri",
    "--model": "engine.model",
    "--broker": "sink.mqtt.broker",
    "--jsonl": "sink.jsonl.path",
    "--overlay": "sink.overlay.path",
    "--record": "sink.record.path",
}
"""Shorter names of the flags people need first."""

CONFIG_FILE = Path("edgepose.toml")
"""Read from the working folder when --config is not given."""

INTERRUPTED = 130
"""Exit code after Ctrl-C while nothing had started yet."""


# ------------------------------------------------------------------------------------------------ commands


def run(args: argparse.Namespace) -> int:
    """Take poses from a source to the sinks until it ends or Ctrl-C."""
    from edgepose.service.supervised import supervised

    with supervised() as notify:
        return run_service(args, notify)


def run_service(args: argparse.Namespace, notify: Notify) -> int:
    """The same, told to whoever supervises it."""
    from edgepose.commands.progress import Progress
    from edgepose.pipeline import build, described
    from edgepose.service.run import Service
    from edgepose.service.watchdog import opening

    cfg = read_settings(args)
    gc.disable()  # a start makes much to look through and no garbage
    try:
        with opening(notify):
            pipeline = build(cfg)
    finally:
        gc.enable()
    with pipeline, Service(cfg, pipeline, lambda: load_settings(args), notify) as service, stops_on_signals(service):
        gc.freeze()  # what is here now stays: no frame waits for it to be looked through
        for engine in pipeline.estimate.engines:
            log.info("model %s", described(engine))
        progress = Progress(pipeline.source.total, pipeline.source.live)

        def saw(poses: Poses, frame: Frame) -> None:
            progress.saw(poses, frame)
            service.saw(poses, frame)

        try:
            pipeline.run(saw)
        finally:
            progress.finish(pipeline.counts, pipeline.times.stages["latency"])
    return service.exit_code


def demo(args: argparse.Namespace) -> int:
    """Show that everything works: real pictures through a real broker, checked on the way back."""
    from edgepose.lab.demo.show import show

    return show(read_settings(args), args.seconds, Path(args.picture))


def show_config(args: argparse.Namespace) -> int:
    """Print every setting in force, with its unit and meaning, as a file that loads back the same."""
    cfg = read_settings(args)
    print("# edgepose settings: every key, what it means, and the value in force. Flags have the same names.")
    print(config.to_toml(cfg), end="")
    if cfg.engine.threads == 0:
        from edgepose.engine import tuned

        for model, best in sorted(tuned.read().items()):
            print(f"# engine.threads = 0 is {best.threads} for {model} here: measured {best.measured} by bench --tune")
    return 0


def models(args: argparse.Namespace) -> int:
    """List the models, show one, check that they are what they say, or make a stock .tflite file one of them."""
    from edgepose.commands.models import COMMANDS, Asked

    return COMMANDS[args.action](Asked(args.names, args.models_dir, args.name, args.to))


def show_kernels(args: argparse.Namespace) -> int:
    """Say how each decoder's loops would run and why not better, or compile them ahead of time."""
    from edgepose.commands.kernels import build, status

    return status() if args.action == "status" else build(args.names, args.folder)


def doctor(args: argparse.Namespace) -> int:
    """Look at this board and say what works, what does not, and what to type: exits 0 fine, 1 degraded, 2 broken."""
    from edgepose.lab.doctor.command import run_doctor

    try:
        cfg, wrong = read_settings(args), ""
    except ConfigError as error:  # a patient too
        cfg, wrong = config.Config(), str(error)
    return run_doctor(args, cfg, wrong)


def evaluate(args: argparse.Namespace) -> int:
    """Measure how right poses are: COCO AP, OKS, PCK, false people, tracks, on annotated pictures or videos."""
    from edgepose.lab.eval.command import run_eval

    return run_eval(args, read_settings(args))


def bench(args: argparse.Namespace) -> int:
    """Measure how fast a configured pipeline is on this board, from the camera to a subscriber; or tune its threads."""
    from edgepose.lab.bench.command import run_bench

    return run_bench(args, read_settings(args))


MORE = {
    "replay": "Feed a recording through tracker, filters and sinks, at any speed.",
    "export": "Turn a recording into COCO json, CSV or OpenPose-style json.",
    "status": "Ask running services how they are, over their broker.",
    "top": "Watch running services live in the terminal.",
    "schema": "Print or write the published contract: JSON Schema, AsyncAPI, the topic reference.",
}
"""Commands that live in edgepose/commands/NAME.py, each with EXAMPLES, add_arguments(parser) and run(args, cfg)."""


def more(args: argparse.Namespace) -> int:
    """Run one of MORE."""
    module = importlib.import_module(f"edgepose.commands.{args.command}")
    code: int = module.run(args, read_settings(args))
    return code


# ------------------------------------------------------------------------------------------------ settings


def read_settings(args: argparse.Namespace) -> config.Config:
    """Settings file, then flags on top; from now on the log is as they say."""
    cfg = load_settings(args)
    journal.set_up(cfg.log)
    path = settings_file(args)
    if path and not args.config:
        log.info("settings from ./%s", path)
    _warn_of_password(cfg, path, typed=getattr(args, "source.uri", None) is not None)
    return cfg


def settings_file(args: argparse.Namespace) -> Path | None:
    """The one that was asked for, or that lies in this folder."""
    return Path(args.config) if args.config else CONFIG_FILE if CONFIG_FILE.is_file() else None


def load_settings(args: argparse.Namespace) -> config.Config:
    """Settings file, then flags on top."""
    flags = {setting.key: setting for setting in config.settings()}
    given = {key: value for key, value in vars(args).items() if key in flags and value is not None}
    return config.load(settings_file(args), {key: config.parse_value(text, flags[key]) for key, text in given.items()})


def _warn_of_password(cfg: config.Config, path: Path | None, typed: bool) -> None:
    """An address with a password that others on this machine can see is told of."""
    if not holds_password(cfg.source.uri):
        return
    better = "write it to a file for source.password_file, and only the name into source.uri"
    if typed:
        log.warning("the command line shows the password of source.uri to everybody on this machine; %s", better)
    elif path and path.stat().st_mode & 0o077:
        log.warning("%s: holds a password, and others may read it; type: chmod 600 %s, or %s", path, path, better)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """One flag per setting, grouped by section, and the short names."""
    parser.add_argument(
        "--config", metavar="FILE", help=f"settings file; default: {CONFIG_FILE} in this folder if there is one"
    )
    short = parser.add_argument_group("what people set first")
    defaults = {setting.key: setting for setting in config.settings()}
    for flag, key in SHORT_FLAGS.items():
        short.add_argument(flag, dest=key, metavar="...", help=f"{defaults[key].meaning} (= --{key})")
    groups: dict[str, Any] = {}
    for setting in config.settings():
        section = setting.key.rpartition(".")[0]
        if section not in groups:
            groups[section] = parser.add_argument_group(f"[{section}]" if section else "all settings")
        allowed = config.choices(setting.hint)
        default = "the model's own" if setting.default is None else config.toml_value(setting.default)
        groups[section].add_argument(
            f"--{setting.key}",
            dest=setting.key,
            metavar="|".join(map(str, allowed)) if allowed else "...",
            nargs="?" if setting.default is False else None,
            const="true" if setting.default is False else None,
            help=f"{setting.meaning}{f' [{setting.unit}]' if setting.unit else ''}; default {default}".replace(
                "%", "%%"
            ),
        )


@contextmanager
def stops_on_signals(service: Service) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM ends the run after the frame it is at, the second at once; SIGHUP reads settings.

    The SIGHUP of a terminal that was closed ends the run.
    """

    def first(number: int, _frame: object) -> None:
        signal.signal(number, signal.default_int_handler)
        log.info("stopping; once more to stop at once")
        service.stopping()
        service.pipeline.stop()

    def again(_number: int, _frame: object) -> None:
        service.reload.ask()

    handlers: dict[int, Callable[[int, Any], None]] = {signal.SIGINT: first, signal.SIGTERM: first}
    handlers[signal.SIGHUP] = first if sys.stdin is not None and sys.stdin.isatty() else again
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# ------------------------------------------------------------------------------------------------ the command line


class Parser(argparse.ArgumentParser):
    """argparse whose errors name the nearest flag."""

    def error(self, message: str) -> NoReturn:
        """End with exit code 2 and one line."""
        wrong = message.removeprefix("unrecognized arguments: ").split("=")[0].split(" ")[0]
        known = [flag for action in self._actions for flag in action.option_strings]
        near = difflib.get_close_matches(wrong, known, n=1) if wrong.startswith("--") else []
        hint = f"did you mean {near[0]}?" if near else f"see {self.prog} --help"
        self.exit(2, f"{self.prog}: {message}; {hint}\n")


def make_parser(chosen: str | None = None) -> tuple[Parser, dict[str, Parser]]:
    """The parser of the command line, and that of each command.

    chosen  the only command whose settings become flags, which takes a while for all; None: every one
    """
    parser = Parser(
        prog="edgepose",
        description="A pose sensor: a camera, a video or pictures in, human poses out, over MQTT or as JSON lines.",
        epilog="""start here:
  edgepose demo                                    see it work, nothing needed
  edgepose run --source photo.jpg                  poses of a picture, as JSON
  edgepose run --source /dev/video0 --broker mqtt://localhost
  edgepose config > edgepose.toml                  every setting, to edit""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"edgepose {edgepose.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=Parser)
    made: dict[str, Parser] = {}

    def command(name: str, does: Callable[[argparse.Namespace], int], examples: str) -> Parser:
        made[name] = commands.add_parser(
            name,
            help=MORE.get(name, does.__doc__),
            description=MORE.get(name, does.__doc__),
            epilog=f"examples:\n{examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        made[name].set_defaults(does=does)
        return made[name]

    def with_settings(name: str, does: Callable[[argparse.Namespace], int], examples: str) -> Parser:
        if chosen in (None, name):
            add_settings(command(name, does, examples))
        else:
            command(name, does, examples)
        return made[name]

    with_settings(
        "run",
        run,
        """  edgepose run --source photo.jpg
  edgepose run --source walk.mp4 --overlay out.mp4 --jsonl poses.jsonl
  edgepose run --source picamera2 --broker mqtt://homeassistant.local --sink.mqtt.username pose \\
               --sink.mqtt.password_file /etc/edgepose/mqtt-password
  edgepose run --config edgepose.toml --engine.threads 2""",
    )
    shown = with_settings(
        "demo",
        demo,
        """  edgepose demo                                    two photographs, a broker of its own
  edgepose demo --source /dev/video0               your camera instead
  edgepose demo --broker mqtt://localhost:1883     your broker instead""",
    )
    shown.add_argument("--seconds", type=float, default=8.0, help="how long to watch; default %(default)s")
    shown.add_argument("--picture", default="edgepose-demo.jpg", help="where the annotated picture goes")

    listed = command(
        "models",
        models,
        """  edgepose models                                  the list
  edgepose models show movenet_lightning_192       all that is known of one
  edgepose models verify                           hash, structure, and one run of each
  edgepose models inspect some.tflite              what it is, what is in it, what an import would write
  edgepose models import some.tflite               cut it at its heads; then `edgepose run --model some`""",
    )
    listed.add_argument("action", nargs="?", choices=("list", "show", "verify", "inspect", "import"), default="list")
    listed.add_argument("names", nargs="*", metavar="NAME", help="names or files; default: all")
    listed.add_argument("--models_dir", default="", metavar="DIR", help="a folder searched before the shipped models")
    listed.add_argument("--name", default="", help="import: name of the new model; default: that of the file")
    listed.add_argument("--to", default="", metavar="DIR", help="import: folder for it; default: your own models")

    loops = command(
        "kernels",
        show_kernels,
        """  edgepose kernels                                 what is in use, where it is, why not better
  edgepose kernels build                           compile now what the first run compiles in the background
  edgepose kernels build --folder /usr/lib/edgepose/kernels
                                                   for an image; EDGEPOSE_KERNELS says where it lies""",
    )
    loops.add_argument("action", nargs="?", choices=("status", "build"), default="status")
    loops.add_argument("names", nargs="*", metavar="FAMILY", help="decoder families to build; default: all")
    loops.add_argument("--folder", default="", metavar="DIR", help="where to put them; default: the cache")

    for name, does in {"doctor": doctor, "eval": evaluate, "bench": bench}.items():
        module = importlib.import_module(f"edgepose.lab.{name}.arguments")  # a few lines each: flags and examples
        module.add_arguments(with_settings(name, does, module.EXAMPLES))
    for name in MORE:
        if chosen in (None, name):
            module = importlib.import_module(f"edgepose.commands.{name}")
            module.add_arguments(with_settings(name, more, module.EXAMPLES))
        else:
            command(name, more, "")
    with_settings(
        "config",
        show_config,
        """  edgepose config > edgepose.toml                  start a settings file
  edgepose config --config edgepose.toml           check one: what is in force""",
    )
    return parser, made


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    words = sys.argv[1:] if argv is None else argv
    parser, commands = make_parser(words[0] if words else "")
    args, extra = parser.parse_known_args(argv)
    if args.command is None:
        parser.print_help()
        return 0
    if extra:
        commands[args.command].error(f"unrecognized arguments: {' '.join(extra)}")
    journal.set_up("info")
    does: Callable[[argparse.Namespace], int] = args.does
    try:
        return does(args)
    except EdgeposeError as error:
        if getattr(error, "quiet", False):
            return 0
        journal.complain(f"edgepose {args.command}: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
