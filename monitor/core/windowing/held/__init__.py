"""Rows that an open pane holds until they need as much room as counters."""
