"""State messages of the stages: snapshots and ordered writes."""
