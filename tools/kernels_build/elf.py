"""Makes a shared library of one object file, for either processor on any machine, the same bytes every time.

Only what LLVM writes for kernels is known: code, constants, calls to functions of the process. Anything else is
refused, never guessed; data that is written to as well, which only a kernel that raises has.
Source: the System V ABI (gabi), its x86-64 supplement, and ELF for the Arm 64-bit Architecture.

The file: headers, symbols, constants, code, jumps to outside functions (read and executed) | dynamic table, addresses
of outside functions (the loader writes them).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

ALLOC, WRITABLE, THREAD_LOCAL = 2, 1, 0x400
PROGBITS, SYMTAB, RELA = 1, 2, 4
PAGE = 0x10000
"""Segments begin on pages of their own, whatever page size the kernel has: 4 KiB, a Raspberry Pi 5's 16, up to 64."""


class LinkError(Exception):
    """The object file needs more than is done here; says what."""


@dataclass
class _Section:
    name: str
    type: int
    flags: int
    data: bytearray
    align: int
    relocations: list[tuple[int, int, int, int]] = field(default_factory=list)
    """Offset, kind, symbol, addend."""
    address: int = 0


@dataclass(frozen=True)
class _Symbol:
    name: str
    section: int
    """0: outside."""
    value: int


class Object:
    """A relocatable object file, read."""

    def __init__(self, content: bytes) -> None:
        """Read sections, symbols, relocations.

        Raises:
            LinkError: not a 64-bit little-endian object for a machine known here.
        """
        kind, self.machine = struct.unpack_from("<HH", content.ljust(64, b"\0"), 16)
        if content[:6] != b"\x7fELF\x02\x01" or kind != 1 or self.machine not in MACHINES:
            raise LinkError(f"not a 64-bit little-endian ELF object of x86-64 or AArch64: kind {kind}, {self.machine}")
        (table,) = struct.unpack_from("<Q", content, 40)
        size, count, names_at = struct.unpack_from("<HHH", content, 58)
        rows = [struct.unpack_from("<IIQQQQIIQQ", content, table + at * size) for at in range(count)]

        def text(strings: int, at: int) -> str:
            start = rows[strings][4] + at
            return content[start : content.index(b"\0", start)].decode()

        self.symbols: list[_Symbol] = []
        self.sections = [
            _Section(text(names_at, name), type_, flags, bytearray(content[offset : offset + length]), max(1, align))
            for name, type_, flags, _, offset, length, _, _, align, _ in rows
        ]
        for _, type_, _, _, offset, length, link_to, info, _, _ in rows:
            entries = range(offset, offset + length, 24)
            if type_ == SYMTAB:
                found = (struct.unpack_from("<IBBHQQ", content, at) for at in entries)
                self.symbols += [_Symbol(text(link_to, name), section, at) for name, _, _, section, at, _ in found]
            elif type_ == RELA:
                found = (struct.unpack_from("<QIIq", content, at) for at in entries)
                self.sections[info].relocations += [(at, kind, symbol, add) for at, kind, symbol, add in found]

    @property
    def outside(self) -> list[str]:
        """Names it takes from the process it will be loaded into."""
        return sorted({one.name for one in self.symbols if one.section == 0 and one.name})

    def kept(self) -> list[_Section]:
        """What goes into memory.

        Raises:
            LinkError: something that is written to.
        """
        kept = [one for one in self.sections if one.flags & ALLOC and one.data and one.name != ".eh_frame"]
        for one in kept:
            if one.type != PROGBITS or one.flags & (WRITABLE | THREAD_LOCAL):
                raise LinkError(f"section {one.name} is not only read: does a kernel raise?")
        return kept


