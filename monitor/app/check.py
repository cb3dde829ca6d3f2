"""Check an installation: config, baselines, receivers, Kafka and store. Changes nothing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.app.short_path import shortest

if TYPE_CHECKING:
    from monitor.app.installation import Installation
    from monitor.transport.kafka.cluster import Cluster
    from schemas.baselines import Baseline
    from schemas.config.model import ModelConfig


class CheckState(StrEnum):
    """Outcome of one check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


OK, WARNING, FAILED = CheckState.OK, CheckState.WARNING, CheckState.FAILED


@dataclass(frozen=True, slots=True)
class Check:
    """Result of one check."""

    check: str
    """``config``, ``decision``, ``baseline``, ``detectable``, ``receiver``, ``retraining``,
    ``kafka``, ``store``, ``traffic`` or ``route``.
    """
    name: str
    state: CheckState
    detail: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All checks of an installation, in order of execution."""

    checks: tuple[Check, ...]
    """Problems of an invalid config; no other checks are then made."""

    @property
    def failed(self) -> tuple[Check, ...]:
        """Checks that failed, without warnings."""
        return tuple(c for c in self.checks if c.state is FAILED)

    def as_document(self) -> dict[str, Any]:
        """Return the report for ``--json``."""
        return {"ok": not self.failed, "checks": [asdict(c) for c in self.checks]}


def check_installation(file: Path) -> CheckReport:
    """Check all requirements of an installation; problems are reported, not raised.

    Parameters
    ----------
    file : Path
        ``driftline.yaml``.

    Returns
    -------
    CheckReport
    """
    return CheckReport(tuple(_checks(file)))


def _checks(file: Path) -> list[Check]:
    """Check the config, then everything it refers to."""
    from monitor.app.in_process import check_pipeline
    from monitor.app.installation import load_installation
    from schemas.errors import ConfigError

    try:
        installation = load_installation(file)
    except ConfigError as error:
        return [Check("config", str(file), FAILED, problem) for problem in error.problems]
    n_models = len(installation.models)
    if not n_models:
        fix = "list your model files under models, e.g. models/*.yaml"
        return [Check("config", str(file), FAILED, f"{file}: it names no models", fix)]
    try:
        check_pipeline(installation.monitor, installation.models, has_receivers=False)
    except ConfigError as error:
        return [Check("config", str(file), FAILED, f"{file}: {error.what}", error.fix)]
    config = Check("config", str(file), OK, f"{n_models} model{'s' * (n_models > 1)}")
    return [
        config,
        *_decisions(installation),
        *_baselines(installation),
        *_receivers(installation),
        *_retraining(installation),
        *_kafka(installation),
        _store(installation.store),
        *_traffic(installation),
    ]


def _decisions(installation: Installation) -> list[Check]:
    """Name the settings of rule 1 in the configs of models that rule 2 judges."""
    from monitor.app.replaced_settings import REPLACED, fix_of, replaced_settings

    return [
        Check("decision", model.model, WARNING, f"{name} {REPLACED[name]}", fix_of(name))
        for model in installation.models
        for name in replaced_settings(model)
    ]


def _baselines(installation: Installation) -> list[Check]:
    """Check that every model has a readable baseline that matches its config."""
    from monitor.baseline.baseline_file import baseline_files, load_baseline
    from schemas.errors import BaselineError

    checks, baselines = [], []
    for path in baseline_files(installation.baselines):
        try:
            baselines.append(load_baseline(path))
        except BaselineError as error:
            checks.append(Check("baseline", path.name, FAILED, error.what, error.fix))
    for model, file in zip(installation.models, installation.model_files, strict=True):
        own = [p for p in baselines if (p.tenant, p.model) == (model.tenant, model.model)]
        folder = shortest(str(installation.baselines))
        build = f"driftline baseline build {file} --reference FILE --out {folder}"
        if not own:
            checks.append(Check("baseline", model.model, FAILED, "none built", build))
        for baseline in own:
            fit = _fit(model, baseline, build)
            checks.append(fit)
            if fit.state is OK:
                checks += _detectable(model, baseline, len(installation.models))
                checks += _correlations(model, baseline)
    return checks


def _detectable(model: ModelConfig, baseline: Baseline, n_models: int) -> list[Check]:
    """Name the cells of a model of rule 2 in which only large shifts would be found in a day."""
    if model.decision.rule == 1 or baseline.ticks is None:
        return []
    from monitor.core.drift.ticks.cells import ScaleCells
    from monitor.core.drift.ticks.least_found import least_found

    return [
        Check(
            "detectable",
            model.model,
            WARNING if cell.is_too_large else OK,
            f"within a day a shift of {cell.text()}",
        )
        for cell in least_found(ScaleCells.of(model, baseline, n_models))
    ]


def _correlations(model: ModelConfig, baseline: Baseline) -> list[Check]:
    """Name the features of a model of rule 2 whose correlations are followed, and why those."""
    from detectors.multiscale.pairs import pairable
    from monitor.baseline.reference_products import paired_text

    if model.decision.rule == 1:
        return []
    usable = pairable(baseline.variables, baseline.reference.counts[0])
    if baseline.products is None and len(usable) > 1:
        detail = "not followed: the baseline has no products of features"
        return [Check("correlations", model.model, WARNING, detail, "build the baseline again")]
    text = paired_text(baseline, model)
    return [Check("correlations", model.model, OK, text)] if text else []


def _fit(model: ModelConfig, baseline: Baseline, build: str) -> Check:
    """Check that a baseline matches the current config."""
    from monitor.baseline.fit import misfits

    found = misfits(model, baseline)
    if found:
        return Check("baseline", model.model, FAILED, "; ".join(found), build)
    n_rows = int(baseline.reference.n_rows[0])
    detail = f"{baseline.profile_id}: {len(baseline.variables)} variables, {n_rows:,} rows"
    if not baseline.n_reference_windows and model.decision.rule == 1:
        detail += f", no times: whether a window holds {model.decision.min_rows} rows is unknown"
    return Check("baseline", model.model, OK, detail)


def _traffic(installation: Installation) -> list[Check]:
    """Warn about models whose windows have too few rows, with a sufficient window length.

    Models of rule 2 are omitted, because their thin ticks are merged. Rows are counted in the
    store, else in the reference of the newest baseline.
    """
    from monitor.core.windowing.window_length import is_thin, length_advice, traffic_text
    from monitor.storage.stored_traffic import mean_rows_of

    models = [m for m in installation.models if m.decision.rule == 1]
    names = {(m.tenant, m.model): m.window.length_us for m in models}
    stored = mean_rows_of(installation.store, names)
    checks = []
    for model in models:
        rows, source = stored.get((model.tenant, model.model)), "in the store"
        if rows is None:
            rows, source = _reference_rows(model, installation.baselines), "in the reference"
        length_us, min_rows = model.window.length_us, model.decision.min_rows
        if rows is not None and is_thin(rows, min_rows):
            detail = f"too few: {traffic_text(rows, length_us, min_rows)} ({source})"
            fix = length_advice(rows, length_us, min_rows, model.window.pane_us)
            checks.append(Check("traffic", model.model, WARNING, detail, fix))
    return checks


def _reference_rows(model: ModelConfig, baselines: Path) -> float | None:
    """Return the rows per window of the newest baseline's reference; None without times."""
    from monitor.baseline.baseline_file import baseline_files, load_baseline
    from monitor.baseline.description import rows_per_window
    from schemas.errors import BaselineError

    found = None
    for path in baseline_files(baselines):
        with contextlib.suppress(BaselineError):
            baseline = load_baseline(path)
            if (baseline.tenant, baseline.model) == (model.tenant, model.model):
                found = rows_per_window(baseline) or found
    return found


