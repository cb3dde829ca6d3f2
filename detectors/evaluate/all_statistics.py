"""Every statistic of a window against its baseline, all cells of a model at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from detectors.evaluate import families
from detectors.evaluate.cells import Cells, Statistic, align, choose, rows_of
from detectors.evaluate.fairness_rows import evaluate_fairness
from schemas.baselines import Baseline, Kind
from schemas.panes import ALL, SeriesStats
from schemas.results import Reason

__all__ = ["MIN_ROWS", "Statistic", "evaluate", "evaluate_fairness"]

MIN_ROWS = 30
"""Below, a cell gets no number: ``DecisionConfig.min_rows``."""


def evaluate(
    current: SeriesStats,
    baseline: Baseline,
    *,
    min_rows: int = MIN_ROWS,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> list[Statistic]:
    """Return every statistic of a window's segments against the baseline.

    Parameters
    ----------
    current : SeriesStats
        S segments over V variables, in the baseline's layout.
    baseline : Baseline
        The baseline.
    min_rows : int, default 30
        Cells with fewer rows get no number.
    ranges : mapping of str to (float, float), optional
        Allowed ranges of numeric features, from the model's config.

    Returns
    -------
    list of Statistic
        One row for each metric, segment of the baseline and variable, in this order.
        Without a number: ``no_data`` (no rows, or all of them missing),
        ``too_few_samples``, ``no_baseline`` (the reference has no such rows). Then one
        row ``rows`` for each segment the baseline lacks: ``segment_unknown``.

    Raises
    ------
    ShapeError
        If ``current`` is not in the baseline's layout.

    Notes
    -----
    ======================================= ==================== ======================
    metric                                  over                 effect_size
    ======================================= ==================== ======================
    psi, jensen_shannon, hellinger          deciles, categories  d, less its bias
    total_variation                         the same             d
    ks, wasserstein (normed, raw)           present numbers      d
    mean_shift; sd_ratio                    present numbers      signed d; ln of the ratio
    chi_square                              categories           Cramér's V
    l_infinity                              categories           signed change of share
    missing, unseen, out_of_range           all rows             signed change of share
    range (with ``ranges``)                 extremes             signed excess
    ======================================= ==================== ======================

    d is the mean shift, in standard deviations, of a Gaussian that would give the same
    number, so that metrics can be compared: .1 of PSI is d = .32, .1 of Wasserstein
    .10. The bias of the first three is their mean without drift: (B - 1)(1/n + 1/n0)
    for PSI, an eighth of it for the squares of the others.

    Missing is a category of its own in the first four and in those of categories, as
    unseen is; numbers out of range belong to the outer deciles. ``low`` and ``high``
    bound the value that the raw rows would give (KS, Wasserstein). p-values take rows
    for independent; the decision rule does not, and does not use them. O(64 S V):
    3 ms for 20 features in 10 segments.

    Examples
    --------
    >>> import numpy as np
    >>> from schemas.panes import SeriesStats
    >>> from schemas.baselines import Kind, Baseline, VariableBaseline
    >>> before, now = (SeriesStats.empty(("*",), 1) for _ in range(2))
    >>> before.counts[0, 0, :2], now.counts[0, 0, [0, 1, 63]] = (600, 400), (50, 40, 10)
    >>> colour = VariableBaseline("colour", Kind.CATEGORICAL, np.empty(0), ("red", "blue"))
    >>> one = np.ones((1, 1))
    >>> learned = (before, one, 0 * one, 0, "default", "", 0, "")
    >>> baseline = Baseline("p", "t", "m", "", (colour,), *learned)
    >>> for row in evaluate(now, baseline):
    ...     if row.metric in ("missing", "total_variation", "unseen"):
    ...         print(row.metric, f"{row.statistic:.2f}", row.n, row.reason.value)
    missing 0.00 100 descriptive
    total_variation 0.10 100 descriptive
    unseen 0.10 100 descriptive
    """
    cells = align(current, baseline)
    is_numeric = np.array([v.kind is Kind.NUMERIC for v in baseline.variables], bool)
    blocks = [(cells, block) for block in families.of_any(cells)]
    if is_numeric.any():
        numbers = choose(cells, is_numeric)
        edges = [families.padded(v.edges) for v in baseline.variables if v.kind is Kind.NUMERIC]
        blocks += [(numbers, block) for block in families.of_numbers(numbers, np.stack(edges))]
    if not is_numeric.all():
        categories = choose(cells, ~is_numeric)
        blocks += [(categories, block) for block in families.of_categories(categories)]
    for name, limits in (ranges or {}).items():
        one = _variable(cells, name, is_numeric)
        blocks += [(one, families.of_range(one, *limits))] if one.names else []
    rows = [row for chosen, block in blocks for row in rows_of(chosen, block, min_rows)]
    return rows + _unknown(current, baseline)


def _variable(cells: Cells, name: str, is_numeric: np.ndarray) -> Cells:
    """Return the cells of one numeric variable; none where there is no such one."""
    return choose(cells, np.array([n == name for n in cells.names]) & is_numeric)


def _unknown(current: SeriesStats, baseline: Baseline) -> list[Statistic]:
    """One row for each segment that the baseline lacks."""
    known = set(baseline.reference.segments)
    return [
        Statistic(ALL, segment, "rows", None, n=int(n), reason=Reason.SEGMENT_UNKNOWN)
        for segment, n in zip(current.segments, current.n_rows, strict=True)
        if segment not in known
    ]
