-- The smallest changes of each cell that rule 2 would find from a time on, within 15 minutes, an
-- hour, a day and a week; at most one look an hour.

CREATE TABLE IF NOT EXISTS detectable
(
    tenant        LowCardinality(String),
    model         LowCardinality(String),
    model_version LowCardinality(String),
    profile_id    LowCardinality(String),
    feature       LowCardinality(String),
    segment       LowCardinality(String),
    time_us       Int64,
    time          DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(time_us),
    horizon_s     Int64,
    -- NULL: no shift would be found, or the feature is no number.
    shift_sd      Nullable(Float64),
    missing       Nullable(Float64),
    category      Nullable(Float64),
    -- Length of the averages that would find the shift, and by how much these vary by themselves.
    average_s     Nullable(Float64),
    natural_sd    Nullable(Float64),
    is_natural    Bool,
    ingest_time   DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ${replacing}(ingest_time)
PARTITION BY toYYYYMM(fromUnixTimestamp64Micro(time_us))
ORDER BY (tenant, model, model_version, profile_id, feature, segment, horizon_s, time_us)
SETTINGS non_replicated_deduplication_window = ${window};
