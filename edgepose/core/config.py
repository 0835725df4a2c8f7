"""Settings: one typed section per stage, read from TOML and flags, every value checked where it enters.

The same keys work in `edgepose.toml` and as flags: `[engine] threads = 2` is `--engine.threads 2`.
"""

import functools
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from edgepose.core import places
from edgepose.core.errors import ConfigError, one_line, passes
from edgepose.core.secret import masked

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")

LONGEST_SHOWN = 200
"""Characters of a wrong value."""
LONGEST_MASKED = 1 << 14
"""Of a wrong value that is looked through for secrets."""
MAX_FILE_BYTES = 1 << 20
RULE_TABLES = ("rule", "zone", "ground")
"""Of a settings file, what the rules of [meaning] are; edgepose/meaning/settings.py says what is in them."""


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of settings; an unknown key is an error."""


def says(meaning: str, unit: str = "", **bounds: Any) -> Meta:
    """Describe one setting: what it means, its unit, its bounds (ge, le, min_length, pattern)."""
    return Meta(description=meaning, extra={"unit": unit}, **bounds)


Size = tuple[Annotated[int, Meta(ge=16, le=8192)], Annotated[int, Meta(ge=16, le=8192)]]


class Source(Section, frozen=True, kw_only=True):
    """Where frames come from."""

    uri: Annotated[
        str,
        says(
            "picture, pictures/*.jpg, folder, video file, camera (0, /dev/video0, picamera2, picamera2:1, imx500), "
            "rtsp:// or http:// address, csi (Jetson), or a GStreamer pipeline ending in appsink"
        ),
    ] = ""
    also: Annotated[tuple[str, ...], says("more pictures, read after the one in uri")] = ()
    password_file: Annotated[
        str,
        says(
            "file whose first line is the password of the address, which holds only the name, rtsp://NAME@host/path; "
            "for its owner alone (chmod 600), or credential:NAME"
        ),
    ] = ""
    kind: Annotated[
        Literal["auto", "image", "folder", "video", "v4l2", "stream", "picamera2", "imx500"],
        says("which source reads it; auto looks at uri"),
    ] = "auto"
    network: Annotated[
        str, says("the .rpk file that the AI Camera's sensor runs; it takes the place of engine.model", min_length=1)
    ] = "/usr/share/imx500-models/imx500_network_higherhrnet_coco.rpk"
    size_wh: Annotated[Size, says("frame size asked of a camera", "pixels")] = (640, 480)
    fps: Annotated[float, says("frame rate asked of a camera", "Hz", ge=0.1, le=1000)] = 30.0
    loop: Annotated[bool, says("start a file or folder again when it ends")] = False
    pace: Annotated[
        Literal["auto", "free", "real"],
        says(
            "how a file or folder is played: real gives its frames as a camera would, the newest wins; free as fast as "
            "they are taken, every one; auto is real for a video that loops"
        ),
    ] = "auto"
    rotate: Annotated[
        Literal[0, 90, 180, 270],
        says("turn every frame clockwise; all coordinates are those of the turned one", "degrees"),
    ] = 0
    mirror: Annotated[bool, says("then swap left and right in it, as a mirror does")] = False
    stall_s: Annotated[
        float, says("a live source that gives no frame for this long is reopened", "s", ge=0.1, le=3600)
    ] = 5.0
    reconnect: Annotated[
        bool, says("reopen a live source that fails after its first frame; false ends the run instead")
    ] = True
    backoff_max_s: Annotated[
        float, says("longest pause between two attempts to reopen; they start at 0.5 s", "s", ge=0.5, le=3600)
    ] = 30.0

    @property
    def senses(self) -> bool:
        """Whether a network in the camera looks at its frames."""
        return self.kind == "imx500" or (self.kind == "auto" and self.uri.partition(":")[0] == "imx500")


class Engine(Section, frozen=True, kw_only=True):
    """Which model runs, and on what."""

    model: Annotated[
        str,
        says(
            "default, landscape, best or light; a name from `edgepose models`; the path of a .tflite or .toml file; "
            "FINDER+REFINER, two of these; or what `edgepose eval --calibrate` wrote",
            min_length=1,
        ),
    ] = "default"
    models_dir: Annotated[str, says("a folder searched for models before the shipped ones")] = ""
    runtime: Annotated[
        Literal["auto", "litert", "tflite_runtime"],
        says("TFLite runtime; auto takes the first of the two that runs a test model"),
    ] = "auto"
    threads: Annotated[
        int,
        says(
            "threads of one inference; 0 is what `bench --tune` found best here, else all cores but one, at most 4",
            "threads",
            ge=0,
            le=64,
        ),
    ] = 0
    delegate: Annotated[
        Literal["cpu", "edgetpu", "hailo", "onnxruntime", "nnapi", "external"],
        says(
            "what runs the model: the CPU (XNNPACK), a Coral Edge TPU, a Hailo chip (.hef files), ONNX Runtime "
            "(CUDA, TensorRT), Android's NNAPI, or any delegate library"
        ),
    ] = "cpu"
    delegate_library: Annotated[
        str, says("path or name of the delegate's library; empty takes the usual name, external needs one")
    ] = ""
    delegate_options: Annotated[
        str, says('options of the delegate, "key=value, key=value"; for edgetpu "device=usb:0" or "device=pci:1"')
    ] = ""
    on_failure: Annotated[
        Literal["cpu", "error"],
        says("when the delegate cannot be used: run on the CPU and say so everywhere, or end with an error"),
    ] = "cpu"
    delegate_process: Annotated[
        Literal["child", "inline"],
        says("run the delegate in a supervised child, which may crash or hang and is restarted, or in this process"),
    ] = "child"
    deadline_ms: Annotated[
        float, says("an inference in the child that takes longer is a hang: the child is ended", "ms", ge=10, le=60000)
    ] = 2000.0
    max_failures: Annotated[
        int, says("failures of the delegate in a row before the CPU takes over", "failures", ge=1, le=1000)
    ] = 3
    retry_s: Annotated[
        float,
        says("pause before the delegate is tried again; it doubles up to 64 times that", "s", ge=0.01, le=3600),
    ] = 1.0
    check_s: Annotated[
        float,
        says(
            "a running delegate gets a known picture this often, to see that it still computes the same; 0 is never",
            "s",
            ge=0,
            le=86400,
        ),
    ] = 60.0


class Decode(Section, frozen=True, kw_only=True):
    """How heads become poses."""

    max_people: Annotated[
        int,
        says(
            "most people in a frame; of MoveNet's one-person heads 1 takes the one nearest the centre",
            "people",
            ge=1,
            le=50,
        ),
    ] = 6
    min_person_score: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None, says("people below it are dropped; unset: the model's own", "0..1")
    ] = None
    min_joint_score: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None, says("joints below it are not found; unset: the model's own", "0..1")
    ] = None
    kernels: Annotated[
        Literal["auto", "aot", "numba", "numpy"],
        says("loops compiled ahead of time, compiled while running, or plain numpy; auto takes the best there is"),
    ] = "auto"


class Estimate(Section, frozen=True, kw_only=True):
    """How one frame's people are found: which part of the frame each model looks at."""

    crops: Annotated[
        bool, says("look again, closer, at each person: a one-person model follows its crop, FINDER+REFINER refines")
    ] = True
    passes: Annotated[
        int, says("a one-person model looks this often, each time closer at what it saw; for pictures", ge=1, le=3)
    ] = 1
    find_every_s: Annotated[
        float, says("a pair following people looks at the whole frame for new ones this often", "s", ge=0.0, le=60)
    ] = 0.5
    max_invokes: Annotated[
        int,
        says("most inferences for one frame; people take turns at being refined beyond; 0 is no limit", ge=0, le=64),
    ] = 0
    budget_ms: Annotated[
        float,
        says("time for the inferences of one frame, as max_invokes; 0 is no limit", "ms", ge=0, le=10000),
    ] = 0.0
    gate: Annotated[bool, says("tell of people only who are surely there; false tells of every candidate")] = True
    missing: Annotated[
        bool, says("say why a joint was not found: hidden, out of the picture, doubtful; not in the binary form")
    ] = False


