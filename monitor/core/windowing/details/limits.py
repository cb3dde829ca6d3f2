"""Limits of the new values that a cell names."""

from __future__ import annotations

MAX_VALUES = 8
"""New values that a cell names."""
MAX_TEXT_BYTES = 64
"""Of a value in UTF-8; longer ones are cut."""