def link(content: bytes, exports: list[str]) -> bytes:
    """A shared library of one object file that exports these functions.

    Raises:
        LinkError: the object needs something not known here.
    """
    object_ = Object(content)
    machine, sections, outside = MACHINES[object_.machine], object_.kept(), object_.outside
    names = [*outside, *exports]
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in names)
    string_at = {name: strings.index(b"\0" + name.encode() + b"\0") + 1 for name in names}

    # where everything lies; addresses are places in the file until the writable part, which is a page further on
    symbols_at = 64 + 56 * SEGMENTS
    hash_at = symbols_at + 24 * (1 + len(names))
    calls_at = _up(hash_at + 4 * (4 + len(names)), 8)
    strings_at = calls_at + 24 * len(outside)
    at = strings_at + len(strings)
    for section in sections:
        section.address = at = _up(at, section.align)
        at += len(section.data)
    jumps_at = _up(at, 16)
    code_end = _up(jumps_at + 16 * len(outside), 16)
    dynamic_at = code_end + PAGE
    slots_at = dynamic_at + 16 * DYNAMIC
    end = slots_at + 8 * len(outside)

    image = bytearray(end - PAGE)

    def put(address: int, data: bytes | bytearray) -> None:
        place = address - PAGE if address >= dynamic_at else address
        image[place : place + len(data)] = data

    def address_of(symbol: _Symbol) -> int:
        if symbol.section == 0:
            return jumps_at + 16 * outside.index(symbol.name)
        if symbol.section >= len(object_.sections) or not object_.sections[symbol.section].address:
            raise LinkError(f"symbol {symbol.name!r} is in no section that is kept")
        return object_.sections[symbol.section].address + symbol.value

    for section in sections:
        for offset, kind, number, addend in section.relocations:
            symbol = object_.symbols[number]
            patch = machine.patches.get(kind)
            if patch is None or (symbol.section == 0 and kind not in machine.calls):
                raise LinkError(f"relocation {kind} of {symbol.name!r} in {section.name} is not known")
            size = machine.sizes.get(kind, 4)
            old = int.from_bytes(section.data[offset : offset + size], "little")
            new = patch(old, address_of(symbol) + addend, section.address + offset)
            section.data[offset : offset + size] = new.to_bytes(size, "little")
        put(section.address, section.data)
    for at in range(len(outside)):
        put(jumps_at + 16 * at, machine.jump(jumps_at + 16 * at, slots_at + 8 * at))

    inside = {one.name: one for one in object_.symbols if one.section}
    if missing := set(exports) - set(inside):
        raise LinkError(f"{', '.join(sorted(missing))} is to be exported and not there")
    rows = [bytes(24), *(struct.pack("<IBBHQQ", string_at[name], 0x10, 0, 0, 0, 0) for name in outside)]
    # any section number but 0 says "here"; the loader reads no section headers
    rows += [struct.pack("<IBBHQQ", string_at[one], 0x12, 0, 1, address_of(inside[one]), 0) for one in exports]
    put(symbols_at, b"".join(rows))
    # one bucket, so the loader compares names one after the other: a few hundred at most
    chain = [*range(2, len(names) + 1), 0]
    put(hash_at, struct.pack(f"<{4 + len(names)}I", 1, 1 + len(names), 1, 0, *chain))
    calls = (struct.pack("<QIIq", slots_at + 8 * at, machine.named, 1 + at, 0) for at in range(len(outside)))
    put(calls_at, b"".join(calls))
    put(strings_at, strings)
    dynamic = ((4, hash_at), (5, strings_at), (6, symbols_at), (10, len(strings)), (11, 24), (7, calls_at),
               (8, 24 * len(outside)), (9, 24), (24, 0), (30, 8), (0, 0))  # fmt: skip
    put(dynamic_at, b"".join(struct.pack("<QQ", tag, value) for tag, value in dynamic))

    segments = (
        (1, 5, 0, 0, code_end, PAGE),  # load, read and execute
        (1, 6, dynamic_at - PAGE, dynamic_at, end - dynamic_at, PAGE),  # load, read and write
        (2, 6, dynamic_at - PAGE, dynamic_at, 16 * DYNAMIC, 8),  # the dynamic table
        (0x6474E551, 6, 0, 0, 0, 16),  # the stack is not executable
    )
    put(0, struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 3, object_.machine, 1, 0, 64, 0, 0, 64, 56,
                       SEGMENTS, 64, 0, 0))  # fmt: skip
    for at, (type_, flags, place, address, size, align) in enumerate(segments):
        put(64 + 56 * at, struct.pack("<IIQQQQQQ", type_, flags, place, address, address, size, size, align))
    return bytes(image)


