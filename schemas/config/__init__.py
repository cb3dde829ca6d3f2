"""Configuration files: models, parsing, values and error messages."""
