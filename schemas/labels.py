"""Decoded labels as columns, without an object per event, and what a model's labels may be."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from driftline.canonical import category_of, is_missing_word, number_of
from schemas.batch import Float64Array, Int32Array, Int64Array, StringColumn, Uint8Array

NO_TIME = -1
"""``prediction_time_us`` of a label that does not carry it."""

BOOLEAN_CLASSES = ("0", "1", "false", "true")
"""Classes of a binary model that names none."""


class Task(StrEnum):
    """What a model predicts."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"
    RANKING = "ranking"

    @property
    def has_numeric_labels(self) -> bool:
        """Whether labels are numbers: of a regression, or the relevance of a ranked item."""
        return self in (Task.REGRESSION, Task.RANKING)


@dataclass(frozen=True, slots=True)
class LabelRule:
    """Which labels of one model are accepted.

    Parameters
    ----------
    max_skew_us : int
        How far a label may be stamped ahead of its record time.
    task : Task, optional
        Without it any number and any text is accepted.
    classes : collection of str
        In canonical form; empty if any class is accepted.
    """

    max_skew_us: int
    task: Task | None = None
    classes: Collection[str] = ()

    def accepted(self, label: float | str) -> float | str:
        """Return a label as it is used: the number, where labels are numbers, of text too.

        Raises
        ------
        ValueError
            Why the label is refused.

        Examples
        --------
        >>> LabelRule(0, Task.REGRESSION).accepted("2.50"), LabelRule(0).accepted("fraud")
        (2.5, 'fraud')
        >>> LabelRule(0, Task.BINARY, {"0", "1"}).accepted("2")
        Traceback (most recent call last):
        ValueError: class '2' is not one of the model's: 0, 1
        """
        if not isinstance(label, str) and not math.isfinite(label):
            raise ValueError(f"{label} is not finite")
        if self.task is not None and self.task.has_numeric_labels:
            return _number(label)
        if self.classes:
            if category_of(label) not in self.classes and label not in self.classes:
                known = ", ".join(sorted(self.classes)[:10])
                raise ValueError(f"class {str(label)[:80]!r} is not one of the model's: {known}")
        elif isinstance(label, str) and is_missing_word(label):
            raise ValueError(f"{label!r} means a missing value")
        return label


def _number(label: float | str) -> float:
    """Return a label as a number; raise :class:`ValueError` for text that spells none."""
    try:
        number = number_of(label)
    except ValueError:
        number = None
    if number is None:
        raise ValueError(f"text {str(label)[:80]!r}, and labels of this model are numbers")
    return number


@dataclass(frozen=True, slots=True)
class MapColumn:
    """A map of each row: entries ``offsets[i]`` to ``offsets[i + 1]`` are those of row i."""

    offsets: Int32Array
    """Shape (n + 1,), from 0 to the number of entries."""
    keys: StringColumn
    """Of each entry."""
    values: StringColumn | Float64Array
    """Of each entry."""

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True, slots=True)
class LabelBatch:
    """Accepted labels of all models out of one chunk, in source order.

    All columns have length n. ``message`` and ``row`` locate each label in its chunk;
    (message, row) is strictly increasing. A code of -1 is an absent value.
    """

    message: Int64Array
    row: Int64Array
    time_us: Int64Array
    tenant: StringColumn
    model: StringColumn
    id_spans: Int64Array
    """Shape (n, 2): start and length of the id's bytes in ``id_bytes``."""
    id_bytes: Uint8Array
    label: StringColumn
    """The text; absent of labels that are numbers."""
    value: Float64Array
    """The number; NaN of labels that are text."""
    prediction_time_us: Int64Array
    """``NO_TIME`` where absent, as in all columns below."""
    model_version: StringColumn
    score: Float64Array
    """NaN where absent."""
    scores: MapColumn
    prediction: StringColumn
    segments: MapColumn
    group: StringColumn
    host: StringColumn
    gpu_uuid: StringColumn

    def __len__(self) -> int:
        return len(self.time_us)

    @property
    def is_complete(self) -> NDArray[np.bool_]:
        """Which labels carry their prediction: its time, and a score, scores or a prediction."""
        has_output = ~np.isnan(self.score) | (self.prediction.codes >= 0)
        has_output |= np.diff(self.scores.offsets) > 0
        found: NDArray[np.bool_] = (self.prediction_time_us != NO_TIME) & has_output
        return found
