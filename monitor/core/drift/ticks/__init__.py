"""Rule 2 in the monitor: ticks, their cells, and what opens and closes alerts."""
