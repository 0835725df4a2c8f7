"""The way from Python into a compiled kernel, written for numba as the kernels are.

CPython calls an entry as entry(self, arguments, count): the calling convention METH_FASTCALL of its stable ABI, so that
a kernel costs no more to call than a builtin. Addresses are int64 here. Every array is checked before its memory is
touched: exactly numpy.ndarray, number type, byte order, axes, C-contiguous, aligned, writable where the kernel writes.

self is a tuple that `edgepose.kernels.aot` makes: ndarray, None, TypeError, what to say about the number of arguments,
and about each argument.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from edgepose.kernels.aot.library import (
    BYTE_ORDER,
    CONTIGUOUS_ALIGNED,
    DATA,
    DESCR,
    FLAGS,
    NDIM,
    SHAPE,
    TYPE_NUMBER,
    WRITABLE,
)
from tools.kernels_build.signature import Argument, Signature

NUMBERS = {
    "int8": (1, 1), "uint8": (2, 2), "int16": (3, 3), "int32": (5, 5), "int64": (7, 9), "float32": (11, 11),
    "float64": (12, 12),
}  # fmt: skip
"""numpy's type_num of each element type: NPY_BYTE and on; int64 is long or long long."""

tuple_item = types.ExternalFunction("PyTuple_GetItem", types.int64(types.int64, types.int64))
set_error = types.ExternalFunction("PyErr_SetObject", types.void(types.int64, types.int64))
clear_error = types.ExternalFunction("PyErr_Clear", types.void())
error_is_set = types.ExternalFunction("PyErr_Occurred", types.int64())
long_to_int = types.ExternalFunction("PyLong_AsLongLong", types.int64(types.int64))
float_to_double = types.ExternalFunction("PyFloat_AsDouble", types.float64(types.int64))
int_to_long = types.ExternalFunction("PyLong_FromLongLong", types.int64(types.int64))
keep = types.ExternalFunction("Py_IncRef", types.void(types.int64))


@intrinsic
def pointer(_typing: Any, address: Any) -> Any:  # noqa: ARG001 - names of a signature
    """An address as a pointer."""
    return types.voidptr(types.int64), lambda _context, builder, signature, values: builder.inttoptr(
        values[0], _context.get_value_type(signature.return_type)
    )


def reading(type_: str) -> Any:
    """A function (address, offset) -> what lies there."""

    @intrinsic
    def read(_typing: Any, address: Any, offset: Any) -> Any:  # noqa: ARG001 - names of a signature
        def code(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
            place = context.get_value_type(types.CPointer(getattr(types, type_)))
            found = builder.load(builder.inttoptr(builder.add(*values), place))
            return builder.sext(found, values[0].type)

        return types.int64(types.int64, types.int64), code

    return read


word, half, byte = reading("int64"), reading("int32"), reading("int8")


@njit
def number_of(ndarray, array, ndim, flags):
    """type_num of an array that fits, else -1."""
    if word(array, 8) != ndarray or half(array, NDIM) != ndim or half(array, FLAGS) & flags != flags:
        return -1
    descr = word(array, DESCR)
    return -1 if byte(descr, BYTE_ORDER) == ord(">") else half(descr, TYPE_NUMBER)


@njit
def is_array(ndarray, array, ndim, flags, number, other):
    """Whether an array fits, of one of two type_nums."""
    found = number_of(ndarray, array, ndim, flags)
    return found in (number, other)


@njit
def whole(value, low, high):
    """A Python or numpy integer, and whether it is one and in these bounds."""
    found = long_to_int(value)
    return found, low <= found <= high and (found != -1 or error_is_set() == 0)


@njit
def real(value):
    """A Python or numpy number, and whether it is one."""
    found = float_to_double(value)
    return found, found != -1.0 or error_is_set() == 0


@njit
def nothing(self):
    """None, for who asked."""
    none = tuple_item(self, 1)
    keep(none)
    return none


@njit
def answered(self, answer):
    """What goes back to CPython: an object, or none and TypeError.

    answer  an object; -1 the number of arguments is wrong, -2 the first of them, and so on; 0 there is an error already
    """
    if answer >= 0:
        return answer
    clear_error()
    set_error(tuple_item(self, 2), tuple_item(self, 2 - answer))
    return 0


def source(signature: Signature) -> str:
    """Python text of `entry`, which calls `kernel`, and of what it needs for each type of raw head."""
    chooser = signature.chooser
    choice = ["    return answered(self, as_(self, arguments))"]
    if chooser is not None:
        raw = signature.arguments[chooser]
        choice = [
            f"    raw = number_of(tuple_item(self, 0), word(arguments, {8 * chooser}), {raw.ndim}, {_flags(raw)})",
            *(f"    if raw == {NUMBERS[one][0]}: return answered(self, as_{one}(self, arguments))"
              for one in signature.variants),
            f"    return answered(self, {-2 - chooser})",
        ]  # fmt: skip
    lines = [
        *(line for one in signature.variants for line in _checked(signature, one)),
        "@njit",
        "def entry(self, arguments, count):",
        f"    if count != {len(signature.arguments)}: return answered(self, -1)",
        *choice,
    ]
    return "\n".join(lines) + "\n"


def _checked(signature: Signature, raw: str) -> list[str]:
    """One variant: checks every argument, then calls the kernel."""
    lines = ["@njit", f"def as_{raw}(self, arguments):", "    ndarray = tuple_item(self, 0)"]
    for at, one in enumerate(signature.arguments):
        lines += [f"    a{at} = word(arguments, {8 * at})", *_check(at, one, raw if one.type == "q" else one.type)]
    values = (_array(at, one, raw) if one.ndim else f"v{at}" for at, one in enumerate(signature.arguments))
    call = f"kernel({', '.join(values)})"
    if signature.result == "void":
        return [*lines, f"    {call}", "    return nothing(self)"]
    return [*lines, f"    return int_to_long({call})"]


def _flags(one: Argument) -> int:
    return CONTIGUOUS_ALIGNED | (WRITABLE if one.out else 0)


def _check(at: int, one: Argument, type_: str) -> list[str]:
    wrong = f"return {-2 - at}"
    if one.ndim:
        numbers = ", ".join(map(str, NUMBERS[type_]))
        return [f"    if not is_array(ndarray, a{at}, {one.ndim}, {_flags(one)}, {numbers}): {wrong}"]
    if type_.startswith("float"):
        found = f"real(a{at})"
    else:
        bounds = np.iinfo(type_)
        found = f"whole(a{at}, {bounds.min}, {bounds.max})"
    return [f"    n{at}, good = {found}", f"    if not good: {wrong}", f"    v{at} = np.{type_}(n{at})"]


def _array(at: int, one: Argument, raw: str) -> str:
    shape = "".join(f"word(word(a{at}, {SHAPE}), {8 * axis}), " for axis in range(one.ndim))
    return f"carray(pointer(word(a{at}, {DATA})), ({shape}), np.{raw if one.type == 'q' else one.type})"
