"""Logs and files: where bytes come from."""
