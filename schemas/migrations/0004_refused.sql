-- Events that were not counted, one row each, under where they came from.

CREATE TABLE IF NOT EXISTS dead_letters
(
    source         LowCardinality(String),
    partition      Int32,
    offset         Int64,
    row            Int64,
    record_time_us Int64,
    record_time    DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(record_time_us),
    tenant         LowCardinality(String),
    model          LowCardinality(String),
    reason         LowCardinality(String),
    detail         String,
    -- The first 512 KiB of the original bytes; n_bytes and sha256 (hex) are of all of them.
    payload        String CODEC(ZSTD(3)),
    n_bytes        Int64,
    sha256         String,
    ingest_time    DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ${replacing}(ingest_time)
PARTITION BY toYYYYMM(fromUnixTimestamp64Micro(record_time_us))
ORDER BY (source, partition, offset, row)
${dead_letters_ttl}
SETTINGS non_replicated_deduplication_window = ${window}, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS late
(
    source       LowCardinality(String),
    partition    Int32,
    offset       Int64,
    row          Int64,
    tenant       LowCardinality(String),
    model        LowCardinality(String),
    time_us      Int64,
    time         DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(time_us),
    watermark_us Int64,
    ingest_time  DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ${replacing}(ingest_time)
PARTITION BY toYYYYMM(fromUnixTimestamp64Micro(time_us))
ORDER BY (source, partition, offset, row)
SETTINGS non_replicated_deduplication_window = ${window};
