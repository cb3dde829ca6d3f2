"""Two-sample statistics and tests, one file each, and what they share."""
