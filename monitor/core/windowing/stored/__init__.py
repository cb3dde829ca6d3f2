"""Panes as the store gets them on Kafka: totals of slots, written once each."""
