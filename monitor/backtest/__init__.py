"""What a config would have said of a recorded history: panes in, verdicts out. Pure."""
