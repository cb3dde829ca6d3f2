-- Who was told what, and why.

CREATE TABLE IF NOT EXISTS alerts
(
    alert_id                  String,
    tenant                    LowCardinality(String),
    monitor                   LowCardinality(String),
    transition                LowCardinality(String),
    severity                  LowCardinality(String),
    time_us                   Int64,
    time                      DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(time_us),
    opened_at_us              Int64,
    opened_at                 DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(opened_at_us),
    sequence                  Int64,
    title                     String,
    model                     LowCardinality(String),
    model_version             LowCardinality(String),
    feature                   LowCardinality(String),
    segment                   LowCardinality(String),
    importance                LowCardinality(String),
    host                      LowCardinality(String),
    gpu_uuid                  LowCardinality(String),
    rule                      LowCardinality(String),
    action                    String,
    window_start_us           Int64,
    window_end_us             Int64,
    n_windows                 Int64,
    n                         Int64,
    n_reference               Int64,
    evidence                  Nullable(Float64),
    threshold                 Nullable(Float64),
    effect_size               Nullable(Float64),
    effect_where              String,
    p_reference               Nullable(Float64),
    p_current                 Nullable(Float64),
    minimum_detectable_effect Nullable(Float64),
    rung                      LowCardinality(String),
    profile_id                LowCardinality(String),
    reference_counts          Array(Int64),
    current_counts            Array(Int64),
    bin_labels                Array(String),
    ingest_time               DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ${replacing}(ingest_time)
PARTITION BY toYYYYMM(fromUnixTimestamp64Micro(opened_at_us))
ORDER BY (tenant, monitor, opened_at_us, alert_id, sequence)
SETTINGS non_replicated_deduplication_window = ${window};

-- One row per step of a delivery: intent, done, failed, suppressed. What was sent stands
-- beside it, so that nobody has to join; empty where only the step itself was logged.
CREATE TABLE IF NOT EXISTS notifications
(
    notification_id String,
    receiver        LowCardinality(String),
    state           LowCardinality(String),
    time_us         Int64,
    time            DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(time_us),
    attempts        Int64,
    detail          String,
    dedup_key       String,
    kind            LowCardinality(String),
    reason          LowCardinality(String),
    tenant          LowCardinality(String),
    incident_id     String,
    cause           LowCardinality(String),
    severity        LowCardinality(String),
    title           String,
    opened_at_us    Int64,
    opened_at       DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(opened_at_us),
    alert_ids       Array(String),
    ingest_time     DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ${replacing}(ingest_time)
PARTITION BY toYYYYMM(fromUnixTimestamp64Micro(time_us))
ORDER BY (notification_id, receiver, state, time_us, attempts)
SETTINGS non_replicated_deduplication_window = ${window};
