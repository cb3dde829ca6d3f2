"""Serves the embedded engine over ClickHouse's HTTP interface, so that many clients share it."""