class Track(Section, frozen=True, kw_only=True):
    """Who is who from frame to frame."""

    mode: Annotated[
        Literal["auto", "on", "off"], says("give people ids; auto does so for cameras and videos, not for pictures")
    ] = "auto"
    memory_s: Annotated[
        float, says("someone unseen for this long has left; until then the id waits", "s", ge=0.0, le=60)
    ] = 1.0
    enter_score: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None,
        says("a person gets an id once they are this sure, by all looks at them; unset: the model's own", "0..1"),
    ] = None
    stay_score: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None,
        says("a person with an id is told of down to this score; unset: the model's own", "0..1"),
    ] = None


class Smooth(Section, frozen=True, kw_only=True):
    """How joints move, and for which moment they are told."""

    preset: Annotated[
        Literal["off", "light", "strong", "custom"], says("how much jitter is taken out; custom uses the three below")
    ] = "light"
    min_cutoff_hz: Annotated[float, says("custom: cutoff at rest; lower is calmer", "Hz", gt=0, le=1000)] = 1.0
    beta: Annotated[
        float, says("custom: how fast the cutoff rises with speed, per body size a second", ge=0, le=10000)
    ] = 20.0
    d_cutoff_hz: Annotated[float, says("custom: cutoff of the speed itself", "Hz", gt=0, le=1000)] = 1.0
    predict: Annotated[
        Literal["off", "fixed", "send"],
        says("tell where joints will be: predict_ms after capture, or when the message is sent plus predict_ms"),
    ] = "off"
    predict_ms: Annotated[
        float, says("how far ahead; with send: what the reader's own delay adds", "ms", ge=0, le=1000)
    ] = 0.0


