"""Exit codes that several commands share."""

UNJUDGED = 6
"""Events were read, but none was in a window with a verdict."""
