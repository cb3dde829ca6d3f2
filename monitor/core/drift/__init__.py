"""Drift: windows of panes, verdicts per cell, location of a change, canary."""
