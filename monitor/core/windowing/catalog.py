"""Which models are monitored, how, and against what: configs and baselines in one place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from detectors.decision_rule.seasonal import N_SLOTS
from monitor.core.windowing.layout import Layout
from schemas.baselines import Baseline, Kind
from schemas.batch import ModelSchema
from schemas.config.model import ModelConfig
from schemas.errors import BaselineError, ConfigError
from schemas.labels import LabelRule
from schemas.panes import N_COUNTERS, SeriesId


@dataclass(slots=True)
class Catalog:
    """Configs by (tenant, model), baselines by model version: what every stage works from.

    Notes
    -----
    Configs stay as they are; baselines come while a stage runs (:meth:`add`). For one thread.

    Attributes
    ----------
    n_changes : int
        How many baselines were added or retired: what was derived before holds while it is the
        same.
    """

    configs: dict[tuple[str, str], ModelConfig]
    baselines: dict[tuple[str, str], list[Baseline]] = field(default_factory=dict)
    n_changes: int = 0
    _layouts: dict[tuple[str, str, str], Layout | tuple[Layout, ...]] = field(default_factory=dict)
    _retired: dict[str, Baseline] = field(default_factory=dict)

    @staticmethod
    def of(configs: Iterable[ModelConfig], baselines: Iterable[Baseline]) -> Catalog:
        """Build a catalog.

        Raises
        ------
        ConfigError
            If two configs are for the same model.
        BaselineError
            If a baseline's variables are not those of its model's config.
        """
        catalog = Catalog({})
        for config in configs:
            key = (config.tenant, config.model)
            if key in catalog.configs:
                raise ConfigError(
                    f"model {config.model!r} is configured twice",
                    where=f"tenant {config.tenant!r}",
                    fix="keep one file",
                )
            catalog.configs[key] = config
        for baseline in baselines:
            catalog._add_baseline(baseline)
        return catalog

    def add(self, baseline: Baseline) -> bool:
        """Take a baseline that was published while the stage runs.

        Parameters
        ----------
        baseline : Baseline
            It holds for panes that start at or after its ``active_from_us``.

        Returns
        -------
        bool
            False if it is known already, or its model is not in the config.

        Raises
        ------
        BaselineError
            If its variables are not those of the model's config; nothing has changed then.
        """
        key = (baseline.tenant, baseline.model)
        known = self.baselines.get(key, [])
        if key not in self.configs or any(p.profile_id == baseline.profile_id for p in known):
            return False
        self._add_baseline(baseline)
        self._retired.pop(baseline.profile_id, None)
        self._forget_layouts(key)
        return True

    def retire(self, profile_id: str) -> bool:
        """Take a baseline back: no new pane is counted in it.

        Returns
        -------
        bool
            False if it is not known.

        Notes
        -----
        What held before it holds again, at whatever pane each worker is just then: so take a
        baseline back before its ``active_from_us``. Later, the windows in which the workers
        heard of it get no verdict. What was counted in it is still judged against it, for as
        long as the process lives.
        """
        for key, known in self.baselines.items():
            for baseline in known:
                if baseline.profile_id == profile_id:
                    known.remove(baseline)
                    self._retired[profile_id] = baseline
                    self._forget_layouts(key)
                    return True
        return False

    def _forget_layouts(self, key: tuple[str, str]) -> None:
        """Drop the cached layouts of one model's versions."""
        self.n_changes += 1
        self._layouts = {k: v for k, v in self._layouts.items() if k[:2] != key}

    def _add_baseline(self, baseline: Baseline) -> None:
        """Check that the baseline fits its model, and keep it, the newest last."""
        key = (baseline.tenant, baseline.model)
        config = self.configs.get(key)
        if config is None:
            return
        check_fit(config.schema_, baseline)
        known = self.baselines.setdefault(key, [])
        known.append(baseline)
        known.sort(key=lambda p: (p.active_from_us, p.profile_id))

    @property
    def schemas(self) -> tuple[ModelSchema, ...]:
        """Columns of every model's events."""
        return tuple(config.schema_ for config in self.configs.values())

    def baselines_for(self, tenant: str, model: str, model_version: str) -> list[Baseline]:
        """Return the baselines of a version by the time each begins to hold, the newest last.

        Its own, and before the first of these those for every version: a version that gets a
        baseline of its own is counted in the others' until then.
        """
        known = self.baselines.get((tenant, model), [])
        own = [p for p in known if p.model_version == model_version]
        shared = [p for p in known if p.model_version == ""] if model_version else []
        if own:
            shared = [p for p in shared if p.active_from_us < own[0].active_from_us]
        return shared + own

    def layout(
        self, tenant: str, model: str, model_version: str
    ) -> Layout | tuple[Layout, ...] | None:
        """Return how this version's events are counted; several by ``active_from_us``.

        None if there is no baseline: then only rows are counted.
        """
        config = self.configs.get((tenant, model))
        if config is None:
            return None
        has_own = any(
            p.model_version == model_version for p in self.baselines.get((tenant, model), [])
        )
        # All others share one entry: a version may be an arbitrary new text.
        key = (tenant, model, model_version if has_own else "")
        if key not in self._layouts:
            found = self.baselines_for(*key)
            layouts = tuple(Layout(config.schema_, baseline) for baseline in found)
            is_single = len(found) == 1 and found[0].active_from_us <= 0
            self._layouts[key] = layouts[0] if is_single else layouts
        return self._layouts[key]

    def baseline_of(self, series: SeriesId) -> Baseline | None:
        """Return the baseline in whose layout the series was counted."""
        known = self.baselines.get((series.tenant, series.model), [])
        found = next((p for p in known if p.profile_id == series.profile_id), None)
        return found or self._retired.get(series.profile_id)

    def config_of(self, series: SeriesId) -> ModelConfig:
        """Return the config of the series' model."""
        return self.configs[series.tenant, series.model]


