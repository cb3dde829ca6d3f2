"""Recorded events through the whole pipeline, in the order of their own time."""
