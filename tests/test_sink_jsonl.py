from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from edgepose import wire
from edgepose.core.errors import ConfigError, ReaderLeftError, SinkError
from edgepose.sink.jsonl import JsonlSink
from samples.people import frame, poses


def write(path: Path | str, *seqs: int) -> None:
    with JsonlSink(str(path), "board", "door") as sink:
        for seq in seqs:
            sink.write(poses(1, seq=seq), frame(seq=seq))


def seqs(path: Path) -> list[int]:
    return [wire.decode(line).seq for line in path.read_bytes().splitlines()]


def test_each_frame_is_one_line_that_a_reader_sees_at_once(tmp_path: Path) -> None:
    path = tmp_path / "poses.jsonl"
    with JsonlSink(str(path), "board", "door") as sink:
        sink.write(poses(2, seq=3), frame())

        message = wire.decode(path.read_bytes())

    assert (message.device, message.camera, message.seq, len(message.people)) == ("board", "door", 3, 2)


def test_a_second_run_appends(tmp_path: Path) -> None:
    write(tmp_path / "poses.jsonl", 1, 2)
    write(tmp_path / "poses.jsonl", 3)

    assert seqs(tmp_path / "poses.jsonl") == [1, 2, 3]


def test_a_line_that_a_crash_left_unfinished_is_ended_first(tmp_path: Path) -> None:
    path = tmp_path / "poses.jsonl"
    path.write_bytes(b'{"schema":"edge')
    write(path, 4)

    broken, whole = path.read_bytes().splitlines()
    assert broken == b'{"schema":"edge'
    assert wire.decode(whole).seq == 4


def test_a_full_disk_says_so() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")

    with pytest.raises(SinkError, match=r"/dev/full: No space left on device after 0 lines; free some space") as caught:
        write("/dev/full", 1)

    assert not isinstance(caught.value, ReaderLeftError)


def test_a_disk_that_fills_up_keeps_whole_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "poses.jsonl"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(SinkError, match=r"poses.jsonl: File too large after 2 lines"):
            write(path, *range(10))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert seqs(path) == [0, 1]
    assert path.read_bytes().endswith(b"\n")


def test_a_reader_that_leaves_is_a_quiet_end() -> None:
    code = (
        "import sys\n"
        "from edgepose.core.errors import ReaderLeftError\n"
        "from edgepose.sink.jsonl import JsonlSink\n"
        "from samples.people import frame, poses\n"
        "try:\n"
        "    with JsonlSink('-', 'board', 'door') as sink:\n"
        "        for seq in range(10000): sink.write(poses(1, seq=seq), frame())\n"
        "except ReaderLeftError as error:\n"
        "    sys.exit(error.exit_code)\n"
        "sys.exit(4)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()

    assert wire.decode(first).seq == 0
    assert (process.returncode, said) == (0, b"")


def test_a_folder_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sink\.jsonl\.path .*directory.*; set it to a file"):
        JsonlSink(str(tmp_path), "board", "door")


def test_a_folder_that_is_not_there_yet_can_be_tried_again(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"sink\.jsonl\.path .*No such file.*; set it to a file"):
        JsonlSink(str(tmp_path / "missing" / "poses.jsonl"), "board", "door")
