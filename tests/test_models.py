"""The shipped models: as their manifests say, as small as promised, as good as promised, and made as described."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.poses import HeadSpec
from edgepose.engine.flatfile import read_graph
from edgepose.engine.manifest import SUFFIX, Manifest, read_manifest, read_model
from edgepose.estimate.decode import open_decoder
from samples import quality
from samples.reference_movenet import read_multi, read_single
from samples.shared import shared

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "models"
GOLDEN = Path(__file__).parent / "golden"
TOOL = ROOT / "tools" / "build_models"

MEGABYTE = 1_000_000
LIMITS = {
    "movenet_lightning_192": 3 * MEGABYTE,
    "movenet_lightning_256": 3 * MEGABYTE,
    "movenet_thunder_256": 7.2 * MEGABYTE,
    "movenet_multipose_256x256": 5.6 * MEGABYTE,
    "movenet_multipose_192x256": 5.6 * MEGABYTE,
}
"""Model -> most bytes it may have."""

CELL_PX = 4
MAPS = {"center": 1, "regress": 34, "heatmap": 17, "offset": 34}
BOXES = {"box_scale": 2, "box_offset": 2}
HEADS = {"single": MAPS, "multi": MAPS | BOXES}
"""Kind of graph -> role -> channels."""
CONSTANTS = {"single": {"distance_bias"}, "multi": {"sigma", "min_joint_mean"}}
COMMON = {"people_head", "stride", "min_person_score", "min_joint_score", "duplicate_oks"}

each_model = pytest.mark.parametrize("name", LIMITS)


def model(name: str) -> tuple[Manifest, bytes]:
    """A shipped model's manifest and file, sha256 checked."""
    path = MODELS / f"{name}{SUFFIX}"
    manifest = read_manifest(path)
    return manifest, read_model(path, manifest)


def test_every_model_has_a_limit_here_and_a_manifest_there() -> None:
    assert {path.stem for path in MODELS.glob("*.tflite")} == set(LIMITS)
    assert {path.stem for path in MODELS.glob("*.toml")} == set(LIMITS)


@each_model
def test_a_model_is_the_one_its_manifest_names_and_small_enough(name: str) -> None:
    manifest, content = model(name)
    assert (manifest.name, manifest.file) == (name, f"{name}.tflite")
    assert len(content) <= LIMITS[name]


