"""Chooses the reader of a topic: bulk if that is safe, else ``consume()``."""

from __future__ import annotations

from typing import Literal

from monitor.transport.kafka.client_log import LOG
from monitor.transport.kafka.group_reader import GroupReader
from monitor.transport.kafka.readers.bulk import BulkReader
from monitor.transport.kafka.readers.consume import ConsumeReader, Unwrap
from monitor.transport.kafka.readers.librdkafka import SELF_CHECK
from monitor.transport.kafka.settings import Callbacks, ReaderSettings
from schemas.errors import TransportError

ReaderKind = Literal["auto", "bulk", "consume"]

_SAID: set[str] = set()
"""Reasons for a fallback that this process has already logged."""


def open_reader(
    settings: ReaderSettings,
    callbacks: Callbacks | None = None,
    *,
    kind: ReaderKind = "auto",
    unwrap: Unwrap | None = None,
) -> GroupReader:
    """Join a group and read a topic.

    Parameters
    ----------
    kind : str, optional
        ``auto`` reads in bulk if the self-check passes and no headers are needed, otherwise with
        ``consume()``, and logs the reason once.
    unwrap : callable, optional
        Called with headers and body of messages that have headers. Only ``consume()`` reads
        headers.

    Returns
    -------
    GroupReader
        Its ``kind`` is ``bulk`` or ``consume``, for metrics.

    Raises
    ------
    TransportError
        If there is no such topic, the broker does not answer in time, or ``kind`` is ``bulk`` and
        not possible.
    """
    if kind == "bulk" and unwrap is not None:
        raise TransportError(
            "headers are not read in bulk", where=settings.topic, fix='use kind="consume"'
        )
    if kind == "consume" or unwrap is not None:
        return ConsumeReader(settings, callbacks, unwrap)
    try:
        return BulkReader(settings, callbacks)
    except TransportError as error:
        if kind == "bulk" or error.where != SELF_CHECK:
            raise
        _say_once(error.what)
    return ConsumeReader(settings, callbacks)


def _say_once(reason: str) -> None:
    """Log the reason of the fallback, once per process."""
    if reason not in _SAID:
        _SAID.add(reason)
        LOG.warning("reading with consume(), which is slower than bulk reads: %s", reason)
