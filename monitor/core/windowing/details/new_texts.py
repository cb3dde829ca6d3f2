"""Numbers for the texts of a categorical feature that the reference lacks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.core.windowing.layout import Remap
from schemas.panes import UNSEEN

_GENERATION = 1 << 32
"""The number of code k of generation g is g * _GENERATION + k + 1."""


class NewTexts:
    """Numbers of one feature's new texts, by the codes of its column.

    Parameters
    ----------
    remap : Remap
        From texts to counters; those it maps to ``UNSEEN`` are new.

    Notes
    -----
    A code costs nothing until a text is asked for: a stream of identifiers has a new one in each
    row. Where the column's dictionary begins a new generation, texts that are still counted keep
    their numbers.
    """

    def __init__(self, remap: Remap) -> None:
        self._remap = remap
        self._values: Sequence[str] | None = None
        self._numbers: NDArray[np.int64] = np.zeros(0, np.int64)
        self._generation = 0
        self._has_any = False
        self._kept: dict[int, str] = {}
        self._kept_numbers: dict[str, int] = {}

    def is_current(self, values: Sequence[str]) -> bool:
        """Return whether a column has the texts of the generation that is numbered."""
        return self._values is values

    def begin(self, values: Sequence[str], live: Iterable[int]) -> None:
        """Number the texts of another generation.

        Parameters
        ----------
        live : iterable of int
            Numbers that are still counted.
        """
        self._kept = {number: self.text(number) for number in live}
        self._kept_numbers = {text: number for number, text in self._kept.items()}
        self._values, self._generation, self._has_any = values, self._generation + 1, False
        self._numbers = np.zeros(1, np.int64)

    def numbers(self) -> NDArray[np.int64] | None:
        """Return the number of each code, entry ``code + 1``, 0 if it is not new; None if none is.

        Texts that came since the last call are added.
        """
        assert self._values is not None
        n_known = len(self._numbers) - 1
        if n_known < len(self._values):
            table = self._remap.table_of(self._values)[n_known + 1 :]
            first = self._generation * _GENERATION + n_known + 1
            made = np.where(table == UNSEEN, np.arange(first, first + len(table)), 0)
            if self._kept_numbers:
                new = self._values[n_known : n_known + len(table)]
                for i, text in enumerate(new):
                    made[i] = self._kept_numbers.get(text, made[i])
            self._numbers = np.concatenate((self._numbers, made))
            self._has_any = self._has_any or bool(made.any())
        return self._numbers if self._has_any else None

    def text(self, number: int) -> str:
        """Return the text of a number that is counted."""
        kept = self._kept.get(number)
        if kept is not None:
            return kept
        assert self._values is not None
        return self._values[number % _GENERATION - 1]
