"""Products of the most important numeric features over the rows of a reference."""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.kernels.binning import bin_values
from detectors.multiscale.pairs import MAX_PAIRED, pairable, paired_values
from detectors.multiscale.products import product_sums
from monitor.core.windowing.layout import Layout
from schemas.baselines import Baseline, ReferenceProducts
from schemas.batch import EventBatch
from schemas.config.model import Importance, ModelConfig

_RANK: Final = {Importance.HIGH: 0, Importance.MEDIUM: 1, Importance.LOW: 2}


def reference_products(
    baseline: Baseline, batch: EventBatch, layout: Layout, config: ModelConfig
) -> ReferenceProducts | None:
    """Return the products of every two of the ten most important numeric features.

    Parameters
    ----------
    baseline : Baseline
        With the reference of all rows.
    batch : EventBatch
        The reference's rows.
    layout : Layout
        In which the reference was counted.
    config : ModelConfig
        ``importance`` of features is used; equal ones in the order of the columns.

    Returns
    -------
    ReferenceProducts or None
        None with fewer than two features that have a location.
    """
    counts = baseline.reference.counts[0]
    usable = pairable(baseline.variables, counts)
    ranked = sorted(usable, key=lambda name: _RANK[config.features[name].importance])
    chosen = ranked[:MAX_PAIRED]
    if len(chosen) < 2:
        return None
    numeric = batch.schema.numeric
    columns = [numeric.index(name) for name in chosen]
    bins = np.stack([bin_values(batch.numeric[c], layout.grids[c]) for c in columns])
    values = paired_values(baseline.variables, counts, chosen)
    return ReferenceProducts(tuple(chosen), product_sums(bins, values))