class Lift(Section, frozen=True, kw_only=True):
    """Three dimensions from one camera: where joints are in metres, about 10 cm each; not motion capture."""

    kind: Annotated[
        Literal["none", "auto", "mlp", "exemplar", "blazepose"],
        says(
            "none leaves poses flat; mlp is a small network, exemplar the nearest of 10,000 views, "
            "blazepose the metres of MediaPipe's landmark model, auto the best"
        ),
    ] = "none"
    height_m: Annotated[
        float, says("how tall people are: wrong by a tenth, distances are wrong by a tenth", "m", ge=0.5, le=2.5)
    ] = 1.70
    fov_deg: Annotated[
        float, says("the camera's angle of view along the picture's longer side", "degrees", ge=10, le=150)
    ] = 60.0
    calibration: Annotated[
        str, says("the camera's lens: a file of `edgepose calibrate intrinsics`, or of others; replaces fov_deg")
    ] = ""
    pitch_deg: Annotated[
        Annotated[float, Meta(ge=-90, le=90)] | None,
        says("how far the camera looks down; left out: unknown", "degrees"),
    ] = None
    roll_deg: Annotated[
        float, says("how far the camera is tilted clockwise; counts with pitch_deg", "degrees", ge=-180, le=180)
    ] = 0.0


class Meaning(Section, frozen=True, kw_only=True):
    """What poses mean, by rules; on when `rules` is set, or this file has [[rule]] tables."""

    rules: Annotated[
        str, says("TOML file of [[rule]], [[zone]] and [ground], or a name of `edgepose meaning rules`; empty is off")
    ] = ""


