"""The manual page: made from the parser, and read by man itself."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from edgepose.commands import cli, man


def test_every_command_has_its_section() -> None:
    page = man.page()
    assert [name for name in cli.names() if f".SS {name}\n" not in page] == []


@pytest.mark.parametrize(
    ("text", "written"),
    [(".x", r"\&.x"), ("a-b", r"a\-b"), ("'q'", r"\&'q'"), ("\\", r"\e"), ("a\n.b", "a\n\\&.b")],
    ids=["dot", "hyphen", "quote", "backslash", "second line"],
)
def test_nothing_in_a_text_is_a_macro(text: str, written: str) -> None:
    assert man.escaped(text) == written


def test_man_prints_it_without_a_warning() -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed; sudo apt install groff-base")
    made = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8"], input=man.page(), capture_output=True, text=True, check=True
    )
    assert not made.stderr
    assert "--source" in made.stdout.replace("\b", "")
