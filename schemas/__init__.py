"""Nouns only: events, panes, profiles, results, alerts, config, tables, errors."""

from schemas.moved import redirect_moved_modules

redirect_moved_modules()
