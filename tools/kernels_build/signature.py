"""What a kernel takes, as its line in EXPORTS says: "int64(q[:,::1], q, out float32[::1])".

`q` is the type of the raw heads: the kernel is compiled for each there is. `out` is an array the kernel writes to.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

RAW_TYPES = ("int8", "uint8", "int16", "float32")
"""What `q` stands for."""
TYPES = (*RAW_TYPES, "int32", "int64", "float64", "q")


@dataclass(frozen=True)
class Argument:
    """One argument of a kernel."""

    name: str
    type: str
    """Element type, or q."""
    ndim: int
    """0: a number."""
    out: bool
    """The kernel writes to it."""

    def wanted(self) -> str:
        """What whoever passes something else is told."""
        kinds = f"{', '.join(RAW_TYPES)}, one type for all raw heads" if self.type == "q" else self.type
        if not self.ndim:
            return f"a number, {kinds}"
        return f"a C-contiguous, aligned{', writable' * self.out} numpy array with {self.ndim} axes, {kinds}"


@dataclass(frozen=True)
class Signature:
    """A kernel's line in EXPORTS, read."""

    kernel: str
    arguments: tuple[Argument, ...]
    result: str
    """"int64" or "void"."""

    @property
    def chooser(self) -> int | None:
        """Place of the array whose type chooses the variant."""
        return next((at for at, one in enumerate(self.arguments) if one.type == "q" and one.ndim), None)

    @property
    def variants(self) -> tuple[str, ...]:
        """What q may be; ("",) for a kernel without raw heads."""
        return ("",) if self.chooser is None else RAW_TYPES

    def refusals(self) -> list[str]:
        """What a wrong number of arguments is answered, each wrong argument, and what a kernel raises itself."""
        head = f"edgepose kernel {self.kernel}: "
        return [
            f"{head}takes exactly {len(self.arguments)} arguments",
            *(f"{head}argument {at} ({one.name}) must be {one.wanted()}" for at, one in enumerate(self.arguments, 1)),
            f"{head}cannot work on these arguments",
        ]


def parse(kernel: str, text: str, names: Sequence[str]) -> Signature:
    """Read a line of EXPORTS; `names` are those of the kernel's arguments.

    Raises:
        ValueError: it is not in that form; says where.
    """
    whole = re.fullmatch(r"\s*(void|int64)\s*\((.*)\)\s*", text)
    if not whole:
        raise ValueError(f"EXPORTS[{kernel!r}] is {text!r}, expected void(...) or int64(...)")
    parts = [part.strip() for part in re.split(r",(?![^\[]*\])", whole[2]) if part.strip()]
    kinds = [_kind(part, kernel) for part in parts]
    if len(names) != len(kinds):
        raise ValueError(f"EXPORTS[{kernel!r}] has {len(kinds)} arguments, the kernel {len(names)}")
    arguments = (Argument(name, *kind) for name, kind in zip(names, kinds, strict=True))
    signature = Signature(kernel, tuple(arguments), whole[1])
    if signature.chooser is None and any(one.type == "q" for one in signature.arguments):
        raise ValueError(f"EXPORTS[{kernel!r}] has a raw number but no raw array to tell its type")
    return signature


def _kind(part: str, kernel: str) -> tuple[str, int, bool]:
    """Type, axes, whether it is written to."""
    found = re.fullmatch(r"(out\s+)?(\w+)(?:\[((?:\s*:\s*,)*)\s*::1\s*\])?", part)
    if not found or found[2] not in TYPES or (found[1] and found[3] is None):
        raise ValueError(f"EXPORTS[{kernel!r}]: {part!r} is neither a number nor a C-contiguous array of them")
    ndim = 0 if found[3] is None else found[3].count(",") + 1
    return found[2], ndim, found[1] is not None
