"""``survivors.yaml``: the figures of the last full run, and every mutant that survived it."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.mutation.trial import KILLED, SURVIVED, TIMED_OUT, Outcome

FILE = Path(__file__).with_name("survivors.yaml")
NEEDED = 0.9
"""Share of the judged mutants that tests must detect."""
EQUIVALENT = "equivalent"
"""How the reason of a survivor begins that behaves as the original does."""
_HEAD = """\
# Mutants of monitor/core and detectors that no unit, property or oracle test detects.
# `make mutate MUTATE_ARGS=--write` writes this file and keeps the reasons; new ones need one.
"""


def figures(outcomes: list[Outcome], seed: int, n_sampled: int) -> dict[str, Any]:
    """Return the counts of a run; a mutant that exceeds its CPU time is detected."""
    counts = Counter(outcome.result for outcome in outcomes)
    detected = counts[KILLED] + counts[TIMED_OUT]
    return {
        "seed": seed,
        "sampled": n_sampled,
        "judged": len(outcomes),
        "killed": counts[KILLED],
        "timed_out": counts[TIMED_OUT],
        "survived": counts[SURVIVED],
        "share_killed": round(detected / max(len(outcomes), 1), 4),
    }


def read() -> dict[str, Any]:
    """Return the file's content."""
    return dict(yaml.safe_load(FILE.read_text())) if FILE.exists() else {}


def is_final(outcome: Outcome) -> bool:
    """Return whether no test can change an outcome: detected, or equivalent by its reason."""
    return outcome.result != SURVIVED or _reasons().get(outcome.key, "").startswith(EQUIVALENT)


@cache
def _reasons() -> dict[str, str]:
    return {entry["key"]: entry["reason"] for entry in read().get("survivors", [])}


def write(outcomes: list[Outcome], seed: int, n_sampled: int) -> None:
    """Write the file again, with the reasons that it has."""
    reasons = _reasons()
    survivors = [
        {"key": o.key, "place": o.place, "diff": o.diff, "reason": reasons.get(o.key, "")}
        for o in sorted(outcomes, key=lambda o: o.place)
        if o.result == SURVIVED
    ]
    content = figures(outcomes, seed, n_sampled) | {"survivors": survivors}
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=96, allow_unicode=True)
    FILE.write_text(_HEAD + text)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
