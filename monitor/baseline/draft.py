"""Completes a model file without kinds from its reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from monitor.baseline.decisions import KindDecision, Shape, refused
from monitor.baseline.kinds import infer_kind
from monitor.transport.plain_columns import flat
from schemas.baselines import Kind
from schemas.config.model import ColumnsConfig, ModelConfig
from schemas.config.parse import is_open, parse_model, raw_sections
from schemas.errors import BaselineError
from schemas.names import field_fault

_FEATURES = "features."
_OURS = frozenset(
    {*ColumnsConfig.model_fields, "time_us", "record_time_us", "model", "tenant"} - {"time"}
)
"""Columns with a reserved name."""


@dataclass(frozen=True, slots=True)
class ColumnDecision:
    """Decision on one column of a reference, with its reason."""

    name: str
    """Name of the feature, or else of the column."""
    shape: Shape
    kind: Kind | None
    """None if it is not monitored as a feature."""
    is_inferred: bool
    """Whether the kind was inferred, because the model file does not name it."""
    reason: str


@dataclass(frozen=True)
class ModelDraft:
    """A model file that may lack kinds.

    Parameters
    ----------
    text : str
        YAML.
    name : str
        Name of the file, for messages.
    config_type : type, optional
        Type that validates the file; as the parameter of :func:`parse_model`.
    """

    text: str
    name: str
    config_type: type[ModelConfig] = ModelConfig

    @cached_property
    def sections(self) -> dict[str, Any]:
        """Parsed sections of the file, not validated."""
        return raw_sections(self.text, self.name)

    @property
    def open_features(self) -> tuple[str, ...] | None:
        """Features without a kind; None if no features are listed."""
        features = self.sections.get("features")
        if features is None:
            return None
        named = features.items() if isinstance(features, dict) else ()
        return tuple(feature for feature, settings in named if is_open(settings))

    @property
    def is_complete(self) -> bool:
        """Whether every kind is named."""
        return self.open_features == ()

    def config(self, kinds: dict[str, Kind] | None = None) -> ModelConfig:
        """Return the validated config, with the given kinds for features without one.

        Raises
        ------
        ConfigError
            With every problem by file, line and field.
        """
        named = {name: str(kind) for name, kind in (kinds or {}).items()}
        return parse_model(self.text, self.name, named, self.config_type)


def complete_draft(table: pa.Table, draft: ModelDraft) -> tuple[ModelConfig, list[ColumnDecision]]:
    """Infer missing kinds, and describe every column.

    Parameters
    ----------
    table : pyarrow.Table
        The reference as read.
    draft : ModelDraft
        If it lists no features, every column that can be monitored and has no other use becomes
        one, including a label column in the reference.

    Returns
    -------
    config : ModelConfig
    decisions : list of ColumnDecision
        Features in the order of the config, then the other columns.

    Raises
    ------
    BaselineError
        If features of the file cannot be monitored (names all of them), or no column can be.
    ConfigError
        If the file is invalid.

    Notes
    -----
    A feature with a range is numeric; one that is also a segment is categorical.
    """
    columns = _feature_columns(flat(table))
    wanted = draft.open_features
    names = _candidates(columns, draft) if wanted is None else wanted
    found = {name: _decide(columns[name], name, draft) for name in names if name in columns}
    if wanted is not None:
        _check_refused(found)
    # Missing columns are reported together, by the caller that maps the columns.
    kinds = {name: Kind.NUMERIC for name in names if name not in found}
    kinds |= {name: d.kind for name, d in found.items() if d.kind is not None}
    if wanted is None and not kinds:
        raise BaselineError("no column can be monitored", where="reference", fix=_reasons(found))
    config = draft.config(kinds)
    return config, [*_feature_decisions(config, columns, found), *_others(table, config, found)]


def explain_columns(table: pa.Table, config: ModelConfig) -> list[ColumnDecision]:
    """Return the decision of a complete config on each column, with a description of its values.

    Parameters
    ----------
    config : ModelConfig
        Config with all kinds.

    Returns
    -------
    list of ColumnDecision
    """
    columns = _feature_columns(flat(table))
    return [*_feature_decisions(config, columns, {}), *_others(table, config, {})]


def _feature_columns(table: pa.Table) -> dict[str, pa.ChunkedArray]:
    """Map feature names to columns; a plain column name takes precedence over a prefixed one."""
    prefixed = {
        name.removeprefix(_FEATURES): table[name]
        for name in table.column_names
        if name.startswith(_FEATURES)
    }
    return prefixed | {
        name: table[name] for name in table.column_names if not name.startswith(_FEATURES)
    }


def _candidates(columns: dict[str, pa.ChunkedArray], draft: ModelDraft) -> list[str]:
    """Return the columns without another use."""
    named = draft.sections.get("columns")
    used = set(named.values()) if isinstance(named, dict) else set()
    return [
        name
        for name in columns
        if name not in used and name not in _OURS and not name.startswith("segments.")
    ]


def _decide(column: pa.ChunkedArray, name: str, draft: ModelDraft) -> KindDecision:
    """Decide on one column; other settings in the file take precedence."""
    if fault := field_fault(name):
        return refused(Shape.UNSUPPORTED, f"its name {fault}, which no event can bring; rename it")
    found = infer_kind(column)
    if found.shape is Shape.EMPTY:
        return found
    segments = draft.sections.get("segments")
    if isinstance(segments, list) and name in segments:
        return _asked(found, Kind.CATEGORICAL, "segments are made of it")
    features = draft.sections.get("features")
    settings = features.get(name) if isinstance(features, dict) else None
    if isinstance(settings, dict) and "range" in settings:
        return _asked(found, Kind.NUMERIC, "it has a range")
    return found


def _asked(found: KindDecision, kind: Kind, why: str) -> KindDecision:
    """Return the decision that follows from the file."""
    return KindDecision(found.shape, kind, f"{why} in the config; {_looks(found)}")


def _check_refused(found: dict[str, KindDecision]) -> None:
    """Raise one error for all configured features that cannot be monitored."""
    refused = [f"feature {name}: {d.reason}" for name, d in found.items() if d.kind is None]
    if refused:
        raise BaselineError(
            "; ".join(refused),
            where="reference",
            fix="remove it from the config, or name its kind there",
        )


def _reasons(found: dict[str, KindDecision]) -> str:
    """Join the reasons of several columns."""
    return "; ".join(f"{name}: {d.reason}" for name, d in found.items()) or "it has no columns"


def _feature_decisions(
    config: ModelConfig, columns: dict[str, pa.ChunkedArray], found: dict[str, KindDecision]
) -> Iterator[ColumnDecision]:
    """Return the decisions on features, in the order of the config."""
    for name, feature in config.features.items():
        if name in found:
            d = found[name]
            yield ColumnDecision(name, d.shape, feature.kind, True, d.reason)
        elif name in columns:
            d = infer_kind(columns[name])
            reason = f"named in the config; {_looks(d)}"
            yield ColumnDecision(name, d.shape, feature.kind, False, reason)


def _looks(found: KindDecision) -> str:
    """Describe the values of a column whose kind is configured."""
    return f"it looks like {found.shape.value}: {found.reason}"


def _others(
    table: pa.Table, config: ModelConfig, found: dict[str, KindDecision]
) -> Iterator[ColumnDecision]:
    """Return the decisions on other columns: rejected, with another use, or not configured."""
    named = config.columns.model_dump(exclude_none=True)
    uses = {column: f"the events' {use}" for use, column in named.items()}
    derived = config.schema_.derived
    for source in {d.source for d in derived}:
        uses[source] = f"made into {', '.join(d.name for d in derived if d.source == source)}"
    for name, column in _feature_columns(flat(table)).items():
        if name in config.features:
            continue
        if name in found:
            yield ColumnDecision(name, found[name].shape, None, True, found[name].reason)
            continue
        own = name.removeprefix("segments.")
        use = uses.get(name) or (f"the events' {name}" if name in _OURS else "")
        use = use or ("a segment" if own in config.segments else "not named in the config")
        yield ColumnDecision(name, infer_kind(column).shape, None, False, use)
