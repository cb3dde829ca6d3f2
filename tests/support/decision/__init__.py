"""Data, slow definitions and small models for tests of the decision rules."""
