"""Where a change is: contributions of categories and segments, slice search."""
