"""Stock models, cut: their heads are the original's own tensors bit for bit, and nothing is lost but what should be."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.commands.cli import main
from edgepose.core import config
from edgepose.core.errors import ModelError
from edgepose.core.poses import Frame
from edgepose.engine import open_engine
from edgepose.engine.flatfile import EDGETPU_OP, read_graph
from edgepose.engine.manifest import read_manifest
from edgepose.engine.surgery import Plan, make_plan
from edgepose.engine.surgery.net import Net
from edgepose.engine.surgery.writing import write_model
from edgepose.engine.zoo import verify_model
from edgepose.estimate.preprocess import Preprocess
from edgepose.pipeline import build
from edgepose.source.memory import ListSource
from samples.shared import shared

pytestmark = pytest.mark.slow

MOVENET = "movenet_single_pose_lightning_ptq"
POSENETS = [
    "posenet_mobilenet_v1_075_353_481_quant_decoder",
    "posenet_mobilenet_v1_075_481_641_quant_decoder",
    "posenet_mobilenet_v1_075_721_1281_quant_decoder",
    "posenet_mobilenet_v1_075_353_481_16_quant_decoder",
]
FLOATS = ["cpm_192_aic14_float", "hourglass_192_aic14_float", "tfpose_mnv2_small_paf_368x432"]
EDGETPU = ["movenet_single_pose_lightning_ptq_edgetpu", "posenet_mobilenet_v1_075_353_481_quant_decoder_edgetpu"]


def planned(name: str) -> tuple[Plan, bytes]:
    path = shared(f"models/{name}.tflite")
    content = path.read_bytes()
    return make_plan(content, path), content


def written(plan: Plan, folder: Path) -> Path:
    (folder / plan.manifest.file).write_bytes(plan.content)
    path = folder / f"{plan.manifest.name}.toml"
    path.write_text(plan.text)
    return path


def pictures() -> Iterator[Frame]:
    found = sorted(shared("data/sets/coco_mini_train/images").iterdir())[:1]
    found += sorted(shared("data/sets/tflite_examples/images").iterdir())[:1]
    for seq, path in enumerate(found):
        image = cv2.imread(str(path))
        assert image is not None
        yield Frame(image=image.astype(np.uint8), layout="bgr", t=0, taken_t=0, seq=seq)


def without_custom_ops(content: bytes) -> bytes:
    """The model as it is, all tensors in their old places, but ending where its custom operator began."""
    net = Net(content, "original")
    custom = [op for op in net.ops if op.custom]
    if custom:
        (decoder,) = custom
        net.graph.operators.remove(decoder.part)
        net.graph.outputs = decoder.part.inputs
    return write_model(net.model)


@pytest.mark.filterwarnings("ignore:Warning. Enabling .experimental_preserve_all_tensors")
@pytest.mark.parametrize("name", [MOVENET, *POSENETS, *FLOATS])
def test_heads_of_a_cut_model_are_the_originals_own_tensors_bit_for_bit(name: str, tmp_path: Path) -> None:
    litert: Any = pytest.importorskip("ai_edge_litert.interpreter")
    plan, content = planned(name)
    original = litert.Interpreter(
        model_content=without_custom_ops(content), num_threads=1, experimental_preserve_all_tensors=True
    )
    original.allocate_tensors()
    (wants,) = original.get_input_details()
    with open_engine(config.Engine(model=str(written(plan, tmp_path)), threads=1)) as engine:
        preprocess = Preprocess(engine.input)
        for frame in pictures():
            tensor, _ = preprocess(frame)
            heads = engine.run(tensor)
            original.set_tensor(wants["index"], as_the_original_takes_it(tensor, wants["dtype"])[None])
            original.invoke()
            for role, index in plan.found.heads.items():
                assert isinstance(index, int)
                np.testing.assert_array_equal(heads[role], original.get_tensor(index)[0], err_msg=role)
                assert np.ptp(heads[role].astype(np.float64)) > 0, f"{role} is blank"


def as_the_original_takes_it(tensor: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Bytes of the picture again where the cut model takes them minus 128."""
    return tensor if tensor.dtype == dtype else (tensor.view(np.uint8) ^ np.uint8(128)).astype(dtype)


@pytest.mark.parametrize(
    ("name", "operators", "left"), [(MOVENET, 157, 92), (POSENETS[0], 33, 32), (POSENETS[3], 38, 33)], ids=lambda _: ""
)
def test_only_what_lies_outside_the_network_is_cut_away(name: str, operators: int, left: int) -> None:
    plan, content = planned(name)
    assert len(read_graph(content, name).ops) == operators
    assert len(plan.graph.ops) == left
    assert plan.graph.custom_ops == ()
    assert len(plan.content) < len(content)


