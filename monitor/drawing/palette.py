"""Colours and style of all figures and pages, for light and for dark."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

LIGHT: Mapping[str, str] = {
    **{"page": "#fbfbfa", "card": "#fff", "ink": "#1c2024", "soft": "#5c656f", "line": "#e3e5e8"},
    **{"ref": "#a9b1ba", "cur": "#2f6fde", "data": "#b45309", "hardware": "#c02672"},
    **{"model": "#0b7562", "pipeline": "#6d5bd0", "good": "#1a7f4b", "bad": "#c62828"},
}
"""Colour by name; style sheets write ``var(--name)``."""
DARK: Mapping[str, str] = {
    **{"page": "#14171a", "card": "#1c2024", "ink": "#e8eaed", "soft": "#9aa4af"},
    **{"line": "#30363d", "ref": "#6b7581", "cur": "#6ea3ff", "data": "#f5a742"},
    **{"hardware": "#f472b6", "model": "#3ecfae", "pipeline": "#a79bf5", "good": "#5cc98f"},
    **{"bad": "#ff7b72"},
}
_VARIABLE = re.compile(r"var\(--(\w+)\)")


def declarations(colours: Mapping[str, str]) -> str:
    """Write colours as CSS variables, for a browser that chooses between light and dark.

    Examples
    --------
    >>> declarations({"ink": "#111", "soft": "#555"})
    '--ink:#111; --soft:#555;'
    """
    return " ".join(f"--{name}:{colour};" for name, colour in colours.items())


def resolved(css: str, colours: Mapping[str, str]) -> str:
    """Replace CSS variables by their colours, for a renderer without variables.

    Raises
    ------
    KeyError
        If a variable has no colour.

    Examples
    --------
    >>> resolved("text { fill:var(--ink); }", {"ink": "#111"})
    'text { fill:#111; }'
    """
    return _VARIABLE.sub(lambda found: colours[found[1]], css)


@cache
def figure_css() -> str:
    """Return the style sheet of the marks in ``monitor.drawing.svg``."""
    return Path(__file__).with_name("figure.css").read_text(encoding="utf-8")
