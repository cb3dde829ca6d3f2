"""Arrow IPC streams: bounded, validated, as columns."""
