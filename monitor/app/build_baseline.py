"""Build a baseline from training data, or from the traffic of a time range."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from monitor.app.draft_model import DraftModel
from monitor.app.progress import OnNote, PhaseProgress, StartPhase, ignore_note, no_progress
from monitor.app.row_progress import RowProgress
from monitor.baseline import build
from monitor.baseline.folded import folded_texts
from monitor.baseline.folder import add_baseline
from monitor.baseline.reference_hints import reference_hints
from monitor.baseline.source import read_reference
from monitor.baseline.traffic import read_traffic
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig


@dataclass(frozen=True, slots=True)
class TrafficRange:
    """Stored traffic as a reference."""

    store: str
    since_us: int
    until_us: int
    """Exclusive."""
    text: str
    """The range as the user wrote it; stored as the baseline's origin."""


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """Model and reference of a baseline."""

    model: Path
    """Model file."""
    reference: tuple[Path, ...] | TrafficRange
    """Files with the same columns, or stored traffic."""
    out: Path
    """Output folder."""
    model_version: str = ""
    """Model version of the baseline; empty for all."""
    active_from_us: int = 0
    explains: bool = False
    """Describe every column, not only those whose kind is inferred."""
    writes_kinds: bool = False
    """Whether to write inferred kinds into the model file."""


@dataclass(frozen=True, slots=True)
class BuildResult:
    """A baseline, and the decisions made for it."""

    baseline: Baseline
    config: ModelConfig
    file: Path
    replaced: tuple[Path, ...]
    """Older baselines of the same version and start that were replaced."""
    draft: DraftModel
    """Model file with the decisions on kinds."""
    hints: tuple[str, ...]
    """Columns in which texts that mean "missing" may be literal values; of a model of rule 2, what
    its reference leaves to the first days of the stream."""


def build_baseline(
    request: BuildRequest,
    *,
    start_phase: StartPhase = no_progress,
    on_note: OnNote = ignore_note,
) -> BuildResult:
    """Read the reference, infer missing kinds, and build the baseline.

    Raises
    ------
    ConfigError
        If the model file is invalid.
    BaselineError
        If no baseline can be built from the reference.
    TransportError
        If a file cannot be read.
    StorageError
        If the store cannot be read.
    """
    draft = DraftModel.read(request.model)
    with start_phase("reading", None) as shown:
        table, source = _reference(draft, request, shown, on_note)
    with start_phase("baseline", build.N_STEPS) as advance:
        config = draft.complete(table, explain=request.explains)
        found = build.build_baseline(
            table,
            config,
            model_version=request.model_version,
            active_from_us=request.active_from_us,
            created_from=source,
            advance=advance,
        )
    if request.writes_kinds:
        # First, so that an error here does not replace the old baseline.
        draft.write()
    file, replaced = add_baseline(found, request.out)
    hints = folded_texts(table, config)
    if config.decision.rule != 1:
        hints += reference_hints(found)
    return BuildResult(found, config, file, tuple(replaced), draft, tuple(hints))


def _reference(
    draft: DraftModel, request: BuildRequest, shown: PhaseProgress, on_note: OnNote
) -> tuple[pa.Table, str]:
    """Read the reference from files or from the store, with its origin as text."""
    found = request.reference
    if isinstance(found, TrafficRange):
        bounds = found.since_us, found.until_us
        table = read_traffic(found.store, draft.named(), *bounds, request.model_version)
        return table, f"traffic {found.text}"
    table = read_reference(found, draft.key, RowProgress(shown, found).of, on_note)
    return table, ", ".join(path.name for path in found)
