"""Takes the full run of the multi-scale rule in parts, and writes its page.

``python -m benchmarks.quality.records FILE --seeds 70000:70004 [--only TEXT]`` runs what FILE
does not have yet of the worlds and changes whose name contains TEXT, one JSON line each.
``FILE --page --plain OTHER`` writes ``docs/quality/rule-2.md``, OTHER that of
``benchmarks.quality.plain_peers``, and ``FILE --figures`` prints the figures of
``python -m benchmarks.quality``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks.quality import plain_peers
from benchmarks.quality.changes import Planted, planted_changes
from benchmarks.quality.page import FOLDER
from benchmarks.quality.planted import PlantedFigures, PlantedRun, planted_run
from benchmarks.quality.quiet import QuietRate, QuietRun, quiet_run
from benchmarks.quality.rule_2 import figures_of
from benchmarks.quality.scale_tables import page
from benchmarks.quality.traffic import traffic_table
from benchmarks.quality.worlds import World, worlds


@dataclass(frozen=True, slots=True)
class Record:
    """One run of one world or change."""

    name: str
    seed: int
    run: QuietRun | PlantedRun


def read(path: Path) -> list[Record]:
    """Read the runs of a file; none if it does not exist."""
    if not path.exists():
        return []
    changes = {change.name: change for change in planted_changes()}
    return [_record(json.loads(line), changes) for line in path.read_text().splitlines()]


def _record(found: dict[str, Any], changes: dict[str, Planted]) -> Record:
    name, own = found["name"], found["run"]
    if "months" in own:
        return Record(name, found["seed"], QuietRun(**own))
    own = {key: tuple(v) if isinstance(v, list) else v for key, v in own.items()}
    own["peers"] = {peer: tuple(hours) for peer, hours in own["peers"].items()}
    return Record(name, found["seed"], PlantedRun(planted=changes[name], **own))


def line(record: Record) -> str:
    """Return a run as a line of the file; infinite delays are ``Infinity``."""
    run = record.run
    names = [f.name for f in fields(run) if f.name != "planted"]
    own = {name: getattr(run, name) for name in names}
    if isinstance(run, QuietRun):
        own = asdict(run)
    return json.dumps({"name": record.name, "seed": record.seed, "run": own})


def missing(known: Sequence[Record], seeds: range, text: str) -> Iterator[tuple[Any, int]]:
    """Yield worlds and changes, each with a seed, that are not known yet; seed by seed."""
    done = {(record.name, record.seed) for record in known}
    for seed in seeds:
        for own in (*worlds(), *planted_changes()):
            if text in own.name and (own.name, seed) not in done:
                yield own, seed


def act(own: World | Planted, seed: int) -> Record:
    """Run one world or change."""
    found = quiet_run(own, seed) if isinstance(own, World) else planted_run(own, seed)
    return Record(own.name, seed, found)


def quiet_of(records: Sequence[Record]) -> list[QuietRate]:
    """Return the worlds that have runs, in the order of the acceptance."""
    return [
        QuietRate(world, tuple(runs))
        for world in worlds()
        if (runs := [r.run for r in records if r.name == world.name])
    ]


def planted_of(records: Sequence[Record]) -> list[PlantedFigures]:
    """Return the changes that have runs, in the order of the acceptance."""
    return [
        PlantedFigures.of(runs)
        for change in planted_changes()
        if (runs := [r.run for r in records if r.name == change.name])
    ]


def main() -> None:
    """Run what is missing, or write what is there."""
    parser = argparse.ArgumentParser(description="the full run of rule 2, in parts")
    parser.add_argument("file", type=Path)
    parser.add_argument("--seeds", default="70000:70037", help="first:last, the last left out")
    parser.add_argument("--only", default="", help="part of a name")
    parser.add_argument("--page", action="store_true", help="write docs/quality/rule-2.md")
    parser.add_argument("--plain", type=Path, default=Path(), help="runs of plain peers")
    parser.add_argument("--figures", action="store_true", help="print the figures")
    options = parser.parse_args()
    known = read(options.file)
    if options.page:
        seeds = sorted({record.seed for record in known})
        plain = plain_peers.read(options.plain)
        traffic = traffic_table(min(seeds))
        text = page(quiet_of(known), planted_of(known), seeds, plain, traffic)
        (FOLDER / "rule-2.md").write_text(text)
    elif options.figures:
        print(json.dumps(figures_of(quiet_of(known), planted_of(known))))
    else:
        first, last = map(int, options.seeds.split(":"))
        with options.file.open("a") as out:
            for own, seed in missing(known, range(first, last), options.only):
                out.write(line(act(own, seed)) + "\n")
                out.flush()


if __name__ == "__main__":
    main()
