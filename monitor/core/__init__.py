"""The pure core: time is an argument, nothing is read or written."""
