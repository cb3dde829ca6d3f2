"""GPU health: counters, clocks, rule table, XIDs, silence, state."""
