"""Proposed configs of a backtest, for models of the current installation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from monitor.app.installation import Installation, load_installation, load_model
from schemas.config.model import ModelConfig
from schemas.config.yaml import read_yaml
from schemas.errors import ConfigError

ModelName = tuple[str, str]


def load_proposal(path: Path | None, today: Installation) -> Mapping[ModelName, ModelConfig]:
    """Read proposed configs from one model file or from an installation.

    Returns
    -------
    mapping of (tenant, model) to ModelConfig
        Empty without a proposal.

    Raises
    ------
    ConfigError
        If a file is invalid, has other models, or changes features or segments.
    """
    if path is None:
        return {}
    if _is_model_file(path):
        changed: tuple[ModelConfig, ...] = (load_model(path),)
        today.model(changed[0].model)
    else:
        changed = load_installation(path).models
        names, own = ({(m.tenant, m.model) for m in ms} for ms in (changed, today.models))
        if names != own:
            raise ConfigError(
                f"it configures {listed(names)}; {today.file} configures {listed(own)}",
                where=str(path),
                fix="propose other settings for the same models, or name one model's file",
            )
    known = {(m.tenant, m.model): m for m in today.models}
    for model in changed:
        _check_alike(known, model, path)
    return {(m.tenant, m.model): m for m in changed}


def listed(names: Iterable[ModelName]) -> str:
    """Return the models' names in order.

    Examples
    --------
    >>> listed({("default", "loans"), ("default", "cards")})
    'cards, loans'
    >>> listed([])
    'none'
    """
    return ", ".join(model for _, model in sorted(names)) or "none"


def _is_model_file(path: Path) -> bool:
    """Return whether a file is a model file; the loader reports unreadable files."""
    try:
        found = read_yaml(path.read_text(encoding="utf-8-sig"), str(path)).value
    except (OSError, UnicodeDecodeError, ConfigError):
        return False
    return isinstance(found, dict) and "model" in found


def _check_alike(known: Mapping[ModelName, ModelConfig], model: ModelConfig, file: Path) -> None:
    """Raise if a proposal would change how events are counted."""
    own = known.get((model.tenant, model.model))
    if own is None:
        raise ConfigError(
            f"{model.model!r} belongs to tenant {model.tenant!r}, in the current config to another",
            where=str(file),
            fix="keep the tenant",
        )
    if own.schema_ != model.schema_:
        raise ConfigError(
            f"features or segments of {model.model!r} differ from the current config's",
            where=str(file),
            fix="build a baseline for them and backtest that installation by itself",
        )
