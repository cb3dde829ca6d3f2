-- Panes (mergeable statistics) and results (what was concluded from them).

-- One row per feature and segment of one partial. Of equal keys the highest
-- pane_version stands: read with FINAL or argMax, then add over source and partition.
-- n_predicted, n_positive and calibration_* belong to the segment and stand on its
-- 'score' row only, so that adding over features counts nothing twice.
-- is_slice: host and gpu_uuid slices of the score, which may have the name of a segment.
CREATE TABLE IF NOT EXISTS panes
(
    tenant             LowCardinality(String),
    model              LowCardinality(String),
    model_version      LowCardinality(String),
    profile_id         LowCardinality(String),
    feature            LowCardinality(String),
    segment            LowCardinality(String),
    is_slice           Bool,
    start_us           Int64 CODEC(DoubleDelta, ZSTD(1)),
    start_time         DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(start_us),
    end_us             Int64 CODEC(DoubleDelta, ZSTD(1)),
    end_time           DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(end_us),
    source             LowCardinality(String),
    partition          Int32,
    owner              LowCardinality(String),
    pane_version       Int64,
    n_rows             Int64,
    counts             Array(Int64) CODEC(ZSTD(1)),
    sums               Float64,
    sums_sq            Float64,
    minima             Float64,
    maxima             Float64,
    n_predicted        Int64,
    n_positive         Int64,
    calibration_counts Array(Int64) CODEC(ZSTD(1)),
    calibration_sums   Array(Float64) CODEC(ZSTD(1)),
    ingest_time        DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ${replacing}(pane_version)
PARTITION BY toYYYYMMDD(fromUnixTimestamp64Micro(start_us))
ORDER BY (tenant, model, model_version, profile_id, feature, segment, is_slice, start_us, source, partition)
${panes_ttl}
SETTINGS non_replicated_deduplication_window = ${window}, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS results
(
    tenant                    LowCardinality(String),
    monitor                   LowCardinality(String),
    model                     LowCardinality(String),
    model_version             LowCardinality(String),
    profile_id                LowCardinality(String),
    feature                   LowCardinality(String),
    segment                   LowCardinality(String),
    metric                    LowCardinality(String),
    window_us                 Int64,
    start_us                  Int64 CODEC(DoubleDelta, ZSTD(1)),
    start_time                DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(start_us),
    end_us                    Int64 CODEC(DoubleDelta, ZSTD(1)),
    end_time                  DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(end_us),
    statistic                 Nullable(Float64),
    p_value                   Nullable(Float64),
    evidence                  Nullable(Float64),
    effect_size               Nullable(Float64),
    effect_where              String,
    threshold                 Nullable(Float64),
    n                         Int64,
    n_reference               Int64,
    minimum_detectable_effect Nullable(Float64),
    eps                       Nullable(Float64),
    phi                       Nullable(Float64),
    severity                  LowCardinality(String),
    verdict                   LowCardinality(String),
    reason                    LowCardinality(String),
    closed_by                 LowCardinality(String),
    revised                   Bool,
    result_version            Int64,
    ingest_time               DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ${replacing}(result_version)
PARTITION BY toYYYYMM(fromUnixTimestamp64Micro(end_us))
ORDER BY (tenant, monitor, model, model_version, feature, metric, segment, window_us, end_us)
SETTINGS non_replicated_deduplication_window = ${window};
