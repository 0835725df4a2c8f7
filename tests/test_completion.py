"""What a shell offers after Tab: asked of the shells themselves."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from edgepose.commands import cli, completion


@pytest.fixture(scope="module")
def known() -> completion.Commands:
    return completion.commands()


def of_bash(script: str, *words: str) -> list[str]:
    """The replies to Tab at the end of the words."""
    typed = " ".join(f"'{word}'" for word in words)
    ask = f'{script}\nCOMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _edgepose; printf "%s\\n" "${{COMPREPLY[@]}}"'
    answer = subprocess.run(["bash", "--norc", "-c", ask], check=True, capture_output=True, text=True)
    assert not answer.stderr
    return answer.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["edgepose", "vi"], ["view"]),
        (["edgepose", "view", "--lis"], ["--listen"]),
        (["edgepose", "run", "--sink.mqtt.form"], ["--sink.mqtt.format"]),
        (["edgepose", "run", "--engine.delegate", "edge"], ["edgetpu"]),
        (["edgepose", "completion", "--nothing"], []),
    ],
    ids=["a command", "its flag", "a setting", "what may follow it", "what is not there"],
)
def test_bash_offers(words: list[str], offered: list[str], known: completion.Commands) -> None:
    assert of_bash(completion.bash(known), *words) == offered


def test_bash_offers_files_where_no_flag_is_typed(
    known: completion.Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "day.epr").touch()
    monkeypatch.chdir(tmp_path)
    assert of_bash(completion.bash(known), "edgepose", "view", "da") == ["day.epr"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_reads_its_own(shell: str, known: completion.Commands, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed; apt-get install {shell}")
    script = tmp_path / "script"
    script.write_text(completion.SHELLS[shell](known))
    answer = subprocess.run([shell, "-n", script], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")


def test_fish_offers_a_setting(known: completion.Commands, tmp_path: Path) -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed; apt-get install fish")
    script = tmp_path / "edgepose.fish"
    script.write_text(completion.fish(known))
    ask = f"source {script}; complete -C 'edgepose view --lis'"
    answer = subprocess.run(
        ["fish", "-c", ask], capture_output=True, text=True, check=True, env={"HOME": str(tmp_path)}
    )
    assert answer.stdout.startswith("--listen\t")


def test_every_command_and_every_setting_is_offered(known: completion.Commands) -> None:
    assert list(known) == cli.names()
    from edgepose.core import config

    flags = {flag for flag, _, _ in known["run"][1]}
    assert {f"--{setting.key}" for setting in config.settings()} <= flags


def test_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", "zsh"]) == 0
    assert capsys.readouterr().out.startswith("#compdef edgepose\n")
