"""What is sent to whom: routing, deduplication, retraining requests."""
