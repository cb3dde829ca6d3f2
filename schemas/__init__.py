"""Nouns only: events, panes, profiles, results, alerts, config, tables, errors."""
