"""Kernels that copy librdkafka's messages into one buffer, without an object per message.

A message is the address of an ``rd_kafka_message_t``. The two functions called here are passed as
addresses too: machine code that contains an address could not be cached on disk, since libraries
are loaded elsewhere in the next process.

Measured (``benchmarks.kafka_read``, 386-byte messages): .4-.5 us of CPU per message over all
threads of the process, including librdkafka's, from the broker into chunks; with ``consume()``
1.5-1.7 us.

With ``NUMBA_DISABLE_JIT=1`` these kernels cannot run, and :func:`open_reader` reads with
``consume()``. The caller must keep the memory at the passed addresses alive.

References
----------
librdkafka 2.16, ``rdkafka.h``: ``rd_kafka_message_t``, ``rd_kafka_message_timestamp``,
``rd_kafka_message_destroy``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from detectors.kernels.jit import kernel
from schemas.batch import Int64Array, Uint8Array

Address = int
"""An int64; 0 is NULL."""

ERR, PARTITION, PAYLOAD, LENGTH, KEY, KEY_LENGTH, OFFSET = 0, 16, 24, 32, 40, 48, 56
"""Byte offsets in ``rd_kafka_message_t`` on 64-bit platforms."""

PAD_BYTES = 64
"""Zeros after the last payload: the decoder's kernels read past an event's end."""

_I32, _I64 = ir.IntType(32), ir.IntType(64)


def _instruction(
    result: types.Type, arguments: tuple[types.Type, ...], emit: Callable[..., ir.Value]
) -> Any:
    """Return the signature and code generator that ``intrinsic`` wants."""
    signature = result(*arguments)
    return signature, lambda context, builder, sig, args: emit(builder, *args)


def _at(builder: ir.IRBuilder, address: ir.Value, kind: ir.Type) -> ir.Value:
    """Convert an integer to a pointer."""
    return builder.inttoptr(address, kind.as_pointer())


@intrinsic
def _load_int(typing: Any, address: Any) -> Any:
    """Load an int64."""
    return _instruction(types.int64, (types.int64,), lambda b, a: b.load(_at(b, a, _I64)))


@intrinsic
def _load_short(typing: Any, address: Any) -> Any:
    """Load an int32 as an int64."""
    return _instruction(
        types.int64, (types.int64,), lambda b, a: b.sext(b.load(_at(b, a, _I32)), _I64)
    )


@intrinsic
def _copy(typing: Any, to: Any, source: Any, n_bytes: Any) -> Any:
    """memcpy."""

    def emit(builder: ir.IRBuilder, to: ir.Value, source: ir.Value, n: ir.Value) -> ir.Value:
        byte = ir.IntType(8)
        cgutils.raw_memcpy(builder, _at(builder, to, byte), _at(builder, source, byte), n, 1)
        return ir.Constant(_I64, 0)

    return _instruction(types.int64, (types.int64, types.int64, types.int64), emit)


@intrinsic
def _call_time(typing: Any, function: Any, message: Any) -> Any:
    """``rd_kafka_message_timestamp(message, NULL)``: milliseconds, or -1."""

    def emit(builder: ir.IRBuilder, function: ir.Value, message: ir.Value) -> ir.Value:
        kind = ir.FunctionType(_I64, (_I64, _I64))
        return builder.call(_at(builder, function, kind), (message, ir.Constant(_I64, 0)))

    return _instruction(types.int64, (types.int64, types.int64), emit)


@intrinsic
def _call_destroy(typing: Any, function: Any, message: Any) -> Any:
    """``rd_kafka_message_destroy(message)``."""

    def emit(builder: ir.IRBuilder, function: ir.Value, message: ir.Value) -> ir.Value:
        kind = ir.FunctionType(ir.VoidType(), (_I64,))
        builder.call(_at(builder, function, kind), (message,))
        return ir.Constant(_I64, 0)

    return _instruction(types.int64, (types.int64, types.int64), emit)


@kernel
def weigh(messages: Int64Array, n: int, least_offset: int) -> tuple[int, int, int]:
    """Return the sizes that a batch needs.

    Parameters
    ----------
    messages : ndarray of int64, shape (>= n,)
        Addresses of messages.
    least_offset : int
        Messages before it are skipped: they were already returned.

    Returns
    -------
    (int, int, int)
        Number of messages that are not error events, bytes of their payloads, bytes of their keys.
    """
    n_kept, n_payload, n_key = 0, 0, 0
    for i in range(n):
        message = messages[i]
        if _load_short(message + ERR) == 0 and _load_int(message + OFFSET) >= least_offset:
            n_kept += 1
            n_payload += _load_int(message + LENGTH)
            n_key += _load_int(message + KEY_LENGTH)
    return n_kept, n_payload, n_key


@kernel
def gather(
    messages: Int64Array,
    n: int,
    least_offset: int,
    timestamp_function: int,
    buffer: int,
    offsets: Int64Array,
    log_offset: Int64Array,
    record_time_us: Int64Array,
) -> None:
    """Concatenate payloads, with their log offsets and record times.

    Parameters
    ----------
    messages, n, least_offset
        As in :func:`weigh`.
    timestamp_function : int
        Address of ``rd_kafka_message_timestamp``.
    buffer : int
        Address of a buffer of the size that ``weigh`` returned.
    offsets : ndarray of int64, shape (n_kept + 1,)
        Output.
    log_offset, record_time_us : ndarray of int64, shape (n_kept,)
        Output. A message without a timestamp has record time -1.
    """
    place, k = 0, 0
    offsets[0] = 0
    for i in range(n):
        message = messages[i]
        log = _load_int(message + OFFSET)
        if _load_short(message + ERR) != 0 or log < least_offset:
            continue
        length = _load_int(message + LENGTH)
        if length > 0:
            _copy(buffer + place, _load_int(message + PAYLOAD), length)
        place += length
        time_ms = _call_time(timestamp_function, message)
        log_offset[k] = log
        record_time_us[k] = time_ms * 1000 if time_ms >= 0 else -1
        k += 1
        offsets[k] = place


@kernel
def gather_keys(
    messages: Int64Array,
    n: int,
    least_offset: int,
    buffer: int,
    offsets: Int64Array,
    has_key: Uint8Array,
    has_value: Uint8Array,
) -> None:
    """Concatenate keys, and mark null keys and values.

    Parameters
    ----------
    messages, n, least_offset
        As in :func:`weigh`.
    buffer : int
        Address of a buffer of the size that ``weigh`` returned for keys.
    offsets : ndarray of int64, shape (n_kept + 1,)
        Output.
    has_key, has_value : ndarray of uint8, shape (n_kept,)
        Output. A message without a value is a tombstone.
    """
    place, k = 0, 0
    offsets[0] = 0
    for i in range(n):
        message = messages[i]
        if _load_short(message + ERR) != 0 or _load_int(message + OFFSET) < least_offset:
            continue
        length = _load_int(message + KEY_LENGTH)
        if length > 0:
            _copy(buffer + place, _load_int(message + KEY), length)
        place += length
        has_key[k] = 1 if _load_int(message + KEY) != 0 else 0
        has_value[k] = 1 if _load_int(message + PAYLOAD) != 0 else 0
        k += 1
        offsets[k] = place


@kernel
def find_errors(messages: Int64Array, n: int, out: Int64Array) -> int:
    """List the error events: code and log offset of each.

    Parameters
    ----------
    messages, n
        As in :func:`weigh`.
    out : ndarray of int64, shape (2 * n,)
        Written: code, offset, code, offset, ...

    Returns
    -------
    int
        Number of error events.
    """
    k = 0
    for i in range(n):
        code = _load_short(messages[i] + ERR)
        if code != 0:
            out[2 * k] = code
            out[2 * k + 1] = _load_int(messages[i] + OFFSET)
            k += 1
    return k


@kernel
def release(messages: Int64Array, n: int, destroy_function: int) -> None:
    """Release messages to librdkafka; their payloads must not be read afterwards.

    Parameters
    ----------
    messages, n
        As in :func:`weigh`.
    destroy_function : int
        Address of ``rd_kafka_message_destroy``.
    """
    for i in range(n):
        _call_destroy(destroy_function, messages[i])
