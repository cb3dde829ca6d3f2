"""Delivery of notifications: the log, the outbox, attempts."""