class Mqtt(Section, frozen=True, kw_only=True):
    """Publish to an MQTT broker; on when `broker` is set."""

    broker: Annotated[str, says("mqtt://host[:port] or mqtts://host[:port]; empty is off")] = ""
    topic: Annotated[
        str, says("root of all topics; {device} and {camera} are filled in", min_length=1, pattern=r"^[^+#\x00]+$")
    ] = "edgepose/{device}/{camera}"
    protocol: Annotated[Literal["auto", "5", "3.1.1"], says("MQTT version; auto tries 5 and falls back to 3.1.1")] = (
        "auto"
    )
    username: Annotated[str, says("login name; empty logs in without one")] = ""
    password_file: Annotated[
        str,
        says("file whose first line is the password, for its owner alone (chmod 600), or credential:NAME, systemd's"),
    ] = ""
    ca_file: Annotated[
        str, says("certificate authority of the broker, or credential:NAME; empty takes the system's")
    ] = ""
    cert_file: Annotated[str, says("client certificate, if the broker asks for one, or credential:NAME")] = ""
    key_file: Annotated[
        str, says("key of the client certificate, for its owner alone (chmod 600), or credential:NAME")
    ] = ""
    client_id: Annotated[str, says("name at the broker; empty is edgepose-{device}-{camera}- and the board's own")] = ""
    qos: Annotated[
        Literal[0, 1], says("0 sends a pose once, 1 until the broker has it; from a file it is always 1")
    ] = 0
    keepalive_s: Annotated[int, says("silence after which either side gives up", "s", ge=2, le=3600)] = 10
    expiry_s: Annotated[
        int, says("the broker forgets a pose nobody fetched for this long; needs MQTT 5", "s", ge=1, le=3600)
    ] = 2
    format: Annotated[
        Literal["json", "binary"], says("how poses are written: JSON, or 5 times smaller in the documented binary form")
    ] = "json"
    events: Annotated[
        bool, says("publish who enters and who leaves, each once, kept on disk until the broker has it")
    ] = True
    spool: Annotated[
        str, says("folder where events wait for the broker; empty is the state folder of the service or the user")
    ] = ""
    spool_mb: Annotated[
        float, says("the spool's limit; beyond it the oldest go, counted and told", "MB", ge=0.1, le=10000)
    ] = 16.0
    health_every_s: Annotated[
        float, says("how often the numbers on `health` go out; 0 is never", "s", ge=0, le=86400)
    ] = 30.0


class Jsonl(Section, frozen=True, kw_only=True):
    """Write one JSON message a line; on when `path` is set."""

    path: Annotated[str, says("file to append to; - is standard output, empty is off")] = ""
    overwrite: Annotated[bool, says("start the file anew instead of appending to an earlier run's lines")] = False


class Overlay(Section, frozen=True, kw_only=True):
    """Draw the poses on the frames; on when `path` is set."""

    path: Annotated[
        str, says("folder for annotated pictures, or a video file (.mp4, .avi, .mkv, .webm); empty is off")
    ] = ""
    codec: Annotated[
        Literal["auto", "mp4v", "mjpeg", "vp8", "vp9", "h264"],
        says("of a video; auto goes by its name: .webm is vp8, which browsers play; h264 where this OpenCV has it"),
    ] = "auto"
    gate: Annotated[
        bool,
        says(
            "draw also what wakes a camera: cells of its picture that changed, those of power.ignore, state, reason; "
            "frames that nobody looked at are drawn too"
        ),
    ] = False


class Record(Section, frozen=True, kw_only=True):
    """Keep poses, never pictures, for `edgepose replay` and `edgepose export`; on when `path` is set."""

    path: Annotated[str, says("file to append to (.epr); empty is off")] = ""
    heads: Annotated[bool, says("keep the model's raw heads too, to decode them anew; large")] = False


