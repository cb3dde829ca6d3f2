"""From the log into the store, exactly once."""
