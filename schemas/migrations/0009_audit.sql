-- What changed the verdicts of a model other than its events: who did what, and when in event
-- time. A repeated action has the same key.

CREATE TABLE IF NOT EXISTS audit
(
    tenant        LowCardinality(String),
    model         LowCardinality(String),
    model_version LowCardinality(String),
    time_us       Int64,
    time          DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(time_us),
    action        LowCardinality(String),
    actor         String,
    -- JSON; its keys depend on the action.
    detail        String,
    ingest_time   DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ${replacing}(ingest_time)
ORDER BY (tenant, model, time_us, action, model_version)
SETTINGS non_replicated_deduplication_window = ${window};
