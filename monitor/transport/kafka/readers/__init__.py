"""Readers of topics: consumer-group batches, whole-topic scans, baselines."""