def _receivers(installation: Installation) -> list[Check]:
    """Check environment variables of receivers, and routes without receivers."""
    from monitor.app.unmonitored import silent_routes

    return [
        *(
            _variables("receiver", name, found.environment_names)
            for name, found in installation.monitor.receivers.items()
        ),
        *(Check(g.check, g.name, WARNING, g.detail, g.fix) for g in silent_routes(installation)),
    ]


def _retraining(installation: Installation) -> list[Check]:
    """Check environment variables of retraining webhooks."""
    return [
        _variables("retraining", m.model, m.retraining.environment_names)
        for m in installation.models
        if m.retraining is not None
    ]


def _variables(check: str, name: str, needed: Sequence[str]) -> Check:
    """Check that the environment variables are set."""
    unset = [v for v in needed if not os.environ.get(v)]
    if unset:
        fix = f"export {unset[0]}=..."
        return Check(check, name, FAILED, f"environment variable not set: {', '.join(unset)}", fix)
    return Check(check, name, OK, f"{', '.join(needed)} set" if needed else "needs nothing")


def _kafka(installation: Installation) -> list[Check]:
    """Connect to the configured cluster and check its topics."""
    if "kafka" not in installation.monitor.model_fields_set:
        return []
    from monitor.app.stages import BOOTSTRAP_VARIABLE, cluster_of
    from schemas.errors import ConfigError, TransportError

    name = os.environ.get(BOOTSTRAP_VARIABLE) or installation.monitor.kafka.bootstrap
    try:
        return _topics(cluster_of(installation))
    except (ConfigError, TransportError) as error:
        return [Check("kafka", name, FAILED, error.what, error.fix)]


def _topics(cluster: Cluster) -> list[Check]:
    """Return differences between topics and their specification, for the existing partitions."""
    from monitor.core.topics import PANES, PREDICTIONS
    from monitor.transport.kafka.topics.changes import read_topics
    from monitor.transport.kafka.topics.connection import open_admin
    from monitor.transport.kafka.topics.specs import plan_changes, topic_specs

    names = [spec.name for spec in topic_specs(prefix=cluster.prefix)]
    with open_admin(cluster.bootstrap, cluster.security) as admin:
        states = read_topics(admin, names)
    n_input, n_keyed = (
        states[full].n_partitions if (full := cluster.topic(name)) in states else 8
        for name in (PREDICTIONS, PANES)
    )
    specs = topic_specs(n_input=n_input, n_keyed=n_keyed, prefix=cluster.prefix)
    wrong: dict[str, list[str]] = {}
    for change in plan_changes(specs, states):
        found = f"{change.setting} is {change.found}, not {change.wanted}"
        wrong.setdefault(change.topic, []).append(found if change.topic in states else "missing")
    detail = f"{len(names)} topics; {n_input} partitions to read, {n_keyed} of panes"
    if not wrong:
        return [Check("kafka", cluster.bootstrap, OK, detail)]
    prefix = f" --prefix {cluster.prefix}" if cluster.prefix else ""
    numbers = f" --partitions {n_keyed} --input-partitions {n_input}"
    fix = f"driftline topics create --bootstrap {cluster.bootstrap}{prefix}{numbers} --yes"
    return [Check("kafka", topic, FAILED, "; ".join(what), fix) for topic, what in wrong.items()]


def _store(target: str) -> Check:
    """Check that the store can be opened and written, without leaving changes."""
    from monitor.storage.probe import probe
    from schemas.errors import StorageError

    name = target if "://" in target else shortest(target)
    try:
        return Check("store", name, OK, probe(target))
    except StorageError as error:
        return Check("store", name, FAILED, error.what, error.fix)
