"""Notifications: routing, deduplication, retraining requests."""
