"""Drift: windows of panes, verdicts per cell, where the change is, the canary."""
