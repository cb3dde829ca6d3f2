"""Targets of retraining requests, one file each."""
