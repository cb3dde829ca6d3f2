"""Verdicts of a config on a recorded history: panes in, verdicts out. Pure."""
