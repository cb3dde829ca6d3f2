"""Formats paths in results and hints."""

from __future__ import annotations

import os


def shortest(path: str) -> str:
    """Return the shorter form of a path: relative to the current folder, or as given.

    Examples
    --------
    >>> import os
    >>> shortest(os.path.join(os.getcwd(), "baselines"))
    'baselines'
    """
    return min(os.path.relpath(path), path, key=len)
