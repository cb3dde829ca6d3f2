"""From alerts to incidents: the alert lifecycle, evidence, grouping, text."""
