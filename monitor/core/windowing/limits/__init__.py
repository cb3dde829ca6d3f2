"""Limits of names and versions that a pane counts apart."""
