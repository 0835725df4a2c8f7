"""Makes a shared library of one object file, so that a board needs no compiler and no linker to use its own code.

Only what LLVM writes for position-independent loops is known: sections of code and constants, a handful of
relocations, functions taken from the process. Anything else is refused, never guessed. 64-bit ELF, x86-64 and AArch64.
Source: the System V ABI (gabi), its x86-64 supplement, and ELF for the Arm 64-bit Architecture.

The file: headers, symbols and constants (read only) | code and jumps to outside functions (executable) |
dynamic table, addresses of outside functions, constants that hold addresses (writable while loading).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

X86_64, AARCH64 = 62, 183
ALLOC, EXECUTABLE, WRITABLE = 2, 4, 1
PROGBITS, SYMTAB, RELA, NOBITS = 1, 2, 4, 8
SEGMENT_GAP = 0x10000
"""Segments begin on pages of their own, whatever page size the kernel has: 4 KiB, a Raspberry Pi 5's 16, up to 64."""


class LinkError(Exception):
    """The object file needs more than is done here; says what."""


@dataclass
class _Section:
    name: str
    type: int
    flags: int
    data: bytearray
    size: int
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
        if content[:6] != b"\x7fELF\x02\x01" or len(content) < 64:
            raise LinkError("not a 64-bit little-endian ELF object")
        kind, self.machine = struct.unpack_from("<HH", content, 16)
        if kind != 1 or self.machine not in MACHINES:
            raise LinkError(f"an object of kind {kind} for ELF machine {self.machine} is not known")
        (table,) = struct.unpack_from("<Q", content, 40)
        size, count, names_at = struct.unpack_from("<HHH", content, 58)
        rows = [struct.unpack_from("<IIQQQQIIQQ", content, table + at * size) for at in range(count)]

        def text(strings: int, at: int) -> str:
            start = rows[strings][4] + at
            return content[start : content.index(b"\0", start)].decode()

        self.sections: list[_Section] = []
        self.symbols: list[_Symbol] = []
        for name, type_, flags, _, offset, length, _, _, align, _ in rows:
            data = bytearray() if type_ == NOBITS else bytearray(content[offset : offset + length])
            self.sections.append(_Section(text(names_at, name), type_, flags, data, length, max(1, align)))
        for _, type_, _, _, offset, length, link, info, _, _ in rows:
            if type_ == SYMTAB:
                for at in range(offset, offset + length, 24):
                    label, _, _, section, value, _ = struct.unpack_from("<IBBHQQ", content, at)
                    self.symbols.append(_Symbol(text(link, label), section, value))
            elif type_ == RELA:
                for at in range(offset, offset + length, 24):
                    place, packed, addend = struct.unpack_from("<QQq", content, at)
                    row = (place, packed & 0xFFFFFFFF, packed >> 32, addend)
                    self.sections[info].relocations.append(row)

    @property
    def outside(self) -> set[str]:
        """Names it takes from the process it will be loaded into."""
        return {symbol.name for symbol in self.symbols if symbol.section == 0 and symbol.name}


