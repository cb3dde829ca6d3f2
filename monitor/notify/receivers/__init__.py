"""Receivers, one file each, and the text of their messages."""
