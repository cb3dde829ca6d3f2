"""The log on Kafka: clients, group readers, topics and authentication."""
