"""Events of models that have few in a chunk: one batch for all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.decode.batches import Scratch, either, joined_ids
from monitor.decode.columns import Columns
from monitor.decode.dictionaries import Dictionaries
from monitor.decode.units import Units
from schemas.batch import Absent, Int64Array, MixedBatch, Uint8Array

FEW = 16
"""A model with fewer events in a chunk may share a batch: one of its own costs as much as a
hundred events."""


class SmallModels:
    """Makes one batch of the events of all models that have few.

    Parameters
    ----------
    columns : sequence of Columns
        Of every model.
    is_whole : sequence of bool
        Models that always get a batch of their own.
    """

    def __init__(self, columns: Sequence[Columns], is_whole: Sequence[bool]) -> None:
        self._columns = columns
        self._may_share = ~np.array(is_whole, bool)
        self._schemas = tuple(c.schema for c in columns)
        self._dictionaries = tuple(c.dictionaries for c in columns)
        self._shared = {i for i, c in enumerate(columns) if c.has_shared_segments}

    def rows(self, models: Int64Array) -> Int64Array | None:
        """Return the events of models that have few; None where there are none.

        Parameters
        ----------
        models : ndarray of int64, shape (n,)
            Of each event; negative where it has none.
        """
        is_there = models >= 0
        counts = np.bincount(models[is_there], minlength=len(self._may_share))
        is_few = (counts > 0) & (counts < FEW) & self._may_share
        if not is_few.any():
            return None
        return np.flatnonzero(is_few[models] & is_there)

    def batch(
        self,
        scratch: Scratch,
        rows: Int64Array,
        models: Int64Array,
        units: Units,
        known: Dictionaries,
        id_bytes: Uint8Array,
    ) -> MixedBatch:
        """Make their batch.

        Parameters
        ----------
        rows : ndarray of int64
            The events, in source order.
        models : ndarray of int64
            Of every event of ``scratch``.
        """
        codes = scratch.codes[:, rows]
        mixed = MixedBatch(
            schemas=self._schemas,
            model=models[rows],
            message=units.message[rows],
            row=units.row[rows],
            time_us=scratch.time_us[rows],
            numbers=scratch.numbers[:, rows],
            codes=codes,
            dictionaries=self._dictionaries,
            texts=known.values,
            id_spans=scratch.ids[rows],
            id_bytes=id_bytes,
            absent=scratch.take_absent(codes, len(scratch.numbers)),
        )
        if known.has_moved or self._shared:
            self._settle(mixed, known)
        return mixed

    def _settle(self, mixed: MixedBatch, known: Dictionaries) -> None:
        """Replace provisional codes, and give segments that are features the feature's value."""
        codes = mixed.codes
        for model, rows in mixed.by_model():
            own = self._columns[model]
            if known.has_moved:
                for c, dictionary in enumerate(own.dictionaries):
                    codes[c, rows] = known.settled(dictionary, codes[c, rows])
            if model in self._shared:
                for name in own.segments.keys() & own.categorical.keys():
                    place, feature = own.segments[name], own.categorical[name]
                    codes[place, rows] = either(codes[place, rows], codes[feature, rows])


def merge_mixed(parts: Sequence[MixedBatch]) -> MixedBatch | None:
    """Join batches of one decoder and one chunk in source order; None if there is none."""
    if len(parts) < 2:
        return parts[0] if parts else None
    id_spans, id_bytes = joined_ids(parts)
    first = parts[0]
    joined = MixedBatch(
        schemas=first.schemas,
        model=np.concatenate([p.model for p in parts]),
        message=np.concatenate([p.message for p in parts]),
        row=np.concatenate([p.row for p in parts]),
        time_us=np.concatenate([p.time_us for p in parts]),
        numbers=np.concatenate([p.numbers for p in parts], axis=1),
        codes=np.concatenate([p.codes for p in parts], axis=1),
        dictionaries=first.dictionaries,
        texts=first.texts,
        id_spans=id_spans,
        id_bytes=id_bytes,
        absent=Absent.joined([(len(p), p.absent) for p in parts]),
    )
    return joined.take(np.lexsort((joined.row, joined.message)))
