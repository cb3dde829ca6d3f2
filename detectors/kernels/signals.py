"""Integer codes of a sequential detector's commands and signals.

Here, because compiled code is kept on disk until a file of this folder changes.
"""

NOTHING = 0
DRIFT = 1
WARNING = 2
"""Signals: bits, because both may be set."""

UP_ONLY = 0.0
DOWN_ONLY = 1.0
BOTH = 2.0
"""Directions of change that count."""
