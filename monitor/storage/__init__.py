"""The store: ClickHouse, as a server or embedded."""
