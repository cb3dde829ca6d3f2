"""Baselines: built from training data or traffic, stored in one file each."""
