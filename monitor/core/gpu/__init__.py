"""GPU health: counters, clocks, the rule table, XIDs, silence, state."""
