"""One batch for all models that have few events in a chunk."""
