"""Compares two configs on one history of one model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from monitor.backtest.budget import Solution, solve
from monitor.backtest.delays import SHIFTS_SD, Delay, measure_delays, plantable
from monitor.backtest.history import History, history_of
from monitor.backtest.judging import Outcome, judge
from monitor.backtest.tick_delays import measure_tick_delays
from schemas.alerts import Alert
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.intake import IntakePane
from schemas.names import SCORE
from schemas.panes import Pane


@dataclass(frozen=True, slots=True)
class Plant:
    """A shift to plant."""

    feature: str
    shift_sd: float
    at_us: int | None
    """None for several places of the quiet stretch."""


@dataclass(frozen=True, slots=True)
class ConfigSide:
    """Result of one config."""

    outcome: Outcome
    delays: tuple[Delay, ...]
    pipeline: tuple[Alert, ...] = ()
    """Changes of alerts about rejected and late events; no rate includes them."""


@dataclass(frozen=True, slots=True)
class ConfigComparison:
    """Result for one model."""

    model: str
    today: ConfigSide
    proposed: ConfigSide | None
    solution: Solution | None
    """Solution for a budget; its outcome is that of ``proposed``."""

    @property
    def sides(self) -> dict[str, ConfigSide]:
        """Both sides by name, or the only one."""
        return {"today": self.today} | ({"proposed": self.proposed} if self.proposed else {})


def default_plants(config: ModelConfig) -> tuple[Plant, ...]:
    """Return shifts of .1, .2, .3 and .5 sd of every numeric feature, in quiet stretches."""
    return tuple(Plant(name, shift, None) for name in plantable(config) for shift in SHIFTS_SD)


def compare(
    panes: Sequence[Pane],
    config: ModelConfig,
    proposed: ModelConfig | None,
    baselines: Mapping[str, Baseline],
    *,
    plants: Sequence[Plant] = (),
    budget: float | None = None,
    intake: Sequence[IntakePane] = (),
    advance: Callable[[str], None] = lambda note: None,
) -> ConfigComparison:
    """Judge one model's panes under today's config and a proposed one.

    Parameters
    ----------
    panes : sequence of Pane
        Of a length that divides both configs' windows.
    config, proposed : ModelConfig
        ``proposed`` may be None: then a budget is solved for today's config, and without
        one there is only one side.
    baselines : mapping of str to Baseline
        By ``profile_id``: what the panes were counted in.
    plants : sequence of Plant, optional
        Those of features this model lacks are left out.
    budget : float, optional
        See :func:`monitor.backtest.budget.solve`.
    intake : sequence of IntakePane, optional
        Rejected and late events of the model: where they are too many, drift verdicts are
        withheld as in detect.
    advance : callable, optional
        Called with a description of each step.

    Returns
    -------
    ConfigComparison
    """
    history = history_of(panes, config, intake)
    advance("today's config")
    outcome = _judged(history, config, baselines)
    delays = _delays(history, outcome, baselines, plants, advance)
    today = ConfigSide(outcome, delays, history.alerts)
    if budget is None and proposed is None:
        return ConfigComparison(config.model, today, None, None)
    other = proposed or config
    history = history_of(panes, other, intake)
    solution = None
    if budget is not None:
        step = partial(advance, "solving for eps")
        solution = solve(history.windows, other, baselines, budget, step, history.withheld)
        outcome = solution.outcome
    else:
        outcome = _judged(history, other, baselines)
    delays = _delays(history, outcome, baselines, plants, advance)
    return ConfigComparison(
        config.model, today, ConfigSide(outcome, delays, history.alerts), solution
    )


def _judged(history: History, config: ModelConfig, baselines: Mapping[str, Baseline]) -> Outcome:
    """Judge a history under the rule of a config."""
    return judge(history.windows, config, baselines, withheld=history.withheld, ticks=history.ticks)


def _delays(
    history: History,
    outcome: Outcome,
    baselines: Mapping[str, Baseline],
    plants: Sequence[Plant],
    advance: Callable[[str], None],
) -> tuple[Delay, ...]:
    """Plant what was asked for into windows, or ticks; sizes of one feature and time together."""
    config = outcome.config
    sizes: dict[tuple[str, int | None], list[float]] = {}
    for plant in plants:
        if plant.feature in (*plantable(config), SCORE):
            sizes.setdefault((plant.feature, plant.at_us), []).append(plant.shift_sd)
    if config.decision.rule != 1:
        alerts = outcome.alerts
        return tuple(measure_tick_delays(history, config, baselines, alerts, sizes, advance))
    found: list[Delay] = []
    for (feature, at_us), shifts_sd in sizes.items():
        advance(f"planting {feature}")
        found += measure_delays(history.windows, config, baselines, feature, shifts_sd, at_us)
    return tuple(found)
