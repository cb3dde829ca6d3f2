"""Shared by all commands: printing, progress, options, exit codes."""
