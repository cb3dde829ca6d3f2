"""How many versions of a model one pane counts by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from schemas.batch import EventBatch
from schemas.events import MAX_VALUE_CHARS
from schemas.panes import OTHER

MAX_VERSIONS = 64
"""A version that comes after so many others in a pane is counted as ``other``: a producer
that puts a build number or a request id there must not make a series of each."""
OTHER_CODE = -2
"""Dictionary code of ``other``, where -1 is null."""

ModelKey = tuple[str, str]


def version_name(values: Sequence[str], code: int) -> str:
    """Return the name of a version code; an event without a version has the empty one.

    A version longer than ``MAX_VALUE_CHARS`` is called ``other``: it is part of keys.
    """
    if code == OTHER_CODE:
        return OTHER
    name = values[code] if code >= 0 else ""
    return name if len(name) <= MAX_VALUE_CHARS else OTHER


def others_joined(batch: EventBatch, codes: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return codes in which all that are called ``other`` are one, so that they are counted
    together, in the order of the log."""
    values = batch.model_version.values
    found = np.unique(codes).tolist()
    long = [code for code in found if code >= 0 and len(values[code]) > MAX_VALUE_CHARS]
    if not long:
        return codes
    return np.where(np.isin(codes, long), np.int32(OTHER_CODE), codes)


class VersionCap:
    """The versions each open pane has seen, in log order.

    Notes
    -----
    A pane is always read again from its first event, so after a crash the same versions
    keep their names.
    """

    def __init__(self) -> None:
        self._panes: dict[ModelKey, dict[str, set[int]]] = {}
        """Panes of each version: a batch of one version may have thousands."""
        self._oldest: dict[ModelKey, int] = {}
        """The first pane of any of its versions, or one before that."""
        self._before: int | None = None

    def note(self, key: ModelKey, indices: Collection[int], version: str) -> None:
        """Remember that these panes, one at least, have this version."""
        if version == OTHER:
            return
        self._panes.setdefault(key, {}).setdefault(version, set()).update(indices)
        oldest = min(indices)
        if oldest < self._oldest.get(key, oldest + 1):
            self._oldest[key] = oldest

    def forget(self, before: int) -> None:
        """Forget panes below this place."""
        if before == self._before:
            return
        self._before = before
        for key in [key for key, oldest in self._oldest.items() if oldest < before]:
            kept = {v: {i for i in p if i >= before} for v, p in self._panes[key].items()}
            self._panes[key] = {version: panes for version, panes in kept.items() if panes}
            if self._panes[key]:
                self._oldest[key] = min(map(min, self._panes[key].values()))
            else:
                del self._panes[key], self._oldest[key]

    def has_room(self, key: ModelKey, n_new: int) -> bool:
        """Whether so many versions fit into every open pane, even if all of them are new."""
        versions = self._panes.get(key, {})
        if len(versions) + n_new <= MAX_VERSIONS:
            return True
        counts = Counter(chain.from_iterable(versions.values()))
        return max(counts.values(), default=0) + n_new <= MAX_VERSIONS

    def names(
        self, batch: EventBatch, rows: NDArray[np.int64], pane: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """Return each row's version code, ``OTHER_CODE`` where its pane is full.

        Parameters
        ----------
        rows : ndarray of int64
            Accepted rows, in log order.
        pane : ndarray of int64, shape (n,)
            Place of every row of the batch.

        Notes
        -----
        A sort of the rows: only for a pane that is nearly full.
        """
        codes = batch.model_version.codes.copy()
        key = (batch.schema.tenant, batch.schema.model)
        _, place = np.unique(pane[rows], return_inverse=True)
        pairs = place * (len(batch.model_version.values) + 1) + codes[rows] + 1
        found, firsts, which = np.unique(pairs, return_index=True, return_inverse=True)
        is_refused = np.zeros(len(found), bool)
        versions = self._panes.setdefault(key, {})
        for k in np.argsort(firsts).tolist():
            row = int(rows[firsts[k]])
            version = version_name(batch.model_version.values, int(codes[row]))
            index = int(pane[row])
            if version != OTHER and index not in versions.get(version, ()):
                is_refused[k] = sum(index in p for p in versions.values()) >= MAX_VERSIONS
                if not is_refused[k]:
                    self.note(key, (index,), version)
        if not versions:
            del self._panes[key]
        codes[rows[is_refused[which]]] = OTHER_CODE
        return codes
