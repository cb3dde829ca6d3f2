"""Layouts: learned from events, joined, prepared for the kernel, and rationed."""