class Osc(Section, frozen=True, kw_only=True):
    """Send OSC over UDP, to games, avatars, sound and light; on when `to` is set."""

    to: Annotated[str, says("HOST:PORT of the receiver; empty is off")] = ""
    kind: Annotated[
        Literal["osc", "vmc", "vrchat"],
        says(
            "osc sends each joint's place in the picture, vmc one person as an avatar's bones, vrchat one as VRChat's "
            "trackers"
        ),
    ] = "osc"
    avatar: Annotated[str, says("the avatar's .vrm, for vmc: where its bones are at rest")] = ""


class Bvh(Section, frozen=True, kw_only=True):
    """Hand out one person's motion as BVH that never ends, over TCP; on when `listen` is set."""

    listen: Annotated[str, says("HOST:PORT to listen on, such as 127.0.0.1:7001; empty opens no port")] = ""
    fps: Annotated[float, says("lines a second, whatever the camera's rate", "Hz", ge=1, le=240)] = 30.0


class Sink(Section, frozen=True, kw_only=True):
    """Where poses go: every sink with a destination runs; with none, JSON lines go to standard output."""

    mqtt: Mqtt = Mqtt()
    jsonl: Jsonl = Jsonl()
    overlay: Overlay = Overlay()
    record: Record = Record()
    osc: Osc = Osc()
    bvh: Bvh = Bvh()


class Control(Section, frozen=True, kw_only=True):
    """Commands over MQTT, below the topic of the poses."""

    on: Annotated[bool, says("take commands: pause, resume, rate, model, smoothing, restart, status")] = True
    snapshot: Annotated[bool, says("let a command fetch a picture; off keeps every picture on the device")] = False
    per_minute: Annotated[int, says("commands taken in a minute; more are refused", "commands", ge=1, le=6000)] = 60
    max_bytes: Annotated[int, says("longest command taken", "bytes", ge=64, le=65536)] = 4096


class HomeAssistant(Section, frozen=True, kw_only=True):
    """Let Home Assistant find this device by itself, through the same broker."""

    on: Annotated[bool, says("announce people, presence, frame rate, temperature and availability")] = False
    prefix: Annotated[str, says("its discovery prefix", min_length=1, pattern=r"^[^+#\x00]+$")] = "homeassistant"


class Metrics(Section, frozen=True, kw_only=True):
    """Numbers for Prometheus; on when `listen` is set."""

    listen: Annotated[
        str, says("host:port to answer on, such as 127.0.0.1:9464; empty opens no port", pattern=r"^$|^.+:\d+$")
    ] = ""


class Power(Section, frozen=True, kw_only=True):
    """How much a camera is looked at: little where nothing happens."""

    mode: Annotated[
        Literal["auto", "off"],
        says("auto looks at a camera where something moves, now and then elsewhere; off looks at every frame"),
    ] = "auto"
    find_empty_s: Annotated[
        float, says("where nobody is known and nothing moves, the finder looks this often", "s", ge=0, le=3600)
    ] = 2.0
    calm_after_s: Annotated[
        float,
        says("everybody has kept still for so long: they are looked at calm_fps times a second", "s", ge=1, le=3600),
    ] = 10.0
    calm_fps: Annotated[
        float, says("frames looked at in a second while everybody keeps still", "Hz", gt=0, le=1000)
    ] = 2.0
    hold: Annotated[
        float,
        says(
            "while everybody keeps still, their last poses are published again this often, marked `held`; "
            "0: only when they were looked at",
            "Hz",
            ge=0,
            le=1000,
        ),
    ] = 0.0
    awake_s: Annotated[float, says("awake for at least so long", "s", ge=0.1, le=60)] = 2.0
    sensitivity: Annotated[
        float, says("above 1 a smaller change of the picture counts, below 1 only a larger one", ge=0.2, le=5)
    ] = 1.0
    ignore: Annotated[
        list[str],
        says(
            "polygons in which nothing counts, such as a road or a television; corners as shares of width and height, "
            '"0,0 0.3,0 0.3,0.5 0,0.5"'
        ),
    ] = []
    idle_fps: Annotated[
        float,
        says("frame rate asked of a camera while nothing moves, where it can; 0 leaves it alone", "Hz", ge=0, le=1000),
    ] = 10.0
    max_cpu: Annotated[
        float,
        says("CPU time allowed, as a share of one core; fewer frames are looked at beyond; 0 is no limit", ge=0, le=64),
    ] = 0.0
    max_temp_c: Annotated[
        Annotated[float, Meta(ge=0, le=150)] | None,
        says(
            "processor temperature from which fewer frames are looked at; 0 is no limit; "
            "unset: 78 on a Raspberry Pi, none elsewhere",
            "degrees C",
        ),
    ] = None
    schedule: Annotated[
        list[str],
        says('quiet hours, the board\'s time: "22:00-06:30 pause" looks at nothing, "22:00-06:30 2 fps" at less'),
    ] = []


