"""Two samples side by side: what differs, how far, and whether it is chance. Pure."""
