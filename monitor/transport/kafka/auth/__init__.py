"""Credentials and permissions: security settings, OAuth, secrets, ACLs."""