@each_model
def test_the_graph_has_the_shapes_and_types_of_its_manifest(name: str) -> None:
    manifest, content = model(name)
    graph = read_graph(content, name)
    (source,) = graph.inputs
    assert (source.shape, source.dtype) == (manifest.input.shape, manifest.input.dtype) == (source.shape, "int8")
    reached = [source.scale * (end - source.zero_point) for end in (-128, 127)]
    assert reached == pytest.approx(manifest.input.range, abs=0.51 * source.scale)  # the zero point is a whole number

    kind = manifest.decoder.options["people_head"]
    _, height, width, _ = source.shape
    assert [head.role for head in manifest.heads] == list(HEADS[kind])
    assert [head.output for head in manifest.heads] == list(range(len(graph.outputs)))
    for head in manifest.heads:
        output = graph.outputs[head.output]
        assert output.name == f"edgepose/{head.role}"
        assert (output.shape, output.dtype) == (head.shape, head.dtype) == (head.shape, "int8")
        assert head.shape == (1, height // CELL_PX, width // CELL_PX, HEADS[kind][head.role])


@each_model
def test_size_and_name_agree(name: str) -> None:
    manifest, _ = model(name)
    height, width = manifest.input.shape[1:3]
    size = name.rpartition("_")[2]
    assert size in (f"{height}x{width}", str(height) if height == width else "")


@each_model
def test_a_model_needs_only_built_in_operators(name: str) -> None:
    _, content = model(name)
    assert read_graph(content, name).custom_ops == ()


@each_model
def test_constants_lie_on_16_byte_borders(name: str) -> None:
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    _, content = model(name)
    start = np.frombuffer(content, np.uint8).ctypes.data
    root = schema.Model.GetRootAs(content)
    places = []
    for index in range(root.BuffersLength()):
        data = root.Buffers(index).DataAsNumpy()
        if isinstance(data, np.ndarray) and data.size:
            places.append(data.ctypes.data - start)
    assert len(places) > 100
    assert [place for place in places if place % 16] == []


@each_model
def test_the_decoder_accepts_the_options_and_none_is_missing(name: str) -> None:
    manifest, content = model(name)
    options = manifest.decoder.options
    assert set(options) == COMMON | CONSTANTS[options["people_head"]]
    graph = read_graph(content, name)
    heads = {
        head.role: HeadSpec(head.role, head.shape[1:], np.dtype(head.dtype), output.scale, output.zero_point)
        for head, output in zip(manifest.heads, graph.outputs, strict=True)
    }
    open_decoder(name, manifest.decoder.name, options, manifest.joints, heads, config.Decode())


@each_model
def test_scores_use_the_whole_byte_and_offsets_resolve_an_eighth_of_a_pixel(name: str) -> None:
    manifest, content = model(name)
    outputs = {head.role: read_graph(content, name).outputs[head.output] for head in manifest.heads}
    for role in ("center", "heatmap"):
        assert (outputs[role].scale, outputs[role].zero_point) == (1 / 256, -128)
    assert outputs["offset"].scale * CELL_PX <= 1 / 7.5


@each_model
def test_a_model_says_where_it_is_from_and_what_it_scored(name: str) -> None:
    manifest, _ = model(name)
    assert manifest.licence.spdx == "Apache-2.0"
    assert "@" in manifest.origin.package
    assert len(manifest.origin.files) == 2
    assert manifest.accuracy["int8"]
    assert manifest.origin.package.rpartition("@")[0].removeprefix("npm ") in (MODELS / "NOTICE").read_text()
    assert "Apache License" in (MODELS / "LICENSE").read_text()


@each_model
def test_nobody_is_seen_in_black(name: str) -> None:
    pytest.importorskip("ai_edge_litert.interpreter")
    manifest, content = model(name)
    run, (height, width) = quality.open_model(content)
    center = run(np.zeros((height, width, 3), np.uint8))["edgepose/center"]
    assert center.shape == manifest.heads[0].shape[1:]
    assert center.max() < 0.3


@pytest.fixture(scope="module")
def crowd() -> list[quality.Person]:
    """Everybody of the two sets that the promise is about."""
    sets = [shared(f"data/sets/{name}") for name in ("coco_mini_train", "mmpose_mix")]
    return [person for folder in sets for person in quality.people(folder)]


@pytest.fixture(scope="module")
def stock_oks(crowd: list[quality.Person]) -> NDArray[np.float64]:
    """OKS of each person with the whole int8 model that people use today."""
    pytest.importorskip("ai_edge_litert.interpreter")
    content = shared("models/movenet_single_pose_lightning_ptq.tflite").read_bytes()
    return quality.crop_oks(crowd, quality.whole_model(content))


def test_the_yardstick_measures_the_stock_model_as_others_do(stock_oks: NDArray[np.float64]) -> None:
    # 51 people at .585 and 55 at .725
    assert len(stock_oks) == 106
    assert stock_oks.mean() == pytest.approx((51 * 0.585 + 55 * 0.725) / 106, abs=0.02)


@pytest.mark.parametrize(
    ("name", "better_by"), [("movenet_lightning_192", -0.005), ("movenet_lightning_256", 0.015)], ids=["192", "256"]
)
def test_lightning_is_no_worse_than_the_stock_model(
    name: str, better_by: float, crowd: list[quality.Person], stock_oks: NDArray[np.float64]
) -> None:
    _, content = model(name)
    ours = quality.crop_oks(crowd, quality.one_person(content))
    assert ours.mean() >= stock_oks.mean() + better_by


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("movenet_float_single_*.npz")), ids=lambda path: path.stem)
def test_the_plain_reading_of_one_persons_heads_is_the_original_graphs_answer(path: Path) -> None:
    with np.load(path) as golden:
        joints = read_single(golden)
        wanted_yx, wanted_score = golden["original"][:, :2] / golden["cell_unit"], golden["original"][:, 2]
    assert np.abs(joints[:, :2] - wanted_yx).max() * CELL_PX < 0.001
    assert np.abs(joints[:, 2] - wanted_score).max() < 3e-5


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("movenet_float_multi_*.npz")), ids=lambda path: path.stem)
def test_the_plain_reading_of_many_peoples_heads_is_the_original_graphs_answer(path: Path) -> None:
    with np.load(path) as golden:
        joints, boxes, scores = read_multi(golden)
        answer, unit = golden["original"], golden["cell_unit"]
    wanted = answer[:, :51].reshape(6, 17, 3)
    assert np.abs(joints[..., :2] - wanted[..., :2] / unit).max() * CELL_PX < 0.001
    assert np.abs(joints[..., 2] - wanted[..., 2]).max() < 3e-5
    assert np.abs(boxes * np.tile(unit, 2) - answer[:, 51:55]).max() < 1e-6
    assert np.abs(scores - answer[:, 55]).max() < 3e-5


def test_the_goldens_are_there() -> None:
    # two parametrised tests above would run zero times without them
    assert len(list(GOLDEN.glob("movenet_float_*.npz"))) == 3


def test_build_models_explains_itself_and_names_every_model() -> None:
    told = subprocess.run([sys.executable, str(TOOL), "--help"], capture_output=True, text=True, check=True).stdout
    assert "--check" in told
    assert [name for name in LIMITS if name not in told.replace("\n", " ")] == []


def test_build_models_refuses_a_model_it_does_not_know() -> None:
    result = subprocess.run(
        [sys.executable, str(TOOL), "--only", "posenet"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "movenet_lightning_192" in result.stderr


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """tools/build_models as a module; it needs nothing but the standard library until it builds."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = SourceFileLoader("build_models", str(TOOL))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("kept", "code", "told"),
    [
        (b"abcd", 0, "same      a.tflite"),
        (b"abxd", 1, "DIFFERENT a.tflite: built 4 bytes, kept 4, first difference at byte 2"),
        (b"abc", 1, "DIFFERENT a.tflite: built 4 bytes, kept 3, first difference at byte 3"),
        (None, 1, "DIFFERENT a.tflite: not in"),
    ],
    ids=["same", "changed", "shorter", "missing"],
)
def test_a_rebuild_that_differs_is_told(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], kept: bytes | None, code: int, told: str
) -> None:
    built, folder = tmp_path / "built", tmp_path / "kept"
    built.mkdir()
    folder.mkdir()
    (built / "a.tflite").write_bytes(b"abcd")
    if kept is not None:
        (folder / "a.tflite").write_bytes(kept)
    assert tool.compare(built, folder) == code
    assert told in capsys.readouterr().out
