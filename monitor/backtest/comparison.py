"""Two configs over one history of one model, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from monitor.backtest.budget import Solution, solve
from monitor.backtest.delays import SHIFTS_SD, Delay, measure_delays, plantable
from monitor.backtest.judging import Outcome, judge, windows_of
from schemas.config import ModelConfig
from schemas.panes import Pane, Window
from schemas.profiles import Profile


@dataclass(frozen=True, slots=True)
class Plant:
    """A shift to be planted."""

    feature: str
    shift_sd: float
    at_us: int | None
    """None: at several places of the quiet stretch."""


@dataclass(frozen=True, slots=True)
class Side:
    """One config's part of the answer."""

    outcome: Outcome
    delays: tuple[Delay, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The answer for one model."""

    model: str
    today: Side
    proposed: Side | None
    solution: Solution | None
    """Of a budget; its outcome is that of ``proposed``."""

    @property
    def sides(self) -> dict[str, Side]:
        """Both sides by name, or the only one."""
        return {"today": self.today} | ({"proposed": self.proposed} if self.proposed else {})


def default_plants(config: ModelConfig) -> tuple[Plant, ...]:
    """Return .1, .2, .3 and .5 sd of every numeric feature, planted wherever it is quiet."""
    return tuple(Plant(name, shift, None) for name in plantable(config) for shift in SHIFTS_SD)


def compare(
    panes: Sequence[Pane],
    config: ModelConfig,
    proposed: ModelConfig | None,
    profiles: Mapping[str, Profile],
    *,
    plants: Sequence[Plant] = (),
    budget: float | None = None,
    advance: Callable[[str], None] = lambda note: None,
) -> Comparison:
    """Judge one model's panes under today's config and under another.

    Parameters
    ----------
    panes : sequence of Pane
        Of a length that divides both configs' windows.
    config, proposed : ModelConfig
        ``proposed`` may be None: then a budget is solved for today's config, and without
        one there is only one side.
    profiles : mapping of str to Profile
        By ``profile_id``: what the panes were counted in.
    plants : sequence of Plant, optional
        Those of features this model lacks are left out.
    budget : float, optional
        See :func:`monitor.backtest.budget.solve`.
    advance : callable, optional
        Told what is being done.

    Returns
    -------
    Comparison
    """
    windows = windows_of(panes, config)
    advance("today's config")
    today = Side(
        judge(windows, config, profiles), _delays(windows, config, profiles, plants, advance)
    )
    if budget is None and proposed is None:
        return Comparison(config.model, today, None, None)
    other = proposed or config
    if other.window.length != config.window.length:
        windows = windows_of(panes, other)
    solution = None
    if budget is not None:
        solution = solve(windows, other, profiles, budget, lambda: advance("solving for eps"))
    outcome = solution.outcome if solution is not None else judge(windows, other, profiles)
    delays = _delays(windows, outcome.config, profiles, plants, advance)
    return Comparison(config.model, today, Side(outcome, delays), solution)


def _delays(
    windows: Sequence[Window],
    config: ModelConfig,
    profiles: Mapping[str, Profile],
    plants: Sequence[Plant],
    advance: Callable[[str], None],
) -> tuple[Delay, ...]:
    """Plant what was asked for; sizes of one feature and time go together."""
    sizes: dict[tuple[str, int | None], list[float]] = {}
    for plant in plants:
        if plant.feature in (*plantable(config), "score"):
            sizes.setdefault((plant.feature, plant.at_us), []).append(plant.shift_sd)
    found: list[Delay] = []
    for (feature, at_us), shifts_sd in sizes.items():
        advance(f"planting {feature}")
        found += measure_delays(windows, config, profiles, feature, shifts_sd, at_us)
    return tuple(found)