class _Linker:
    """Lays out the sections, then writes addresses into them."""

    def __init__(self, object_: Object, exports: Iterable[str]) -> None:
        self.object = object_
        self.machine = MACHINES[object_.machine]
        self.exports = sorted(exports)
        self.outside = sorted(object_.outside)
        kept = [one for one in object_.sections if one.flags & ALLOC and one.name != ".eh_frame"]
        self.constants = [one for one in kept if not one.flags & (EXECUTABLE | WRITABLE)]
        self.code = [one for one in kept if one.flags & EXECUTABLE]
        # what is all zeros in memory goes last, so that the file may end before it
        self.writable = sorted((one for one in kept if one.flags & WRITABLE), key=lambda one: one.type == NOBITS)
        for one in kept:
            if one.type not in (PROGBITS, NOBITS) or one.flags & 0x400:  # thread-local
                raise LinkError(f"section {one.name} of type {one.type} is not known")
        self.slots = self._slots(kept)
        self.dynamic_relocations: list[tuple[int, int, int, int]] = []

    def _slots(self, kept: list[_Section]) -> dict[int, int]:
        """Symbol -> place among the addresses that code looks up: everything outside, and what asks for it."""
        slots: dict[int, int] = {}
        for section in kept:
            for _, kind, symbol, _ in section.relocations:
                if self.object.symbols[symbol].section == 0 or kind in self.machine.via_slot:
                    slots.setdefault(symbol, len(slots))
        return slots

    def link(self) -> bytes:
        symbols = [*self.outside, *self.exports]
        strings = b"\0" + b"".join(name.encode() + b"\0" for name in symbols)
        relocations = sum(len(one.relocations) for one in self.writable) + len(self.slots)  # at most
        # the read-only part
        at = 64 + 56 * 5
        places = {}
        for name, size in (("symbols", 24 * (1 + len(symbols))), ("hash", 4 * (4 + len(symbols))),
                           ("relocations", 24 * relocations), ("strings", len(strings))):  # fmt: skip
            places[name] = at = _up(at, 8)
            at += size
        at = _lay(self.constants, at)
        constants_end = at
        # the executable part
        at = _up(at + SEGMENT_GAP, 64)
        code_at = at
        at = _lay(self.code, at)
        self.jumps_at = _up(at, 16)
        at = code_end = self.jumps_at + len(self.slots) * 16
        # the writable part
        at = _up(at + SEGMENT_GAP, 64)
        writable_at = at
        self.slots_at = at + 16 * 11
        at = self.slots_at + 8 * len(self.slots)
        filled = [one for one in self.writable if one.type != NOBITS]
        file_end = _lay(filled, at)
        memory_end = _lay([one for one in self.writable if one.type == NOBITS], file_end)

        image = bytearray(file_end - 2 * SEGMENT_GAP)

        def put(address: int, data: bytes | bytearray) -> None:
            gaps = (address >= code_at) + (address >= writable_at)
            image[address - gaps * SEGMENT_GAP : address - gaps * SEGMENT_GAP + len(data)] = data

        self._relocate()
        for section in (*self.constants, *self.code, *filled):
            put(section.address, section.data)
        for slot in self.slots.values():
            put(self.jumps_at + 16 * slot, self.machine.jump(self.jumps_at + 16 * slot, self.slots_at + 8 * slot))
        for slot, addend in self._fill_slots():
            put(self.slots_at + 8 * slot, struct.pack("<Q", addend))

        put(places["symbols"], self._symbol_table(symbols))
        chain = [*range(2, len(symbols) + 1), 0] if symbols else []
        put(places["hash"], struct.pack(f"<{4 + len(symbols)}I", 1, 1 + len(symbols), min(1, len(symbols)), 0, *chain))
        put(places["strings"], strings)
        rows = b"".join(struct.pack("<QQq", where, symbol << 32 | kind, addend)
                        for where, kind, symbol, addend in self.dynamic_relocations)  # fmt: skip
        put(places["relocations"], rows)
        dynamic = ((4, places["hash"]), (5, places["strings"]), (6, places["symbols"]), (10, len(strings)), (11, 24),
                   (7, places["relocations"]), (8, len(rows)), (9, 24), (24, 0), (30, 8), (0, 0))  # fmt: skip
        put(writable_at, b"".join(struct.pack("<QQ", tag, value) for tag, value in dynamic))

        segments = (
            (1, 4, 0, 0, constants_end, constants_end, SEGMENT_GAP),
            (1, 5, code_at - SEGMENT_GAP, code_at, code_end - code_at, code_end - code_at, SEGMENT_GAP),
            (1, 6, writable_at - 2 * SEGMENT_GAP, writable_at, file_end - writable_at, memory_end - writable_at,
             SEGMENT_GAP),
            (2, 6, writable_at - 2 * SEGMENT_GAP, writable_at, 16 * len(dynamic), 16 * len(dynamic), 8),
            (0x6474E551, 6, 0, 0, 0, 0, 16),  # GNU_STACK: not executable
        )  # fmt: skip
        head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 3, self.object.machine, 1, 0, 64, 0, 0, 64,
                           56, len(segments), 64, 0, 0)  # fmt: skip
        put(0, head)
        for number, (type_, flags, offset, address, in_file, in_memory, align) in enumerate(segments):
            row = struct.pack("<IIQQQQQQ", type_, flags, offset, address, address, in_file, in_memory, align)
            put(64 + 56 * number, row)
        return bytes(image)

    def _symbol_table(self, symbols: list[str]) -> bytes:
        defined = {one.name: one for one in self.object.symbols if one.section}
        table = [bytes(24)]
        name_at = 1
        for name in symbols:
            if name in self.outside:
                table.append(struct.pack("<IBBHQQ", name_at, 0x10, 0, 0, 0, 0))
            elif name in defined:
                # any section number but 0 says "here"; the loader reads no section headers
                table.append(struct.pack("<IBBHQQ", name_at, 0x12, 0, 1, self._address(defined[name]), 0))
            else:
                raise LinkError(f"{name} is to be exported and not there")
            name_at += len(name.encode()) + 1
        return b"".join(table)

    def _address(self, symbol: _Symbol) -> int:
        if symbol.section >= len(self.object.sections):
            raise LinkError(f"symbol {symbol.name!r} is absolute or common")
        section = self.object.sections[symbol.section]
        if not section.address:
            raise LinkError(f"symbol {symbol.name!r} is in section {section.name}, which is not kept")
        return section.address + symbol.value

    def _fill_slots(self) -> list[tuple[int, int]]:
        """Ask the loader for each slot's address; returns what they hold before."""
        filled = []
        for number, slot in self.slots.items():
            symbol = self.object.symbols[number]
            where = self.slots_at + 8 * slot
            if symbol.section:
                address = self._address(symbol)
                self.dynamic_relocations.append((where, self.machine.relative, 0, address))
                filled.append((slot, address))
            else:
                index = 1 + self.outside.index(symbol.name)
                self.dynamic_relocations.append((where, self.machine.named, index, 0))
        return filled

    def _relocate(self) -> None:
        for section in (*self.constants, *self.code, *self.writable):
            for offset, kind, number, addend in section.relocations:
                symbol = self.object.symbols[number]
                where = section.address + offset
                if kind == self.machine.absolute:
                    self._absolute(section, where, symbol, addend)
                    continue
                patch = self.machine.patches.get(kind)
                if patch is None:
                    raise LinkError(f"relocation {kind} in {section.name} is not known")
                if kind in self.machine.via_slot:
                    target = self.slots_at + 8 * self.slots[number]
                elif symbol.section:
                    target = self._address(symbol)
                elif kind in self.machine.calls:
                    target = self.jumps_at + 16 * self.slots[number]
                else:
                    raise LinkError(f"{symbol.name} is outside and not called but read (relocation {kind})")
                size = 8 if kind in self.machine.wide else 4
                old = int.from_bytes(section.data[offset : offset + size], "little")
                new = patch(old, target + addend, where)
                section.data[offset : offset + size] = new.to_bytes(size, "little")

    def _absolute(self, section: _Section, where: int, symbol: _Symbol, addend: int) -> None:
        if not section.flags & WRITABLE:
            raise LinkError(f"an address in {section.name}, which is not writable")
        if symbol.section:
            address = self._address(symbol) + addend
            self.dynamic_relocations.append((where, self.machine.relative, 0, address))
        else:
            index = 1 + self.outside.index(symbol.name)
            self.dynamic_relocations.append((where, self.machine.absolute, index, addend))


