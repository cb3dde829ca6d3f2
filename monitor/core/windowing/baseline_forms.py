"""Baselines of older versions, whose categories are spelled as their files spelled them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftline.canonical import category_of_text
from schemas.baselines import Baseline, Kind, VariableBaseline
from schemas.panes import MISSING, N_COUNTERS, OTHER


def with_forms(baseline: Baseline) -> Baseline:
    """Return a baseline whose categories have their canonical form, and counts to match.

    Parameters
    ----------
    baseline : Baseline
        From before :mod:`driftline.canonical`: ``True`` and ``7.0`` are categories in it, and
        so is ``NA``.

    Returns
    -------
    Baseline
        Under the same id. Categories of one form are one, with the sum of their counts;
        words for "no value" are counted as missing. Segments are renamed where no other
        has the name.
    """
    counts = baseline.reference.counts
    seasonal = None if baseline.seasonal is None else baseline.seasonal.counts
    variables = list(baseline.variables)
    for v, variable in enumerate(baseline.variables):
        forms = [_form(name) for name in variable.categories]
        if variable.kind is not Kind.CATEGORICAL or forms == list(variable.categories):
            continue
        variables[v], target = _renamed(variable, forms)
        counts = _moved(counts, v, target)
        seasonal = None if seasonal is None else _moved(seasonal, v, target)
    reference = replace(
        baseline.reference, counts=counts, segments=_segments(baseline.reference.segments)
    )
    kept = baseline.seasonal
    if kept is not None and seasonal is not None:
        kept = replace(kept, counts=seasonal)
    return replace(baseline, variables=tuple(variables), reference=reference, seasonal=kept)


def _form(name: str) -> str | None:
    """Return the form of a category; the rest keeps its name."""
    return name if name == OTHER else category_of_text(name)


def _renamed(
    variable: VariableBaseline, forms: Sequence[str | None]
) -> tuple[VariableBaseline, NDArray[np.int64]]:
    """Return a variable with its forms, and where each of its counters goes."""
    names = list(dict.fromkeys(form for form in forms if form is not None and form != OTHER))
    names += [OTHER] if OTHER in forms else []
    target = np.arange(N_COUNTERS)
    for i, form in enumerate(forms):
        target[i] = MISSING if form is None else names.index(form)
    known = dict.fromkeys(form for name in variable.known if (form := category_of_text(name)))
    rest = tuple(form for form in known if form not in names)
    return replace(variable, categories=tuple(names), known=rest), target


def _moved(counts: NDArray[Any], v: int, target: NDArray[np.int64]) -> NDArray[Any]:
    """Add each counter of a variable to where it goes."""
    moved = counts.copy()
    moved[..., v, :] = 0
    for i, j in enumerate(target.tolist()):
        moved[..., v, j] += counts[..., v, i]
    return moved


def _segments(names: Sequence[str]) -> tuple[str, ...]:
    """Rename segments to the forms of their values, where that makes no two alike."""
    found = []
    for name in names:
        key, is_named, value = name.partition("=")
        form = _form(value) if is_named else None
        found.append(name if form is None else f"{key}={form}")
    return tuple(
        new if found.count(new) == 1 else old for old, new in zip(names, found, strict=True)
    )
