"""Data quality: checks, and statistics of texts, dates, vectors and frequent values."""
