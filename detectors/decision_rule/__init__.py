"""The decision rule: evidence, tolerance, sets, settings, seasons, planted shifts."""
