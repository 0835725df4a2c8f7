"""Settings: what is printed loads back, and a wrong one is told with where, what and what next."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.wire.commands import decode_command

WRONG = {
    "unknown key": ("[engine]\nthread = 2", "engine.thread is not a setting; did you mean engine.threads?"),
    "unknown section": ("[sink.mqt]\nqos = 0", "sink.mqt is not a setting; did you mean sink.mqtt?"),
    "far from all": ("[engine]\nxyz = 2", "engine.xyz is not a setting; `edgepose config` prints every setting"),
    "wrong type": ('[engine]\nthreads = "two"', "engine.threads is 'two', expected int"),
    "too high": ("[engine]\nthreads = 200", "engine.threads is 200, expected int <= 64"),
    "too low": ("[decode]\nmax_people = 0", "decode.max_people is 0, expected int >= 1"),
    "not a choice": ('[engine]\nruntime = "tf"', "engine.runtime is 'tf', expected one of 'auto', 'litert'"),
    "not a choice of numbers": ("[sink.mqtt]\nqos = 2", "sink.mqtt.qos is 2, expected one of 0, 1"),
    "part of a pair": ("[source]\nsize_wh = [640, 4]", "source.size_wh[1] is 4, expected int >= 16"),
    "a table expected": ("engine = 2", "engine is 2, expected object"),
    "pattern": ('camera = "a/b"', "camera is 'a/b', expected a name without /, + and #"),
    "optional number": ("[decode]\nmin_person_score = 1.5", "decode.min_person_score is 1.5, expected float <= 1.0"),
    "not toml": ("[engine", "not valid TOML"),
}


@pytest.mark.parametrize(("text", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_told_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "edgepose.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"], ids=["missing", "not text"])
def test_an_unreadable_file_is_told(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "edgepose.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"edgepose\.toml: (no such file|not valid TOML)"):
        config.load(path)


CHANGED = {
    "device": 'kitchen "pi"',
    "source.size_wh": [1280, 720],
    "source.loop": True,
    "source.pace": "real",
    "engine.threads": 3,
    "decode.min_person_score": 0.35,
    "sink.mqtt.qos": 1,
    "sink.jsonl.path": "C:\\poses\n.jsonl",
}


@pytest.mark.parametrize("overrides", [{}, CHANGED], ids=["defaults", "changed"])
def test_what_is_printed_loads_back_equal(tmp_path: Path, overrides: dict[str, Any]) -> None:
    cfg = config.load(None, overrides)
    path = tmp_path / "edgepose.toml"
    path.write_text(config.to_toml(cfg))
    assert config.load(path) == cfg


def test_every_setting_is_printed_with_its_meaning() -> None:
    text = config.to_toml(config.Config())
    for setting in config.settings():
        assert setting.meaning in text
        assert setting.key.rpartition(".")[2] in text


def test_flags_go_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "edgepose.toml"
    path.write_text("[engine]\nthreads = 2\n[decode]\nmax_people = 3\n")
    cfg = config.load(path, {"engine.threads": 4})
    assert (cfg.engine.threads, cfg.decode.max_people) == (4, 3)


def test_a_wrong_flag_is_told_by_its_name() -> None:
    with pytest.raises(ConfigError, match=r"--engine\.threads: engine\.threads is 99, expected int <= 64"):
        config.load(None, {"engine.threads": 99})


TYPED = {
    "source.uri": ("0", "0"),
    "source.size_wh": ("1280x720", [1280, 720]),
    "source.loop": ("true", True),
    "source.fps": ("12.5", 12.5),
    "engine.threads": ("2", 2),
    "decode.min_joint_score": ("0.3", 0.3),
}


@pytest.mark.parametrize(("key", "typed"), TYPED.items(), ids=TYPED)
def test_what_a_person_types_becomes_the_right_type(key: str, typed: tuple[str, Any]) -> None:
    setting = next(setting for setting in config.settings() if setting.key == key)
    assert config.parse_value(typed[0], setting) == typed[1]


def test_nonsense_typed_for_a_number_is_told() -> None:
    setting = next(setting for setting in config.settings() if setting.key == "engine.threads")
    with pytest.raises(ConfigError, match=r"--engine\.threads two: not a value for it"):
        config.parse_value("two", setting)


def test_the_device_name_is_the_hosts_and_fits_a_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.uname", lambda: SimpleNamespace(nodename="pi/+#4"))
    assert config.Config().device_name == "pi---4"
    assert config.Config(device="kitchen").device_name == "kitchen"


@pytest.mark.parametrize("max_fps", [1e-300, 0.0009, -1.0])
def test_a_frame_rate_at_which_nobody_would_look_is_refused(max_fps: float) -> None:
    with pytest.raises(ConfigError, match="max_fps"):
        config.convert({"service": {"max_fps": max_fps}}, config.Config, "test")
    with pytest.raises(ValueError, match="max_fps"):
        decode_command("rate", f'{{"max_fps": {max_fps!r}}}'.encode())