MIN_FPS = 1e-3
"""Least service.max_fps; to look more seldom than every quarter of an hour is a mistake."""


class Service(Section, frozen=True, kw_only=True):
    """What a supervised service does around the loop."""

    stall_s: Annotated[
        float, says("no sign of life from the loop for this long: the watchdog is not fed", "s", ge=1, le=3600)
    ] = 10.0
    max_fps: Annotated[float, says("most frames looked at in a second; 0 is all", "Hz", ge=0, le=1000)] = 0.0

    def __post_init__(self) -> None:
        if 0 < self.max_fps < MIN_FPS:
            raise ValueError(f"max_fps is {self.max_fps:g}, expected 0 for all or at least {MIN_FPS:g}")


class Config(Section, frozen=True, kw_only=True):
    """All settings of one pipeline."""

    device: Annotated[
        str, says("name of this board in topics and messages; empty is its host name", pattern=r"^[^+#/\x00]*$")
    ] = ""
    camera: Annotated[
        str, says("name of this camera in topics and messages", min_length=1, pattern=r"^[^+#/\x00]+$")
    ] = "camera"
    log: Annotated[Literal["debug", "info", "warning", "error"], says("least important message shown")] = "info"
    source: Source = Source()
    engine: Engine = Engine()
    decode: Decode = Decode()
    estimate: Estimate = Estimate()
    track: Track = Track()
    smooth: Smooth = Smooth()
    lift: Lift = Lift()
    meaning: Meaning = Meaning()
    sink: Sink = Sink()
    control: Control = Control()
    home_assistant: HomeAssistant = HomeAssistant()
    metrics: Metrics = Metrics()
    power: Power = Power()
    service: Service = Service()

    @property
    def device_name(self) -> str:
        """The device's name: as set, or the host's."""
        named = re.sub(r"[+#/\x00-\x1f\x7f]", "-", os.uname().nodename)
        return places.utf8(self.device or named) or "edgepose"


# ------------------------------------------------------------------------------------------------ checked loading


