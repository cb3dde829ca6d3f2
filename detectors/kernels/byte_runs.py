"""How many small bytes follow each other: one comparison of a whole block of bytes."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

BLOCK = 32
"""Bytes that are compared together."""


def _leading_small(tokens: NDArray[np.uint8], at: np.uint64, bound: int) -> int:
    """Return how many of the ``BLOCK`` bytes from ``at`` on come before one of ``bound`` or more.

    All of them have to be in the array: this is not checked.
    """
    n = 0
    while n < BLOCK and tokens[np.int64(at) + n] < bound:
        n += 1
    return n


def _emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
    """Compare a block of bytes, and count the zeros before the first bit that is set."""
    tokens, at, bound = arguments
    data = context.make_array(signature.args[0])(context, builder, tokens).data
    block = ir.VectorType(ir.IntType(8), BLOCK)
    address = builder.bitcast(builder.gep(data, [at]), block.as_pointer())
    byte = builder.trunc(bound, ir.IntType(8))
    bounds = ir.Constant(block, ir.Undefined)
    for i in range(BLOCK):
        bounds = builder.insert_element(bounds, byte, ir.Constant(ir.IntType(32), i))
    is_large = builder.icmp_unsigned(">=", builder.load(address, align=1), bounds)
    mask = builder.bitcast(is_large, ir.IntType(BLOCK))
    count = builder.cttz(mask, ir.Constant(ir.IntType(1), 0))
    return builder.zext(count, ir.IntType(64))


@intrinsic  # type: ignore[untyped-decorator]
def _leading_small_bytes(typing: Any, tokens: Any, at: Any, bound: Any) -> Any:
    """Compile :func:`_leading_small`."""
    return types.int64(tokens, types.uint64, types.int64), _emit


leading_small = _leading_small if numba.config.DISABLE_JIT else _leading_small_bytes
