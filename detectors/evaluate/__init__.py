"""All statistics of a window against its baseline, fairness included."""
