"""Figures: one set of SVG marks for pages, Slack and reports."""
