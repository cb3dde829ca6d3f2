"""What counters of missing and unseen rows consist of: absent or null, and which new values."""
