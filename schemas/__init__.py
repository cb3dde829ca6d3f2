"""Nouns only: events, panes, baselines, results, alerts, config, tables, errors."""

from schemas.moved import redirect_moved_modules

redirect_moved_modules()
