"""Is what a delegate computes what the CPU computes? Told by one photograph with a person in it.

On noise the heads of two sound implementations of one quantised model are as far apart as those of a sound one and a
dead one; on a photograph they are not. Measured between XNNPACK and the built-in loops of LiteRT, on the shipped
models: a root of the mean square difference of 0.05 to 0.54 of a head's spread; nothing at all computed is 1 or more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core.errors import ConfigError
from edgepose.engine.bytemap import byte_map
from edgepose.engine.delegate.finding import Difference
from edgepose.engine.flatfile import Graph
from edgepose.engine.manifest import Manifest

PICTURE = Path(__file__).resolve().parents[2] / "lab" / "demo" / "pictures" / "astronaut.jpg"
SPREAD = 0.7
"""Of a head's spread on the CPU: how far a delegate may be off where the manifest says nothing."""
Array = NDArray[Any]


def probe_tensor(manifest: Manifest, graph: Graph) -> Array:
    """(1, H, W, 3) the photograph as the model's input.

    Raises:
        ConfigError: it is not where it was installed.
    """
    from edgepose.core.opencv import cv2

    image = cv2.imdecode(np.fromfile(PICTURE, np.uint8), cv2.IMREAD_COLOR) if PICTURE.is_file() else None
    if image is None:
        raise ConfigError(f"{PICTURE}: cannot be read; install edgepose again")
    _, height, width, _ = manifest.input.shape
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    if manifest.input.colour == "rgb":
        small = np.ascontiguousarray(small[..., ::-1])
    kind, table = byte_map(graph.inputs[0], manifest.input.range, manifest.name)
    if kind == "same":
        return small[None]
    if kind == "xor80":
        return np.bitwise_xor(small, 0x80).view(np.int8)[None]
    return np.asarray(table[small][None])


def differences(
    manifest: Manifest, graph: Graph, expected: Sequence[Array], came: Sequence[Array]
) -> dict[str, Difference]:
    """Role -> how far a head is off; heads in the order of the graph's outputs."""
    return {
        head.role: _difference(
            expected[head.output], came[head.output], graph.outputs[head.output].scale,
            manifest.delegates.tolerance.get(head.role),
        )
        for head in manifest.heads
    }  # fmt: skip


def _difference(expected: Array, came: Array, scale: float, tolerance: float | None) -> Difference:
    # widened first: int8 - int8 wraps
    good = expected.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):  # a broken delegate may give inf and NaN
        off = float(np.sqrt(np.mean(np.square(came.astype(np.float64) - good))))
    if tolerance is None:
        tolerance = SPREAD * max(float(np.std(good)), 1.0 if expected.dtype.kind != "f" else 1e-6) * scale
    return Difference(off * scale, tolerance)


def said(heads: Mapping[str, Difference]) -> str:
    """The heads that are off, for a message; empty: none."""
    return ", ".join(
        f"{role} is off by {head.off:.3g} of at most {head.tolerance:.3g}" for role, head in heads.items() if head.bad
    )
