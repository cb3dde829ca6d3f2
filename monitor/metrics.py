"""Every metric of every stage, once; ``/metrics`` shows them. Names are those of the fields.

Counters are raised once a chunk or a write, never once an event.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_SECONDS: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_ROWS: Final = (1, 10, 100, 1_000, 10_000, 50_000, 100_000, 500_000, 1_000_000)

EVENTS: Final = Counter("driftline_events", "Events accepted.", ["stage", "topic"])
BYTES: Final = Counter("driftline_bytes", "Payload bytes read.", ["stage", "topic"])
REJECTED: Final = Counter(
    "driftline_rejected", "Events that were refused, by reason.", ["stage", "topic", "reason"]
)
LATE: Final = Counter("driftline_late", "Events older than every open pane.", ["topic"])
REPEATED_IDS: Final = Counter(
    "driftline_repeated_ids",
    "Events with an id that their partition had read shortly before: they count again.",
    ["topic"],
)
DEAD_LETTERS: Final = Counter(
    "driftline_dead_letters", "Refused events written to the dead-letter topic.", ["stage"]
)
DEAD_LETTERS_CAPPED: Final = Counter(
    "driftline_dead_letters_capped",
    "Refused events beyond their model's cap: counted, not written.",
    ["tenant", "model"],
)
PANES: Final = Counter(
    "driftline_panes",
    "Panes: published by ingest, or taken by detect, by outcome.",
    ["stage", "outcome"],
)
WINDOWS: Final = Counter("driftline_windows", "Windows closed, by what closed them.", ["closed_by"])
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
    "driftline_alerts", "Alerts, by monitor and what happened.", ["monitor", "transition"]
)
ALERTS_OPEN: Final = Gauge("driftline_alerts_open", "Alerts open now.", ["monitor", "severity"])
CANARY_EVERY_SECONDS: Final = Gauge(
    "driftline_canary_every_seconds",
    "Longest time between two planted shifts of any model; 0 where none is planted.",
)
CANARY_JUDGED_SECONDS: Final = Gauge(
    "driftline_canary_judged_timestamp_seconds",
    "When a planted shift was last judged; at first when the stage was started.",
)
CANARIES: Final = Counter(
    "driftline_canaries", "Shifts planted into a shadow, by what came of them.", ["outcome"]
)
CANARY_DELAY: Final = Histogram(
    "driftline_canary_delay_windows",
    "Planted windows until a shift was found.",
    buckets=(1, 2, 3, 4, 6, 8, 12, 24, 48, 96),
)
NOTIFICATIONS: Final = Counter(
    "driftline_notifications", "Notifications, by receiver and state.", ["receiver", "state"]
)
NOTIFICATION_AGE_SECONDS: Final = Gauge(
    "driftline_notification_age_seconds",
    "How long the oldest notification not yet taken is under way; 0 when all are.",
    ["receiver"],
)
LAG: Final = Gauge(
    "driftline_lag_messages",
    "Messages between the position (F) and the log's end.",
    ["stage", "topic", "partition"],
)
WATERMARK_DELAY: Final = Gauge(
    "driftline_watermark_delay_seconds", "Wall clock minus the watermark.", ["topic", "partition"]
)
PARTITIONS: Final = Gauge("driftline_partitions", "Partitions owned.", ["stage", "topic"])
READER_KIND: Final = Gauge(
    "driftline_reader_info",
    "How messages are taken out of the client: bulk or consume.",
    ["stage", "topic", "kind"],
)
QUEUE: Final = Gauge(
    "driftline_queue_depth",
    "What waits: writes unacknowledged, rows unbatched, groups waiting.",
    ["stage", "queue"],
)
STAGE_SECONDS: Final = Histogram(
    "driftline_stage_seconds", "Time of one step of a stage.", ["stage", "step"], buckets=_SECONDS
)
INSERT_ROWS: Final = Histogram(
    "driftline_insert_rows", "Rows of one insert.", ["table"], buckets=_ROWS
)
INSERT_SECONDS: Final = Histogram(
    "driftline_insert_seconds", "Time of one insert.", ["table"], buckets=_SECONDS
)
INSERT_RETRIES: Final = Counter("driftline_insert_retries", "Inserts tried again.", ["table"])
GAPS: Final = Counter(
    "driftline_gaps", "Times retention had eaten what was to be read.", ["stage", "topic"]
)
REBALANCES: Final = Counter(
    "driftline_rebalances", "Partitions gained, given back, lost.", ["stage", "topic", "what"]
)
COMMITS: Final = Counter("driftline_commits", "Commits, by outcome.", ["stage", "outcome"])
RETRIES: Final = Counter("driftline_retries", "What was tried again.", ["stage", "what"])
PROFILES: Final = Counter(
    "driftline_profiles", "Profiles read from their topic, by what became of them.", ["outcome"]
)
READY: Final = Gauge("driftline_ready", "1 while the stage does its work.", ["stage"])
SILENT_SECONDS: Final = Gauge(
    "driftline_silent_seconds", "Time since the stage's loop last went round.", ["stage"]
)
