"""`edgepose models import` of NAME.tflite beside NAME_edgetpu.tflite: one model, two files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgepose.commands.cli import main
from edgepose.engine.manifest import read_manifest
from edgepose.engine.zoo import verify_build, verify_model
from samples.shared import shared
from tests.helpers.tiny_graphs import Quant, Tiny, posenet

SIZE = 33
HEADS: list[tuple[int, Quant]] = [(17, (0.05, 0)), (34, (0.4, 0)), (64, (1.4, -11))]


def compiled(short: Quant = (0.4, 0)) -> bytes:
    """What a compiler would make of `posenet()`: one operator from the picture to the three heads."""
    tiny = Tiny()
    source = tiny.tensor((1, SIZE, SIZE, 3), "int8", (1 / 128, 0))
    quants = [HEADS[0], (34, short), HEADS[2]]
    heads = [tiny.tensor((1, 3, 3, channels), "int8", quant) for channels, quant in quants]
    tiny.op("edgetpu-custom-op", [source], heads, b"program")
    return tiny.file([source], heads)


def import_(folder: Path, *files: str) -> int:
    return main(["models", "import", *(str(folder / file) for file in files), "--to", str(folder / "to")])


def test_a_build_beside_the_file_comes_along(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.tflite").write_bytes(posenet(SIZE))
    (tmp_path / "net_edgetpu.tflite").write_bytes(compiled())
    assert import_(tmp_path, "net.tflite") == 0
    assert "took net_edgetpu.tflite along as its Edge TPU build" in capsys.readouterr().out
    path = tmp_path / "to" / "net.toml"
    manifest, graph, _ = verify_model(path)
    assert not graph.is_edgetpu
    assert manifest.delegates.edgetpu is not None
    assert manifest.delegates.edgetpu.file == "net_edgetpu.tflite"
    assert verify_build(path, manifest.delegates.edgetpu, graph) == (tmp_path / "to/net_edgetpu.tflite").read_bytes()
    assert import_(tmp_path, "net.tflite") == 0, "once more changes nothing"
    assert main(["models", "show", str(path)]) == 0
    assert f"Edge TPU  {tmp_path / 'to' / 'net_edgetpu.tflite'}" in capsys.readouterr().out


def test_verify_looks_at_the_build_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.tflite").write_bytes(posenet(SIZE))
    (tmp_path / "net_edgetpu.tflite").write_bytes(compiled())
    import_(tmp_path, "net.tflite")
    (tmp_path / "to" / "net_edgetpu.tflite").write_bytes(b"other")
    assert main(["models", "verify", str(tmp_path / "to" / "net.toml")]) == 78
    assert "net_edgetpu.tflite: sha256 is " in capsys.readouterr().out


WRONG: dict[str, tuple[Callable[[], bytes], str]] = {
    "other steps": (lambda: compiled((0.5, 0)), "output 1 is int8 [1, 3, 3, 34] with step 0.5 and zero 0, expected"),
    "not compiled": (lambda: posenet(SIZE), "it is not compiled for an Edge TPU"),
    "damaged": (lambda: b"TFL3 or not", "not taken along: "),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_build_of_another_model_stays_behind_and_the_reason_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    content, says = WRONG[case]
    (tmp_path / "net.tflite").write_bytes(posenet(SIZE))
    (tmp_path / "net_edgetpu.tflite").write_bytes(content())
    assert import_(tmp_path, "net.tflite") == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "taken along" in line)
    assert line.startswith("warning")
    assert says in line
    assert read_manifest(tmp_path / "to" / "net.toml").delegates.edgetpu is None
    assert not (tmp_path / "to" / "net_edgetpu.tflite").exists()


def test_a_build_imported_alone_says_how_to_run_it_and_what_would_be_better(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net_edgetpu.tflite").write_bytes(compiled())
    assert import_(tmp_path, "net_edgetpu.tflite") == 0
    told = capsys.readouterr().out
    assert "--engine.delegate edgetpu" in told
    assert "warning" not in told
    (tmp_path / "net.tflite").write_bytes(posenet(SIZE))
    assert import_(tmp_path, "net_edgetpu.tflite") == 0
    assert "for the CPU there is net.tflite; import that, and this comes along" in capsys.readouterr().out


def test_coral_s_posenet_comes_with_its_build_and_its_movenet_says_why_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("posenet_mobilenet_v1_075_353_481_quant_decoder", "movenet_single_pose_lightning_ptq"):
        shared(f"models/{name}_edgetpu.tflite")
        assert main(["models", "import", str(shared(f"models/{name}.tflite")), "--to", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "took posenet_mobilenet_v1_075_353_481_quant_decoder_edgetpu.tflite along" in told
    assert "movenet_single_pose_lightning_ptq_edgetpu.tflite is not taken along as the Edge TPU build: input 0" in told
