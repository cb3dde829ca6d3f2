"""The monitoring system: stages, the pure core they call, and the edge to the world."""
