"""Notify stage: groups alerts into incidents, sends notifications and retraining requests."""
