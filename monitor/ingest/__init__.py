"""Predictions in, panes out: a thin shell round ``monitor.core.windowing.aggregate``."""
