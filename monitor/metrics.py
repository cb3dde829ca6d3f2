"""Every metric of every stage, declared once and exported by ``/metrics``.

Counters are incremented per chunk or write, never per event.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_SECONDS: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_ROWS: Final = (1, 10, 100, 1_000, 10_000, 50_000, 100_000, 500_000, 1_000_000)

EVENTS: Final = Counter("driftline_events", "Events accepted.", ["stage", "topic"])
BYTES: Final = Counter("driftline_bytes", "Payload bytes read.", ["stage", "topic"])
REJECTED: Final = Counter(
    "driftline_rejected", "Rejected events, by reason.", ["stage", "topic", "reason"]
)
LATE: Final = Counter("driftline_late", "Late events: older than every open pane.", ["topic"])
REPEATED_IDS: Final = Counter(
    "driftline_repeated_ids",
    "Events with an id that was read from their partition shortly before; they are counted again.",
    ["topic"],
)
DEAD_LETTERS: Final = Counter(
    "driftline_dead_letters", "Rejected events written to the dead-letter topic.", ["stage"]
)
DEAD_LETTERS_CAPPED: Final = Counter(
    "driftline_dead_letters_capped",
    "Rejected events beyond their model's dead-letter limit: counted, not written.",
    ["tenant", "model"],
)
PANES: Final = Counter(
    "driftline_panes",
    "Panes published by ingest or processed by detect, by outcome.",
    ["stage", "outcome"],
)
WINDOWS: Final = Counter("driftline_windows", "Windows closed, by trigger.", ["closed_by"])
MODEL_EVENTS: Final = Counter(
    "driftline_model_events",
    "Events of closed windows, by model and outcome: judged, not_judged, rejected or late.",
    ["tenant", "model", "outcome"],
)
COVERAGE: Final = Counter(
    "driftline_coverage",
    "Events, windows and cells of closed windows: judged, or the reason why not.",
    ["unit", "outcome"],
)
RESULTS: Final = Counter("driftline_results", "Detector results, by verdict.", ["verdict"])
ALERTS: Final = Counter(
    "driftline_alerts", "Alerts, by monitor and transition.", ["monitor", "transition"]
)
ALERTS_OPEN: Final = Gauge("driftline_alerts_open", "Open alerts.", ["monitor", "severity"])
CANARY_EVERY_SECONDS: Final = Gauge(
    "driftline_canary_every_seconds",
    "Longest interval between planted shifts of any model; 0 without a canary.",
)
CANARY_JUDGED_SECONDS: Final = Gauge(
    "driftline_canary_judged_timestamp_seconds",
    "Unix time of the last verdict on a planted shift; initially the start of the stage.",
)
CANARIES: Final = Counter("driftline_canaries", "Planted shifts, by outcome.", ["outcome"])
CANARY_DELAY: Final = Histogram(
    "driftline_canary_delay_windows",
    "Windows from a planted shift to its detection.",
    buckets=(1, 2, 3, 4, 6, 8, 12, 24, 48, 96),
)
NOTIFICATIONS: Final = Counter(
    "driftline_notifications", "Notifications, by receiver and state.", ["receiver", "state"]
)
NOTIFICATION_AGE_SECONDS: Final = Gauge(
    "driftline_notification_age_seconds",
    "Age of the oldest undelivered notification; 0 without one.",
    ["receiver"],
)
LAG: Final = Gauge(
    "driftline_lag_messages",
    "Messages between the read position and the end of the partition.",
    ["stage", "topic", "partition"],
)
WATERMARK_DELAY: Final = Gauge(
    "driftline_watermark_delay_seconds",
    "Wall-clock time minus the watermark.",
    ["topic", "partition"],
)
PARTITIONS: Final = Gauge(
    "driftline_partitions", "Partitions assigned to this process.", ["stage", "topic"]
)
READER_KIND: Final = Gauge(
    "driftline_reader_info",
    "1 for the API that messages are read with: bulk, or consume (slower).",
    ["stage", "topic", "kind"],
)
QUEUE: Final = Gauge(
    "driftline_queue_depth",
    "Items in a queue: unacknowledged messages and writes, ranges and messages to insert, "
    "incident groups and notifications waiting.",
    ["stage", "queue"],
)
STAGE_SECONDS: Final = Histogram(
    "driftline_stage_seconds", "Duration of a step of a stage.", ["stage", "step"], buckets=_SECONDS
)
INSERT_ROWS: Final = Histogram(
    "driftline_insert_rows", "Rows per insert.", ["table"], buckets=_ROWS
)
INSERT_SECONDS: Final = Histogram(
    "driftline_insert_seconds", "Duration of an insert.", ["table"], buckets=_SECONDS
)
INSERT_RETRIES: Final = Counter("driftline_insert_retries", "Retried inserts.", ["table"])
SLICE_SEARCHES: Final = Counter(
    "driftline_slice_searches",
    "Searches for the slices that carry a change, by outcome: found, or the reason why not.",
    ["outcome"],
)
SLICE_SEARCH_FAILURES: Final = Counter(
    "driftline_slice_search_failures", "Searches for slices that ended with an error."
)
SLICE_SEARCH_SECONDS: Final = Gauge(
    "driftline_slice_search_seconds",
    "Duration of a model's last search for slices: of an alert, or of a night.",
    ["tenant", "model"],
)
GAPS: Final = Counter(
    "driftline_gaps",
    "Input gaps: ranges of messages that retention deleted before they were read.",
    ["stage", "topic"],
)
REBALANCES: Final = Counter(
    "driftline_rebalances",
    "Rebalances of the group, by what happened to this process: assigned, revoked or lost.",
    ["stage", "topic", "what"],
)
COMMITS: Final = Counter("driftline_commits", "Commits, by outcome.", ["stage", "outcome"])
RETRIES: Final = Counter("driftline_retries", "Retries, by operation.", ["stage", "what"])
BASELINES: Final = Counter(
    "driftline_profiles", "Baselines read from their topic, by outcome.", ["outcome"]
)
READY: Final = Gauge("driftline_ready", "1 while the stage is ready.", ["stage"])
SILENT_SECONDS: Final = Gauge(
    "driftline_silent_seconds", "Time since the last heartbeat of the stage's main loop.", ["stage"]
)


def count_dead_letters(stage: str, topic: str, reason: str, n: int = 1) -> None:
    """Count messages of a topic that were written as dead letters."""
    REJECTED.labels(stage, topic, reason).inc(n)
    DEAD_LETTERS.labels(stage).inc(n)
