-- Labels are kept one per place in the log, not one per id: corrections, and what was known at a
-- time, can be told apart. The primary key stays the old one. Rows of earlier versions have no
-- place (an empty source), and their record time is their own time, as in files.

ALTER TABLE labels ADD COLUMN IF NOT EXISTS
    source LowCardinality(String), ADD COLUMN IF NOT EXISTS
    partition Int32 CODEC(Delta, ZSTD(1)), ADD COLUMN IF NOT EXISTS
    offset Int64 CODEC(Delta, ZSTD(1)), ADD COLUMN IF NOT EXISTS
    row Int64 CODEC(Delta, ZSTD(1)),
    MODIFY ORDER BY (tenant, model, cityHash64(id), id, source, partition, offset, row);

ALTER TABLE labels ADD COLUMN IF NOT EXISTS
    record_time_us Int64 DEFAULT time_us CODEC(DoubleDelta, ZSTD(1));

-- What a label carries of its prediction; NULL where it carries nothing.

ALTER TABLE labels ADD COLUMN IF NOT EXISTS
    prediction_time_us Nullable(Int64) CODEC(DoubleDelta, ZSTD(1));

ALTER TABLE labels ADD COLUMN IF NOT EXISTS
    model_version LowCardinality(Nullable(String));

ALTER TABLE labels ADD COLUMN IF NOT EXISTS
    score Nullable(Float64);

ALTER TABLE labels ADD COLUMN IF NOT EXISTS
    scores Map(LowCardinality(String), Float64);

ALTER TABLE labels ADD COLUMN IF NOT EXISTS
    prediction LowCardinality(Nullable(String));

ALTER TABLE labels ADD COLUMN IF NOT EXISTS
    segments Map(LowCardinality(String), LowCardinality(Nullable(String)));

ALTER TABLE labels ADD COLUMN IF NOT EXISTS
    `group` Nullable(String);

ALTER TABLE labels ADD COLUMN IF NOT EXISTS
    host LowCardinality(Nullable(String));

ALTER TABLE labels ADD COLUMN IF NOT EXISTS
    gpu_uuid LowCardinality(Nullable(String));

ALTER TABLE predictions ADD COLUMN IF NOT EXISTS
    record_time_us Int64 DEFAULT time_us CODEC(DoubleDelta, ZSTD(1));
