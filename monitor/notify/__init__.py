"""Notify: alerts to incidents, incidents to people, data incidents to retrainings."""
