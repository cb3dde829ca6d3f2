-- What decision rule 2 adds to a verdict, and when the change behind an alert began: most likely,
-- and the first and last likely beginning. Rows of rule 1 have the defaults.

ALTER TABLE results ADD COLUMN IF NOT EXISTS
    rule Int64 DEFAULT 1;

ALTER TABLE results ADD COLUMN IF NOT EXISTS
    scale_s Nullable(Float64);

ALTER TABLE results ADD COLUMN IF NOT EXISTS
    component LowCardinality(String);

ALTER TABLE results ADD COLUMN IF NOT EXISTS
    natural_sd Nullable(Float64);

ALTER TABLE results ADD COLUMN IF NOT EXISTS
    context LowCardinality(String);

ALTER TABLE results ADD COLUMN IF NOT EXISTS
    onset_us Nullable(Int64);

ALTER TABLE results ADD COLUMN IF NOT EXISTS
    onset_low_us Nullable(Int64);

ALTER TABLE results ADD COLUMN IF NOT EXISTS
    onset_high_us Nullable(Int64);

ALTER TABLE alerts ADD COLUMN IF NOT EXISTS
    onset_us Nullable(Int64) AFTER contributions;

ALTER TABLE alerts ADD COLUMN IF NOT EXISTS
    onset_low_us Nullable(Int64) AFTER onset_us;

ALTER TABLE alerts ADD COLUMN IF NOT EXISTS
    onset_high_us Nullable(Int64) AFTER onset_low_us;