def convert(raw: Mapping[str, Any], type_: type[T], where: str) -> T:
    """Turn outside data into `type_`; a ConfigError names `where`, the key path, what came and what was expected."""
    try:
        return msgspec.convert(dict(raw), type_, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigError(one_line(f"{where}: {_explain(str(error), raw, type_)}")) from None


IN_WORDS = {
    r"^[^+#/\x00]*$": "a name without /, + and #",
    r"^[^+#/\x00]+$": "a name without /, + and #",
    r"^[^+#\x00]+$": "a topic without + and #",
    r"^$|^.+:\d+$": "HOST:PORT such as 127.0.0.1:9464, or empty",
}
"""A pattern of a setting -> what it allows."""


def _explain(message: str, raw: Mapping[str, Any], type_: Any) -> str:
    """Rewrite msgspec's message as "key path: what is wrong"."""
    text, _, at = message.partition(" - at `")
    path = at.rstrip("`").removeprefix("$").removeprefix(".")
    unknown = re.match(r"Object contains unknown field `(.*)`", text)
    if unknown:
        key = ".".join(filter(None, (path, unknown[1])))
        return unknown_key(key, _known_keys(type_, path))
    missing = re.match(r"Object missing required field `(.*)`", text)
    if missing:
        return f"{'.'.join(filter(None, (path, missing[1])))} is missing"
    value: Any = raw
    for part in re.findall(r"\[(\d+)\]|([^.\[\]]+)", path):
        try:
            value = value[int(part[0])] if part[0] else value[part[1]]
        except (KeyError, IndexError, TypeError):
            return f"{path}: {text}"
    expected = text.removeprefix("Expected ").split(", got ")[0].replace("`", "")
    if regex := re.search(r"matching regex '(.*)'$", expected):
        expected = IN_WORDS.get(regex[1].replace(r"\\", "\\"), expected)
    if text.startswith("Invalid enum value"):
        expected = "one of " + ", ".join(repr(choice) for choice in _choices(type_, path))
    shown = repr(value)
    shown = masked(shown) if len(shown) <= LONGEST_MASKED else f"a {type(value).__name__} of {len(shown)} characters"
    return f"{path} is {shown[:LONGEST_SHOWN]}{'...' * (len(shown) > LONGEST_SHOWN)}, expected {expected}"


def unknown_key(key: str, known: list[str]) -> str:
    """Say that `key` is not a setting, and which one was probably meant."""
    import difflib

    names = {name.rpartition(".")[2]: name for name in known}
    near = difflib.get_close_matches(key.rpartition(".")[2], names, n=1)
    hint = f"did you mean {names[near[0]]}?" if near else "`edgepose config` prints every setting"
    return f"{key} is not a setting; {hint}"


def _at(type_: Any, path: str) -> Any:
    """The type hint of a key path; lists and tables on the way count as what is in them."""
    for part in filter(None, re.sub(r"\[[^]]*\]", "", path).split(".")):
        hints = [get_type_hints(section, include_extras=True) for section in _sections(type_)]
        type_ = next((known[part] for known in hints if part in known), Any)
    return type_


def _sections(hint: Any) -> list[type[Struct]]:
    """The structs that a type hint speaks of."""
    if get_origin(hint) is None:
        return [hint] if isinstance(hint, type) and issubclass(hint, Struct) else []
    return [section for inside in get_args(hint) for section in _sections(inside)]


def _known_keys(type_: Any, path: str) -> list[str]:
    return [
        ".".join(filter(None, (path, name)))
        for section in _sections(_at(type_, path))
        for name in section.__struct_fields__
    ]


def _choices(type_: Any, path: str) -> tuple[Any, ...]:
    return choices(_at(type_, path))


def choices(hint: Any) -> tuple[Any, ...]:
    """The values a Literal setting may take; empty for any other."""
    if get_origin(hint) is Annotated:
        return choices(get_args(hint)[0])
    return get_args(hint) if get_origin(hint) is Literal else ()


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file; a ConfigError says which line is wrong."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}", passes=passes(error)) from None
    except ValueError:  # a null byte
        raise ConfigError(f"{str(path)!r}: no such file") from None
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: has more than {MAX_FILE_BYTES >> 20} MiB; is it the right file?")
    try:
        raw: dict[str, Any] = tomllib.loads(places.text(content))
    except (ValueError, RecursionError) as error:  # besides TOMLDecodeError: not UTF-8, a number too long, too deep
        raise ConfigError(one_line(f"{path}: not valid TOML: {error}")) from None
    return raw


