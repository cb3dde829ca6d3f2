"""Where a stage may die, by name: crash tests abort there, everyone else passes through."""

from __future__ import annotations

from collections.abc import Callable

Reach = Callable[[str], None]
"""Called with the name of each step once its write has been acknowledged."""


def pass_through(_step: str) -> None:
    """Do nothing: the step was reached, and life goes on."""
