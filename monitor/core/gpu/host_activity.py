"""Host activity: times at which hosts served predictions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import numpy as np

from monitor.core.windowing.aggregate import RefusedRows
from schemas.batch import EventBatch, Int64Array, MixedBatch
from schemas.events import MAX_VALUE_CHARS

SIGN_US = 20_000_000
"""Resolution of host activity in event time; less than an exporter's interval."""
MAX_SIGNS = 2_000
MAX_MESSAGE_BYTES = 300_000
"""Entries per message; control characters in names take six bytes each."""


class HostSign(NamedTuple):
    """Activity of a host: it served a prediction."""

    tenant: str
    host: str
    time_us: int
    """Start of the interval of ``SIGN_US`` with the prediction."""


def signs_of(batch: EventBatch, without: Int64Array | None = None) -> list[HostSign]:
    """Return the activity of the hosts in a batch.

    Parameters
    ----------
    without : ndarray of int64, optional
        Rows to ignore, such as those with times in the future.

    Returns
    -------
    list of HostSign
        One per host and interval, sorted by host and time. Hosts with names of more than
        ``MAX_VALUE_CHARS`` are omitted: GPU telemetry cannot contain them.

    Notes
    -----
    O(n): some nanoseconds per row if predictions have a host, constant otherwise.
    """
    codes = batch.host.codes
    is_named = codes >= 0
    if without is not None:
        is_named[without] = False
    if not is_named.any():
        return []
    times_us = batch.time_us
    if not is_named.all():
        codes, times_us = codes[is_named], times_us[is_named]
    codes, steps = codes.astype(np.int64), times_us // SIGN_US
    first, n_steps = int(steps.min()), int(steps.max() - steps.min()) + 1
    low = int(codes.min())
    keys = (codes - low) * n_steps + (steps - first)
    n_keys = int(keys.max()) + 1
    if n_keys <= 8 * len(keys) + 4_096:
        is_seen = np.zeros(n_keys, np.bool_)
        is_seen[keys] = True
        keys = np.flatnonzero(is_seen)
    else:
        keys = np.unique(keys)
    tenant, names = batch.schema.tenant, batch.host.values
    return [
        HostSign(tenant, names[low + key // n_steps], (first + key % n_steps) * SIGN_US)
        for key in keys.tolist()
        if len(names[low + key // n_steps]) <= MAX_VALUE_CHARS
    ]


def signs_of_mixed(mixed: MixedBatch, without: Iterable[RefusedRows] = ()) -> set[HostSign]:
    """Return which hosts served the predictions of several models.

    Parameters
    ----------
    without : iterable of RefusedRows, optional
        Events that do not count, such as those stamped in the future.
    """
    places = {
        (int(refused.batch.message[i]), int(refused.batch.row[i]))
        for refused in without
        for i in refused.rows.tolist()
    }
    steps = (mixed.time_us // SIGN_US * SIGN_US).tolist()
    found = set()
    for i, model in enumerate(mixed.model.tolist()):
        names = mixed.texts[mixed.dictionaries[model][-2]]
        code = mixed.codes[len(mixed.dictionaries[model]) - 2, i]
        if code < 0 or len(names[code]) > MAX_VALUE_CHARS:
            continue
        if not places or (int(mixed.message[i]), int(mixed.row[i])) not in places:
            found.add(HostSign(mixed.schemas[model].tenant, names[code], steps[i]))
    return found


class NewestSigns:
    """The newest activity of each host that has not been returned yet.

    Notes
    -----
    Returns at most one entry per host and ``SIGN_US`` of event time.
    """

    def __init__(self) -> None:
        self._reported: dict[tuple[str, str], int] = {}
        self._new: dict[tuple[str, str], int] = {}

    def add(self, signs: Iterable[HostSign]) -> None:
        """Add activity, in any order."""
        for tenant, host, time_us in signs:
            if time_us > self._reported.get((tenant, host), -1):
                self._new[tenant, host] = max(time_us, self._new.get((tenant, host), -1))

    def take(self) -> list[HostSign]:
        """Return new activity since the last call."""
        found = [HostSign(*key, time_us) for key, time_us in sorted(self._new.items())]
        self._reported |= self._new
        self._new = {}
        if len(self._reported) > MAX_HOSTS:
            self._reported = {}
        return found[:MAX_HOSTS]


MAX_HOSTS = 20_000
"""Maximum number of hosts kept, so that arbitrary names cannot fill the memory."""


def sign_messages(signs: list[HostSign]) -> list[bytes]:
    """Return activity as messages of the GPU topic: events of hosts, without a GPU.

    Examples
    --------
    >>> sign_messages([HostSign("default", "n1", 20)])
    [b'[{"host":"n1","gpu_uuid":"","time_us":20,"tenant":"default"}]']
    """
    messages: list[bytes] = []
    events: list[bytes] = []
    n_bytes = 0
    for sign in signs:
        event = {
            "host": sign.host, "gpu_uuid": "", "time_us": sign.time_us, "tenant": sign.tenant
        }  # fmt: skip
        text = msgspec.json.encode(event)
        is_full = len(events) >= MAX_SIGNS or n_bytes + len(text) > MAX_MESSAGE_BYTES
        if events and is_full:
            messages.append(b"[" + b",".join(events) + b"]")
            events, n_bytes = [], 0
        events.append(text)
        n_bytes += len(text) + 1
    return [*messages, b"[" + b",".join(events) + b"]"] if events else []
