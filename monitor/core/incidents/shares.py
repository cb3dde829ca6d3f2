"""Shares as text."""

from __future__ import annotations


def share_text(share: float) -> str:
    """Format a share as a percentage with two significant digits.

    Examples
    --------
    >>> share_text(0.1134), share_text(0.0), share_text(0.0123), share_text(1.0)
    ('11 %', '0 %', '1.2 %', '100 %')
    """
    percent = 100 * share
    return f"{percent:.0f} %" if percent >= 9.95 or percent == 0 else f"{percent:.2g} %"
