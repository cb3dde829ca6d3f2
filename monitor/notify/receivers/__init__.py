"""Receivers, one file each, and the messages they send."""
