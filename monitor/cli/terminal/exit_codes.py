"""Exit codes that several commands share."""

UNJUDGED = 6
"""Events were read, and none of them was judged."""
