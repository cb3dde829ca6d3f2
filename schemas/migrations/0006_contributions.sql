-- Who carries most of a change: segments, hosts, GPUs and features with their parts of it.

ALTER TABLE alerts ADD COLUMN IF NOT EXISTS
    contributions Map(String, Float64) AFTER bin_labels;
