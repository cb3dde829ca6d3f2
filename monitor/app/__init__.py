"""Use cases, one module each: they return values and raise errors, and print nothing."""
