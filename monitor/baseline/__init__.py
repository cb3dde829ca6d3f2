"""Baselines: built from training data or traffic, kept as one file each."""
