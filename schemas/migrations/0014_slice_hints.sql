-- Slices in which a change is concentrated, as a hint to an alert (kind: 'alert' when it
-- fired, 'hour' an hour later, 'nightly') or to a model (no alert_id). A repeated search has the same key.

CREATE TABLE IF NOT EXISTS slice_hints
(
    tenant        LowCardinality(String),
    model         LowCardinality(String),
    model_version LowCardinality(String),
    kind          LowCardinality(String),
    alert_id      String,
    feature       LowCardinality(String),
    segment       LowCardinality(String),
    effect_where  String,
    -- End of the rows that were compared, and beginning of those since the change.
    time_us       Int64,
    time          DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(time_us),
    since_us      Int64,
    since         DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(since_us),
    n_before      Int64,
    n_since       Int64,
    phi           Float64,
    n_tested      Int64,
    -- Why there is no slice; empty where there is one.
    reason        LowCardinality(String),
    -- Arrays of the slices found, the strongest first.
    slices        Array(String),
    change_shares Array(Float64),
    row_shares    Array(Float64),
    p_before      Array(Float64),
    p_since       Array(Float64),
    p_values      Array(Float64),
    -- Attributes beyond the bound of a search.
    left_out      Array(String),
    ingest_time   DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ${replacing}(ingest_time)
PARTITION BY toYYYYMM(fromUnixTimestamp64Micro(time_us))
ORDER BY (tenant, model, model_version, kind, alert_id, feature, segment, effect_where, time_us)
SETTINGS non_replicated_deduplication_window = ${window};
