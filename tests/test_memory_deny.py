"""The unit's MemoryDenyWriteExecute: a whole run makes no code while running."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgepose.lab.demo import scene
from tests.helpers.ways import LIBRARY

PICTURES = Path(scene.__file__).parent / "pictures"
DENIED = """
import ctypes, mmap, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, for good; since Linux 6.3
    sys.exit(77)
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    sys.exit("memory is given that is written and executed")
except PermissionError:
    os.execv(sys.executable, [sys.executable, "-m", "edgepose", "run", *sys.argv[1:]])
"""


@LIBRARY
def test_a_run_gives_the_same_poses_where_no_memory_is_written_and_executed(tmp_path: Path) -> None:
    people = []
    for name, begin in {"denied": ["-c", DENIED], "free": ["-m", "edgepose", "run"]}.items():
        out = tmp_path / name
        arguments = ["--source", str(PICTURES), "--model", "movenet_lightning_192", "--jsonl", str(out)]
        done = subprocess.run([sys.executable, *begin, *arguments], capture_output=True, text=True)
        if done.returncode == 77:
            pytest.skip("this Linux cannot deny it to a process")
        assert done.returncode == 0, done.stderr
        people.append([json.loads(line)["people"] for line in out.read_text(encoding="utf-8").splitlines()])
    assert people[0] == people[1]
    assert any(people[0])
