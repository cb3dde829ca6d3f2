"""Process of a stage: lifecycle, health server, signals, failpoints, supervisor."""