def load(path: Path | None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read the settings of `path` (None: defaults only), then `overrides` ("engine.threads": 2) on top.

    Raises:
        ConfigError: naming the file or flag, the key, the value received and what was expected.
    """
    raw = read_toml(path) if path else {}
    where = str(path) if path else "settings"
    if path and any(key in raw for key in RULE_TABLES):
        raw = {key: value for key, value in raw.items() if key not in RULE_TABLES}
        put(raw, "meaning.rules", raw.get("meaning", {}).get("rules") or str(path))
    config = convert(raw, Config, where)
    for key, value in (overrides or {}).items():
        merged = msgspec.to_builtins(config)
        put(merged, key, value)
        config = convert(merged, Config, f"--{key}")
    return config


def to_json(config: Config) -> bytes:
    """For a child process, in ASCII: names of files that are no text arrive as they are."""
    return json.dumps(msgspec.to_builtins(config)).encode()


def from_json(data: bytes | str) -> Config:
    """What `to_json` wrote."""
    return convert(json.loads(data), Config, "settings")


def put(raw: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key in nested tables."""
    *sections, last = key.split(".")
    for section in sections:
        raw = raw.setdefault(section, {})
    raw[last] = value


# ------------------------------------------------------------------------------------------------ every setting


class Setting(Struct, frozen=True):
    """One setting as a person meets it."""

    key: str
    """Dotted path: "engine.threads"."""
    hint: Any
    """Its type."""
    default: Any
    unit: str
    meaning: str


@functools.cache
def settings() -> tuple[Setting, ...]:
    """Every setting there is, depth first, in the order of the classes above."""
    return tuple(_settings(Config, ""))


def _settings(section: type[Section], prefix: str) -> Iterator[Setting]:
    fields = msgspec.structs.fields(section)
    for field in fields:
        hint, key = field.type, f"{prefix}{field.name}"
        if isinstance(hint, type) and issubclass(hint, Section):
            continue
        meta: Meta = get_args(hint)[1]
        made = field.default_factory is not msgspec.NODEFAULT
        default = field.default_factory() if made else field.default
        yield Setting(key, hint, default, (meta.extra or {})["unit"], meta.description or "")
    for field in fields:
        hint = field.type
        if isinstance(hint, type) and issubclass(hint, Section):
            yield from _settings(hint, f"{prefix}{field.name}.")


PLACES = (
    "uri", "path", "model", "models_dir", "network", "delegate_library", "spool",
    "rules", "password_file", "ca_file", "cert_file", "key_file",
)  # fmt: skip
"""Settings that name a file, whose name need not be text; all others go out in messages, where "?" stands for such."""


def parse_value(text: str, setting: Setting) -> Any:
    """What a person typed for a setting: text as it is, sizes as 640x480, the rest as in TOML.

    Raises:
        ConfigError: not a TOML value.
    """
    if isinstance(setting.default, str):
        return text if setting.key.rpartition(".")[2] in PLACES else places.utf8(text)
    size = re.fullmatch(r"(\d+)x(\d+)", text)
    try:
        return [int(size[1]), int(size[2])] if size else tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        raise ConfigError(f"--{setting.key} {text}: not a value for it; {setting.meaning}") from None


def to_toml(config: Config) -> str:
    """The configuration as TOML that loads back equal, each key with its unit and meaning."""
    raw = msgspec.to_builtins(config)
    lines: list[str] = []
    section = ""
    for setting in settings():
        *path, name = setting.key.split(".")
        if ".".join(path) != section:
            section = ".".join(path)
            lines += ["", f"[{section}]"]
        value: Any = raw
        for part in setting.key.split("."):
            value = value[part]
        unit = f" [{setting.unit}]" if setting.unit else ""
        allowed = choices(setting.hint)
        listed = f" ({', '.join(map(str, allowed))})" if allowed else ""
        lines.append(f"# {setting.meaning}{unit}{listed}")
        lines.append(f"# {name} =" if value is None else f"{name} = {toml_value(value)}")
    return "\n".join(lines) + "\n"


def toml_value(value: Any) -> str:
    """A bool, number, string or flat list as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    return msgspec.json.encode(places.utf8(value)).decode() if isinstance(value, str) else repr(value)
