-- What persons did about incidents: closed one as normal or as a fault, or took that back.

CREATE TABLE IF NOT EXISTS actions
(
    action_id   String,
    kind        LowCardinality(String),
    label       LowCardinality(String),
    by          String,
    time_us     Int64,
    time        DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(time_us),
    incident_id String,
    tenant      LowCardinality(String),
    model       LowCardinality(String),
    comment     String,
    ingest_time DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ${replacing}(ingest_time)
ORDER BY (tenant, model, time_us, action_id)
SETTINGS non_replicated_deduplication_window = ${window};
