"""What a reference says about one variable: its bins or categories, and what was noticed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from detectors.edges import quantile_edges
from schemas.batch import Float64Array, StringColumn
from schemas.errors import BaselineError
from schemas.panes import N_BINS, OTHER
from schemas.profiles import Kind, VariableProfile

MAX_CATEGORIES = 100_000
"""A column with more is an identifier, and nothing can be learned from its shares."""
MANY_CATEGORIES = 1_000
MOSTLY_MISSING = 0.5
"""Share of missing values from which a variable gets a note."""


def numeric_variable(name: str, columns: Sequence[Float64Array]) -> VariableProfile:
    """Choose the bins of a numeric variable.

    Parameters
    ----------
    name : str
        Feature.
    columns : sequence of ndarray of float64
        The reference, piece by piece; NaN is missing.

    Returns
    -------
    VariableProfile
        With at most 60 reference-quantile bins.

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
    return VariableProfile(name, Kind.NUMERIC, quantile_edges(values))


def categorical_variable(name: str, columns: Sequence[StringColumn]) -> VariableProfile:
    """Choose the categories that get a counter of their own.

    Parameters
    ----------
    name : str
        Feature.
    columns : sequence of StringColumn
        The reference, piece by piece.

    Returns
    -------
    VariableProfile
        The 60 most frequent categories, equally frequent ones by name; of more
        than 60 the first 59 and ``other``, which counts the rest.

    Raises
    ------
    BaselineError
        If there is no category at all, or so many that it must be an identifier.

    Examples
    --------
    >>> column = StringColumn(np.array([0, 1, 1, -1], np.int32), ["a", "b"])
    >>> categorical_variable("land", [column]).categories
    ('b', 'a')
    """
    counts = count_values(columns)
    if not counts or len(counts) > MAX_CATEGORIES:
        raise BaselineError(
            f"has {len(counts):,} categories" if counts else "has no value at all",
            where=f"feature {name}",
            fix="is it an identifier? Remove it from the config"
            if counts
            else "give a reference that holds it, or remove it from the config",
        )
    ordered = [value for value, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    if len(ordered) <= N_BINS:
        return VariableProfile(name, Kind.CATEGORICAL, np.empty(0), tuple(ordered))
    # A category that is itself called "other" joins the rest: one name, one counter.
    listed = [value for value in ordered if value != OTHER][: N_BINS - 1]
    rest = sorted(set(ordered) - set(listed))
    return VariableProfile(name, Kind.CATEGORICAL, np.empty(0), (*listed, OTHER), known=tuple(rest))


def score_variable(columns: Sequence[Float64Array]) -> VariableProfile:
    """Choose the bins of the score; a model without scores gets the unit interval.

    Parameters
    ----------
    columns : sequence of ndarray of float64
        The reference's scores.

    Returns
    -------
    VariableProfile
    """
    if not any(np.isfinite(column).any() for column in columns):
        return VariableProfile("score", Kind.NUMERIC, np.array([0.0, 1.0]))
    return numeric_variable("score", columns)


def count_values(columns: Sequence[StringColumn]) -> Counter[str]:
    """Count each value over pieces that may code it differently."""
    counts: Counter[str] = Counter()
    for column in columns:
        seen = np.bincount(column.codes[column.codes >= 0], minlength=len(column.values))
        counts.update({column.values[i]: int(seen[i]) for i in np.flatnonzero(seen).tolist()})
    return counts


def notes_on(variable: VariableProfile, missing_share: float) -> str:
    """Say what somebody should look at.

    Parameters
    ----------
    variable : VariableProfile
    missing_share : float
        In the reference.

    Returns
    -------
    str
        Empty where there is nothing to say.
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
        notes += ["an identifier?"] if n_all > MANY_CATEGORIES else []
    elif variable.kind is Kind.CATEGORICAL and variable.n_bins == 1:
        notes.append("always the same")
    return "; ".join(notes)


def _numeric_notes(variable: VariableProfile) -> list[str]:
    """Point out a constant, and numbers that look like codes."""
    n_distinct_edges = len(np.unique(variable.edges))
    if n_distinct_edges == 1:
        return ["always the same"]
    has_own_minimum = variable.edges[0] == variable.edges[1]
    if variable.n_bins == 2 and has_own_minimum:
        return ["two values: a category?"]
    return []
