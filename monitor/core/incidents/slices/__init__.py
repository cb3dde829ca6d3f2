"""Which slices of the raw rows carry a change. Pure."""
