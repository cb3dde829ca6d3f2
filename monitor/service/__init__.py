"""What every stage's process has: a lifecycle, a health server and failpoints."""
