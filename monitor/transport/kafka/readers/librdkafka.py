"""ctypes bindings of the functions of librdkafka that confluent-kafka does not expose.

The library is the one that confluent-kafka has loaded: its path is in ``/proc/self/maps``. The
assumed memory layout (the handle's position in a Consumer, the fields of ``rd_kafka_message_t``) is
verified before use, without a broker: a handle must have the client's name, and a message that is
produced without a broker and purged must be returned with the expected value in every field. On any
difference a :class:`TransportError` is raised, and :func:`open_reader` falls back to ``consume()``.

References
----------
librdkafka 2.16, ``rdkafka.h``, sections "Queue API", "Simple Consumer API" and
"Events interface".
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
from confluent_kafka import Consumer

from monitor.transport.kafka.readers import gather
from schemas.errors import TransportError

_P, _I, _I64, _S, _N = (
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.c_int64,
    ctypes.c_char_p,
    ctypes.c_size_t,
)
_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "rd_kafka_name": (_S, (_P,)),
    "rd_kafka_type": (_I, (_P,)),
    "rd_kafka_memberid": (_P, (_P,)),
    "rd_kafka_mem_free": (None, (_P, _P)),
    "rd_kafka_err2name": (_S, (_I,)),
    "rd_kafka_queue_get_partition": (_P, (_P, _S, ctypes.c_int32)),
    "rd_kafka_queue_get_consumer": (_P, (_P,)),
    "rd_kafka_queue_get_main": (_P, (_P,)),
    "rd_kafka_queue_forward": (None, (_P, _P)),
    "rd_kafka_queue_io_event_enable": (None, (_P, _I, _P, _N)),
    "rd_kafka_queue_destroy": (None, (_P,)),
    "rd_kafka_queue_poll": (_P, (_P, _I)),
    "rd_kafka_consume_batch_queue": (ctypes.c_ssize_t, (_P, _I, _P, _N)),
    "rd_kafka_message_timestamp": (_I64, (_P, _P)),
    "rd_kafka_message_destroy": (None, (_P,)),
    "rd_kafka_conf_new": (_P, ()),
    "rd_kafka_conf_set": (_I, (_P, _S, _S, _P, _N)),
    "rd_kafka_conf_set_events": (None, (_P, _I)),
    "rd_kafka_new": (_P, (_I, _P, _P, _N)),
    "rd_kafka_destroy": (None, (_P,)),
    "rd_kafka_topic_new": (_P, (_P, _S, _P)),
    "rd_kafka_topic_destroy": (None, (_P,)),
    "rd_kafka_produce": (_I, (_P, ctypes.c_int32, _I, _P, _N, _P, _N, _P)),
    "rd_kafka_purge": (_I, (_P, _I)),
    "rd_kafka_event_message_next": (_P, (_P,)),
    "rd_kafka_event_destroy": (None, (_P,)),
}

_HANDLE_AT = 16
"""Offset of ``rd_kafka_t *`` in a Consumer: after CPython's object header."""

_PRODUCER, _CONSUMER = 0, 1
_EVENT_DELIVERY = 0x1
_COPY_PAYLOAD = 0x2
_PURGE_QUEUE = 0x1
_PURGED = -152
_HANDLE_BYTES = 4096
"""Bytes that must be mapped at a handle before it is read."""


@dataclass(frozen=True, slots=True)
class Library:
    """The loaded librdkafka with typed functions, two of them also as addresses."""

    call: ctypes.CDLL
    timestamp_address: int
    destroy_address: int


SELF_CHECK = "librdkafka's self-check"
"""``where`` of this module's errors, after which messages are read with ``consume()``."""


def _refuse(what: str) -> TransportError:
    """Return the error for queues that cannot be read directly."""
    return TransportError(what, where=SELF_CHECK, fix='read with kind="consume"')


