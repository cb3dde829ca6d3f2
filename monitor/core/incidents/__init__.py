"""Incidents: lifecycle of alerts, evidence, grouping, text."""
