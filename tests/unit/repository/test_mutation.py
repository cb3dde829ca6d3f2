"""The sample of ``make mutate``: stable, one mutant for each place; its survivors are explained."""

from __future__ import annotations

import ast
from dataclasses import replace

import pytest

from tests.mutation import survivors
from tests.mutation.mutants import PACKAGES, ROOT, Mutant, definitions, sample, unobservable
from tests.mutation.selection import statement_lines
from tests.mutation.trial import KILLED, SURVIVED, TIMED_OUT, Outcome

MUTANT = Mutant("a.py", "f", 3, "return a + b", 9, 0, "Add_Sub", 0, 5)


def population(n: int) -> list[Mutant]:
    """``n`` places, each with three mutants."""
    return [
        replace(MUTANT, text=f"x{i} = a + b", operator=operator, line=i)
        for i in range(n)
        for operator in ("Add_Sub", "Add_Mul", "Add_Div")
    ]


def test_a_sample_has_one_mutant_of_a_place_and_depends_on_the_seed():
    drawn = sample(population(50), 20, seed=1)
    assert len({mutant.place for mutant in drawn}) == len(drawn) == 20
    assert len({mutant.operator for mutant in drawn}) == 3
    assert drawn == sample(reversed(population(50)), 20, seed=1)
    assert drawn != sample(population(50), 20, seed=2)


def test_an_edit_elsewhere_changes_neither_keys_nor_sample():
    before = population(50)
    after = [replace(m, line=m.line + 7, occurrence=m.occurrence + 2) for m in before]
    assert [m.key for m in sample(before, 20, 1)] == [m.key for m in sample(after, 20, 1)]


def test_a_new_line_takes_the_place_of_at_most_one_mutant():
    before = {m.key for m in sample(population(50), 20, 1)}
    after = {m.key for m in sample(population(51), 20, 1)}
    assert len(before - after) <= 1


def test_annotations_and_checks_are_not_mutated():
    source = "x: int | None = f(1, strict=True)\ndef f(a: int | str = 3 | 4) -> int | None: ...\n"
    found = sorted(unobservable(ast.parse(source)))
    assert [source.splitlines()[a - 1][b:d] for (a, b), (_, d) in found] == [
        "int | None",
        "True",
        "int | str",
        "int | None",
    ]


def test_a_definition_begins_at_its_decorators():
    source = "class A:\n    @property\n    def f(self):\n        return 1\n"
    assert list(definitions(ast.parse(source))) == [("A", 1, 4), ("A.f", 2, 4)]


@pytest.mark.parametrize(
    ("line", "lines"), [(1, (1, 2)), (2, (1, 2)), (3, (3,)), (4, (4, 5)), (5, (4, 5)), (6, (6,))]
)
def test_lines_of_a_statement_are_its_own_without_its_body(line, lines):
    source = "def f(a,\n      b):\n    if a:\n        g(\n            1)\n    return b\n"
    assert statement_lines(source, line) == lines


def test_a_mutant_that_exceeds_its_time_is_detected():
    results = [KILLED, KILLED, TIMED_OUT, SURVIVED]
    found = survivors.figures([Outcome("k", "p", "", result, "", 1) for result in results], 11, 9)
    assert (found["killed"], found["timed_out"], found["share_killed"]) == (2, 1, 0.75)
    assert (found["sampled"], found["judged"]) == (9, 4)


@pytest.mark.parametrize(
    ("result", "reason", "is_final"),
    [
        (KILLED, "", True),
        (TIMED_OUT, "", True),
        (SURVIVED, "equivalent: the flag is 0 or 1", True),
        (SURVIVED, "a test is missing", False),
        (SURVIVED, "not equivalent: only time is lost", False),
        (SURVIVED, "", False),
    ],
)
def test_mutants_that_no_test_could_change_are_not_judged_again(
    monkeypatch, result, reason, is_final
):
    content = {"survivors": [{"key": "k", "reason": reason}] if reason else []}
    monkeypatch.setattr(survivors, "read", lambda: content)
    survivors._reasons.cache_clear()
    assert survivors.is_final(Outcome("k", "p", "", result, "", 1)) == is_final
    survivors._reasons.cache_clear()


def test_every_survivor_is_of_a_module_that_exists_and_has_its_reason():
    content = survivors.read()
    assert content["survived"] == len(content["survivors"])
    assert content["judged"] == content["killed"] + content["timed_out"] + content["survived"]
    for survivor in content["survivors"]:
        path = survivor["place"].partition(":")[0]
        assert path.startswith(PACKAGES)
        assert (ROOT / path).exists()
        assert len(survivor["reason"]) > 10
