"""The survey rows of the demo: columns of one year, with whole households shuffled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from monitor.demo.extract import ATTRIBUTES, DATA
from schemas.batch import Float64Array, Int64Array
from schemas.errors import TransportError

GROUP_QUARTERS = (16, 17)
"""RELP of people in institutions and dormitories: each is a household of one."""


@dataclass(frozen=True, slots=True)
class Survey:
    """People of one year, each attribute as a column of whole numbers."""

    columns: Mapping[str, Float64Array]
    """Each of ``ATTRIBUTES``, shape (n,)."""
    employed: Int64Array
    """Shape (n,), 0 or 1."""

    def __len__(self) -> int:
        return len(self.employed)

    def take(self, rows: NDArray[np.int64]) -> Survey:
        """Return rows in the order given.

        Parameters
        ----------
        rows : ndarray of int64
            Row numbers.

        Returns
        -------
        Survey
        """
        return Survey({k: v[rows] for k, v in self.columns.items()}, self.employed[rows])


def load_survey(year: int) -> Survey:
    """Read the shipped rows of one year, in file order.

    Parameters
    ----------
    year : int
        2015 or 2016.

    Returns
    -------
    Survey

    Raises
    ------
    TransportError
        If the package was installed without its data.

    Examples
    --------
    >>> len(load_survey(2015))
    68785
    """
    path = DATA / f"employment_{year}.parquet"
    if not path.is_file():
        raise TransportError(
            "the demo's data is missing", where=str(path), fix="reinstall driftline"
        )
    table = pq.read_table(path)
    columns = {name: table[name].to_numpy().astype(np.float64) for name in ATTRIBUTES}
    return Survey(columns, table["employed"].to_numpy().astype(np.int64))


def shuffle_households(survey: Survey, rng: np.random.Generator) -> Survey:
    """Shuffle whole households: rows of one household stay together and in order.

    Parameters
    ----------
    survey : Survey
        In file order.
    rng : numpy.random.Generator
        Decides the order.

    Returns
    -------
    Survey
        The same rows.

    Notes
    -----
    File order will not do as a stream: its ends hold only residents of group quarters.
    """
    relation = survey.columns["RELP"]
    starts = (relation == 0) | np.isin(relation, GROUP_QUARTERS)
    starts[0] = True
    household = np.cumsum(starts) - 1
    rank = rng.permutation(household[-1] + 1)
    return survey.take(np.argsort(rank[household], kind="stable"))
