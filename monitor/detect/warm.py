"""Every kernel of a decision run once, before the first window waits for its compilation."""

from __future__ import annotations

from monitor.core.drift.decide import SeriesDecider
from monitor.core.windowing.catalog import Catalog
from schemas.panes import ClosedBy, SeriesId, SeriesStats, Window

_HOSTS = ("host=a", "host=b", "host=c")


def warm_decision(catalog: Catalog) -> bool:
    """Decide a made-up window of the first model that has a baseline.

    Returns
    -------
    bool
        False if there is no baseline, and so nothing to judge yet.

    Notes
    -----
    Seconds where nothing is in the kernel cache yet, a few hundredths where it is.
    """
    for (tenant, model), baselines in sorted(catalog.baselines.items()):
        for baseline in baselines[:1]:
            series = SeriesId(tenant, model, baseline.model_version, baseline.profile_id)
            config, reference = catalog.config_of(series), baseline.reference
            hosts = SeriesStats.empty(_HOSTS, 1)
            hosts.counts[:] = reference.counts[0, -1]
            hosts.n_rows[:] = reference.n_rows[0]
            decider = SeriesDecider(series, config, baseline)
            length_us = config.window.length_us
            for i in range(2):
                start, end = i * length_us, (i + 1) * length_us
                decider.decide(Window(series, start, end, reference, hosts, 1, ClosedBy.WATERMARK))
            SeriesDecider(series, config, baseline, decider.export())
            return True
    return False
