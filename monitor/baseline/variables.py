"""Builds one variable of a baseline: bins or categories, and notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from detectors.decision_rule.edges import (
    between_values,
    has_own_minimum,
    is_constant,
    quantile_edges,
)
from detectors.quality.heavy_hitters import HeavyHitters
from monitor.baseline.identifiers import is_nearly_distinct
from schemas.baselines import Kind, VariableBaseline
from schemas.batch import Float64Array, StringColumn
from schemas.errors import BaselineError
from schemas.names import SCORE
from schemas.panes import N_BINS, OTHER

MAX_CATEGORIES = 100_000
"""Most categories that are counted exactly and by name.

Of more, only the most frequent ones are kept, as far as a bounded summary identifies them.
"""
MIN_KEPT_SHARE = 0.1
"""Share of the rows that the kept categories of a larger set must provably have."""
MOSTLY_MISSING = 0.5
"""Share of missing values from which a variable gets a note."""


def numeric_variable(name: str, columns: Sequence[Float64Array]) -> VariableBaseline:
    """Build a numeric variable.

    Parameters
    ----------
    name : str
        Feature.
    columns : sequence of ndarray of float64
        The reference in pieces; NaN is missing.

    Returns
    -------
    VariableBaseline
        With at most 60 bins at reference quantiles, whose edges are between values.

    Raises
    ------
    BaselineError
        If no value is a number.

    Examples
    --------
    >>> numeric_variable("age", [np.array([1.0, 2.0, np.nan])]).edges.tolist()
    [1.0, 1.0, 2.0]
    """
    values = np.concatenate([np.empty(0), *columns])
    if not np.isfinite(values).any():
        raise BaselineError(
            f"none of its {len(values):,} values is a number",
            where=f"feature {name}",
            fix="give a reference that holds it, or remove it from the config",
        )
    return VariableBaseline(name, Kind.NUMERIC, between_values(quantile_edges(values), values))


def categorical_variable(name: str, columns: Sequence[StringColumn]) -> VariableBaseline:
    """Build a categorical variable, with the categories that have their own counter.

    Parameters
    ----------
    name : str
        Feature.
    columns : sequence of StringColumn
        The reference in pieces.

    Returns
    -------
    VariableBaseline
        The 60 most frequent categories, equally frequent ones by name; of more
        than 60 the first 59 and ``other``, which counts the rest.

    Raises
    ------
    BaselineError
        If there is no category, or so many that it must be an identifier.

    Notes
    -----
    Exact up to 100,000 categories. Of more, those that :class:`HeavyHitters` keeps, which include
    every category with more than n / 100,001 of n rows; the others count as unseen, in the
    reference (:func:`without_once_seen`) and later.

    Examples
    --------
    >>> column = StringColumn(np.array([0, 1, 1, -1], np.int32), ["a", "b"])
    >>> categorical_variable("land", [column]).categories
    ('b', 'a')
    """
    counts = count_values(columns)
    if not counts.n:
        raise BaselineError(
            "has no value at all",
            where=f"feature {name}",
            fix="give a reference that holds it, or remove it from the config",
        )
    if _is_identifier(counts):
        found, what = f"over {MAX_CATEGORIES:,}", "none of them common"
        if counts.is_exact:
            found, what = f"{len(counts.counts):,}", "so nearly all later ones are new"
        raise BaselineError(
            f"has {found} categories in {counts.n:,} rows, {what}",
            where=f"feature {name}",
            fix="is it an identifier? Remove it from the config",
        )
    ordered = [hitter.value for hitter in counts.heaviest()]
    if len(ordered) <= N_BINS:
        return VariableBaseline(name, Kind.CATEGORICAL, np.empty(0), tuple(ordered))
    # A category named "other" is merged with the rest, because a name has one counter.
    listed = [value for value in ordered if value != OTHER][: N_BINS - 1]
    rest = sorted(set(ordered) - set(listed))
    return VariableBaseline(
        name, Kind.CATEGORICAL, np.empty(0), (*listed, OTHER), known=tuple(rest)
    )


def score_variable(columns: Sequence[Float64Array]) -> VariableBaseline:
    """Build the score's variable; without scores its range is the unit interval.

    Parameters
    ----------
    columns : sequence of ndarray of float64
        The reference's scores.

    Returns
    -------
    VariableBaseline
    """
    if not any(np.isfinite(column).any() for column in columns):
        return VariableBaseline(SCORE, Kind.NUMERIC, np.array([0.0, 1.0]))
    return numeric_variable(SCORE, columns)


def without_once_seen(
    variable: VariableBaseline, columns: Sequence[StringColumn]
) -> VariableBaseline:
    """Return the variable for counting its reference: without categories that occur once.

    Parameters
    ----------
    variable : VariableBaseline
        Variable of the baseline.
    columns : sequence of StringColumn
        The reference in pieces.

    Returns
    -------
    VariableBaseline
        Unchanged if every category has its own counter.

    Notes
    -----
    Counted with its own categories, a reference would have no unseen values, while later rows of a
    long tail always have some, which would be permanent drift. With each row left out in turn, a
    category that occurs once is unseen in the other rows. The share of these rows is Good and
    Turing's estimate of the share of new values later, per segment.

    References
    ----------
    Good, The population frequencies of species and the estimation of population
    parameters, Biometrika 40 (1953), eq. 9.

    Examples
    --------
    >>> column = StringColumn(np.array([0, 0, 1], np.int32), ["a", "b"])
    >>> land = VariableBaseline("land", Kind.CATEGORICAL, np.empty(0), ("other",), ("a", "b"))
    >>> without_once_seen(land, [column]).known
    ('a',)
    """
    if not variable.known:
        return variable
    counts = count_values(columns).counts
    return replace(variable, known=tuple(v for v in variable.known if counts.get(v, 0) > 1))


def count_values(columns: Sequence[StringColumn]) -> HeavyHitters[str]:
    """Count each value over pieces with different dictionaries; exact up to 100,000 values."""
    counts = HeavyHitters[str](MAX_CATEGORIES)
    for column in columns:
        seen = np.bincount(column.codes[column.codes >= 0], minlength=len(column.values))
        counts.add({column.values[i]: int(seen[i]) for i in np.flatnonzero(seen).tolist()})
    return counts


def _is_identifier(counts: HeavyHitters[str]) -> bool:
    """Return whether nearly all values are distinct, or none is frequent enough to keep."""
    if not counts.is_exact:
        return counts.kept_share < MIN_KEPT_SHARE
    return is_nearly_distinct(len(counts.counts), counts.n)


def notes_on(variable: VariableBaseline, missing_share: float, unseen_share: float = 0.0) -> str:
    """Return what to check, as text.

    Parameters
    ----------
    missing_share, unseen_share : float
        Shares in the reference.

    Returns
    -------
    str
        Empty if there is nothing to check.
    """
    notes = []
    if missing_share >= 1:
        notes.append("never there: not monitored")
    elif missing_share >= MOSTLY_MISSING:
        notes.append("mostly missing")
    if variable.kind is Kind.NUMERIC and missing_share < 1:
        notes += _numeric_notes(variable)
    elif variable.known:
        n_all = len(variable.categories) - 1 + len(variable.known)
        notes.append(f"{n_all:,} categories; the rarest {len(variable.known):,} count as other")
        if unseen_share:
            share = f"{100 * unseen_share:.2g} %"
            notes.append(f"{share} of the rows hold a rarer one: as many new ones are expected")
    elif variable.kind is Kind.CATEGORICAL and variable.n_bins == 1:
        notes.append("always the same")
    return "; ".join(notes)


def _numeric_notes(variable: VariableBaseline) -> list[str]:
    """Return notes on a constant, and on numbers that look like codes."""
    if is_constant(variable.edges):
        return ["always the same"]
    if variable.n_bins == 2 and has_own_minimum(variable.edges):
        return ["two values: a category?"]
    return []