def link(object_: Object, exports: Iterable[str]) -> bytes:
    """A shared library of one object file that exports these functions.

    Raises:
        LinkError: the object needs something not known here.
    """
    return _Linker(object_, exports).link()


def _up(value: int, align: int) -> int:
    return (value + align - 1) // align * align


def _lay(sections: list[_Section], at: int) -> int:
    """Give sections their addresses from `at` on; returns the end."""
    for section in sections:
        section.address = at = _up(at, section.align)
        at += section.size
    return at


# ------------------------------------------------------------------------------------------------ machines

Patch = Callable[[int, int, int], int]
"""Old bits, target + addend, address of the bits -> new bits."""


@dataclass(frozen=True)
class _Machine:
    """What the linker must know of a processor."""

    patches: dict[int, Patch]
    calls: frozenset[int]
    """Relocations of calls: one to the outside goes by a jump."""
    via_slot: frozenset[int]
    """Relocations that read an address from a slot."""
    wide: frozenset[int]
    """Relocations of 8 bytes."""
    absolute: int
    relative: int
    named: int
    jump: Callable[[int, int], bytes]
    """Address, slot -> 16 bytes of code that jump where the slot says."""


def _signed(value: int, bits: int, step: int = 1) -> int:
    """`value` in `bits` bits, in units of `step`; LinkError if it does not fit."""
    if value % step or not -(1 << bits - 1) <= value // step < 1 << bits - 1:
        raise LinkError(f"a distance of {value} bytes does not fit {bits} bits")
    return value // step & (1 << bits) - 1


