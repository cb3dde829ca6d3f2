"""Unaligned loads and stores at an address, and the few instructions Numba lacks.

Kernels of this package work on addresses, not arrays: an array handed to a
nested function costs atomic reference counts (970 ns an event, 228 ns without).
Addresses and counts are int64, bytes in words are uint64; the two are never
mixed, because int64 + uint64 is float64 in Numba. Who passes an address keeps
its array alive, and sees to ``PAD_BYTES`` readable bytes after the last one.

With ``NUMBA_DISABLE_JIT=1`` nothing here can run, and the decoder takes the
strict path (:mod:`monitor.decode.strict`), whose answers are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

Address = int
"""An int64; 0 is nowhere."""

Word = np.uint64

PAD_BYTES = 64
"""How far past an event's end a kernel may read: one number, written out at length."""

_I8, _I32, _I64, _I128 = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.IntType(128)
_F64 = ir.DoubleType()


def _load(builder: ir.IRBuilder, address: ir.Value, kind: ir.Type) -> ir.Value:
    """Read one value of any alignment."""
    return builder.load(builder.inttoptr(address, kind.as_pointer()), align=1)


def _store(builder: ir.IRBuilder, address: ir.Value, value: ir.Value) -> ir.Value:
    """Write one value of any alignment."""
    builder.store(value, builder.inttoptr(address, value.type.as_pointer()), align=1)
    return ir.Constant(_I64, 0)


def _instruction(
    result: types.Type, arguments: tuple[types.Type, ...], emit: Callable[..., ir.Value]
) -> Any:
    """Return the signature and code generator that ``intrinsic`` wants."""
    signature = result(*arguments)
    return signature, lambda context, builder, sig, args: emit(builder, *args)


@intrinsic
def load_word(typing: Any, address: Any) -> Any:
    """Eight bytes, the first one lowest."""
    return _instruction(types.uint64, (types.int64,), lambda b, a: _load(b, a, _I64))


@intrinsic
def load_int(typing: Any, address: Any) -> Any:
    """One int64."""
    return _instruction(types.int64, (types.int64,), lambda b, a: _load(b, a, _I64))


@intrinsic
def load_float(typing: Any, address: Any) -> Any:
    """One float64."""
    return _instruction(types.float64, (types.int64,), lambda b, a: _load(b, a, _F64))


@intrinsic
def load_byte(typing: Any, address: Any) -> Any:
    """One byte, as an int64."""
    return _instruction(types.int64, (types.int64,), lambda b, a: b.zext(_load(b, a, _I8), _I64))


@intrinsic
def store_int(typing: Any, address: Any, value: Any) -> Any:
    """Write an int64."""
    return _instruction(types.int64, (types.int64, types.int64), _store)


@intrinsic
def store_word(typing: Any, address: Any, value: Any) -> Any:
    """Write eight bytes."""
    return _instruction(types.int64, (types.int64, types.uint64), _store)


@intrinsic
def store_float(typing: Any, address: Any, value: Any) -> Any:
    """Write a float64."""
    return _instruction(types.int64, (types.int64, types.float64), _store)


@intrinsic
def store_byte(typing: Any, address: Any, value: Any) -> Any:
    """Write the lowest byte of an int64."""
    return _instruction(
        types.int64,
        (types.int64, types.int64),
        lambda b, a, v: _store(b, a, b.trunc(v, _I8)),
    )


@intrinsic
def store_code(typing: Any, address: Any, value: Any) -> Any:
    """Write an int64 as int32."""
    return _instruction(
        types.int64,
        (types.int64, types.int64),
        lambda b, a, v: _store(b, a, b.trunc(v, _I32)),
    )


def _mask(builder: ir.IRBuilder, flags: ir.Value, width: int) -> ir.Value:
    """One bit per flag, the first byte lowest."""
    return builder.zext(builder.bitcast(flags, ir.IntType(width)), _I64)


def _splat(byte: int, width: int) -> ir.Constant:
    """The same byte in every lane."""
    return ir.Constant(ir.VectorType(_I8, width), [byte] * width)


@intrinsic
def non_digits(typing: Any, address: Any) -> Any:
    """Which of sixteen bytes are no ASCII digit, one bit each."""

    def emit(builder: ir.IRBuilder, at: ir.Value) -> ir.Value:
        text = _load(builder, at, ir.VectorType(_I8, 16))
        value = builder.sub(text, _splat(0x30, 16))
        return _mask(builder, builder.icmp_unsigned(">", value, _splat(9, 16)), 16)

    return _instruction(types.int64, (types.int64,), emit)


def _special(builder: ir.IRBuilder, at: ir.Value, is_ascii: bool) -> ir.Value:
    """Compare 32 bytes with a quote, a backslash and what lies below a space."""
    text = _load(builder, at, ir.VectorType(_I8, 32))
    is_quote = builder.icmp_unsigned("==", text, _splat(0x22, 32))
    is_escape = builder.icmp_unsigned("==", text, _splat(0x5C, 32))
    compare = builder.icmp_signed if is_ascii else builder.icmp_unsigned
    is_low = compare("<", text, _splat(0x20, 32))  # signed: bytes from 0x80 on are negative
    return _mask(builder, builder.or_(builder.or_(is_quote, is_escape), is_low), 32)


