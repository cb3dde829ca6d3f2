"""Apache Kafka on one machine, for development and tests."""
