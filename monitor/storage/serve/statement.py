"""Statements: where an INSERT's data begins, and what may not be asked at all.

The engine reads and writes any file of its process and any URL: by table functions, by
table engines, by INTO OUTFILE, and its default database takes a path for a table name.
``readonly`` stops none of that (measured with chDB 4.4: ``INSERT INTO FUNCTION file()``
and ``INTO OUTFILE`` both wrote under readonly = 2). So every statement is looked at,
in the spelling the engine's own parser gives it (``formatQuery``): comments are gone,
literals and names are quoted in one way, and there is no second reading of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from monitor.storage.serve.limits import Limits
from monitor.storage.serve.refusal import Refusal

READ_VERBS = frozenset({"SELECT", "WITH", "SHOW", "DESCRIBE", "EXPLAIN", "EXISTS", "CHECK"})
WRITE_VERBS = frozenset(
    {
        "INSERT", "CREATE", "ALTER", "DROP", "TRUNCATE", "OPTIMIZE", "RENAME", "EXCHANGE",
        "DELETE", "UPDATE", "SET", "USE", "KILL", "UNDROP", "DETACH", "REPLACE",
    }
)  # fmt: skip
TABLE_FUNCTIONS = frozenset(
    {
        "numbers", "numbers_mt", "zeros", "zeros_mt", "values", "view", "null", "input", "format",
        "generaterandom", "generateseries", "generate_series", "primes",
    }
)  # fmt: skip
"""Those that touch neither files nor the network; every other one is refused."""
REFUSED_FUNCTIONS = frozenset({"file", "catboostevaluate", "hascolumnintable"})
"""No table functions, and still ways to files or to other hosts."""
REFUSED_SETTINGS = re.compile(
    r"\b(additional_\w+|format_(?:schema|template)\w*|input_format_values_\w+)\b"
)
"""They hold expressions or paths of their own, or let VALUES hold expressions."""
_SAFE_ENGINE = re.compile(
    r"(?:Replicated)?\w*MergeTree|Memory|Log|TinyLog|StripeLog|Null|Set|Join|Buffer|Atomic"
)
_ENGINE = re.compile(r"\bENGINE\s*=\s*`?(\w+)")
_LITERAL = re.compile(r"'(?:\\.|[^'\\])*'", re.DOTALL)
_QUOTED = re.compile(r"`((?:\\.|[^`\\])*)`", re.DOTALL)
_CALL = re.compile(r"(\w+)`?\(")
_VERB = re.compile(r"[\s(]*([A-Za-z]+)")
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)")
_FORBIDDEN = re.compile(
    r"\bINTO OUTFILE\b|\bFROM INFILE\b|\bSOURCE\s*\(|\bDICTIONARY\b|\bNAMED COLLECTION\b"
    r"|\bCREATE (?:OR REPLACE )?FUNCTION\b|\bPARALLEL WITH\b|\bATTACH\b|\bFROM DISK\b"
    r"|\bSTORAGE\s*\(|\bdisk\s*=|\bstorage_policy\s*="
)
_IDENTIFIER = re.compile(r"\{\s*(\w+)\s*:\s*Identifier\s*\}")

# The first of these outside quotes and comments decides what an INSERT's rest is.
_INSERT = re.compile(rb"\s*(?:(?:--[^\n]*\n|/\*.*?\*/)\s*)*INSERT\b", re.IGNORECASE | re.DOTALL)
_TOKEN = re.compile(
    rb"'(?:\\.|''|[^'\\])*'|\"(?:\\.|\"\"|[^\"\\])*\"|`(?:\\.|``|[^`\\])*`|--[^\n]*|/\*.*?\*/"
    rb"|(?P<open>\()|(?P<close>\))|\b(?P<settings>SETTINGS)\b|\bFORMAT\s+(?P<format>\w+)|\b(?P<values>VALUES)\b"
    rb"|\b(?P<select>SELECT|WITH|INFILE)\b",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT whose data follow: its parts, and where the data begin."""

    table: str
    """``INSERT INTO t (columns)``."""
    settings: str
    """``SETTINGS ...`` or nothing."""
    format: str
    data_at: int
    """Offset of the first byte of data in the text it was read from."""

    @property
    def head(self) -> str:
        """The statement without its data."""
        return f"{self.table} {self.settings} FORMAT {self.format}"

    def from_file(self, path: str) -> str:
        """Return the statement that reads its data from a file.

        Examples
        --------
        >>> split_insert(b"INSERT INTO t (a) VALUES (1)").from_file("/x")
        "INSERT INTO t (a) FROM INFILE '/x'  FORMAT Values"
        """
        quoted = path.replace("\\", "\\\\").replace("'", "\\'")
        return f"{self.table} FROM INFILE '{quoted}' {self.settings} FORMAT {self.format}"


def split_insert(text: bytes) -> Insert | None:
    """Find the end of an INSERT's head, as ClickHouse's parser does.

    Parameters
    ----------
    text : bytes
        The beginning of a statement; data may follow, in any encoding.

    Returns
    -------
    Insert or None
        None if it is no INSERT, or one that takes its rows from a SELECT.

    Raises
    ------
    Refusal
        If the head is not UTF-8.

    Examples
    --------
    >>> found = split_insert(b"INSERT INTO `FORMAT x` SETTINGS a = 1 FORMAT CSV\\n1,2")
    >>> found.table, found.settings, found.format, found.data_at
    ('INSERT INTO `FORMAT x`', 'SETTINGS a = 1', 'CSV', 49)
    >>> split_insert(b"INSERT INTO t SELECT 1") is None
    True
    """
    if not _INSERT.match(text):
        return None
    settings_at = None
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += bool(token["open"]) - bool(token["close"])
        if depth:  # a column may be called "values"
            continue
        if token["select"]:
            return None
        if token["settings"] and settings_at is None:
            settings_at = token.start()
        if token["format"] or token["values"]:
            return _insert(text, token, settings_at)
    return None


