"""The name of the score, and which names features, segments and models can have. Pure."""

from __future__ import annotations

import re
from typing import Final

SCORE: Final = "score"
"""Among a model's variables, and as a column of events, panes, results and alerts."""
MAX_SHOWN = 60

_SURROGATE = re.compile(r"[\ud800-\udfff]")


def text_fault(name: str) -> str:
    """Return why a name is no text that can be written as UTF-8; empty where it can.

    Examples
    --------
    >>> text_fault("age"), text_fault("a\\ud800")
    ('', 'holds half of a surrogate pair, which is no character')
    """
    return (
        "holds half of a surrogate pair, which is no character" if _SURROGATE.search(name) else ""
    )


def field_fault(name: str) -> str:
    """Return why a feature or segment cannot have a name; empty where it can.

    Examples
    --------
    >>> field_fault('size 15"'), field_fault("")
    ('', 'is empty')
    """
    return text_fault(name) if name else "is empty"


def shown_name(name: str) -> str:
    """Spell a name for a message: escaped, and not longer than ``MAX_SHOWN``.

    Examples
    --------
    >>> shown_name("a\\nb")
    "'a\\\\nb'"
    """
    return ascii(name) if len(name) <= MAX_SHOWN else ascii(name[:MAX_SHOWN]) + "..."
