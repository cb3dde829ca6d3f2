"""Failpoints: named steps at which crash tests end a stage."""

from __future__ import annotations

from collections.abc import Callable

Hit = Callable[[str], None]
"""Called with the name of each step once its write has been acknowledged."""


def pass_through(_step: str) -> None:
    """Do nothing when a failpoint is hit; the default."""
