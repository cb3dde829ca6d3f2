"""Use cases: one module each; they return values and raise, and print nothing."""
