"""ClickHouse, a server or embedded."""
