"""Which models are monitored, how, and against what: configs and profiles in one place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from monitor.core.layout import Layout
from schemas.batch import ModelSchema
from schemas.config import ModelConfig
from schemas.errors import BaselineError, ConfigError
from schemas.panes import SeriesId
from schemas.profiles import Profile


@dataclass(slots=True)
class Catalog:
    """Configs by (tenant, model), profiles by model version. Built once, read by every stage."""

    configs: dict[tuple[str, str], ModelConfig]
    profiles: dict[tuple[str, str], list[Profile]] = field(default_factory=dict)
    _layouts: dict[tuple[str, str, str], Layout | tuple[Layout, ...]] = field(default_factory=dict)

    @staticmethod
    def of(configs: Iterable[ModelConfig], profiles: Iterable[Profile]) -> Catalog:
        """Build a catalog.

        Raises
        ------
        ConfigError
            If two configs are for the same model.
        BaselineError
            If a profile's variables are not those of its model's config.
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
        for profile in profiles:
            catalog._add_profile(profile)
        return catalog

    def _add_profile(self, profile: Profile) -> None:
        """Check that the profile fits its model, and keep it, the newest last."""
        key = (profile.tenant, profile.model)
        config = self.configs.get(key)
        if config is None:
            return
        names = tuple(v.name for v in profile.variables)
        if names != config.schema_.variables:
            raise BaselineError(
                f"profile {profile.profile_id} monitors {', '.join(names)}",
                where=f"model {profile.model!r}",
                fix="build the baseline again: its features are not those of the config",
            )
        known = self.profiles.setdefault(key, [])
        known.append(profile)
        known.sort(key=lambda p: (p.active_from_us, p.profile_id))

    @property
    def schemas(self) -> tuple[ModelSchema, ...]:
        """Columns of every model's events."""
        return tuple(config.schema_ for config in self.configs.values())

    def profiles_for(self, tenant: str, model: str, model_version: str) -> list[Profile]:
        """Return the version's own profiles, else those for every version, the newest last."""
        known = self.profiles.get((tenant, model), [])
        own = [p for p in known if p.model_version == model_version]
        return own or [p for p in known if p.model_version == ""]

    def layout(
        self, tenant: str, model: str, model_version: str
    ) -> Layout | tuple[Layout, ...] | None:
        """Return how this version's events are counted; several by ``active_from_us``.

        None if there is no profile: then only rows are counted.
        """
        config = self.configs.get((tenant, model))
        if config is None:
            return None
        key = (tenant, model, model_version)
        if key not in self._layouts:
            found = self.profiles_for(*key)
            layouts = tuple(Layout(config.schema_, profile) for profile in found)
            is_single = len(found) == 1 and found[0].active_from_us <= 0
            self._layouts[key] = layouts[0] if is_single else layouts
        return self._layouts[key]

    def profile_of(self, series: SeriesId) -> Profile | None:
        """Return the profile in whose layout the series was counted."""
        known = self.profiles.get((series.tenant, series.model), [])
        return next((p for p in known if p.profile_id == series.profile_id), None)

    def config_of(self, series: SeriesId) -> ModelConfig:
        """Return the config of the series' model."""
        return self.configs[series.tenant, series.model]
