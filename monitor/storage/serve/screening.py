"""Screens statements: allowed verbs, functions, names and settings.

The engine can read and write any file of its process and any URL: by table functions, table
engines, INTO OUTFILE and settings, and its default database accepts a path as table name.
``readonly`` prevents none of that. This is the first of three layers of protection; the others are
the engine's grants (``rights``) and the kernel (``sandbox``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from monitor.storage.serve.limits import Limits
from monitor.storage.serve.refusal import RefusedRequest
from monitor.storage.serve.settings import ALLOWED, OF_EXPLAIN, OF_TABLES, refuse_settings
from monitor.storage.serve.statement import SqlToken, Statement

READ_VERBS = frozenset({"SELECT", "WITH", "SHOW", "DESCRIBE", "EXPLAIN", "EXISTS"})
WRITE_VERBS = frozenset(
    {
        "INSERT", "CREATE", "ALTER", "DROP", "TRUNCATE", "OPTIMIZE", "RENAME", "EXCHANGE",
        "DELETE", "UPDATE", "UNDROP", "REPLACE",
    }
)  # fmt: skip
TABLE_FUNCTIONS = frozenset(
    {
        "numbers", "numbers_mt", "zeros", "zeros_mt", "view", "generateseries",
        "generate_series", "primes",
    }
)  # fmt: skip
"""Table functions that access neither files nor hosts and have no structure argument.

A structure is text that may contain ``DEFAULT file(...)``, built by any expression: ``format``,
``input``, ``values``, ``null`` and ``generateRandom`` have one.
"""
REFUSED_FUNCTIONS = re.compile(
    r"file|catboostevaluate|hascolumnintable|getserversetting|getmacro|getclienthttpheader"
    r"|showcertificate|logtrace|addressto\w+|ai[a-z]+|filesystem(?:available|capacity|unreserved)"
)
"""Ordinary functions that access files, other hosts, or information about the server."""
ENDLESS_FUNCTIONS = re.compile(r"\w*(?:levenshtein|editdistance)\w*|jaro\w*|arraysimilarity")
"""Functions that are quadratic in the length of their texts: 12 s per row at 60 KB.

Time limits do not stop the engine within a block of rows.
"""
_SAFE_ENGINE = re.compile(
    r"(?:Replicated)?\w*MergeTree|Memory|Log|TinyLog|StripeLog|Null|Set|Join|Buffer|Atomic"
)
_ANYWHERE = r"INTO OUTFILE|FROM INFILE|PARALLEL WITH|EXECUTE AS|STORAGE \(|FROM DISK"
_IN_WRITES = (
    r"INTO (?:TABLE )?FUNCTION|SOURCE \(|DICTIONARY|NAMED COLLECTION"
    r"|CREATE (?:OR REPLACE )?(?!OR |TABLE|VIEW|DATABASE|MATERIALIZED VIEW)\w+"
    r"|ATTACH|TO DISK|TO VOLUME|DISK =|DISK \(|STORAGE_POLICY|SQL SECURITY|DEFINER"
    r"|REFRESH (?:EVERY|AFTER)|FREEZE|UNFREEZE|FETCH PART\w*|EXPORT PART\w*|CLONE AS|WATCH"
)
_READ_PHRASE = re.compile(rf"(?<!\w)(?:{_ANYWHERE})")
_WRITE_PHRASE = re.compile(rf"(?<!\w)(?:{_ANYWHERE}|{_IN_WRITES})")
_SHOW = re.compile(
    r"SHOW (?:CREATE |EXTENDED |FULL |TEMPORARY )*"
    r"(?:TABLES?|VIEW|DATABASES?|COLUMNS|FIELDS|INDEX|INDEXES|INDICES|KEYS|FUNCTIONS)(?!\w)"
)
_EXPLAIN = re.compile(
    r"EXPLAIN(?: (?:AST|SYNTAX|QUERY TREE|PLAN|PIPELINE|ESTIMATE))?"
    r"(?: \w+ = (?:\w+|'')(?: ,)?)* (?:SELECT|WITH|\()"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Names that the engine has; unlisted names of new versions are rejected as unknown."""

    table_functions: frozenset[str]
    """Lower-case names."""
    settings: frozenset[str]
    """Settings of queries and of tables."""