@intrinsic
def non_texts(typing: Any, address: Any) -> Any:
    """Which of 32 bytes are a quote, a backslash, a control character or not ASCII."""
    return _instruction(types.int64, (types.int64,), lambda b, a: _special(b, a, is_ascii=True))


@intrinsic
def non_plain(typing: Any, address: Any) -> Any:
    """Which of 32 bytes are a quote, a backslash or a control character."""
    return _instruction(types.int64, (types.int64,), lambda b, a: _special(b, a, is_ascii=False))


def _equal_to(byte: int) -> Callable[[ir.IRBuilder, ir.Value], ir.Value]:
    """Compare 64 bytes with one; one bit each, the first byte lowest."""

    def emit(builder: ir.IRBuilder, at: ir.Value) -> ir.Value:
        text = _load(builder, at, ir.VectorType(_I8, 64))
        return builder.bitcast(builder.icmp_unsigned("==", text, _splat(byte, 64)), _I64)

    return emit


@intrinsic
def quotes(typing: Any, address: Any) -> Any:
    """Which of 64 bytes are quotes."""
    return _instruction(types.uint64, (types.int64,), _equal_to(0x22))


@intrinsic
def commas(typing: Any, address: Any) -> Any:
    """Which of 64 bytes are commas."""
    return _instruction(types.uint64, (types.int64,), _equal_to(0x2C))


@intrinsic
def spaces(typing: Any, address: Any) -> Any:
    """Which of 64 bytes are spaces."""
    return _instruction(types.uint64, (types.int64,), _equal_to(0x20))


@intrinsic
def escapes_and_controls(typing: Any, address: Any) -> Any:
    """Which of 64 bytes are a backslash or a control character."""

    def emit(builder: ir.IRBuilder, at: ir.Value) -> ir.Value:
        text = _load(builder, at, ir.VectorType(_I8, 64))
        is_escape = builder.icmp_unsigned("==", text, _splat(0x5C, 64))
        is_control = builder.icmp_unsigned("<", text, _splat(0x20, 64))
        return builder.bitcast(builder.or_(is_escape, is_control), _I64)

    return _instruction(types.uint64, (types.int64,), emit)


@intrinsic
def equal_codes(typing: Any, address: Any, value: Any) -> Any:
    """Which of sixteen int32 are the lower half of a value, one bit each, the first lowest."""

    def emit(builder: ir.IRBuilder, at: ir.Value, value: ir.Value) -> ir.Value:
        kind = ir.VectorType(_I32, 16)
        some = ir.Constant(kind, ir.Undefined)
        first = builder.insert_element(some, builder.trunc(value, _I32), ir.Constant(_I32, 0))
        every = builder.shuffle_vector(first, some, ir.Constant(kind, [0] * 16))
        return _mask(builder, builder.icmp_unsigned("==", _load(builder, at, kind), every), 16)

    return _instruction(types.int64, (types.int64, types.int64), emit)


@intrinsic
def prefetch(typing: Any, address: Any) -> Any:
    """Have the processor load what will be read soon; any address will do."""

    def emit(builder: ir.IRBuilder, at: ir.Value) -> ir.Value:
        pointer = builder.inttoptr(at, _I8.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), (pointer.type, _I32, _I32, _I32))
        call = builder.module.declare_intrinsic("llvm.prefetch", (pointer.type,), kind)
        is_write, locality, is_data = (ir.Constant(_I32, k) for k in (0, 3, 1))
        builder.call(call, (pointer, is_write, locality, is_data))
        return ir.Constant(_I64, 0)

    return _instruction(types.int64, (types.int64,), emit)


@intrinsic
def trailing_zeros(typing: Any, word: Any) -> Any:
    """Zero bits below the lowest one; 64 for 0."""
    return _instruction(
        types.int64, (types.uint64,), lambda b, w: b.cttz(w, ir.Constant(ir.IntType(1), 0))
    )


@intrinsic
def leading_zeros(typing: Any, word: Any) -> Any:
    """Zero bits above the highest one; 64 for 0."""
    return _instruction(
        types.int64, (types.uint64,), lambda b, w: b.ctlz(w, ir.Constant(ir.IntType(1), 0))
    )


@intrinsic
def multiply_high(typing: Any, a: Any, b: Any) -> Any:
    """Upper 64 bits of a 128-bit product."""

    def emit(builder: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
        product = builder.mul(builder.zext(x, _I128), builder.zext(y, _I128))
        return builder.trunc(builder.lshr(product, ir.Constant(_I128, 64)), _I64)

    return _instruction(types.uint64, (types.uint64, types.uint64), emit)


@intrinsic
def float_of_bits(typing: Any, word: Any) -> Any:
    """The float64 with these bits."""
    return _instruction(types.float64, (types.uint64,), lambda b, w: b.bitcast(w, _F64))
