"""Solves for the settings that keep to a budget of false pages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from monitor.backtest.judging import Outcome, judge
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.errors import DomainError
from schemas.panes import Window

STEP = 0.001
MAX_EPS = 0.499
ROUNDING = 1e-9
"""Tolerance: ten times .1 counts as 1."""


@dataclass(frozen=True, slots=True)
class Solution:
    """Settings for a budget, and their result on the history."""

    budget: float
    """False alarms a month (730 hours)."""
    n_allowed: int
    """Number of alarms that the budget allows over the history, rounded down."""
    n_alarms: int
    """Number of incidents under these settings."""
    months: float
    """Judged time; 0: no window got a verdict, so nothing was solved."""
    eps: float | None
    """None if no eps keeps to the budget (the history was not quiet), or nothing was judged."""
    config: ModelConfig
    """With the budget, and with eps if one was found."""
    outcome: Outcome

    @property
    def upper_95(self) -> float | None:
        """Upper end of the exact 95 % interval of alarms a month; None if nothing was judged."""
        return upper_rate(self.n_alarms, self.months) if self.months > 0 else None


def upper_rate(n: int, exposure: float) -> float:
    """Return the upper end of the exact central 95 % interval of a Poisson rate.

    Parameters
    ----------
    n : int
        Number of events.
    exposure : float
        Time observed; the rate is per unit of it.

    Returns
    -------
    float
        ``chi2_{.975, 2 n + 2} / (2 exposure)``.

    References
    ----------
    Garwood, F., Fiducial limits for the Poisson distribution, Biometrika, 1936.

    Examples
    --------
    >>> round(upper_rate(0, 1.0), 3), round(upper_rate(3, 2.0), 3)
    (3.689, 4.384)
    """
    from scipy.special import gammainccinv

    return float(gammainccinv(n + 1, 0.025)) / exposure


def solve(
    windows: Sequence[Window],
    config: ModelConfig,
    baselines: Mapping[str, Baseline],
    budget: float,
    advance: Callable[[], None] = lambda: None,
    withheld: Collection[int] = (),
) -> Solution:
    """Find an eps under which a quiet history raises no more alarms than allowed.

    Parameters
    ----------
    windows : sequence of Window
        Assumed quiet: every alarm in them is false.
    config : ModelConfig
        Only the budget and eps are changed.
    budget : float
        False alarms a month, > 0. alpha follows from it by
        :func:`detectors.decision_rule.settings.alpha_of`.
    advance : callable, optional
        Called before each replay; there are about ten.
    withheld : collection of int, optional
        See :func:`monitor.backtest.judging.judge`.

    Returns
    -------
    Solution

    Raises
    ------
    DomainError
        If the budget is not positive.

    Notes
    -----
    An alarm is an incident of any severity, counted once, as alpha counts every cell that
    fires: pages alone need a change beyond .125, where eps has little effect.

    eps is searched by bisection in steps of .001: the result keeps to the budget, and the next
    smaller step, if there is one, does not. It need not be the smallest: the number of alarms
    decreases with eps, but not at every step, because a cell that fires starts again, and cells
    that fire at different times are more incidents than cells that fire together. The eps of a
    cell is the maximum of this floor, its sampling error and its learned tolerance, so with a
    small reference a small floor has no effect. Only windows with a verdict count as quiet
    time; without any, nothing is solved, because every eps would fit. A short history allows 0
    alarms and is weak evidence: ``upper_95`` is the bound that it supports.
    """
    if not 0 < budget < float("inf"):
        raise DomainError(f"a budget of {budget:g}", where="--budget", fix="pass a number > 0")

    def proposed(step: int) -> ModelConfig:
        eps = round(step * STEP, 3)
        changed = {"max_false_pages_per_month": budget, "budget": None, "eps": eps}
        return config.model_copy(update={"decision": config.decision.model_copy(update=changed)})

    def judged(step: int) -> Outcome:
        advance()
        return judge(windows, proposed(step), baselines, withheld=withheld, has_traces=False)

    low, high = -1, round(MAX_EPS / STEP)
    dullest = judged(high)
    n_allowed = int(budget * dullest.months + ROUNDING)
    if not dullest.judged_us or dullest.n_incidents > n_allowed:
        changed = {"max_false_pages_per_month": budget, "budget": None}
        kept = config.model_copy(update={"decision": config.decision.model_copy(update=changed)})
        outcome = judge(windows, kept, baselines, withheld=withheld)
        return _solution(budget, n_allowed, None, outcome)
    while high - low > 1:
        middle = (low + high) // 2
        if judged(middle).n_incidents <= n_allowed:
            high = middle
        else:
            low = middle
    chosen = proposed(high)
    outcome = judge(windows, chosen, baselines, withheld=withheld)
    return _solution(budget, n_allowed, chosen.decision.eps, outcome)


def _solution(budget: float, n_allowed: int, eps: float | None, outcome: Outcome) -> Solution:
    """Return the solution from its parts."""
    n_alarms, months = outcome.n_incidents, outcome.months
    return Solution(budget, n_allowed, n_alarms, months, eps, outcome.config, outcome)
