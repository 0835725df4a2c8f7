"""Recognises models by the shapes of their heads alone."""

from __future__ import annotations

import math
from typing import Any

from edgepose.engine.surgery.found import Found, is_map, stride_of
from edgepose.engine.surgery.net import Net, Value
from edgepose.engine.surgery.personlab import personlab

SCALING = ("QUANTIZE", "DEQUANTIZE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
"""Operators behind a heatmap that add nothing a decoder does not do better."""
PARTS, FIELDS = 18, 38
"""OpenPose's COCO model: parts (a background may follow them) and channels of the fields."""
OPENPOSE_SPAN = (-0.5, 0.5)
"""OpenPose and lightweight OpenPose take byte / 256 - 0.5."""
HEAD_FIRST = {"channels": [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0, 1]}
"""PoseEstimationForMobile's and OpenPose's MPI order, head top and neck first, as aic14's joints."""
HEATMAPS: dict[int, tuple[str, dict[str, Any], str]] = {
    13: ("body13", {}, "13 joints are taken as nose, then left and right shoulder, elbow, wrist, hip, knee, ankle"),
    14: (
        "aic14",
        HEAD_FIRST,
        "14 joints are taken as those of PoseEstimationForMobile, head top first; "
        "where they come as in AI Challenger's own files, right shoulder first, remove decoder.options.channels",
    ),
    15: ("aic14", HEAD_FIRST, "15 maps are taken as 14 joints, head top first, and a background"),
    16: ("mpii16", {}, "16 joints are taken as those of MPII"),
    17: ("coco17", {}, "17 joints are taken as those of COCO; set skeleton = 'h36m17' if they are Human3.6M's"),
    33: ("blazepose33", {}, ""),
}
"""Joints of a heatmap model -> skeleton, more decoder options, a warning where others have as many."""


LEAST_DEPTH = 16
"""Depth cells of a volume: fewer are channels of something else."""
VOLUMES = {16: "mpii16", 17: "h36m17"}


def posenet_heads(net: Net) -> Found | None:
    """PoseNet without a decoder operator."""
    return personlab(net, [net.same_values(index) for index in net.outputs])


def paf(net: Net) -> Found | None:
    """OpenPose: heatmaps and part affinity fields, apart or in one head; the last stage of several."""
    outputs = [net.same_values(index, SCALING) for index in net.outputs]
    if len(outputs) == 1:
        joined = net.made_by(outputs[0], "CONCATENATION")
        apart = [] if joined is None else [net.same_values(index, SCALING) for index in joined.inputs if index >= 0]
        outputs = apart if _paf_heads(net, apart) else outputs
    heads, options = _paf_heads(net, outputs), {}
    if heads is None and len(outputs) == 1:
        value = net.values[outputs[0]]
        count = value.shape[3] - FIELDS if is_map(value) else 0
        if count in (PARTS, PARTS + 1):
            heads, options = {"heatmap_paf": value}, {"paf_at": count}
    if heads is None:
        return None
    stride = stride_of(net, next(iter(heads.values())))
    return Found(
        what="OpenPose, COCO parts",
        decoder="paf",
        heads={role: value.index for role, value in heads.items()},
        skeleton="openpose18",
        options={"stride": stride, **options, "min_person_score": 0.2, "min_joint_score": 0.1},
        colour="bgr",  # as OpenPose, tf-pose-estimation and lightweight OpenPose read pictures
        span=OPENPOSE_SPAN,
        warnings=[INPUT_UNKNOWN] if is_float(net) and not _normalises(net) else [],
    )


def _normalises(net: Net) -> bool:
    """Whether the first convolution's output is brought to mean 0 and spread 1, whatever the range of the input."""
    first = net.readers.get(net.picture.index, [])
    after = [op.name for op in net.readers.get(first[0].outputs[0], [])] if first and first[0].outputs else []
    return "MEAN" in after and "SQUARED_DIFFERENCE" in after


def _paf_heads(net: Net, tensors: list[int]) -> dict[str, Value] | None:
    """Of heatmaps and fields of one size the last of each."""
    values = [net.values[index] for index in tensors]
    maps = [value for value in values if is_map(value)]
    heat = [value for value in maps if value.shape[3] in (PARTS, PARTS + 1)]
    fields = [value for value in maps if value.shape[3] == FIELDS]
    if not heat or not fields or heat[-1].shape[1:3] != fields[-1].shape[1:3]:
        return None
    return {"heatmap": heat[-1], "paf": fields[-1]}


def heatmap(net: Net) -> Found | None:
    """A top-down network: one map per joint of one person; of several stages the last."""
    values = [net.values[net.same_values(index, SCALING)] for index in net.outputs]
    joints = {value.shape[3] for value in values if is_map(value)}
    if len(joints) != 1 or not all(is_map(value) for value in values) or not joints <= set(HEATMAPS):
        return None
    head = values[-1]
    skeleton, options, warning = HEATMAPS[head.shape[3]]
    bare = head.shape[3] in (14, 15) and is_float(net)
    return Found(
        what=f"heatmaps of {head.shape[3]} joints",
        decoder="heatmap",
        heads={"heatmap": head.index},
        skeleton=skeleton,
        options={
            "stride": float(stride_of(net, head)),
            **options,
            "min_person_score": 0.2,
            "min_joint_score": 0.2,
        },
        colour="bgr" if bare else "rgb",
        span=(0.0, 255.0) if bare else None,
        warnings=[*([warning] if warning else []), *([INPUT_UNKNOWN] if is_float(net) and not bare else [])],
    )


EFFICIENTPOSE = [12, 11, 10, 13, 14, 15, 9, 5, 1, 0, 4, 3, 2, 6, 7, 8]
"""Channel of each of mpii16's joints in its maps: head top, neck, right arm, thorax, left arm, pelvis, legs."""


def efficientpose(net: Net) -> Found | None:
    """EfficientPose: maps of 16 joints as large as the picture; what else it gives only led there."""
    values = [net.values[net.same_values(index)] for index in net.outputs]
    size = (*net.picture.shape[:3], 16)
    large = [value for value in values if value.shape == size]
    if len(large) != 1 or not all(is_map(value) for value in values):
        return None
    return Found(
        what="EfficientPose, heatmaps of 16 joints",
        decoder="heatmap",
        heads={"heatmap": large[0].index},
        skeleton="mpii16",
        options={"stride": 1.0, "channels": EFFICIENTPOSE, "min_person_score": 0.2, "min_joint_score": 0.2},
        warnings=[INPUT_UNKNOWN] if is_float(net) else [],
    )


def higherhrnet(net: Net) -> Found | None:
    """Associative embedding: one head of heatmaps and tags, alone or with finer heatmaps beside it."""
    maps = [net.values[net.same_values(index)] for index in net.outputs]
    both = [value for value in maps if is_map(value, 34)]
    finer = [value for value in maps if is_map(value, 17) and both and _is_finer(value, both[0])]
    if len(both) != 1 or len(maps) != 1 + len(finer) or len(finer) > 1:
        return None
    heads = {"heatmap": finer[0], "tag": both[0]} if finer else {"heatmap": both[0]}
    return Found(
        what="HigherHRNet, 17 joints",
        decoder="ae",
        heads={role: value.index for role, value in heads.items()},
        skeleton="coco17",
        options={"stride": stride_of(net, heads["heatmap"]), "min_person_score": 0.2, "min_joint_score": 0.1},
        warnings=[
            "17 heatmaps, then 17 tags are taken as associative embedding's",
            *([INPUT_UNKNOWN] if is_float(net) else []),
        ],
    )


def _is_finer(value: Value, than: Value) -> bool:
    """Whether a map is another one's, a whole factor larger."""
    height, width = than.shape[1:3]
    factor = value.shape[1] // height
    return factor > 1 and value.shape[1:3] == (height * factor, width * factor)


def heatmap_depth(net: Net) -> Found | None:
    """One person's heatmaps and a depth of each joint."""
    values = [net.values[net.same_values(index)] for index in net.outputs]
    maps = [value for value in values if is_map(value) and value.shape[3] in HEATMAPS]
    if len(values) != 2 or len(maps) != 1:
        return None
    depth = values[1 - values.index(maps[0])]
    joints = maps[0].shape[3]
    if math.prod(depth.shape) != joints or is_map(depth):
        return None
    skeleton, options, warning = HEATMAPS[joints]
    return Found(
        what=f"heatmaps of {joints} joints and their depths",
        decoder="heatmap_depth",
        heads={"heatmap": maps[0].index, "depth": depth.index},
        skeleton=skeleton,
        options={"stride": float(stride_of(net, maps[0])), **options, "min_person_score": 0.2, "min_joint_score": 0.2},
        warnings=[*([warning] if warning else []), *([INPUT_UNKNOWN] if is_float(net) else [])],
    )


def integral(net: Net) -> Found | None:
    """Volumes: as many depth cells for each joint as the map has rows."""
    values = [net.values[net.same_values(index)] for index in net.outputs]
    if len(values) != 1 or not is_map(values[0]):
        return None
    _, rows, columns, channels = values[0].shape
    joints = channels // rows
    if rows != columns or rows < LEAST_DEPTH or channels != joints * rows or joints not in VOLUMES:
        return None
    return Found(
        what=f"volumes of {joints} joints",
        decoder="integral",
        heads={"heatmap": values[0].index},
        skeleton=VOLUMES[joints],
        options={
            "stride": float(stride_of(net, values[0])),
            "depth": rows,
            "min_person_score": 0.2,
            "min_joint_score": 0.2,
        },
        warnings=[
            f"{joints} joints are taken as those of {VOLUMES[joints]}",
            *([INPUT_UNKNOWN] if is_float(net) else []),
        ],
    )


def score_maps(net: Net) -> Found | None:
    """Part score maps and where in a cell each part lies (DeeperCut, DeepLabCut), any animal."""
    values = [net.values[net.same_values(index)] for index in net.outputs]
    if len(values) != 2 or not all(is_map(value) for value in values):
        return None
    heat, locref = sorted(values, key=lambda value: value.shape[3])
    joints = heat.shape[3]
    if locref.shape != (*heat.shape[:3], 2 * joints):
        return None
    own = {"name": f"parts{joints}", "joints": [f"part_{number}" for number in range(joints)]}
    return Found(
        what=f"score maps of {joints} parts",
        decoder="scmap",
        heads={"heatmap": heat.index, "locref": locref.index},
        skeleton=own,
        options={"stride": stride_of(net, heat), "min_person_score": 0.1, "min_joint_score": 0.1},
        span=(0.0, 255.0),
        warnings=["the file does not name its parts: write their names into skeleton.joints, and skeleton.bones"],
    )


INPUT_UNKNOWN = (
    "the file does not say which numbers its input takes: input.range is a guess, and input.colour too; "
    "compare a few pictures with the program the model comes from"
)


def is_float(net: Net) -> bool:
    """Whether its input is no byte: its range is not told by the file."""
    return net.picture.dtype == "float32"
