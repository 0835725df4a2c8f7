"""What a model file is when it is no .tflite, by its first bytes; and the .tflite files that lie in a bundle."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import NamedTuple

from edgepose.core.errors import ModelError

LFS_POINTER = b"version https://git-lfs"
TFLITE, ZIP = b"TFL3", b"PK\x03\x04"
MAX_MEMBERS = 64
MAX_MEMBER_BYTES = 1 << 28
EXPORT = "export it as .tflite with the framework it comes from"
CONVERT = "`edgepose models convert` makes a .tflite of it"


class Format(NamedTuple):
    """A kind of file that is no .tflite."""

    what: str
    next: str
    """What to do with it."""


STARTS: Mapping[bytes, Format] = {
    LFS_POINTER: Format("a git-lfs pointer, not the model itself", "run `git lfs pull`"),
    b"\x89HDF\r\n\x1a\n": Format("a Keras or HDF5 file (.h5)", "convert it with tf.lite.TFLiteConverter"),
    b"RKNN": Format("a Rockchip model (.rknn)", "take the .tflite or ONNX file it was made from"),
    b"\x01HEF": Format(
        "a model compiled for a Hailo chip (.hef)", "run it with --engine.delegate hailo --model FILE.hef"
    ),
    b"ftrt": Format("a TensorRT engine", "take the model it was made from"),
    b"ptrt": Format("a TensorRT engine", "take the model it was made from"),
    b"GGUF": Format("a GGUF file of a language model", "take a pose network as .tflite"),
    b"7767517\n": Format("a ncnn network (.param)", "take the model it was made from"),
    b"<!DOCTYPE": Format("a web page, not a model", "download the raw file"),
    b"<!doctype": Format("a web page, not a model", "download the raw file"),
    b"<html": Format("a web page, not a model", "download the raw file"),
    b"<?xml": Format("an XML file: OpenVINO's, if it is a model", EXPORT),
    b"\x1f\x8b": Format("a gzip archive", "unpack it, then import the .tflite in it"),
    b"\x80\x02": Format("a Python pickle: a PyTorch checkpoint of old", EXPORT),
}
"""First bytes -> what begins so."""
IN_ZIP: Mapping[str, Format] = {
    "data.pkl": Format("a PyTorch file (.pt)", EXPORT),
    "model.weights.h5": Format("a Keras file (.keras)", "convert it with tf.lite.TFLiteConverter"),
    ".npy": Format("an archive of numpy arrays (.npz)", EXPORT),
    "Manifest.json": Format("a CoreML package", EXPORT),
}
"""End of a member's name -> what has one."""
ONNX_FIELDS = b"\x12\x1a\x22\x28\x32\x3a\x42"
"""Keys of the fields that may follow the version of an ONNX file."""


def recognised(content: bytes) -> Format | None:
    """What a file is that is no .tflite; None: cannot tell."""
    for start, found in STARTS.items():
        if content.startswith(start):
            return found
    if content.startswith(ZIP):
        return _zip(content)
    if content[8:10] == b'{"' and int.from_bytes(content[:8], "little") <= len(content):
        return Format("a safetensors file: weights without a network", EXPORT)
    if len(content) > 3 and content[0] == 8 and 0 < content[1] < 32 and content[2] in ONNX_FIELDS:
        return Format("an ONNX model", CONVERT)
    return None


def check(content: bytes, where: str) -> None:
    """Refuse what is known to be something else.

    Raises:
        ModelError: naming it and what to do.
    """
    found = None if content[4:8] == TFLITE else recognised(content)
    if found:
        raise ModelError(f"{where}: is {found.what}; {found.next}")


def bundled(content: bytes, where: str) -> dict[str, bytes]:
    """The .tflite files in a .task or .zip bundle, by their names in it; empty: it is no bundle.

    Raises:
        ModelError: damaged, locked, or too much in it.
    """
    if content[4:8] == TFLITE or not content.startswith(ZIP):
        return {}
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith(".tflite")]
            if len(members) > MAX_MEMBERS or any(member.file_size > MAX_MEMBER_BYTES for member in members):
                raise ModelError(f"{where}: has more or larger models in it than any bundle; unpack it by hand")
            return {member.filename: archive.read(member) for member in members}
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:  # locked: RuntimeError
        raise ModelError(f"{where}: is a zip archive that cannot be opened ({error}); fetch it again") from None


def _zip(content: bytes) -> Format:
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return Format("a damaged zip archive", "fetch it again")
    if any(name.endswith(".tflite") for name in names):
        return Format("a bundle with .tflite files in it", "`edgepose models import` opens it")
    for end, found in IN_ZIP.items():
        if any(name.endswith(end) for name in names):
            return found
    return Format("a zip archive without a .tflite in it", "take the model as .tflite")