def screen(
    statement: Statement,
    facts: Facts,
    parameters: Mapping[str, str],
    limits: Limits,
    *,
    is_reader: bool,
) -> None:
    """Raise if a statement exceeds the store, the account's rights, or the limits.

    Parameters
    ----------
    statement : Statement
        As formatted by the engine.
    parameters : mapping
        The request's parameters, which may be table names.
    limits : Limits
        Limits of the statement's SETTINGS.

    Raises
    ------
    RefusedRequest
        497 for what no account may do, 164 for what a reader may not do, 452 for settings.
    """
    verb = statement.verb
    if is_reader and verb not in READ_VERBS:
        raise RefusedRequest(164, f"Cannot execute query in readonly mode: {verb[:32]}.")
    if verb not in READ_VERBS | WRITE_VERBS:
        raise RefusedRequest(497, f"{verb[:32]} statements are not allowed here.")
    if verb == "SHOW" and not _SHOW.match(statement.skeleton):
        raise RefusedRequest(497, "SHOW is allowed for tables, columns, databases and functions.")
    _refuse_names(statement, parameters)
    _refuse_calls(statement, facts.table_functions)
    _refuse_engines(statement)
    phrase = _READ_PHRASE if verb in READ_VERBS else _WRITE_PHRASE
    if found := phrase.search(statement.skeleton):
        raise RefusedRequest(497, f"{found[0].strip('( =')} is not allowed here.")
    _screen_settings(statement, facts, limits)


def _refuse_names(statement: Statement, parameters: Mapping[str, str]) -> None:
    """Raise for table names that the default database would interpret as file names."""
    given = (parameters.get(name, "") for name in statement.identifier_parameters)
    for name in (*statement.names, *given):
        has_path = name.lstrip().startswith("/") or re.search(r"\.\.|[{}*?\\:]", name)
        if "/" in name and has_path:
            raise RefusedRequest(497, "Names that are paths are not allowed here.")


def _refuse_calls(statement: Statement, table_functions: frozenset[str]) -> None:
    """Raise for functions that access files, hosts or information about the server."""
    refused = table_functions - TABLE_FUNCTIONS
    for name, argument in statement.calls:
        if name == "format" and _is_pattern(argument):
            continue
        if name in refused or REFUSED_FUNCTIONS.fullmatch(name):
            raise RefusedRequest(497, f"{name}() reaches beyond the store; it is not allowed here.")
        if ENDLESS_FUNCTIONS.fullmatch(name):
            raise RefusedRequest(
                497, f"{name}() can take hours, unstopped; it is not allowed here."
            )


def _is_pattern(argument: SqlToken) -> bool:
    """Return whether a token is an argument of the function ``format``, not a format's name."""
    return argument.kind == "literal" and "{" in argument.text


def _refuse_engines(statement: Statement) -> None:
    """Raise for engines of tables and databases that store rows elsewhere."""
    if statement.verb in READ_VERBS:
        return
    tokens = statement.tokens
    for i, token in enumerate(tokens[:-1]):
        if not token.is_word("ENGINE"):
            continue
        name = tokens[min(i + 1 + (tokens[i + 1].text == "="), len(tokens) - 1)].name
        if name and not _SAFE_ENGINE.fullmatch(name):
            raise RefusedRequest(
                497, f"ENGINE = {name[:64]} reaches beyond the store; not allowed here."
            )


def _screen_settings(statement: Statement, facts: Facts, limits: Limits) -> None:
    """Raise for settings that are not on the allow list, or exceed their limits."""
    if statement.verb == "EXPLAIN":
        _screen_explain(statement)
    is_definition = statement.verb in ("CREATE", "ALTER", "REPLACE")
    for name, value in statement.settings:
        if not value and name not in facts.settings:
            continue  # a word after a column named "settings"; the engine has no such setting
        if name == "readonly":
            raise RefusedRequest(164, "Cannot modify 'readonly' setting in a statement.")
        if is_definition and name in OF_TABLES:
            continue
        refuse_settings([name], facts.settings)
        if name in ALLOWED and name in limits.settings():
            limits.refuse_beyond(name, value.strip("'"))


def _screen_explain(statement: Statement) -> None:
    """Raise for settings of EXPLAIN, which have no keyword, that are not on the allow list."""
    if not _EXPLAIN.match(statement.skeleton):
        raise RefusedRequest(497, "This kind of EXPLAIN is not allowed here.")
    for i, token in enumerate(statement.tokens):
        if token.is_word("SELECT", "WITH"):
            return
        if token.text == "=" and statement.tokens[i - 1].name not in OF_EXPLAIN:
            raise RefusedRequest(
                452, f"Setting {statement.tokens[i - 1].name} is not allowed here."
            )
