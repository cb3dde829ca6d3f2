"""Kernels of the sequential detectors: signals, running moments, the loop over an array."""
