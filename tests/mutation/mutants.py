"""All mutants of the sampled packages, and a sample that stays the same while code changes."""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("monitor/core", "detectors")
SPEED_ONLY = ("kernel", "inlined", "uncounted", "cache", "lru_cache")
"""Decorators without an effect on results."""
CHECKS_ONLY = ("frozen", "slots", "kw_only", "strict")
"""Arguments that refuse a mistake in the code, of ``dataclass`` and ``zip``."""
PUNCTUATION = frozenset("()[]{},.:;=")
SAME_RESULT = ("_Is_Eq", "_IsNot_NotEq", "_Eq_Is", "_NotEq_IsNot")
"""Operators that exchange equality and identity: the same for None, enums and small numbers."""

Span = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Mutant:
    """One application of an operator to one place in a module."""

    path: str
    definition: str
    line: int
    """Line number, from 1; not part of the identity."""
    text: str
    """The line without indentation."""
    column: int
    """Column in ``text``."""
    repeat: int
    """How many equal lines the definition has above this one."""
    operator: str
    nth: int
    """Which of the operator's mutations of this place."""
    occurrence: int
    """Which of the operator's mutations of the module; not part of the identity."""

    @property
    def place(self) -> str:
        """What is mutated; independent of everything outside the definition."""
        return f"{self.path}|{self.definition}|{self.text}|{self.column}|{self.repeat}"

    @property
    def key(self) -> str:
        """Identity of the mutant, 12 hexadecimal digits."""
        return _digest(self.place, self.operator, self.nth)[:12]


def _digest(*parts: object) -> str:
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()


def all_mutants(root: Path = ROOT) -> list[Mutant]:
    """Return every mutant of every module in the sampled packages."""
    paths = sorted(path for name in PACKAGES for path in (root / name).rglob("*.py"))
    return [
        mutant
        for path in paths
        for mutant in mutants_of(path.relative_to(root).as_posix(), path.read_text())
    ]


def sample(mutants: Iterable[Mutant], n: int, seed: int) -> list[Mutant]:
    """Draw places uniformly, and one mutant for each of them.

    Parameters
    ----------
    mutants : iterable of Mutant
        The population. An arithmetic operator has eleven replacements and a number two: drawn
        by place, both have the same weight.
    n : int
        Number of mutants.
    seed : int
        The order is that of a hash of the seed and the mutant, so an edit of the code changes
        the sample only where the code changed.

    Returns
    -------
    list of Mutant
        At most ``n``.
    """
    by_place: dict[str, Mutant] = {}
    for mutant in sorted(mutants, key=lambda m: _digest(seed, m.key)):
        by_place.setdefault(mutant.place, mutant)
    return sorted(by_place.values(), key=lambda m: _digest(seed, m.place))[:n]


def mutants_of(path: str, source: str) -> Iterator[Mutant]:
    """Yield the mutants of one module, except those that no test could detect."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    tree, lines = ast.parse(source), source.splitlines()
    ignored, defined = list(unobservable(tree)), list(definitions(tree))
    nodes = [node for node in ast_nodes(get_ast(source)) if _is_operand(node)]
    for name in operator_names():
        if name.endswith(SAME_RESULT) or get_operator(name).arguments():
            continue
        operator = get_operator(name)()
        seen: Counter[Span] = Counter()
        positions = (span for node in nodes for span in operator.mutation_positions(node))
        for occurrence, span in enumerate(positions):
            seen[span] += 1
            (line, column), _ = span
            text = lines[line - 1]
            if _is_inside(span, ignored) or (name.endswith("RemoveDecorator") and _is_speed(text)):
                continue
            definition, first = _innermost(defined, line)
            repeat = [other.strip() for other in lines[first - 1 : line - 1]].count(text.strip())
            indent = len(text) - len(text.lstrip())
            yield Mutant(
                path=path,
                definition=definition,
                line=line,
                text=text.strip(),
                column=column - indent,
                repeat=repeat,
                operator=name.rpartition("/")[2],
                nth=seen[span] - 1,
                occurrence=occurrence,
            )


def mutated(mutant: Mutant, source: str) -> str:
    """Return the module's source with the mutation."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    code = mutate_code(source, get_operator(f"core/{mutant.operator}")(), mutant.occurrence)
    if code is None:
        raise ValueError(f"{mutant.path}:{mutant.line}: there is no {mutant.operator} here")
    return str(code)


def _is_operand(node: Any) -> bool:
    """Whether any operator may apply: asking each about every leaf takes minutes."""
    is_plain = node.type in ("name", "newline", "string", "fstring_string", "endmarker")
    return not is_plain and getattr(node, "value", None) not in PUNCTUATION


def _is_speed(text: str) -> bool:
    return text.strip().lstrip("@").partition("(")[0].rpartition(".")[2] in SPEED_ONLY


def unobservable(tree: ast.Module) -> Iterator[Span]:
    """Yield annotations, which are not evaluated, and arguments that are checks only."""
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            found = getattr(node, name, None)
            if isinstance(found, ast.expr):
                yield _span(found)
        if isinstance(node, ast.keyword) and node.arg in CHECKS_ONLY:
            yield _span(node.value)


def definitions(tree: ast.Module) -> Iterator[tuple[str, int, int]]:
    """Yield the qualified name, first and last line of functions and classes."""

    def inside(node: ast.AST, prefix: str) -> Iterator[tuple[str, int, int]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                first = min([child.lineno, *(d.lineno for d in child.decorator_list)])
                yield f"{prefix}{child.name}", first, child.end_lineno or first
                yield from inside(child, f"{prefix}{child.name}.")
            else:
                yield from inside(child, prefix)

    return inside(tree, "")


def _innermost(defined: list[tuple[str, int, int]], line: int) -> tuple[str, int]:
    """Return name and first line of the last definition that begins before a line and holds it."""
    holding = [(name, first) for name, first, last in defined if first <= line <= last]
    return holding[-1] if holding else ("", 1)


def _span(node: ast.expr) -> Span:
    end = node.end_lineno or node.lineno, node.end_col_offset or 0
    return (node.lineno, node.col_offset), end


def _is_inside(span: Span, others: list[Span]) -> bool:
    return any(first <= span[0] and span[1] <= last for first, last in others)
