"""A comparison as texts and rows, shared by the terminal, the page and JSON."""

from __future__ import annotations

import math
from typing import Any

from detectors.conventions import PeerScore
from detectors.evaluate.all_statistics import MIN_ROWS
from monitor.compare.results import Comparison, Variable, VariableStatistic
from monitor.compare.together import Together

LEGEND = (
    "Shift: the mean shift, in standard deviations, of a Gaussian that would give the same "
    "number; it makes statistics comparable, sorts them, and decides nothing. (*): beyond a "
    "threshold that depends on the variable's unit, so it does not count unless you set one."
)


def verdict(variable: Variable) -> str:
    """Return the verdict on one variable as text, with the reason if it did not drift.

    Returns
    -------
    str
        ``drifted``; ``large, may be chance``; ``significant, but small``; ``-``.
    """
    if variable.is_drifted:
        return "drifted"
    if variable.is_beyond("distance", "effect"):
        return "large, may be chance"
    return "significant, but small" if variable.is_beyond("test") else "-"


def headline(comparison: Comparison) -> str:
    """Return the result in one sentence, with a second one where there are too few rows.

    Examples
    --------
    >>> from monitor.compare.comparison import compare
    >>> import pyarrow as pa
    >>> few = pa.table({"pay": [1.5, 2.5, 3.5, 4.5, 6.5]})
    >>> headline(compare(few, few))
    'No drift in 1 variable. 5 rows are too few: only a very large change would be detected.'
    """
    n = comparison.n_judged
    if not n:
        return "Nothing was compared."
    gone = [o.name for o in comparison.omitted if o.is_drift]
    names = [f"{name} (gone)" if name in gone else name for name in comparison.drifted]
    n_left_out = len(comparison.omitted) - len(gone)
    if not names and n_left_out:
        were = "was" if n_left_out == 1 else "were"
        found = f"No drift in {n} of {n + n_left_out} columns; {n_left_out} {were} not compared."
        return found + _too_few(comparison)
    if not names:
        return f"No drift in {n} variable{'s' * (n != 1)}." + _too_few(comparison)
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return f"Drift in {len(names)} of {n}: {shown}."


def _too_few(comparison: Comparison) -> str:
    """Return a warning that small samples detect little; empty where there are enough rows."""
    n_rows = min(comparison.n_reference, comparison.n_current)
    if n_rows >= MIN_ROWS:
        return ""
    rows = "1 row is" if n_rows == 1 else f"{n_rows} rows are"
    return f" {rows} too few: only a very large change would be detected."


def rule(comparison: Comparison) -> str:
    """Return what counts as drift, and what the p-values were adjusted for.

    Returns
    -------
    str
    """
    alpha = comparison.options.alpha
    return (
        f"A variable drifted if a distance is beyond its threshold and a test is below {alpha:g} "
        f"after Holm's adjustment for all {comparison.n_tests} tests; a quality share if it "
        "changed by more than its threshold and its test is significant; a column if it is gone; "
        "two columns of numbers if their rank correlation changed by more than .1. "
        "Tests assume independent rows."
    )


def beyond_mark(statistic: VariableStatistic) -> str | None:
    """Mark a statistic that is beyond its threshold, in brackets where it does not count."""
    if not statistic.is_beyond:
        return None
    return "*" if statistic.is_counted else "(*)"


def peer_cell(peer: PeerScore | None, p_digits: int = 4) -> str | None:
    """Format a peer's number; its p-values are marked as such.

    Examples
    --------
    >>> peer_cell(PeerScore(0.04, "p_value")), peer_cell(PeerScore(0.04, "statistic"))
    ('p = 0.04', '0.04')
    """
    if peer is None:
        return None
    return f"p = {peer.value:.{p_digits}g}" if peer.quantity == "p_value" else f"{peer.value:.4g}"


def number(value: float | None) -> float | None:
    """Return a number, None where it is NaN.

    Examples
    --------
    >>> number(float("nan")), number(0.5)
    (None, 0.5)
    """
    return None if value is None or math.isnan(value) else value


def document(comparison: Comparison, reference: str, current: str) -> dict[str, Any]:
    """Return the whole comparison as plain values, for programs.

    Parameters
    ----------
    reference, current : str
        What the sides are called.

    Returns
    -------
    dict
        NaN is None.
    """
    options = comparison.options
    return {
        "reference": {"name": reference, "n_rows": comparison.n_reference},
        "current": {"name": current, "n_rows": comparison.n_current},
        "alpha": options.alpha,
        "n_tests": comparison.n_tests,
        "convention": options.convention,
        "drifted": list(comparison.drifted),
        "coverage": {
            "columns_judged": comparison.n_judged,
            "columns_not_judged": sum(not o.is_drift for o in comparison.omitted),
        },
        "variables": [_variable(v) for v in comparison.variables],
        "omitted": [o._asdict() for o in comparison.omitted],
        "together": _together(comparison.together),
    }


def _together(found: Together | None) -> dict[str, Any] | None:
    """Return the dependence between numeric columns as plain values."""
    if found is None:
        return None
    plain = {name: getattr(found, name) for name in found.__slots__}
    floats = ("before", "now", "p_value", "p_adjusted", "auc", "auc_sd")
    return plain | {name: number(plain[name]) for name in floats}


def together_text(found: Together) -> str:
    """Describe how the numeric columns depend on each other.

    Returns
    -------
    str
    """
    a, b = found.pair
    said = (
        f"{len(found.columns)} numeric columns together, {found.n_reference:,} and "
        f"{found.n_current:,} rows without a gap: the rank correlation that changed most is that "
        f"of {a} and {b}, {found.before:.2f} and now {found.now:.2f} (p, Holm: "
        f"{found.p_adjusted:.2g}{'; drifted' if found.is_drifted else ''})."
    )
    if math.isnan(found.auc):
        return said
    return said + (
        f" A classifier separates the sides with AUC {found.auc:.2f}"
        f" (without drift 0.5, standard deviation {found.auc_sd:.3f})."
    )


def _variable(variable: Variable) -> dict[str, Any]:
    """Return one variable as plain values."""
    return {
        "name": variable.name,
        "kind": str(variable.kind),
        "n_reference": variable.n_reference,
        "n_current": variable.n_current,
        "shift": variable.shift,
        "is_drifted": variable.is_drifted,
        "notes": list(variable.notes),
        "change": variable.change,
        "statistics": [_statistic(s) for s in variable.statistics],
    }


def _statistic(statistic: VariableStatistic) -> dict[str, Any]:
    """One statistic as plain values."""
    peer = statistic.peer
    return {
        "name": statistic.name,
        "quantity": statistic.quantity,
        "value": number(statistic.value),
        "effect": number(statistic.effect),
        "shift": number(statistic.shift),
        "p_value": number(statistic.p_value),
        "p_adjusted": number(statistic.p_adjusted),
        "threshold": statistic.threshold,
        "is_beyond": statistic.is_beyond,
        "is_counted": statistic.is_counted,
        "n_reference": statistic.n_reference,
        "n_current": statistic.n_current,
        "peer": peer._asdict() if peer else None,
    }
