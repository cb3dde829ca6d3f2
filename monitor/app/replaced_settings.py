"""Settings of decision rule 1 in the config of a model that rule 2 judges."""

from __future__ import annotations

from typing import Final

from schemas.config.model import ModelConfig

REPLACED: Final = {
    "max_false_pages_per_month": "is read as budget",
    "eps": "is replaced by smallest, the smallest change that matters; what a feature does by "
    "itself is learned from the stream",
    "phi": "is learned from the stream",
    "persistence": "is not needed: no tick alone opens an alert",
    "min_rows": "is not needed: ticks with few rows are judged together, up to an hour",
}
"""What became of each setting."""


def replaced_settings(model: ModelConfig) -> tuple[str, ...]:
    """Return the settings of rule 1 that the config of a rule 2 model names, in order.

    Examples
    --------
    >>> decision = {"rule": 2, "eps": 0.03}
    >>> config = ModelConfig(model="m", features={"x": {"kind": "numeric"}}, decision=decision)
    >>> replaced_settings(config)
    ('eps',)
    """
    if model.decision.rule == 1:
        return ()
    named = model.decision.model_fields_set
    return tuple(name for name in REPLACED if name in named)


def fix_of(name: str) -> str:
    """Return what to do about a setting of rule 1.

    Examples
    --------
    >>> fix_of("max_false_pages_per_month"), fix_of("eps")
    ('rename it to budget', 'remove eps')
    """
    return "rename it to budget" if name == "max_false_pages_per_month" else f"remove {name}"