def _mappings() -> list[tuple[int, int, str]]:
    """Return the readable memory mappings: start, end, file."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError as error:
        raise _refuse(f"no memory map of the process: {error}") from None
    found = []
    for line in lines:
        span, mode, *_, name = [*line.split(None, 5), ""][:6] if line else ["-", "", ""]
        start, _, end = span.partition("-")
        if mode.startswith("r"):
            found.append((int(start, 16), int(end, 16), name.strip()))
    return found


def load_library() -> Library:
    """Bind the library that confluent-kafka has loaded.

    Returns
    -------
    Library

    Raises
    ------
    TransportError
        If the library is not found, lacks a function, or kernels are disabled.
    """
    if numba.config.DISABLE_JIT:
        raise _refuse("kernels are switched off (NUMBA_DISABLE_JIT)")
    if ctypes.sizeof(ctypes.c_void_p) != 8:
        raise _refuse("pointers do not have eight bytes")
    paths = sorted({name for *_, name in _mappings() if "librdkafka" in Path(name).name})
    if len(paths) != 1:
        raise _refuse(f"{len(paths)} files named librdkafka are loaded, and one is needed")
    try:
        call = ctypes.CDLL(paths[0])
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(call, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise _refuse(str(error)) from None
    addresses = [
        ctypes.cast(getattr(call, name), ctypes.c_void_p).value or 0
        for name in ("rd_kafka_message_timestamp", "rd_kafka_message_destroy")
    ]
    return Library(call, *addresses)


def handle_of(library: Library, consumer: Consumer, client_id: str) -> int:
    """Return the address of a consumer's ``rd_kafka_t``, after verifying its client name.

    Parameters
    ----------
    consumer : Consumer
        Must be open; it need not have joined its group.
    client_id : str
        Its ``client.id``.

    Returns
    -------
    int

    Raises
    ------
    TransportError
        If the memory there is not this consumer's handle.
    """
    handle = ctypes.c_int64.from_address(id(consumer) + _HANDLE_AT).value
    if not any(start <= handle and handle + _HANDLE_BYTES <= end for start, end, _ in _mappings()):
        raise _refuse("a Consumer does not hold its handle where it is expected")
    name = library.call.rd_kafka_name(handle) or b""
    if not name.startswith(f"{client_id}#consumer-".encode()):
        raise _refuse("a Consumer's handle does not bear its client's name")
    if library.call.rd_kafka_type(handle) != _CONSUMER:
        raise _refuse("a Consumer's handle is not of a consumer")
    check_member(library, handle, consumer)
    return handle


def check_member(library: Library, handle: int, consumer: Consumer) -> None:
    """Compare the member ID of the handle with the consumer's.

    Both are empty before the group is joined; :class:`BulkReader` checks again at its first
    assignment.

    Raises
    ------
    TransportError
        If they differ.
    """
    address = library.call.rd_kafka_memberid(handle)
    member = b""
    if address:
        member = ctypes.string_at(address)
        library.call.rd_kafka_mem_free(handle, address)
    if member.decode() != (consumer.memberid() or ""):
        raise _refuse("the member id behind a Consumer's handle is another one")


def check_layout(library: Library) -> None:
    """Produce a message without a broker, purge it, and verify its fields.

    Raises
    ------
    TransportError
        If a field is not at the expected offset.

    Notes
    -----
    Makes no connection. Cost: a producer's threads for a few milliseconds.
    """
    call = library.call
    conf = call.rd_kafka_conf_new()
    call.rd_kafka_conf_set_events(conf, _EVENT_DELIVERY)
    text = ctypes.create_string_buffer(256)
    call.rd_kafka_conf_set(conf, b"log_level", b"0", text, len(text))  # without brokers: intended
    producer = call.rd_kafka_new(_PRODUCER, conf, text, len(text))
    if not producer:
        raise _refuse(f"no producer for the self-check: {text.value.decode()}")
    topic = call.rd_kafka_topic_new(producer, b"driftline-self-check", None)
    queue = call.rd_kafka_queue_get_main(producer)
    try:
        _send_to_nowhere(library, producer, topic)
        event = call.rd_kafka_queue_poll(queue, 5_000)
        try:
            _compare(library, call.rd_kafka_event_message_next(event) if event else 0)
        finally:
            if event:
                call.rd_kafka_event_destroy(event)
    finally:
        call.rd_kafka_queue_destroy(queue)
        call.rd_kafka_topic_destroy(topic)
        call.rd_kafka_destroy(producer)


_PAYLOAD, _KEY, _PARTITION = b"the payload of a self-check", b"its key", 3


def _send_to_nowhere(library: Library, producer: int, topic: int) -> None:
    """Produce a message and purge it, which returns it as a delivery report."""
    sent = library.call.rd_kafka_produce(
        topic, _PARTITION, _COPY_PAYLOAD, _PAYLOAD, len(_PAYLOAD), _KEY, len(_KEY), None
    )
    if sent != 0 or library.call.rd_kafka_purge(producer, _PURGE_QUEUE) != 0:
        raise _refuse("the self-check could not produce its message")


def _compare(library: Library, message: int | None) -> None:
    """Read every field of the message with the kernels that read all messages."""
    if not message:
        raise _refuse("the self-check's message did not come back")
    word = ctypes.c_int64.from_address
    fields = {
        "err": (ctypes.c_int32.from_address(message + gather.ERR).value, _PURGED),
        "partition": (ctypes.c_int32.from_address(message + gather.PARTITION).value, _PARTITION),
        "len": (word(message + gather.LENGTH).value, len(_PAYLOAD)),
        "key_len": (word(message + gather.KEY_LENGTH).value, len(_KEY)),
        "offset": (word(message + gather.OFFSET).value < 0, True),
        "time": (library.call.rd_kafka_message_timestamp(message, None), -1),
    }
    wrong = [name for name, (found, expected) in fields.items() if found != expected]
    if not wrong:
        pairs = ((gather.PAYLOAD, _PAYLOAD), (gather.KEY, _KEY))
        texts = [
            (ctypes.string_at(word(message + at).value, len(said)), said) for at, said in pairs
        ]
        wrong = [said.decode() for found, said in texts if found != said]
    if not wrong and _by_kernel(message) != (1, _PURGED):
        wrong = ["the kernel's view"]
    if wrong:
        raise _refuse(f"a message's fields are not where they are expected: {', '.join(wrong)}")


def _by_kernel(message: int) -> tuple[int, int]:
    """Return the number of errors that the kernel finds in one message, and the code."""
    out = np.zeros(2, dtype=np.int64)
    n = gather.find_errors(np.array([message], dtype=np.int64), 1, out)
    return int(n), int(out[0])
