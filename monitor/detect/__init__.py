"""Panes and GPU events in, results and alerts out: a thin shell round the core's rules."""
