"""Reserved names, and validation of the names of features, segments and models. Pure."""

from __future__ import annotations

import re
from typing import Final

SCORE: Final = "score"
"""Name of the score as a variable, and in columns of events, panes, results and alerts."""
MAX_SHOWN = 60

_SURROGATE = re.compile(r"[\ud800-\udfff]")


def text_fault(name: str) -> str:
    """Return why a name cannot be encoded as UTF-8, or "".

    Examples
    --------
    >>> text_fault("age"), text_fault("a\\ud800")
    ('', 'holds half of a surrogate pair, which is no character')
    """
    return (
        "holds half of a surrogate pair, which is no character" if _SURROGATE.search(name) else ""
    )


def field_fault(name: str) -> str:
    """Return why a name is invalid for a feature or segment, or "".

    Examples
    --------
    >>> field_fault('size 15"'), field_fault("")
    ('', 'is empty')
    """
    return text_fault(name) if name else "is empty"


def shown_name(name: str) -> str:
    """Return a name for a message: escaped, and not longer than ``MAX_SHOWN``.

    Examples
    --------
    >>> shown_name("a\\nb")
    "'a\\\\nb'"
    """
    return ascii(name) if len(name) <= MAX_SHOWN else ascii(name[:MAX_SHOWN]) + "..."
