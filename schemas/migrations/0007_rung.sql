-- results.severity held the rung of the decision rule, while alerts.severity is page or ticket.
-- The column is now named as in alerts, rung; the old name is an alias that reads the same.

ALTER TABLE results RENAME COLUMN IF EXISTS severity TO rung;

ALTER TABLE results ADD COLUMN IF NOT EXISTS
    severity LowCardinality(String) ALIAS rung AFTER rung;