def _relative32(_old: int, target: int, where: int) -> int:
    return _signed(target - where, 32)


def _relative64(_old: int, target: int, where: int) -> int:
    return _signed(target - where, 64)


def _page(old: int, target: int, where: int) -> int:
    pages = _signed((target & ~0xFFF) - (where & ~0xFFF), 21, 4096) if target >= 0 else 0
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
    def patch(old: int, target: int, where: int) -> int:
        mask = (1 << bits) - 1 << shift
        return old & ~mask | _signed(target - where, bits, 4) << shift

    return patch


def _jump_x86_64(where: int, slot: int) -> bytes:
    return (b"\xff\x25" + struct.pack("<i", slot - where - 6)).ljust(16, b"\xcc")


def _jump_aarch64(where: int, slot: int) -> bytes:
    page = _page(0x90000010, slot, where)  # adrp x16, page of slot
    load = _low12(8)(0xF9400211, slot, 0)  # ldr x17, [x16, low bits of slot]
    return struct.pack("<IIII", page, load, 0xD61F0220, 0xD503201F)  # br x17; nop


MACHINES = {
    X86_64: _Machine(
        patches={2: _relative32, 4: _relative32, 9: _relative32, 24: _relative64, 41: _relative32, 42: _relative32},
        calls=frozenset({2, 4}),  # PC32, PLT32
        via_slot=frozenset({9, 41, 42}),  # GOTPCREL, GOTPCRELX, REX_GOTPCRELX
        wide=frozenset({24}),
        absolute=1,
        relative=8,
        named=6,
        jump=_jump_x86_64,
    ),
    AARCH64: _Machine(
        patches={
            260: _relative64, 261: _relative32, 274: _adr, 275: _page, 277: _low12(1), 278: _low12(1),
            279: _branch(14, 5), 280: _branch(19, 5), 282: _branch(26, 0), 283: _branch(26, 0),
            284: _low12(2), 285: _low12(4), 286: _low12(8), 299: _low12(16), 311: _page, 312: _low12(8),
        },
        calls=frozenset({282, 283}),  # JUMP26, CALL26
        via_slot=frozenset({311, 312}),  # ADR_GOT_PAGE, LD64_GOT_LO12_NC
        wide=frozenset({260}),
        absolute=257,
        relative=1027,
        named=1025,
        jump=_jump_aarch64,
    ),
}  # fmt: skip
