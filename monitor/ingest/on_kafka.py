"""The ingest stage on Kafka: predictions in, panes out, nothing lost."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa

from detectors.kernels.binning import bin_columns, grid_tables, make_grid
from detectors.multiscale.products import product_sums
from monitor.core.windowing.aggregate import PartitionAggregator
from monitor.core.windowing.catalog import Catalog
from monitor.decode import Decoder, chunk_of
from monitor.decode.arrow.row_stream import stream_of
from monitor.ingest.repeated_ids import RepeatedIds
from monitor.ingest.worker import IngestWorker
from monitor.service.lifecycle import Lifecycle
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.readers.baseline_feed import BaselineFeed
from schemas.config.model import WindowConfig
from schemas.errors import ConfigError
from schemas.limits import MessageLimits
from schemas.panes import MAX_SEGMENT_VALUES, N_COUNTERS


def run_ingest(
    cluster: Cluster,
    catalog: Catalog,
    feed: BaselineFeed,
    lifecycle: Lifecycle,
    *,
    member: str | None = None,
    limits: MessageLimits | None = None,
) -> None:
    """Run one ingest process until its life ends.

    Parameters
    ----------
    catalog : Catalog
        Every model's config, and the baselines published so far.
    feed : BaselineFeed
        Has caught up; adds new baselines to the catalog while the stage runs. A baseline
        holds for panes that start at or after its ``active_from_us``.
    lifecycle : Lifecycle
        Gets a heartbeat each round; draining it publishes what is due, commits and leaves.
    member : str, optional
        Static member id: a restart within the session time-out moves no partition.
    limits : MessageLimits, optional
        How much is read of one message.

    Raises
    ------
    ConfigError
        If no model is configured.
    TransportError
        If the broker cannot be used, a write failed, or the topic was recreated: restart,
        reading continues from the last commit.
    EventError
        If more than nine in ten of the last 100,000 events were refused.

    Notes
    -----
    One thread besides the clients' own. Failpoints: ``ingest:pane``,
    ``ingest:watermark``, ``ingest:late``, ``ingest:dead_letter``, ``ingest:alert`` after
    each write is handed over, ``ingest:flush`` after the last of a flush, ``ingest:acked``
    when all its writes lie in the log, ``ingest:commit``, ``ingest:revoke``.
    """
    window = source_window(catalog)
    warm_up(catalog, window)
    lifecycle.beat()
    IngestWorker(cluster, catalog, window, feed, lifecycle, member=member, limits=limits).run()


def source_window(catalog: Catalog) -> WindowConfig:
    """Return the event-time settings of the source, with the longest idle time of its models.

    Raises
    ------
    ConfigError
        If no model is configured. That models agree about the rest is checked with the
        configuration.
    """
    windows = [config.window for config in catalog.configs.values()]
    if not windows:
        raise ConfigError("no model is configured", fix="add one under `models`")
    return windows[0].model_copy(update={"idle_us": max(w.idle_us for w in windows)})


def warm_up(catalog: Catalog, window: WindowConfig) -> None:
    """Compile what reads and counts events before a group waits for this process.

    Notes
    -----
    A few seconds the first time, milliseconds from the cache. The catalog's layouts stay
    as they are: tables they keep belong to the decoder that is thrown away here.
    """
    schema = catalog.schemas[0]
    event = {
        "id": "a",
        "tenant": schema.tenant,
        "model": schema.model,
        "time_us": 1,
        "features": dict.fromkeys(schema.numeric, 0.25),
        "segments": dict.fromkeys(schema.segments, "a"),
        "score": 0.5,
        "host": "a",
    }
    decoder = Decoder([schema])
    repeated_ids = RepeatedIds()
    aggregator = PartitionAggregator("warm", 0, "warm", window, catalog.layout)
    table = {"model": [schema.model], "tenant": [schema.tenant], "time_us": [1], "host": ["a"]}
    stream = stream_of(pa.record_batch(table))
    # the first learns the layout and its pane holds rows; the second is read by the kernel and
    # its rows are counted
    for n in (2, MAX_SEGMENT_VALUES + 1):
        chunk = chunk_of([json.dumps(event).encode()] * n + [stream], "warm")
        batches = decoder.decode(chunk).batches
        aggregator.add(chunk, batches)
        for batch in batches:
            repeated_ids.count(batch)
        aggregator.flush_packed(is_end=True)
    if any(config.decision.rule != 1 for config in catalog.configs.values()):
        # of models whose products are summed; the first one need not be one of them
        bins = bin_columns(np.zeros((2, 1)), grid_tables([make_grid([0.0, 1.0])] * 2))
        product_sums(bins, np.zeros((2, N_COUNTERS)))
