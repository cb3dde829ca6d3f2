"""Sources of bytes: logs and files."""
