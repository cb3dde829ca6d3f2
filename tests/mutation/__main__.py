"""Judge a sample of mutants: ``make mutate``, or ``python -m tests.mutation --help``."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from queue import SimpleQueue
from typing import TypeVar

from tests.mutation import survivors
from tests.mutation.mutants import ROOT, Mutant, all_mutants, sample
from tests.mutation.selection import Selection, record, unrecorded
from tests.mutation.trial import START_S, SURVIVED, Outcome, Tree

FOLDER = ROOT / ".mutation"
"""Copies of the repository, the recording of which test executes which line, and the last
outcomes; git ignores it."""
OUTCOMES = FOLDER / "outcomes.jsonl"
Item = TypeVar("Item")
Done = TypeVar("Done")


def main(arguments: list[str] | None = None) -> int:
    """Judge the sample; return 0 where enough mutants were killed, otherwise 1."""
    chosen = _options().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if chosen.record:
        shutil.rmtree(FOLDER, ignore_errors=True)
    began = time.monotonic()
    trees = _trees(chosen.workers)
    batches = unrecorded(trees[0].root, FOLDER)
    _each(batches, trees, lambda files, tree: record(files, tree.root, FOLDER))
    drawn = [m for m in sample(all_mutants(), chosen.sample, chosen.seed) if chosen.only in m.path]
    known = {o.key: o for o in _last() if survivors.is_final(o)} if chosen.keep_killed else {}
    outcomes = [known[mutant.key] for mutant in drawn if mutant.key in known]
    new = [mutant for mutant in drawn if mutant.key not in known]
    outcomes += _with_stable_tests(_judged(new, trees, chosen.budget, outcomes), trees[0])
    _save(outcomes)
    if chosen.write:
        survivors.write(outcomes, chosen.seed, chosen.sample)
    found = survivors.figures(outcomes, chosen.seed, chosen.sample)
    found |= {"seconds": round(time.monotonic() - began)}
    print(json.dumps(found) if chosen.json else _line(found))
    return 0 if found["share_killed"] >= survivors.NEEDED else 1


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--sample", type=int, default=300, help="number of mutants (300)")
    parser.add_argument("--seed", type=int, default=11, help="seed of the sample (11)")
    parser.add_argument("--workers", type=int, default=2, help="mutants at a time (2)")
    parser.add_argument("--budget", type=float, default=30.0, help="seconds of tests a mutant (30)")
    parser.add_argument("--only", default="", help="mutants whose path contains this text")
    parser.add_argument(
        "--keep-killed",
        action="store_true",
        help="judge only mutants that the last run did not kill and that are not equivalent",
    )
    parser.add_argument("--record", action="store_true", help="record coverage of all tests again")
    parser.add_argument("--write", action="store_true", help="write tests/mutation/survivors.yaml")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    return parser


def _trees(n: int) -> list[Tree]:
    """Return copies of the repository, as it is now."""
    trees = [Tree(FOLDER / str(i)) for i in range(n)]
    for tree in trees:
        tree.fill()
    return trees


def _each(items: list[Item], trees: list[Tree], act: Callable[[Item, Tree], Done]) -> list[Done]:
    """Act on items, one at a time in each copy."""
    free: SimpleQueue[Tree] = SimpleQueue()
    for tree in trees:
        free.put(tree)

    def act_in_a_tree(item: Item) -> Done:
        tree = free.get()
        try:
            return act(item, tree)
        finally:
            free.put(tree)

    with ThreadPoolExecutor(len(trees)) as pool:
        try:
            return list(pool.map(act_in_a_tree, items))
        except BaseException:  # Ctrl-C too: the tests run in sessions of their own
            pool.shutdown(wait=False, cancel_futures=True)
            for tree in trees:
                tree.stop()
            raise


def _judged(
    mutants: list[Mutant], trees: list[Tree], budget_s: float, known: list[Outcome]
) -> list[Outcome]:
    """Judge mutants; save each outcome, for --keep-killed."""
    selection = Selection(FOLDER)
    _save(known)

    def judge(mutant: Mutant, tree: Tree) -> Outcome:
        tests = selection.tests_of(mutant, budget_s)
        outcome = tree.judge(mutant, tests, selection.seconds(tests), selection.graph)
        with OUTCOMES.open("a") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")
        print(f"{outcome.result:9} {outcome.place} {outcome.by}", file=sys.stderr, flush=True)
        return outcome

    return _each(mutants, trees, judge)


def _with_stable_tests(outcomes: list[Outcome], tree: Tree) -> list[Outcome]:
    """Run the tests that killed on the unchanged code; what fails there has killed nothing."""
    killers = {o.by for o in outcomes if "::" in o.by}
    while killers:
        code, failed = tree.run(sorted(killers), START_S * 60)
        if code == 0:
            break
        if failed not in killers:
            raise RuntimeError(
                f"the tests that killed cannot be run again: pytest ended with {code}"
            )
        print(f"fails without a mutation: {failed}", file=sys.stderr)
        killers.discard(failed)
        outcomes = [replace(o, result=SURVIVED) if o.by == failed else o for o in outcomes]
    return outcomes


def _last() -> list[Outcome]:
    lines = OUTCOMES.read_text().splitlines() if OUTCOMES.exists() else []
    return [Outcome(**json.loads(line)) for line in lines]


def _save(outcomes: list[Outcome]) -> None:
    OUTCOMES.write_text("".join(json.dumps(asdict(o)) + "\n" for o in outcomes))


def _line(found: dict[str, float]) -> str:
    return (
        f"{found['killed'] + found['timed_out']:.0f} of {found['judged']:.0f} mutants killed "
        f"({found['share_killed']:.1%}; {found['timed_out']:.0f} by their time limit), "
        f"{found['survived']:.0f} survived; seed {found['seed']:.0f}, {found['seconds']:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
