"""Applies an installation's thresholds to the table of GPU rules."""

from __future__ import annotations

from dataclasses import replace

from monitor.core.gpu.table import GpuRule
from schemas.config.monitor import GpuConfig
from schemas.errors import ConfigError


def configure_rules(config: GpuConfig, rules: tuple[GpuRule, ...]) -> tuple[GpuRule, ...]:
    """Apply a config's thresholds, and remove disabled rules.

    Parameters
    ----------
    config : GpuConfig
        The installation's settings.
    rules : tuple of GpuRule
        The table.

    Returns
    -------
    tuple of GpuRule

    Raises
    ------
    ConfigError
        If a name is not in the table, or a threshold is not positive.

    Examples
    --------
    >>> from monitor.core.gpu.table import RULES
    >>> configured = configure_rules(GpuConfig(thresholds={"correctable_remaps": 20}), RULES)
    >>> [r.threshold for r in configured if r.name == "correctable_remaps"]
    [20.0]
    """
    names = {rule.name for rule in rules}
    for name in config.disabled:
        if name not in names and not (name.startswith("xid_") and name[4:].isdigit()):
            raise _unknown_rule(name, "gpu.disabled", names)
    for name, threshold in config.thresholds.items():
        if name not in names:
            raise _unknown_rule(name, "gpu.thresholds", names)
        if not threshold > 0:
            raise ConfigError(
                f"{threshold} is not a threshold", where=f"gpu.thresholds.{name}", fix="make it > 0"
            )
    kept = (rule for rule in rules if rule.name not in config.disabled)
    return tuple(
        replace(rule, threshold=float(config.thresholds.get(rule.name, rule.threshold)))
        for rule in kept
    )


def _unknown_rule(name: str, where: str, names: set[str]) -> ConfigError:
    """Return the error of an unknown rule, with the valid names."""
    return ConfigError(
        f"{name!r} is not a GPU rule", where=where, fix=f"one of: {', '.join(sorted(names))}"
    )
