"""What a manifest may say beyond the usual: joints of its own, heads whose first axis is no batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepose.core import config
from edgepose.core.errors import ModelError
from edgepose.core.poses import COCO17
from edgepose.engine import open_engine
from edgepose.engine.manifest import read_manifest
from samples import tiny_models
from tests.helpers.tiny_graphs import Tiny

FLY = '{ name = "fly", joints = ["head", "tail", "wing"], bones = [[0, 1], [1, 2]] }'


def with_skeleton(folder: Path, table: str) -> Path:
    path = tiny_models.write(folder)
    path.write_text(path.read_text().replace('skeleton = "coco17"', f"skeleton = {table}"))
    return path


def test_a_skeleton_is_known_by_its_name(tmp_path: Path) -> None:
    assert read_manifest(tiny_models.write(tmp_path)).joints is COCO17


def test_a_manifest_may_bring_its_own_skeleton(tmp_path: Path) -> None:
    skeleton = read_manifest(with_skeleton(tmp_path, FLY)).joints
    assert skeleton.name == "fly"
    assert skeleton.joints == ("head", "tail", "wing")
    assert skeleton.bones == ((0, 1), (1, 2))
    assert skeleton.sigmas == (0.08, 0.08, 0.08)


def test_sigmas_of_its_own_are_kept(tmp_path: Path) -> None:
    table = FLY.replace(" }", ", sigmas = [0.01, 0.02, 0.03] }")
    assert read_manifest(with_skeleton(tmp_path, table)).joints.sigmas == (0.01, 0.02, 0.03)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('"octopus8"', "skeleton is 'octopus8', expected one of coco17,"),
        (FLY.replace("[1, 2]", "[1, 3]"), "skeleton.bones names a joint above 2, the last"),
        (FLY.replace('"tail"', '"head"'), "skeleton.joints names a joint twice"),
        (FLY.replace(" }", ", sigmas = [0.1] }"), "skeleton.sigmas has 1 numbers, expected 3"),
        (FLY.replace("joints", "joint"), "joint"),
        (FLY.replace(" }", ", sigmas = [0.0, 1.0, 1.0] }"), "sigmas"),
        ("3", "skeleton"),
    ],
    ids=["unknown", "bone", "twice", "sigmas", "key", "zero", "number"],
)
def test_a_skeleton_that_cannot_be_is_refused(table: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        read_manifest(with_skeleton(tmp_path, table))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'tiny.toml'}: ")
    assert said in message
    assert "\n" not in message


def boxes() -> bytes:
    """A model with a head of two boxes: [2, 8, 8, 3]."""
    tiny = Tiny()
    source = tiny.tensor((1, 16, 16, 3), "int8", (1 / 127.5, -1))
    return tiny.file([source], [tiny.shaped(tiny.conv(source, 6, (0.05, 3)), (2, 8, 8, 3))])


def head(**changes: object) -> list[dict[str, object]]:
    return [{"role": "heatmap", "output": 0, "shape": [2, 8, 8, 3], "dtype": "int8", **changes}]


def test_a_head_may_keep_its_first_axis(tmp_path: Path) -> None:
    path = tiny_models.write(tmp_path, content=boxes(), heads=head(batch_axis=False))
    with open_engine(config.Engine(model=str(path))) as engine:
        assert engine.heads["heatmap"].shape == (2, 8, 8, 3)
        heads = engine.run(np.zeros((16, 16, 3), np.int8))
        assert heads["heatmap"].shape == (2, 8, 8, 3)


def test_a_first_axis_that_is_no_batch_has_to_be_told(tmp_path: Path) -> None:
    path = tiny_models.write(tmp_path, content=boxes(), heads=head())
    with pytest.raises(ModelError, match=r"heads\[0\].shape is \[2, 8, 8, 3\], expected batch 1; .*batch_axis = false"):
        open_engine(config.Engine(model=str(path)))
