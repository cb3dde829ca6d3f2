"""Checks that a baseline matches a config."""

from __future__ import annotations

from driftline.canonical import category_of_text
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.names import SCORE
from schemas.panes import ALL
from schemas.time_zones import UTC_NAME


def misfits(config: ModelConfig, baseline: Baseline) -> list[str]:
    """Return the differences between a baseline and a config.

    Parameters
    ----------
    config : ModelConfig
        Current config.
    baseline : Baseline
        Baseline to check.

    Returns
    -------
    list of str
        Empty if they match. A feature's importance and range may differ.
    """
    built = {v.name: str(v.kind) for v in baseline.variables if v.name != SCORE}
    wanted = {name: str(feature.kind) for name, feature in config.features.items()}
    added = [name for name in wanted if name not in built]
    removed = [name for name in built if name not in wanted]
    found = [f"built without {', '.join(added)}"] if added else []
    found += [f"built with {', '.join(removed)}, now gone"] if removed else []
    found += [
        f"{name} was {built[name]}, is {kind} now"
        for name, kind in wanted.items()
        if built.get(name, kind) != kind
    ]
    order = tuple(v.name for v in baseline.variables)
    if not found and order != config.schema_.variables:
        found.append("the order of the features differs")
    names = {s.split("=", 1)[0] for s in baseline.reference.segments if s != ALL}
    unknown = [name for name in config.segments if name not in names]
    found += [f"built without segments {', '.join(unknown)}"] if unknown else []
    if category_of_text(config.positive) != category_of_text(baseline.positive):
        found.append(f'positive was "{baseline.positive}", is "{config.positive}" now')
    zone = config.timezone or UTC_NAME
    if baseline.seasonal is not None and baseline.seasonal.timezone != zone:
        found.append(f"timezone was {baseline.seasonal.timezone}, is {zone} now")
    elif baseline.ticks is not None and baseline.ticks.timezone != zone:
        found.append(f"timezone was {baseline.ticks.timezone}, is {zone} now")
    return found