SEGMENTS, DYNAMIC = 4, 11
"""Rows of the tables at the end of `link`."""


def _up(value: int, align: int) -> int:
    return (value + align - 1) // align * align


# ------------------------------------------------------------------------------------------------ machines

Patch = Callable[[int, int, int], int]
"""Old bits, target + addend, address of the bits -> new bits."""


@dataclass(frozen=True)
class _Machine:
    """What the linker must know of a processor."""

    patches: dict[int, Patch]
    calls: frozenset[int]
    """Relocations of calls, which may go outside."""
    sizes: dict[int, int]
    """Bytes of a relocation that are not 4."""
    named: int
    """The relocation by which the loader writes the address of a name."""
    jump: Callable[[int, int], bytes]
    """Address, slot -> 16 bytes of code that jump where the slot says."""


def _signed(value: int, bits: int, step: int = 1) -> int:
    """`value` in `bits` bits, in units of `step`; LinkError if it does not fit."""
    if value % step or not -(1 << bits - 1) <= value // step < 1 << bits - 1:
        raise LinkError(f"a distance of {value} bytes does not fit {bits} bits")
    return value // step & (1 << bits) - 1


def _relative(bits: int) -> Patch:
    return lambda _, target, where: _signed(target - where, bits)


def _page(old: int, target: int, where: int) -> int:
    pages = _signed((target & ~0xFFF) - (where & ~0xFFF), 21, 4096)
    return old & 0x9F00001F | (pages & 3) << 29 | pages >> 2 << 5


def _adr(old: int, target: int, where: int) -> int:
    distance = _signed(target - where, 21)
    return old & 0x9F00001F | (distance & 3) << 29 | distance >> 2 << 5


def _low12(size: int) -> Patch:
    def patch(old: int, target: int, _where: int) -> int:
        if target % size:
            raise LinkError(f"an address not a multiple of {size}")
        return old & ~(0xFFF << 10) | (target & 0xFFF) // size << 10

    return patch


def _branch(bits: int, shift: int) -> Patch:
    mask = (1 << bits) - 1 << shift
    return lambda old, target, where: old & ~mask | _signed(target - where, bits, 4) << shift


def _jump_x86_64(where: int, slot: int) -> bytes:
    return (b"\xff\x25" + struct.pack("<i", slot - where - 6)).ljust(16, b"\xcc")


def _jump_aarch64(where: int, slot: int) -> bytes:
    page = _page(0x90000010, slot, where)  # adrp x16, page of slot
    load = _low12(8)(0xF9400211, slot, 0)  # ldr x17, [x16, low bits of slot]
    return struct.pack("<IIII", page, load, 0xD61F0220, 0xD503201F)  # br x17; nop


X86_64, AARCH64 = 62, 183
MACHINES = {
    X86_64: _Machine(
        patches={2: _relative(32), 4: _relative(32), 24: _relative(64)},  # PC32, PLT32, PC64
        calls=frozenset({4}),
        sizes={24: 8},
        named=6,
        jump=_jump_x86_64,
    ),
    AARCH64: _Machine(
        patches={
            260: _relative(64), 261: _relative(32), 274: _adr, 275: _page, 277: _low12(1), 278: _low12(1),
            279: _branch(14, 5), 280: _branch(19, 5), 282: _branch(26, 0), 283: _branch(26, 0),
            284: _low12(2), 285: _low12(4), 286: _low12(8), 299: _low12(16),
        },
        calls=frozenset({282, 283}),  # JUMP26, CALL26
        sizes={260: 8},
        named=1025,
        jump=_jump_aarch64,
    ),
}  # fmt: skip
