"""Tokenizes statements as formatted by the engine.

``formatQuerySingleLine`` is the engine's parser followed by its formatter: comments are removed,
literals and names are quoted uniformly. The text that is screened is the text that runs, so the two
cannot be parsed differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from monitor.storage.serve.refusal import RefusedRequest

_TOKEN = re.compile(
    r"(?P<literal>'(?:\\.|''|[^'\\])*')|(?P<name>[`\"](?:\\.|``|[^`\"\\])*[`\"])"
    r"|(?P<comment>--|/\*|#!|# )|(?P<word>[^\W\d]\w*)|(?P<number>\d[\w.]*)|(?P<sign>\S)",
    re.DOTALL,
)
_PARAMETER = re.compile(r"\{\s*(\w+)\s*:\s*Identifier\s*\}")
_OPEN, _CLOSED = frozenset("([{"), frozenset(")]}")


@dataclass(frozen=True, slots=True)
class SqlToken:
    """One token: kind, text, position."""

    kind: str
    text: str
    at: int

    @property
    def name(self) -> str:
        """The name of a word or a quoted name, or ``""``."""
        if self.kind == "name":
            return re.sub(r"\\(.)", r"\1", self.text[1:-1], flags=re.DOTALL)
        return self.text if self.kind == "word" else ""

    def is_word(self, *words: str) -> bool:
        """Return whether this is one of the given unquoted words, ignoring case."""
        return self.kind == "word" and self.text.upper() in words


@dataclass(frozen=True)
class Statement:
    """A statement as formatted by the engine.

    Examples
    --------
    >>> s = Statement("SELECT 'FORMAT x' SETTINGS max_threads = 1 FORMAT JSON")
    >>> s.verb, s.format, s.settings
    ('SELECT', 'JSON', (('max_threads', '1'),))
    >>> Statement("SELECT 1 SETTINGS extremes, limit = 1").settings
    (('extremes', ''), ('limit', '1'))
    """

    text: str

    @cached_property
    def tokens(self) -> tuple[SqlToken, ...]:
        """All tokens; raises for a comment, which the formatter never writes."""
        found = tuple(
            SqlToken(str(match.lastgroup), match[0], match.start())
            for match in _TOKEN.finditer(self.text)
        )
        if any(token.kind == "comment" for token in found):
            raise RefusedRequest(
                62, "Syntax error: this expression cannot be written unambiguously."
            )
        return found

    @cached_property
    def verb(self) -> str:
        """The first word, in capitals."""
        for token in self.tokens:
            if token.text != "(":
                return token.text.upper() if token.kind == "word" else ""
        return ""

    @cached_property
    def skeleton(self) -> str:
        """The text in capitals without literals and quoted names, for matching phrases."""
        blank = {"literal": "''", "name": "``"}
        return " ".join(blank.get(token.kind, token.text.upper()) for token in self.tokens)

    @cached_property
    def calls(self) -> tuple[tuple[str, SqlToken], ...]:
        """Lower-case names before an opening bracket, each with the following tokens."""
        tokens = self.tokens
        return tuple(
            (tokens[i].name.lower(), tokens[i + 2] if i + 2 < len(tokens) else tokens[i + 1])
            for i in range(len(tokens) - 1)
            if tokens[i + 1].text == "(" and tokens[i].name
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every quoted name."""
        return tuple(token.name for token in self.tokens if token.kind == "name")

    @cached_property
    def identifier_parameters(self) -> tuple[str, ...]:
        """Names of the parameters of type Identifier."""
        return tuple(_PARAMETER.findall(self.text))

    @cached_property
    def settings(self) -> tuple[tuple[str, str], ...]:
        """Name and value of each setting after SETTINGS or SETTING, at any position.

        A setting of type Bool may have no value: its value is ``""``, as is that of a word that
        follows a column or table named "settings".
        """
        found: list[tuple[str, str]] = []
        for i, token in enumerate(self.tokens):
            if token.is_word("SETTINGS", "SETTING"):
                found += self._assignments(i + 1)
        return tuple(found)

    @cached_property
    def _format_at(self) -> int | None:
        """Index of the last FORMAT outside brackets, or None."""
        depth, found = 0, None
        for i, token in enumerate(self.tokens[:-1]):
            depth += (token.text in _OPEN) - (token.text in _CLOSED)
            if not depth and token.is_word("FORMAT") and self.tokens[i + 1].name:
                found = i
        return found

    @property
    def format(self) -> str | None:
        """The format named in the statement, or None."""
        return None if self._format_at is None else self.tokens[self._format_at + 1].name

    @property
    def body(self) -> str:
        """The text before its FORMAT."""
        if self._format_at is None:
            return self.text
        return self.text[: self.tokens[self._format_at].at].rstrip()

    @property
    def tail(self) -> str:
        """The text after the name of the format: settings, or empty."""
        if self._format_at is None:
            return ""
        token = self.tokens[self._format_at + 1]
        return self.text[token.at + len(token.text) :]

    def _assignments(self, start: int) -> Iterator[tuple[str, str]]:
        """Yield the comma-separated names and values at a token."""
        tokens, i = self.tokens, start
        while True:
            name, end = self._dotted(i)
            if not name:
                return
            value_at = end + 1
            if end < len(tokens) and tokens[end].text == "=":
                end = self._value_end(value_at)
            yield name, " ".join(token.text for token in tokens[value_at:end])
            if end >= len(tokens) or tokens[end].text != ",":
                return
            i = end + 1

    def _dotted(self, i: int) -> tuple[str, int]:
        """Read a dotted name at a token; return it and its end."""
        parts = []
        while i < len(self.tokens) and self.tokens[i].name:
            parts.append(self.tokens[i].name)
            i += 1
            if i >= len(self.tokens) or self.tokens[i].text != ".":
                break
            i += 1
        return ".".join(parts), i

    def _value_end(self, i: int) -> int:
        """Return the end of a value: a comma outside brackets, or the next word."""
        depth, start = 0, i
        while i < len(self.tokens):
            token = self.tokens[i]
            if not depth and (token.text in (",", ")", ";") or (i > start and token.name)):
                break
            depth += (token.text in _OPEN) - (token.text in _CLOSED)
            i += 1
        return i
