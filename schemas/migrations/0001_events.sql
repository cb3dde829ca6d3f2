-- What producers sent: predictions, labels, GPU telemetry.
--
-- ${replacing} is ReplacingMergeTree, or ReplicatedReplacingMergeTree on a cluster.
-- ${..._ttl} is empty, or a TTL on *ingest_time*: on event time, a backfill older than
-- the TTL would vanish in silence at its first merge.
-- Names of columns are names of Python fields; times are microseconds UTC, and each has
-- a DateTime64 alias for people and Grafana.

CREATE TABLE IF NOT EXISTS predictions
(
    tenant        LowCardinality(String),
    model         LowCardinality(String),
    model_version LowCardinality(String),
    time_us       Int64 CODEC(DoubleDelta, ZSTD(1)),
    time          DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(time_us),
    id            String CODEC(ZSTD(1)),
    score         Nullable(Float64),
    prediction    LowCardinality(Nullable(String)),
    host          LowCardinality(Nullable(String)),
    gpu_uuid      LowCardinality(Nullable(String)),
    -- A missing value has no key, and reads as NULL: with plain Float64 values
    -- features['age'] would read as 0 and pull every average down.
    features      Map(LowCardinality(String), Nullable(Float64)),
    categories    Map(LowCardinality(String), LowCardinality(Nullable(String))),
    segments      Map(LowCardinality(String), LowCardinality(Nullable(String))),
    ingest_time   DateTime64(6, 'UTC') DEFAULT now64(6) CODEC(DoubleDelta, ZSTD(1)),
    INDEX by_id id TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = ${replacing}(ingest_time)
PARTITION BY toYYYYMMDD(fromUnixTimestamp64Micro(time_us))
-- By time, as events come: with cityHash64(id) before it, sorting and merging moved every
-- map (merges .2 M rows/s instead of .7 to 1.5 M, and 105 bytes a row instead of 94).
ORDER BY (tenant, model, model_version, time_us, id)
${predictions_ttl}
SETTINGS non_replicated_deduplication_window = ${window}, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS labels
(
    tenant      LowCardinality(String),
    model       LowCardinality(String),
    id          String CODEC(ZSTD(1)),
    time_us     Int64 CODEC(DoubleDelta, ZSTD(1)),
    time        DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(time_us),
    label       LowCardinality(String),
    -- The label as a number, where it is one.
    label_value Nullable(Float64),
    ingest_time DateTime64(6, 'UTC') DEFAULT now64(6) CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = ${replacing}(time_us)
PARTITION BY toYYYYMM(fromUnixTimestamp64Micro(time_us))
ORDER BY (tenant, model, cityHash64(id), id)
SETTINGS non_replicated_deduplication_window = ${window};

-- xid and xid_sequence are in the key: two XIDs of one microsecond are two events.
CREATE TABLE IF NOT EXISTS gpu
(
    tenant         LowCardinality(String),
    host           LowCardinality(String),
    gpu_uuid       LowCardinality(String),
    time_us        Int64 CODEC(DoubleDelta, ZSTD(1)),
    time           DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(time_us),
    gpu            Nullable(Int64),
    gpu_model      LowCardinality(String),
    driver_version LowCardinality(String),
    fields         Map(LowCardinality(String), Nullable(Float64)),
    xid            Nullable(Int64),
    xid_sequence   Nullable(Int64),
    ingest_time    DateTime64(6, 'UTC') DEFAULT now64(6) CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = ${replacing}(ingest_time)
PARTITION BY toYYYYMMDD(fromUnixTimestamp64Micro(time_us))
ORDER BY (host, gpu_uuid, time_us, ifNull(xid, -1), ifNull(xid_sequence, -1))
${gpu_ttl}
SETTINGS non_replicated_deduplication_window = ${window}, ttl_only_drop_parts = 1;
