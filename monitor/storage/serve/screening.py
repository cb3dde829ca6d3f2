"""What a statement may ask for: verbs, functions, names and settings.

The engine reads and writes any file of its process and any URL: by table functions, by
table engines, by INTO OUTFILE, by settings, and its default database takes a path for a
table name. ``readonly`` stops none of that. This is the first of three lines; the engine's
own grants (``rights``) and the kernel (``sandbox``) are the others.
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
"""Those that touch neither files nor hosts and take no structure. A structure is text
that may hold ``DEFAULT file(...)``, put together by any expression: ``format``, ``input``,
``values``, ``null`` and ``generateRandom`` have one."""
REFUSED_FUNCTIONS = re.compile(
    r"file|catboostevaluate|hascolumnintable|getserversetting|getmacro|getclienthttpheader"
    r"|showcertificate|logtrace|addressto\w+|ai[a-z]+|filesystem(?:available|capacity|unreserved)"
)
"""No table functions, and still ways to files, to other hosts, or to facts of the server."""
ENDLESS_FUNCTIONS = re.compile(r"\w*(?:levenshtein|editdistance)\w*|jaro\w*|arraysimilarity")
"""Quadratic in the length of their texts: 12 s a row at 60 KB, and no bound on time stops
the engine within a block of rows."""
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
    """What the engine has; names of a new version's new things are refused unknown."""

    table_functions: frozenset[str]
    """In lower case."""
    settings: frozenset[str]
    """Of queries and of tables."""


def screen(
    statement: Statement,
    facts: Facts,
    parameters: Mapping[str, str],
    limits: Limits,
    *,
    is_reader: bool,
) -> None:
    """Refuse what reaches beyond the store, or beyond the account, or beyond the bounds.

    Parameters
    ----------
    statement : Statement
        In the engine's own spelling.
    parameters : mapping
        The request's parameters: one may stand for a table's name.
    limits : Limits
        Bounds that the statement's own SETTINGS must keep.

    Raises
    ------
    RefusedRequest
        497 for what no account may do, 164 for what a reader may not, 452 for settings.
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
    """Refuse names that the default database would take for a file's."""
    given = (parameters.get(name, "") for name in statement.identifier_parameters)
    for name in (*statement.names, *given):
        has_path = name.lstrip().startswith("/") or re.search(r"\.\.|[{}*?\\:]", name)
        if "/" in name and has_path:
            raise RefusedRequest(497, "Names that are paths are not allowed here.")


def _refuse_calls(statement: Statement, table_functions: frozenset[str]) -> None:
    """Refuse functions that reach files, hosts or facts of the server."""
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
    """Return whether this is the pattern of the function ``format``, and no format's name."""
    return argument.kind == "literal" and "{" in argument.text


def _refuse_engines(statement: Statement) -> None:
    """Refuse engines of tables and databases that keep their rows elsewhere."""
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
    """Refuse settings that are not on the list, or beyond their bounds."""
    if statement.verb == "EXPLAIN":
        _screen_explain(statement)
    is_definition = statement.verb in ("CREATE", "ALTER", "REPLACE")
    for name, value in statement.settings:
        if not value and name not in facts.settings:
            continue  # a word after a column of the name "settings"; the engine has no such one
        if name == "readonly":
            raise RefusedRequest(164, "Cannot modify 'readonly' setting in a statement.")
        if is_definition and name in OF_TABLES:
            continue
        refuse_settings([name], facts.settings)
        if name in ALLOWED and name in limits.settings():
            limits.refuse_beyond(name, value.strip("'"))


def _screen_explain(statement: Statement) -> None:
    """Refuse settings of EXPLAIN, which stand without the word, that are not on the list."""
    if not _EXPLAIN.match(statement.skeleton):
        raise RefusedRequest(497, "This kind of EXPLAIN is not allowed here.")
    for i, token in enumerate(statement.tokens):
        if token.is_word("SELECT", "WITH"):
            return
        if token.text == "=" and statement.tokens[i - 1].name not in OF_EXPLAIN:
            raise RefusedRequest(
                452, f"Setting {statement.tokens[i - 1].name} is not allowed here."
            )
