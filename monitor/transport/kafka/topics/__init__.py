"""Topics: their specifications, changes, and whether they exist."""
