"""How a benchmark prints: one JSON line for machines, a short text for people."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence

Figures = Mapping[str, float | int | str | bool | None]


def main(
    description: str,
    measure: Callable[[bool], Figures],
    switches: Sequence[str] = (),
    choices: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Parse ``--json`` and ``--quick``, measure, print.

    Parameters
    ----------
    description : str
        What is measured, for ``--help``.
    measure : callable
        Takes ``quick`` and returns the figures, named.
    switches : sequence of str, optional
        More options without a value, which ``measure`` looks for itself.
    choices : mapping of str to sequence of str, optional
        Options with one of these values, likewise.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print exactly one JSON line")
    parser.add_argument("--quick", action="store_true", help="smaller, below 50 s")
    for switch in switches:
        parser.add_argument(switch, action="store_true", help="see the module's text")
    for option, values in (choices or {}).items():
        parser.add_argument(option, choices=values, help="see the module's text")
    options = parser.parse_args()
    figures = measure(options.quick)
    if options.json:
        print(json.dumps({name: _rounded(value) for name, value in figures.items()}))
        return
    for name, value in figures.items():
        print(f"{name:28} {value:,.4g}" if isinstance(value, float) else f"{name:28} {value}")


def _rounded(value: object) -> object:
    """Four significant digits are more than a benchmark knows."""
    return float(f"{value:.4g}") if isinstance(value, float) else value
