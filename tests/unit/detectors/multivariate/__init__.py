"""Unit tests of ``detectors/multivariate``."""
