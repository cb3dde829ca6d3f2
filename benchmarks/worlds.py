"""The models that benchmarks on a broker watch, built alike in every process."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from benchmarks.aggregate import reference_baseline
from benchmarks.events import make_messages, model_config, reference_table
from monitor.baseline.build import build_baseline
from monitor.core.windowing.catalog import Catalog
from schemas.baselines import Kind
from schemas.config.model import FeatureConfig, ModelConfig

N_MODELS, N_FEATURES = 1_000, 20


def fraud() -> Catalog:
    """One model of ten features and two segments: the events of ``benchmarks.events``."""
    config = model_config()
    table = reference_table(make_messages(20_000, 0.0, seed=2))
    return Catalog.of([config], [build_baseline(table, config)])


def many_config(i: int) -> ModelConfig:
    features = {f"f{k}": FeatureConfig(kind=Kind.NUMERIC) for k in range(N_FEATURES)}
    return ModelConfig(model=f"model-{i}", features=features)


@cache
def _reference() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(5_000, N_FEATURES + 1))


def many() -> Catalog:
    """A thousand models of twenty features, each with a baseline of its own."""
    configs = [many_config(i) for i in range(N_MODELS)]
    baselines = [reference_baseline(_reference(), c.schema_, f"p-{c.model}") for c in configs]
    return Catalog.of(configs, baselines)


WORLDS: dict[str, Callable[[], Catalog]] = {"fraud": fraud, "many": many}

__all__ = ["N_FEATURES", "N_MODELS", "WORLDS", "fraud", "many"]
