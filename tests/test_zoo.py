"""Models are found by name or path, and one that is damaged or contradicts its manifest is refused in one line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgepose.core.errors import ModelError
from edgepose.engine.manifest import read_manifest
from edgepose.engine.zoo import find_model, list_models, shipped_dir, verify_model
from samples import tiny_models
from samples.shared import shared

SHIPPED = sorted(shipped_dir().glob("*.toml"))


def refused(call: Callable[[], Any], *words: str) -> None:
    """`call` raises a ModelError of one line that holds each of `words`."""
    with pytest.raises(ModelError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


# ------------------------------------------------------------------------------------------------ finding


def test_a_model_is_found_by_name_in_the_users_folder_and_by_both_paths(tmp_path: Path) -> None:
    manifest = tiny_models.write(tmp_path, "mine")
    assert find_model("mine", str(tmp_path)) == manifest
    assert find_model(str(manifest)) == manifest
    assert find_model(str(tmp_path / "mine.tflite")) == manifest


def test_a_path_may_start_at_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    manifest = tiny_models.write(tmp_path, "mine")
    assert find_model("~/mine.tflite") == manifest
    assert find_model("mine", "~") == manifest


def test_a_file_in_the_current_folder_is_found_by_its_bare_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = tiny_models.write(tmp_path, "mine")
    monkeypatch.chdir(tmp_path)
    assert find_model("mine.tflite").resolve() == manifest


def test_the_users_folder_comes_before_the_shipped_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped, mine = tmp_path / "shipped", tmp_path / "mine"
    shipped.mkdir()
    mine.mkdir()
    for name in ("one", "two"):
        tiny_models.write(shipped, name)
    tiny_models.write(mine, "two")
    monkeypatch.setattr("edgepose.engine.zoo.shipped_dir", lambda: shipped)
    assert list_models() == [shipped / "one.toml", shipped / "two.toml"]
    assert list_models(str(mine)) == [mine / "two.toml", shipped / "one.toml"]
    assert find_model("two", str(mine)) == mine / "two.toml"


def test_an_unknown_name_gets_the_nearest_and_the_list(tmp_path: Path) -> None:
    tiny_models.write(tmp_path, "walking_pose")
    refused(
        lambda: find_model("waking_pose", str(tmp_path)),
        "no model 'waking_pose'; did you mean walking_pose?",
        "there are: walking_pose",
    )


@pytest.mark.parametrize("name", ["", "..", "nul\0byte", "x" * 5000, "a\nb"])
def test_a_strange_name_is_an_unknown_model(name: str, tmp_path: Path) -> None:
    tiny_models.write(tmp_path)
    refused(lambda: find_model(name, str(tmp_path)), "no model")


@pytest.mark.parametrize("path", ["nul\0/byte.tflite", "x" * 5000 + "/a.toml", "no/such.tflite", "no/such.toml"])
def test_a_path_that_leads_nowhere_is_said_to_lead_nowhere(path: str) -> None:
    refused(lambda: find_model(path), "no such file")


def test_a_folder_of_models_that_is_not_there_is_named(tmp_path: Path) -> None:
    refused(lambda: list_models(str(tmp_path / "gone")), "engine.models_dir", "gone: no such folder")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_of_models_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o000)
    refused(lambda: list_models(str(locked)), "engine.models_dir", "locked: cannot be read")


def test_a_model_file_without_a_manifest_says_what_is_missing(tmp_path: Path) -> None:
    tiny_models.write(tmp_path).unlink()
    refused(lambda: find_model(str(tmp_path / "tiny.tflite")), "tiny.tflite: has no manifest tiny.toml beside it")


def test_a_manifest_of_another_file_is_not_taken_for_this_one(tmp_path: Path) -> None:
    tiny_models.write(tmp_path, file="other.tflite")
    refused(lambda: find_model(str(tmp_path / "tiny.tflite")), "tiny.toml: file is 'other.tflite'")


@pytest.mark.parametrize("suffix", ["tflite", "toml"])
def test_a_folder_is_no_model(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"tiny.{suffix}").mkdir()
    refused(lambda: find_model(str(tmp_path / f"tiny.{suffix}")), "is a folder")


def test_a_file_of_another_kind_is_no_model(tmp_path: Path) -> None:
    refused(lambda: find_model(str(tmp_path / "model.onnx")), "model.onnx: is neither a .tflite nor a .toml file")


# ------------------------------------------------------------------------------------------------ verifying


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_model_agrees_with_its_manifest(path: Path) -> None:
    manifest, graph, content = verify_model(path)
    assert manifest.name == path.stem
    assert graph.inputs[0].shape == manifest.input.shape
    assert content == path.with_suffix(".tflite").read_bytes()


@pytest.mark.parametrize("dtype", tiny_models.QUANTISED)
def test_a_sound_model_is_accepted(tmp_path: Path, dtype: str) -> None:
    manifest, graph, content = verify_model(tiny_models.write(tmp_path, dtype=dtype))
    assert manifest.input.dtype == graph.inputs[0].dtype == dtype
    assert content == tiny_models.build(dtype)


def test_a_missing_model_file_is_named_with_its_manifest(tmp_path: Path) -> None:
    path = tiny_models.write(tmp_path)
    path.with_suffix(".tflite").unlink()
    refused(lambda: verify_model(path), "tiny.tflite: no such file, but tiny.toml names it; restore it")


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    refused(lambda: verify_model(tmp_path / "tiny.toml"), "tiny.toml: no such file")


def test_a_folder_in_place_of_the_model_is_refused(tmp_path: Path) -> None:
    path = tiny_models.write(tmp_path)
    path.with_suffix(".tflite").unlink()
    path.with_suffix(".tflite").mkdir()
    refused(lambda: verify_model(path), "tiny.tflite: is not a file; tiny.toml needs the model there")


def test_a_device_in_place_of_the_model_is_not_read_for_ever(tmp_path: Path) -> None:
    path = tiny_models.write(tmp_path)
    path.with_suffix(".tflite").unlink()
    path.with_suffix(".tflite").symlink_to("/dev/zero")
    refused(lambda: verify_model(path), "is not a file")


def test_an_enormous_model_file_is_not_read(tmp_path: Path) -> None:
    path = tiny_models.write(tmp_path)
    os.truncate(path.with_suffix(".tflite"), 1 << 34)
    refused(lambda: verify_model(path), "has 16384 MiB, expected at most 256; ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("suffix", [".toml", ".tflite"])
def test_an_unreadable_file_is_named(tmp_path: Path, suffix: str) -> None:
    path = tiny_models.write(tmp_path)
    path.with_suffix(suffix).chmod(0)
    refused(lambda: verify_model(path), f"tiny{suffix}: cannot be read: Permission denied")


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "one bit flipped": lambda content: content[:-200] + bytes([content[-200] ^ 1]) + content[-199:],
    "git-lfs pointer": lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "text": lambda _: b"not found\n",
    "another model": lambda _: tiny_models.build("uint8"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_file_that_is_not_the_one_of_the_manifest_is_refused(tmp_path: Path, case: str) -> None:
    path = tiny_models.write(tmp_path)
    model = path.with_suffix(".tflite")
    model.write_bytes(DAMAGED[case](model.read_bytes()))
    refused(lambda: verify_model(path), str(model), "; ")


@pytest.mark.parametrize("case", [case for case in DAMAGED if case not in ("one bit flipped", "another model")])
def test_a_damaged_file_with_a_manifest_made_for_it_is_still_refused(tmp_path: Path, case: str) -> None:
    path = tiny_models.write(tmp_path, content=DAMAGED[case](tiny_models.build()))
    refused(lambda: verify_model(path), "tiny.tflite: ", "; ")


HEADS: list[dict[str, Any]] = [
    {"role": "heatmap", "output": 0, "shape": [1, 8, 8, 3], "dtype": "int8"},
    {"role": "offset", "output": 1, "shape": [1, 8, 8, 6], "dtype": "int8"},
]
LIES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "sha256": ({"sha256": "0" * 64}, ("tiny.tflite: sha256 is", "tiny.toml says 000000000000...")),
    "input shape": (
        {"input": {"shape": [1, 32, 16, 3]}},
        ("tiny.toml: input.shape is [1, 32, 16, 3], but the model has [1, 16, 16, 3]",),
    ),
    "input dtype": (
        {"input": {"dtype": "uint8"}},
        ("tiny.toml: input.dtype is 'uint8', but the model has 'int8'",),
    ),
    "head shape": (
        {"heads": [HEADS[0], HEADS[1] | {"shape": [1, 8, 8, 3]}]},
        ("tiny.toml: heads[1].shape is [1, 8, 8, 3], but the model has [1, 8, 8, 6]",),
    ),
    "head dtype": (
        {"heads": [HEADS[0] | {"dtype": "float32"}, HEADS[1]]},
        ("tiny.toml: heads[0].dtype is 'float32', but the model has 'int8'",),
    ),
    "heads swapped": (
        {"heads": [HEADS[0] | {"output": 1}, HEADS[1] | {"output": 0}]},
        ("heads[0].shape is [1, 8, 8, 3], but the model has [1, 8, 8, 6]",),
    ),
    "a head too few": ({"heads": HEADS[:1]}, ("heads name outputs [0], but the model has 2; name each once",)),
    "a head too many": (
        {"heads": [*HEADS, HEADS[0] | {"role": "more", "output": 2}]},
        ("heads name outputs [0, 1, 2], but the model has 2",),
    ),
    "one output twice": ({"heads": [HEADS[0], HEADS[1] | {"output": 0}]}, ("heads name outputs [0, 0]",)),
    "one role twice": ({"heads": [HEADS[0], HEADS[1] | {"role": "heatmap"}]}, ("heads name a role twice: heatmap",)),
    "unknown skeleton": ({"skeleton": "dog"}, ("skeleton is 'dog', expected one of coco17",)),
    "unknown key": ({"colour": "rgb"}, ("tiny.toml: colour is not a setting",)),
    "another folder's file": ({"file": "../tiny.tflite"}, ("tiny.toml: file is '../tiny.tflite'",)),
}


@pytest.mark.parametrize("case", LIES)
def test_a_manifest_that_does_not_fit_its_model_is_refused(tmp_path: Path, case: str) -> None:
    changes, words = LIES[case]
    path = tiny_models.write(tmp_path, **changes)
    refused(lambda: verify_model(path), *words)


@pytest.mark.parametrize(("field", "size"), [("batch", 2), ("channels", 1), ("channels", 4)])
def test_an_input_that_is_not_one_colour_picture_is_refused(tmp_path: Path, field: str, size: int) -> None:
    sizes = {"batch": 1, "channels": 3, field: size}
    content = tiny_models.build(batch=sizes["batch"], channels=sizes["channels"])
    heads = [head | {"shape": [sizes["batch"], *head["shape"][1:]]} for head in HEADS]
    shape = [sizes["batch"], 16, 16, sizes["channels"]]
    path = tiny_models.write(tmp_path, content=content, input={"shape": shape}, heads=heads)
    refused(lambda: verify_model(path), f"input.shape is {shape}, expected batch 1 and 3 colour channels")


def test_an_edge_tpu_build_says_that_it_needs_a_coral(tmp_path: Path) -> None:
    path = tiny_models.write(tmp_path, content=tiny_models.build(custom_op="edgetpu-custom-op"))
    refused(
        lambda: verify_model(path), "tiny.tflite: this model needs a Coral Edge TPU; use the build of it for the CPU"
    )


def test_an_unknown_custom_operator_is_named(tmp_path: Path) -> None:
    path = tiny_models.write(tmp_path, content=tiny_models.build(custom_op="Posenet\nDecoderOp"))
    refused(lambda: verify_model(path), r"operators that no TFLite runtime brings along: 'Posenet\nDecoderOp'; use")


def test_a_manifest_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tiny_models.write(tmp_path)
    path.write_bytes(b"\xff\xfe\x00")
    refused(lambda: verify_model(path), "tiny.toml: not valid TOML")


def test_the_shipped_models_lie_in_the_package_once_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another project's folder called models beside the package is not taken for ours."""
    package = tmp_path / "site-packages" / "edgepose"
    (package / "engine").mkdir(parents=True)
    (tmp_path / "site-packages" / "models").mkdir()
    monkeypatch.setattr("edgepose.engine.zoo.__file__", str(package / "engine" / "zoo.py"))
    assert shipped_dir() == package / "models"


def test_a_stock_model_needs_nothing_but_a_manifest(tmp_path: Path) -> None:
    source = shared("models/hourglass_192_aic14_float.tflite")
    head = {"role": "heatmap", "output": 0, "shape": [1, 48, 48, 14], "dtype": "float32"}
    path = tiny_models.write(
        tmp_path,
        "hourglass",
        source.read_bytes(),
        "float32",
        input={"shape": [1, 192, 192, 3], "range": [0.0, 255.0]},
        heads=[head],
    )
    assert verify_model(path)[0] == read_manifest(path)


@pytest.mark.parametrize("path", list_models(), ids=lambda path: path.stem)
def test_reading_only_the_ends_of_a_sound_file_gives_the_same_ends(path: Path) -> None:
    whole, ends = verify_model(path)[1], verify_model(path, known=True)[1]
    assert (ends.inputs, ends.outputs) == (whole.inputs, whole.outputs)
    assert set(ends.ops) == set(whole.ops)
