-- What the missing, unseen and out-of-range values behind an alert are: the commonest new categories
-- with their share of the rows, the range of the numbers seen, absent or null.

ALTER TABLE alerts ADD COLUMN IF NOT EXISTS
    new_values Map(String, Float64) AFTER onset_high_us;

ALTER TABLE alerts ADD COLUMN IF NOT EXISTS
    seen_range Array(Float64) AFTER new_values;

ALTER TABLE alerts ADD COLUMN IF NOT EXISTS
    baseline_range Array(Float64) AFTER seen_range;

ALTER TABLE alerts ADD COLUMN IF NOT EXISTS
    p_absent Nullable(Float64) AFTER baseline_range;

ALTER TABLE alerts ADD COLUMN IF NOT EXISTS
    p_null Nullable(Float64) AFTER p_absent;
