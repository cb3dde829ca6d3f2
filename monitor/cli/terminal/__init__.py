"""What every command shares: printing, progress, options, exit codes."""
