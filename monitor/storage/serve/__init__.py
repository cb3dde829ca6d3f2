"""ClickHouse's HTTP interface over the embedded engine: one process holds, many ask."""