def test_movenets_arithmetic_on_the_picture_goes_and_its_constants_are_read() -> None:
    plan, _ = planned(MOVENET)
    assert plan.intake.dropped == ("CAST", "QUANTIZE", "SUB", "MUL", "SUB")
    assert plan.manifest.input.dtype == "int8"
    assert plan.manifest.decoder.options["distance_bias"] == 1.8
    quant = {head.role: plan.graph.outputs[head.output] for head in plan.manifest.heads}
    assert {role: round(tensor.scale, 5) for role, tensor in quant.items()} == {
        "center": 0.00391, "regress": 0.68844, "heatmap": 0.00391, "offset": 0.19978,
    }  # fmt: skip
    assert plan.manifest.accuracy["half_step"]["offset"] == pytest.approx(0.19978 / 2, abs=1e-5)


@pytest.mark.parametrize("name", POSENETS)
def test_posenets_decoder_operator_becomes_options_of_ours(name: str) -> None:
    plan, _ = planned(name)
    decoder = plan.manifest.decoder
    assert decoder.name == "personlab"
    assert {key: decoder.options[key] for key in ("stride", "nms_radius", "score_threshold")} == {
        "stride": 16, "nms_radius": 10.0, "score_threshold": 0.2,
    }  # fmt: skip
    assert (plan.manifest.input.resize, plan.manifest.input.fit) == ("nearest", "stretch")
    assert {head.dtype for head in plan.manifest.heads} == {"int8" if "_16_" in name else "uint8"}
    assert plan.warnings == []


@pytest.mark.parametrize("name", EDGETPU)
def test_an_edge_tpu_program_is_carried_over_byte_for_byte(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, content = planned(name)
    before, after = (
        [op.part.custom_options or b"" for op in Net(model, name).ops if op.name == EDGETPU_OP]
        for model in (content, plan.content)
    )
    assert [hashlib.sha256(program).hexdigest() for program in after] == [
        hashlib.sha256(program).hexdigest() for program in before
    ]
    assert len(after) == 1
    assert plan.graph.custom_ops == (EDGETPU_OP,)
    path = written(plan, tmp_path)
    manifest, _, _ = verify_model(path, here=False)
    assert manifest.title.endswith("Edge TPU")
    with pytest.raises(ModelError, match="this model needs a Coral Edge TPU; use the build of it for the CPU"):
        open_engine(config.Engine(model=str(path)))
    assert main(["models", "verify", str(path)]) == 0
    assert f"sound {name}  not run, it needs a Coral Edge TPU" in capsys.readouterr().out


def test_of_movenets_two_edge_tpu_heatmaps_the_finer_is_taken_and_its_flat_centre_gets_a_shape() -> None:
    plan, _ = planned(EDGETPU[0])
    heads = {head.role: plan.graph.outputs[head.output] for head in plan.manifest.heads}
    assert heads["heatmap"].scale == 1 / 256
    assert heads["center"].shape == (1, 48, 48, 1)
    assert plan.manifest.decoder.options["center_weighted"] is True
    assert plan.intake.dropped == ("CAST", "QUANTIZE")


def test_openpose_is_cut_before_its_heads_are_joined() -> None:
    plan, _ = planned(FLOATS[2])
    assert [(head.role, head.shape) for head in plan.manifest.heads] == [
        ("heatmap", (1, 46, 54, 19)), ("paf", (1, 46, 54, 38)),
    ]  # fmt: skip
    assert plan.dropped == ("CONCATENATION",)
    assert plan.manifest.input.colour == "bgr"
    assert plan.warnings == []  # its first layer makes the input's range irrelevant


def test_cpm_is_cut_before_its_heatmaps_are_blown_up() -> None:
    plan, _ = planned(FLOATS[0])
    assert plan.dropped == ("RESIZE_BILINEAR",)
    assert plan.manifest.heads[0].shape == (1, 24, 24, 14)
    assert plan.manifest.decoder.options["stride"] == 8


@pytest.mark.parametrize("name", [MOVENET, *POSENETS, *FLOATS])
def test_an_imported_model_finds_people_with_no_further_settings(name: str, tmp_path: Path) -> None:
    plan, _ = planned(name)
    image = cv2.imread(str(shared("data/golden/coral_posenet/test_couple.jpg")))
    assert image is not None
    if name.startswith(("cpm", "hourglass")):  # one person, cut out
        image = image[:, : image.shape[1] // 2]
    cfg = config.Config(engine=config.Engine(model=str(written(plan, tmp_path)), threads=1))
    found = []
    with build(cfg, source=ListSource([image.astype(np.uint8)]), sinks=[]) as pipeline:
        pipeline.run(lambda poses, _: found.append(poses))
    (poses,) = found
    assert len(poses) >= 1
    assert np.isfinite(poses.xy[0]).all(axis=1).sum() >= 8
    assert poses.skeleton == read_manifest(tmp_path / f"{plan.manifest.name}.toml").joints
