"""The way from Python into a compiled kernel, as LLVM text: a C function for CPython per kernel.

It takes its arguments as CPython hands them over (the calling convention METH_FASTCALL of the stable ABI), so that a
call costs no more than that of a builtin. Each array is checked against the signature before its memory is touched:
exactly numpy.ndarray, number type, byte order, dimensions, C-contiguous, aligned, writable where the kernel writes. A
wrong one is a TypeError. Raw heads choose among the variants compiled for their type.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edgepose.kernels.aot.native import BYTE_ORDER, DATA, DESCR, FLAGS, NDIM, SHAPE, TYPE_NUMBER

RAW_TYPES = ("int8", "uint8", "int16", "float32")
"""What `q` in a kernel's EXPORTS stands for."""

TYPE_NUMBERS = {
    "int8": (1,), "uint8": (2,), "int16": (3,), "uint16": (4,), "int32": (5,), "uint32": (6,), "int64": (7, 9),
    "uint64": (8, 10), "float32": (11,), "float64": (12,),
}  # fmt: skip
"""numpy's type_num of each element type: NPY_BYTE and on; int64 is long and long long."""

SIZES = {name: int(re.sub(r"\D", "", name)) // 8 for name in TYPE_NUMBERS}
SCALARS = {name: f"i{8 * size}" for name, size in SIZES.items()} | {"float32": "float", "float64": "double"}
"""Element type -> LLVM type."""

CONTIGUOUS_ALIGNED, WRITABLE = 0x101, 0x400

OUTSIDE = frozenset({
    "PyErr_SetString", "PyErr_Occurred", "PyLong_AsLongLong", "PyLong_FromLongLong", "PyFloat_AsDouble", "Py_IncRef",
    "PyExc_TypeError", "PyExc_ValueError", "_Py_NoneStruct", "memcpy", "memmove", "memset",
    "logf", "log", "expf", "exp", "powf", "pow", "sinf", "sin", "cosf", "cos", "tanf", "tan", "atan2f", "atan2",
    "sqrtf", "sqrt", "floorf", "floor", "ceilf", "ceil", "truncf", "trunc", "rintf", "rint", "roundf", "round",
    "fmodf", "fmod", "hypotf", "hypot", "ldexpf", "ldexp", "tanhf", "tanh", "log2f", "log2", "exp2f", "exp2",
    "log10f", "log10",
})  # fmt: skip
"""Names a library may take from the process it is loaded into: CPython's stable ABI, the C library and libm."""


@dataclass(frozen=True)
class Argument:
    """One argument of a kernel."""

    name: str
    type: str
    """Element type, or q."""
    ndim: int
    """0: a scalar."""


@dataclass(frozen=True)
class Signature:
    """A kernel's line in EXPORTS, read."""

    kernel: str
    arguments: tuple[Argument, ...]
    result: str
    """"int64" or "void"."""

    @property
    def variants(self) -> tuple[str, ...]:
        """What q may be; ("",) for a kernel without raw heads."""
        return RAW_TYPES if any(one.type == "q" for one in self.arguments) else ("",)

    @property
    def chooser(self) -> int | None:
        """Place of the array whose type chooses the variant."""
        raw = [at for at, one in enumerate(self.arguments) if one.type == "q" and one.ndim]
        return raw[0] if raw else None

    def symbol(self) -> str:
        """Name in the library."""
        return f"edgepose_{self.kernel}"


def parse(kernel: str, text: str, names: Sequence[str]) -> Signature:
    """Read a line of EXPORTS such as "int64(q[:,::1], q, float32[::1])".

    Raises:
        ValueError: it is not in that form; says where.
    """
    whole = re.fullmatch(r"\s*(void|int64)\s*\((.*)\)\s*", text)
    if not whole:
        raise ValueError(f"EXPORTS[{kernel!r}] is {text!r}, expected void(...) or int64(...)")
    arguments = []
    parts = [part.strip() for part in re.split(r",(?![^\[]*\])", whole[2]) if part.strip()]
    for part in parts:
        found = re.fullmatch(r"(\w+)(?:\[((?:\s*:\s*,)*)\s*::1\s*\])?", part)
        if not found or found[1] not in (*TYPE_NUMBERS, "q"):
            raise ValueError(f"EXPORTS[{kernel!r}]: {part!r} is neither a number nor a C-contiguous array of them")
        ndim = 0 if found[2] is None else found[2].count(",") + 1
        arguments.append((found[1], ndim))
    if len(names) != len(arguments):
        raise ValueError(f"EXPORTS[{kernel!r}] has {len(arguments)} arguments, the kernel {len(names)}")
    named = (Argument(name, type_, ndim) for name, (type_, ndim) in zip(names, arguments, strict=True))
    signature = Signature(kernel, tuple(named), whole[1])
    if signature.variants != ("",) and signature.chooser is None:
        raise ValueError(f"EXPORTS[{kernel!r}] has a raw number but no raw array to tell its type")
    return signature


def flat_types(signature: Signature, raw: str) -> list[str]:
    """LLVM types of numba's native function: result, exception, then each array taken apart."""
    flat = ["ptr", "ptr"]
    for one in signature.arguments:
        scalar = SCALARS[raw if one.type == "q" else one.type]
        flat += ["ptr", "ptr", "i64", "i64", "ptr", *["i64"] * (2 * one.ndim)] if one.ndim else [scalar]
    return flat


COMMON = f"""
declare void @PyErr_SetString(ptr, ptr)
declare ptr @PyErr_Occurred()
declare i64 @PyLong_AsLongLong(ptr)
declare ptr @PyLong_FromLongLong(i64)
declare double @PyFloat_AsDouble(ptr)
declare void @Py_IncRef(ptr)
@_Py_NoneStruct = external global i8
@PyExc_TypeError = external global ptr
@PyExc_ValueError = external global ptr

; arrays never own numba's memory here, so this is never called
define void @NRT_MemInfo_call_dtor(ptr %info) {{ unreachable }}

; what numba calls for a.reshape(...): arrays are C-contiguous here, so the new strides are those of the new shape
define i32 @numba_attempt_nocopy_reshape(i64 %ndim, ptr %shape, ptr %strides,
                                                  i64 %new_ndim, ptr %new_shape, ptr %new_strides,
                                                  i64 %itemsize, i32 %fortran) alwaysinline {{
entry:
  br label %check
check:
  %axis = phi i64 [ %ndim, %entry ], [ %previous, %same ]
  %stride = phi i64 [ %itemsize, %entry ], [ %further, %same ]
  %first = icmp eq i64 %axis, 0
  br i1 %first, label %write, label %compare
compare:
  %previous = sub i64 %axis, 1
  %stride_at = getelementptr i64, ptr %strides, i64 %previous
  %has = load i64, ptr %stride_at
  %length_at = getelementptr i64, ptr %shape, i64 %previous
  %length = load i64, ptr %length_at
  %further = mul i64 %stride, %length
  %contiguous = icmp eq i64 %has, %stride
  br i1 %contiguous, label %same, label %no
same:
  br label %check
write:
  %new_axis = phi i64 [ %new_ndim, %check ], [ %new_previous, %put ]
  %new_stride = phi i64 [ %itemsize, %check ], [ %new_further, %put ]
  %done = icmp eq i64 %new_axis, 0
  br i1 %done, label %yes, label %put
put:
  %new_previous = sub i64 %new_axis, 1
  %new_at = getelementptr i64, ptr %new_strides, i64 %new_previous
  store i64 %new_stride, ptr %new_at
  %new_length_at = getelementptr i64, ptr %new_shape, i64 %new_previous
  %new_length = load i64, ptr %new_length_at
  %new_further = mul i64 %new_stride, %new_length
  br label %write
yes:
  ret i32 1
no:
  ret i32 0
}}

; type_num of an array that fits, else -1
define internal i32 @edgepose_array(ptr %object, ptr %ndarray, i32 %ndim, i32 %flags) noinline {{
  %type_at = getelementptr i8, ptr %object, i64 8
  %type = load ptr, ptr %type_at
  %is_array = icmp eq ptr %type, %ndarray
  br i1 %is_array, label %dimensions, label %wrong
dimensions:
  %ndim_at = getelementptr i8, ptr %object, i64 {NDIM}
  %has_ndim = load i32, ptr %ndim_at
  %same_ndim = icmp eq i32 %has_ndim, %ndim
  br i1 %same_ndim, label %layout, label %wrong
layout:
  %flags_at = getelementptr i8, ptr %object, i64 {FLAGS}
  %has_flags = load i32, ptr %flags_at
  %masked = and i32 %has_flags, %flags
  %all_flags = icmp eq i32 %masked, %flags
  br i1 %all_flags, label %kind, label %wrong
kind:
  %descr_at = getelementptr i8, ptr %object, i64 {DESCR}
  %descr = load ptr, ptr %descr_at
  %order_at = getelementptr i8, ptr %descr, i64 {BYTE_ORDER}
  %order = load i8, ptr %order_at
  %swapped = icmp eq i8 %order, {ord(">")}
  %number_at = getelementptr i8, ptr %descr, i64 {TYPE_NUMBER}
  %has_number = load i32, ptr %number_at
  %number = select i1 %swapped, i32 -1, i32 %has_number
  ret i32 %number
wrong:
  ret i32 -1
}}
"""


class _Text:
    """Lines of one function, with fresh names."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.count = 0

    def put(self, line: str) -> None:
        self.lines.append(f"  {line}")

    def let(self, value: str) -> str:
        self.count += 1
        self.put(f"%v{self.count} = {value}")
        return f"%v{self.count}"

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")

    def fresh(self) -> str:
        self.count += 1
        return f"l{self.count}"

    def unless(self, condition: str, wrong: str) -> None:
        """Go to `wrong` when the condition does not hold."""
        then = self.fresh()
        self.put(f"br i1 {condition}, label %{then}, label %{wrong}")
        self.label(then)

    def load(self, type_: str, base: str, offset: int) -> str:
        at = self.let(f"getelementptr i8, ptr {base}, i64 {offset}")
        return self.let(f"load {type_}, ptr {at}")


def function(signature: Signature, native: dict[str, str], writes: frozenset[int]) -> str:
    """LLVM text of `signature`'s function for CPython.

    native  variant -> name of numba's compiled function
    writes  places of the arrays it writes to
    """
    text, constants = _Text(), []

    def message(name: str, words: str) -> str:
        raw = f"edgepose kernel {signature.kernel}: {words}".encode() + b"\0"
        escaped = "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:02X}" for byte in raw)
        label = f"@{signature.symbol()}.{name}"
        constants.append(f'{label} = private constant [{len(raw)} x i8] c"{escaped}"')
        return label

    count = len(signature.arguments)
    text.unless(text.let(f"icmp eq i64 %count, {count}"), "wrong_count")
    objects = [text.load("ptr", "%arguments", 8 * at) for at in range(count)]
    for at, one in enumerate(signature.arguments):
        if one.ndim:
            flags = CONTIGUOUS_ALIGNED | (WRITABLE if at in writes else 0)
            number = text.let(f"call i32 @edgepose_array(ptr {objects[at]}, ptr %ndarray, i32 {one.ndim}, i32 {flags})")
            if at == signature.chooser:
                chosen = number
            _fits(text, number, chosen if one.type == "q" and number != chosen else "", one.type, f"wrong_{at}")
    words = [_words(one, at in writes) for at, one in enumerate(signature.arguments)]
    labels = [(variant, f"as_{variant or 'is'}") for variant in signature.variants]
    if signature.chooser is None:
        text.put(f"br label %{labels[0][1]}")
    else:
        cases = " ".join(f"i32 {TYPE_NUMBERS[variant][0]}, label %{label}" for variant, label in labels)
        text.put(f"switch i32 {chosen}, label %wrong_{signature.chooser} [ {cases} ]")
    for variant, label in labels:
        text.label(label)
        _call(text, signature, variant, native[variant], objects)

    for at, _ in enumerate(signature.arguments):
        text.label(f"wrong_{at}")
        said = message(str(at), f"argument {at + 1} ({signature.arguments[at].name}) must be {words[at]}")
        _raise(text, "PyExc_TypeError", said)
    text.label("wrong_count")
    _raise(text, "PyExc_TypeError", message("count", f"takes exactly {count} arguments"))
    text.label("failed")
    _raise(text, "PyExc_ValueError", message("failed", "cannot work on these arguments"))
    text.label("not_a_number")
    text.put("ret ptr null")
    head = f"define ptr @{signature.symbol()}(ptr %ndarray, ptr %arguments, i64 %count) {{\nentry:"
    slots = "  %result = alloca i64\n  %exception = alloca ptr"
    declared = [f"declare i32 @{name}({', '.join(flat_types(signature, raw))})" for raw, name in native.items()]
    return "\n".join([*constants, *declared, head, slots, *text.lines, "}\n"])


def _words(one: Argument, written: bool) -> str:
    kinds = "int8, uint8, int16 or float32, one type for all raw heads" if one.type == "q" else one.type
    if not one.ndim:
        return f"a number, {kinds}"
    return f"a C-contiguous, aligned{', writable' * written} numpy array with {one.ndim} axes, {kinds}"


def _fits(text: _Text, number: str, chosen: str, type_: str, wrong: str) -> None:
    """The array's type_num is one of its type's; of a raw head that is not the first, the first one's."""
    numbers = [TYPE_NUMBERS[raw][0] for raw in RAW_TYPES] if type_ == "q" else TYPE_NUMBERS[type_]
    allowed = [chosen] if chosen else list(map(str, numbers))
    good = text.let(f"icmp eq i32 {number}, {allowed[0]}")
    for other in allowed[1:]:
        same = text.let(f"icmp eq i32 {number}, {other}")
        good = text.let(f"or i1 {good}, {same}")
    text.unless(good, wrong)


def _call(text: _Text, signature: Signature, variant: str, native: str, objects: list[str]) -> None:
    values = ["ptr %result", "ptr %exception"]
    for at, one in enumerate(signature.arguments):
        type_ = variant if one.type == "q" else one.type
        values += _array(text, objects[at], one.ndim, SIZES[type_]) if one.ndim else [
            _number(text, objects[at], type_, f"wrong_{at}")
        ]  # fmt: skip
    text.put("store i64 0, ptr %result")
    status = text.let(f"call i32 @{native}({', '.join(values)})")
    # numba's status: 0 a value, -2 None, else an exception
    good = text.let(f"icmp eq i32 {status}, 0")
    none = text.let(f"icmp eq i32 {status}, -2")
    text.unless(text.let(f"or i1 {good}, {none}"), "failed")
    if signature.result == "void":
        text.put("call void @Py_IncRef(ptr @_Py_NoneStruct)")
        text.put("ret ptr @_Py_NoneStruct")
    else:
        value = text.let("load i64, ptr %result")
        answer = text.let(f"call ptr @PyLong_FromLongLong(i64 {value})")
        text.put(f"ret ptr {answer}")


def _array(text: _Text, array: str, ndim: int, size: int) -> list[str]:
    """An array as numba takes it: nobody owns it, items, item size, data, shape, strides."""
    data = text.load("ptr", array, DATA)
    shape_at = text.load("ptr", array, SHAPE)
    shape = [text.load("i64", shape_at, 8 * axis) for axis in range(ndim)]
    strides = [str(size)]
    for length in reversed(shape[1:]):
        strides.insert(0, text.let(f"mul i64 {strides[0]}, {length}"))
    items = shape[0]
    for length in shape[1:]:
        items = text.let(f"mul i64 {items}, {length}")
    return ["ptr null", "ptr null", f"i64 {items}", f"i64 {size}", f"ptr {data}",
            *(f"i64 {length}" for length in shape), *(f"i64 {stride}" for stride in strides)]  # fmt: skip


def _number(text: _Text, number: str, type_: str, wrong: str) -> str:
    """A Python or numpy number as `type_`; one that does not fit is a TypeError."""
    llvm = SCALARS[type_]
    is_float = type_.startswith("float")
    call = f"call double @PyFloat_AsDouble(ptr {number})" if is_float else f"call i64 @PyLong_AsLongLong(ptr {number})"
    value = text.let(call)
    minus = text.let(f"fcmp oeq double {value}, -1.0" if is_float else f"icmp eq i64 {value}, -1")
    ask, done = text.fresh(), text.fresh()
    text.put(f"br i1 {minus}, label %{ask}, label %{done}")
    text.label(ask)
    error = text.let("call ptr @PyErr_Occurred()")
    fine = text.let(f"icmp eq ptr {error}, null")
    text.put(f"br i1 {fine}, label %{done}, label %not_a_number")
    text.label(done)
    if llvm in ("double", "i64"):
        return f"{llvm} {value}"
    if is_float:
        return f"float {text.let(f'fptrunc double {value} to float')}"
    short = text.let(f"trunc i64 {value} to {llvm}")
    widened = text.let(f"{'zext' if type_.startswith('u') else 'sext'} {llvm} {short} to i64")
    text.unless(text.let(f"icmp eq i64 {widened}, {value}"), wrong)
    return f"{llvm} {short}"


def _raise(text: _Text, kind: str, said: str) -> None:
    error = text.let(f"load ptr, ptr @{kind}")
    text.put(f"call void @PyErr_SetString(ptr {error}, ptr {said})")
    text.put("ret ptr null")
