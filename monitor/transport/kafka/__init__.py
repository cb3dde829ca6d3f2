"""Kafka: a broker for development, topics, and how clients prove who they are."""
