"""Faust: the application, its clients and its login."""
