"""What a file is, and how large a picture in it is, by its first bytes: nothing is decoded, no name is believed."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

SIGNATURES: tuple[tuple[str, str], ...] = (
    ("JPEG", r"\xff\xd8\xff"),
    ("PNG", r"\x89PNG\r\n\x1a\n"),
    ("GIF", r"GIF8[79]a"),
    ("WebP", r"RIFF....WEBP"),
    ("BMP", r"BM....\0\0\0\0....[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0"),
    ("TIFF", r"II[\x2a\x2b]\0|MM\0[\x2a\x2b]"),
    ("JPEG 2000", r"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"),
    ("PNM", r"P[1-6](?:[ \t\r\n]|#[^\n]{0,999}\n){1,99}\d|P7\n|P[fF]\n\d"),
    ("Sun raster", r"\x59\xa6\x6a\x95"),
    ("Radiance HDR", r"#\?RADIANCE|#\?RGBE"),
    ("animated AVIF", r"....ftypavis"),
    ("AVIF", r"....ftypavif|....ftypmif1.{0,24}avif"),
    ("HEIC", r"....ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)"),
    ("JPEG XL", r"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n"),
    ("OpenEXR", r"\x76\x2f\x31\x01"),
    ("Photoshop", r"8BPS\0"),
    ("Windows icon", r"\0\0[\x01\x02]\0[\x01-\xff]\0"),
    ("SVG", r"\s*(?:<\?xml[^>]{0,200}>\s*)?(?:<!--.{0,400}?-->\s*)?(?:<!DOCTYPE svg[^>]{0,200}>\s*)?<svg"),
)
"""Kind of picture -> what files of it begin with; the first that fits."""
_SIGNATURES = tuple((kind, re.compile(start.encode("latin-1"), re.DOTALL)) for kind, start in SIGNATURES)

FOREIGN = frozenset(("HEIC", "JPEG XL", "OpenEXR", "Photoshop", "Windows icon", "SVG"))
"""Kinds that OpenCV, as it is installed by pip and by Debian, never reads."""
MOVING = frozenset(("animated AVIF", "animated GIF"))
"""Kinds that are videos."""
ENOUGH = 1 << 16
"""Bytes from a file's start that tell its kind and, but for odd ones, its size."""


def picture_kind(head: bytes) -> str:
    """The kind of picture that begins so; empty: none that is known."""
    kind = next((kind for kind, start in _SIGNATURES if start.match(head)), "")
    return "animated GIF" if kind == "GIF" and gif_frames(head) > 1 else kind


def picture_size(head: bytes) -> tuple[int, int] | None:
    """Width and height that a picture claims, before it is turned; None where they cannot be told from `head`."""
    kind = picture_kind(head).removeprefix("animated ")
    try:
        return SIZES[kind](head) if kind in SIZES else None
    except (struct.error, IndexError, ValueError):
        return None


def _png(head: bytes) -> tuple[int, int] | None:
    width, height = struct.unpack_from(">II", head, 16)
    return width, height


def _gif(head: bytes) -> tuple[int, int] | None:
    width, height = struct.unpack_from("<HH", head, 6)
    return width, height


def _bmp(head: bytes) -> tuple[int, int] | None:
    if head[14] == 12:  # OS/2
        width, height = struct.unpack_from("<HH", head, 18)
    else:
        width, height = map(abs, struct.unpack_from("<ii", head, 18))
    return width, height


def _webp(head: bytes) -> tuple[int, int] | None:
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8L":
        (bits,) = struct.unpack_from("<I", head, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", head, 26)
    return width & 0x3FFF, height & 0x3FFF


def _jpeg(head: bytes) -> tuple[int, int] | None:
    """Of the first frame header; segments before it are stepped over."""
    at = 2
    while head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xFF:  # fill
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", head, at + 5)
            return width, height
        else:
            at += 2 + max(2, struct.unpack_from(">H", head, at + 2)[0])
    return None


def _tiff(head: bytes) -> tuple[int, int] | None:
    """Of the first directory, where that lies in the head; most writers put it at the end."""
    order = "<" if head[:2] == b"II" else ">"
    magic, at = struct.unpack_from(f"{order}HI", head, 2)
    if magic != 42:  # BigTIFF
        return None
    sides: dict[int, int] = {}
    for index in range(struct.unpack_from(f"{order}H", head, at)[0]):
        tag, form, _, number = struct.unpack_from(f"{order}HHII", head, at + 2 + 12 * index)
        if tag in (256, 257):
            sides[tag] = number if form == 4 else struct.unpack_from(f"{order}H", head, at + 10 + 12 * index)[0]
    return (sides[256], sides[257]) if len(sides) == 2 else None


def _jpeg2000(head: bytes) -> tuple[int, int] | None:
    at = head.find(b"\xff\x4f\xff\x51")
    if at < 0:
        return None
    right, bottom, left, top = struct.unpack_from(">IIII", head, at + 8)
    return right - left, bottom - top


def _pnm(head: bytes) -> tuple[int, int] | None:
    if head[1:2] == b"7":
        named = dict(re.findall(rb"\n(WIDTH|HEIGHT) +(\d{1,10})\b", head[:4096]))
        return (int(named[b"WIDTH"]), int(named[b"HEIGHT"])) if len(named) == 2 else None
    found = re.match(rb"P.(?:\s|#[^\n]*\n)*(\d{1,10})(?:\s|#[^\n]*\n)+(\d{1,10})\s", head[:4096])
    return (int(found[1]), int(found[2])) if found else None


def _sun(head: bytes) -> tuple[int, int] | None:
    width, height = struct.unpack_from(">II", head, 4)
    return width, height


def _hdr(head: bytes) -> tuple[int, int] | None:
    found = re.search(rb"\n[-+]Y (\d{1,10}) [-+]X (\d{1,10})\n", head[:4096])
    return (int(found[2]), int(found[1])) if found else None


def _isobmff(head: bytes) -> tuple[int, int] | None:
    """The largest of the image spatial extents."""
    found = [struct.unpack_from(">II", head, each.end() + 4) for each in re.finditer(b"ispe", head[:ENOUGH])]
    return max(found, key=lambda size: size[0] * size[1]) if found else None


SIZES: dict[str, Callable[[bytes], tuple[int, int] | None]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "WebP": _webp,
    "BMP": _bmp,
    "TIFF": _tiff,
    "JPEG 2000": _jpeg2000,
    "PNM": _pnm,
    "Sun raster": _sun,
    "Radiance HDR": _hdr,
    "AVIF": _isobmff,
}
"""Kind -> its reader of width and height."""


def gif_frames(data: bytes) -> int:
    """Pictures that begin in what is there of a GIF, 2 at most."""
    frames, at = 0, 13 + _table(data, 10)
    while frames < 2 and at < len(data):
        mark, at = data[at], at + 1
        if mark == 0x21:  # an extension: its label, then blocks
            at = _after_blocks(data, at + 1)
        elif mark == 0x2C:  # a picture: its place, its colours, its code size, then blocks
            frames += 1
            at = _after_blocks(data, at + 10 + _table(data, at + 8))
        else:
            break
    return frames


def _table(data: bytes, at: int) -> int:
    """Bytes of a colour table that the flags at a place tell of."""
    return 3 << (data[at] & 7) + 1 if at < len(data) and data[at] & 0x80 else 0


def _after_blocks(data: bytes, at: int) -> int:
    """Where a row of blocks, each with its length in front, ends with an empty one."""
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1
