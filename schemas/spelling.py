"""Escapes control and invisible characters in displayed text.

Names from outside (categories, hosts, columns, files) may contain sequences that set a terminal's
title, colour or overwrite its content, reverse the text direction, or split a line. These functions
escape them wherever a name is written to a terminal, a log or a message.
"""

from __future__ import annotations

import re

_ALWAYS = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and line feed, DEL, C1
    "\u00ad\u180e\u200b\u2060-\u2064\ufeff"  # invisible
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # directions: embeddings, overrides, isolates
    "\u2028\u2029"  # separators of lines and paragraphs
    "\ufff9-\ufffb\U000e0000-\U000e007f"  # annotations and tags
    "\ud800-\udfff"  # halves of surrogate pairs: no encoding has them
)
_JOINERS = r"(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])"
"""Joiners next to ASCII, which are escaped; in Persian, Indic words and emoji they are text."""
_IN_LINES = re.compile(f"[{_ALWAYS}]|{_JOINERS}")
_IN_NAMES = re.compile(f"[\t\n{_ALWAYS}]|{_JOINERS}")
_SHORT = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}


def spell_controls(text: str) -> str:
    r"""Return the text on one line, with control characters escaped.

    Parameters
    ----------
    text : str
        A name, or a message with names.

    Returns
    -------
    str
        Control characters (C0, C1, DEL), line separators, directional and invisible ones as
        ``\n``, ``\x1b``, ``\u202e``; everything else unchanged. Idempotent.

    Examples
    --------
    >>> print(spell_controls("gold\x1b]0;owned\x07\r\nPAGE \u202etxt"))
    gold\x1b]0;owned\x07\r\nPAGE \u202etxt
    >>> print(spell_controls("Größe é 🙂"))
    Größe é 🙂
    """
    return _IN_NAMES.sub(_spelt, text)


def spell_lines(text: str) -> str:
    r"""As :func:`spell_controls`, but keeps line feeds and tabs, for multi-line text.

    Examples
    --------
    >>> print(spell_lines("one\ntwo\x1b[31m"))
    one
    two\x1b[31m
    """
    return _IN_LINES.sub(_spelt, text)


def spell_json(text: str) -> str:
    r"""Return an equivalent JSON text in which these characters are escaped.

    Examples
    --------
    >>> print(spell_json('{"name": "a\x9b\u202e"}'))
    {"name": "a\u009b\u202e"}
    """
    return _IN_LINES.sub(_escaped, text)


def _spelt(found: re.Match[str]) -> str:
    """Return the Python escape of one character."""
    character = found[0]
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escaped(found: re.Match[str]) -> str:
    """Return the JSON escape of one character, in UTF-16."""
    units = found[0].encode("utf-16-be", "surrogatepass")
    pairs = (units[i : i + 2].hex() for i in range(0, len(units), 2))
    return "".join(f"\\u{pair}" for pair in pairs)