def canonical_verb(text: str) -> str:
    """Return a statement's first word, in capitals.

    Examples
    --------
    >>> canonical_verb("(select 1)"), canonical_verb("")
    ('SELECT', '')
    """
    found = _VERB.match(text)
    return found[1].upper() if found else ""


def named_format(canonical: str) -> str | None:
    """Return the format that a statement names itself, or None.

    Examples
    --------
    >>> named_format("SELECT 'FORMAT x' FORMAT JSON"), named_format("SELECT 1")
    ('JSON', None)
    """
    found = _FORMAT.findall(_QUOTED.sub("``", _LITERAL.sub("''", canonical)))
    return found[-1] if found else None


def screen(
    canonical: str,
    table_functions: frozenset[str],
    parameters: Mapping[str, str],
    limits: Limits,
    *,
    is_reader: bool,
) -> None:
    """Refuse what reaches beyond the store, or beyond the account, or beyond the bounds.

    Parameters
    ----------
    canonical : str
        The statement as ``formatQuery`` spells it.
    table_functions : frozenset of str
        All the engine has, in lower case; a new version's new ones are refused too.
    parameters : mapping
        The request's parameters: one may stand for a table's name.
    limits : Limits
        Bounds that the statement's own SETTINGS must keep.
    is_reader : bool

    Raises
    ------
    Refusal
        497 for what nobody may do here, 164 for what a reader may not, 452 for bounds.
    """
    verb = canonical_verb(canonical)
    if is_reader and verb not in READ_VERBS:
        raise Refusal(164, f"Cannot execute query in readonly mode: {verb[:32]}.")
    if verb not in READ_VERBS | WRITE_VERBS:
        raise Refusal(497, f"{verb[:32]} statements are not taken here.")
    bare = _LITERAL.sub("''", canonical)
    for name in _QUOTED.findall(bare):
        _refuse_path(name)
    for match in _IDENTIFIER.finditer(bare):
        _refuse_path(parameters.get(match[1], ""))
    _refuse_sources(bare, table_functions)
    if found := re.search(REFUSED_SETTINGS.pattern + " =", bare):
        raise Refusal(452, f"Setting {found[1]} is not taken here.")
    for name in limits.settings():
        for value in re.findall(rf"\b{name} = (\S+?)[,)]?(?=\s|$)", bare):
            limits.refuse_beyond(name, value)


def refuse_settings(names: Iterable[str]) -> None:
    """Refuse settings that would let a statement mean what :func:`screen` did not see.

    Parameters
    ----------
    names : iterable of str
        Of a request's settings. ``dialect`` chooses another parser than the one that
        spelt the statement.

    Raises
    ------
    Refusal

    Examples
    --------
    >>> refuse_settings(["max_threads"])
    """
    for name in names:
        if name == "dialect" or REFUSED_SETTINGS.fullmatch(name):
            raise Refusal(452, f"Setting {name} is not taken here.")


def _insert(text: bytes, token: re.Match[bytes], settings_at: int | None) -> Insert:
    """Cut an INSERT at the token that ends its head."""
    try:
        head = text[: token.start()].decode()
        table = text[: settings_at or token.start()].decode()
    except UnicodeDecodeError:
        raise Refusal(36, "The statement is not UTF-8.") from None
    data_at = token.end()
    if token["format"]:
        # As ClickHouse: blanks up to the end of the line belong to the head.
        while data_at < len(text) and text[data_at : data_at + 1] in (b" ", b"\t", b"\r", b"\f"):
            data_at += 1
        data_at += text[data_at : data_at + 1] in (b"\n", b";")
    format_ = token["format"].decode() if token["format"] else "Values"
    return Insert(table.strip(), head[len(table) :].strip(), format_, data_at)


def _refuse_path(name: str) -> None:
    """Refuse a name that the default database would take for a file's.

    A relative path without ``..`` finds nothing: the server works in an empty folder.
    """
    if "/" in name and (name.lstrip().startswith("/") or re.search(r"\.\.|[{}*?\\:]", name)):
        raise Refusal(497, "Names that are paths are not taken here.")


def _refuse_sources(bare: str, table_functions: frozenset[str]) -> None:
    """Refuse table functions, engines and clauses that reach files or the network."""
    without_names = _QUOTED.sub(lambda m: m[1] if re.fullmatch(r"\w+", m[1]) else "x", bare)
    for name in _CALL.findall(without_names):
        if name.lower() in table_functions - TABLE_FUNCTIONS | REFUSED_FUNCTIONS:
            raise Refusal(497, f"{name}() reaches beyond the store; it is not taken here.")
    for name in _ENGINE.findall(bare):
        if not _SAFE_ENGINE.fullmatch(name):
            raise Refusal(497, f"ENGINE = {name} reaches beyond the store; it is not taken here.")
    if found := _FORBIDDEN.search(_QUOTED.sub("x", bare)):
        raise Refusal(497, f"{found[0].strip('( =')} is not taken here.")
