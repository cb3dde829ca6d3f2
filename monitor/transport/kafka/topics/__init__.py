"""Topics: specifications, changes, and checks."""
