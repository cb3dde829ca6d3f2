"""Data types: events, panes, baselines, results, alerts, config, errors."""

from schemas.moved import redirect_moved_modules

redirect_moved_modules()
