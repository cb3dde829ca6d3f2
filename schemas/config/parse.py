"""Parses config files; all problems are reported together, by file, line and field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from schemas.config.messages import words_for
from schemas.config.model import ModelConfig
from schemas.config.monitor import MonitorConfig
from schemas.config.yaml import Document, Path, read_yaml
from schemas.errors import ConfigError
from schemas.spelling import spell_controls

C = TypeVar("C", bound=BaseModel)


def parse_model(
    text: str,
    name: str,
    kinds: Mapping[str, str] | None = None,
    config: type[ModelConfig] = ModelConfig,
) -> ModelConfig:
    """Parse and validate the text of ``models/<model>.yaml``.

    Parameters
    ----------
    text : str
        YAML.
    name : str
        Name of the file, for messages.
    kinds : mapping of str to str, optional
        Kinds of features without one in the text; if it lists no features, these are the features.
    config : type, optional
        ``monitor.notify.config_types.model_type()`` knows every kind of retraining target.
        ``ModelConfig`` keeps the settings of a target unchecked.

    Returns
    -------
    ModelConfig

    Raises
    ------
    ConfigError
        With every problem as ``file:line: field: problem (fix)``.

    Examples
    --------
    >>> parse_model("model: m\\nfeatures: {age: {kind: numeric}}", "m.yaml").schema_.numeric
    ('age',)
    >>> parse_model("model: m\\nfeatures: {age: {kind: numerical}}", "m.yaml")
    Traceback (most recent call last):
    schemas.errors.ConfigError: m.yaml:2: features.age.kind: "numerical" is not allowed \
(did you mean numeric? One of numeric, categorical)
    """
    return _parse(text, name, config, kinds)


def parse_monitor(
    text: str, name: str, config: type[MonitorConfig] = MonitorConfig
) -> MonitorConfig:
    """Parse and validate the text of ``driftline.yaml``.

    Parameters
    ----------
    text : str
        YAML.
    name : str
        Name of the file, for messages.
    config : type, optional
        ``monitor.notify.config_types.monitor_type()`` knows every kind of receiver.
        ``MonitorConfig`` keeps the settings of a receiver unchecked.

    Returns
    -------
    MonitorConfig

    Raises
    ------
    ConfigError
        With every problem as ``file:line: field: problem (fix)``.

    Examples
    --------
    >>> parse_monitor("store: here", "driftline.yaml").store
    'here'
    """
    return _parse(text, name, config)


def field_name(path: Path) -> str:
    """Format the path of a field.

    Examples
    --------
    >>> field_name(("routes", 0, "receivers"))
    'routes[0].receivers'
    """
    parts = [f"[{step}]" if isinstance(step, int) else f".{spell_controls(step)}" for step in path]
    return "".join(parts).lstrip(".")


def problem_line(name: str, line: int, path: Path, what: str, fix: str = "") -> str:
    """Format one problem."""
    where = f"{name}:{line}: " + (f"{field_name(path)}: " if path else "")
    return f"{where}{what}" + (f" ({fix})" if fix else "")


def raw_sections(text: str, name: str) -> dict[str, Any]:
    """Return the parsed content of a file without validation; empty if it is not a mapping.

    Raises
    ------
    ConfigError
        If the text is not YAML.

    Examples
    --------
    >>> raw_sections("model: m\\nfeatures: {age: }", "m.yaml")
    {'model': 'm', 'features': {'age': None}}
    """
    value = read_yaml(text, name).value
    return value if isinstance(value, dict) else {}


def is_open(settings: Any) -> bool:
    """Return whether a feature in a file has no kind.

    Examples
    --------
    >>> is_open(None), is_open({"importance": "high"}), is_open({"kind": "numeric"})
    (True, True, False)
    """
    return settings is None or (isinstance(settings, dict) and "kind" not in settings)


def _filled(value: Any, kinds: Mapping[str, str]) -> Any:
    """Add kinds to features without one."""
    if not kinds or not isinstance(value, dict):
        return value
    features = value.get("features")
    if features is None:
        features = dict.fromkeys(kinds)
    if not isinstance(features, dict):
        return value
    filled = {
        name: {"kind": kinds[name]} | (settings or {})
        if is_open(settings) and name in kinds
        else settings
        for name, settings in features.items()
    }
    return value | {"features": filled}


def _parse(text: str, name: str, config: type[C], kinds: Mapping[str, str] | None = None) -> C:
    """Validate; raise all problems in order of their lines."""
    document = read_yaml(text, name)
    found = list(document.spots)
    try:
        checked = config.model_validate(_filled(document.value, kinds or {}))
    except ValidationError as error:
        found += _spots(error, document, config)
    if not found:
        return checked
    problems = tuple(
        problem_line(name, line, path, what, fix)
        for path, line, what, fix in sorted(found, key=lambda spot: spot[1])
    )
    raise ConfigError("\n".join(problems), problems=problems)


def _spots(
    error: ValidationError, document: Document, config: type[BaseModel]
) -> list[tuple[Path, int, str, str]]:
    """Return the problems with their lines."""
    problems = [
        p for entry in error.errors(include_url=False) for p in words_for(dict(entry), config)
    ]
    return [(p.loc, document.line(p.loc), p.what, p.fix) for p in problems]