def check_fit(schema: ModelSchema, baseline: Baseline) -> None:
    """Refuse a baseline that is not in the layout of its model's events.

    Parameters
    ----------
    schema : ModelSchema
        Of the model's config.

    Raises
    ------
    BaselineError
        Naming what the baseline monitors.
    """
    kinds = [Kind.NUMERIC] * len(schema.numeric) + [Kind.CATEGORICAL] * len(schema.categorical)
    expected = list(zip(schema.variables, [*kinds, Kind.NUMERIC], strict=True))
    found = [(v.name, v.kind) for v in baseline.variables]
    n_segments, n_variables = len(baseline.reference.segments), len(found)
    if found != expected:
        names = ", ".join(f"{name} ({kind})" for name, kind in found)
        raise BaselineError(
            f"baseline {baseline.profile_id} monitors {names}",
            where=f"model {baseline.model!r}",
            fix="build the baseline again: its features differ from the config's",
        )
    if not baseline.phi.shape == baseline.eps_learned.shape == (n_segments, n_variables):
        raise BaselineError(
            f"baseline {baseline.profile_id} has a design effect of shape {baseline.phi.shape}, "
            f"its cells are {(n_segments, n_variables)}",
            where=f"model {baseline.model!r}",
            fix="build the baseline again",
        )
    seasonal, cells = baseline.seasonal, baseline.phi.shape
    expected_counts = (N_SLOTS, *cells, N_COUNTERS)
    if seasonal is not None and (
        (seasonal.counts.shape, seasonal.is_seasonal.shape) != (expected_counts, cells)
        or seasonal.n_weeks.shape != (N_SLOTS,)
    ):
        raise BaselineError(
            f"baseline {baseline.profile_id} has seasons of shape {seasonal.counts.shape}, "
            f"not {expected_counts}",
            where=f"model {baseline.model!r}",
            fix="build the baseline again",
        )


def max_skews(configs: Iterable[ModelConfig]) -> dict[tuple[str, str], int]:
    """Return how far events of each (tenant, model) may be ahead of their record time, in us."""
    return {(c.tenant, c.model): c.window.bound_us + c.window.max_skew_us for c in configs}


def label_rules(configs: Iterable[ModelConfig]) -> dict[tuple[str, str], LabelRule]:
    """Return which labels each (tenant, model) accepts."""
    known = list(configs)
    skews = max_skews(known)
    return {
        key: LabelRule(skews[key], config.task, config.label_classes)
        for config in known
        for key in [(config.tenant, config.model)]
    }
