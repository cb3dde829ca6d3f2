"""Converts validation errors to messages with the value and a fix."""

from __future__ import annotations

import difflib
import types
from collections.abc import Callable
from enum import EnumMeta
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from schemas.config.values import Misfit, Problem

MAX_SHOWN = 60
"""Maximum characters of a value in a message."""


def words_for(error: dict[str, Any], config: type[BaseModel]) -> list[Problem]:
    """Return the problems of one validation error.

    Parameters
    ----------
    error : dict
        One entry of a validation error's list.
    config : type
        Validated config class, with the known settings.

    Returns
    -------
    list of Problem
        Usually one; several if fields are inconsistent.
    """
    loc: tuple[str | int, ...] = tuple(error["loc"])
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, Misfit):
        return [Problem((*loc, *p.loc), p.what, p.fix) for p in cause.problems]
    if error["type"] == "value_error":
        return [Problem(loc, str(cause))]
    if error["type"] == "extra_forbidden":
        return [_unknown_setting(loc, config)]
    what, fix = _field_words(error, loc, config)
    return [Problem(loc, what, fix)]


def shown(value: object) -> str:
    """Return a value for a message, shortened.

    Examples
    --------
    >>> shown("x" * 100)[-5:]
    'x..."'
    """
    if isinstance(value, dict):
        return "a group of settings"
    if isinstance(value, list | tuple):
        return "a list"
    text = str(value)
    return f'"{text}"' if len(text) <= MAX_SHOWN else f'"{text[:MAX_SHOWN]}..."'


def suggest(name: str, known: list[str]) -> str:
    """Return a hint with the nearest known word, else with all of them.

    Examples
    --------
    >>> suggest("latenes", ["lateness", "bound"])
    'did you mean lateness?'
    """
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}?"
    return f"known here: {', '.join(known)}" if known else "remove it"


def annotation_at(config: type[BaseModel], loc: tuple[str | int, ...]) -> Any:
    """Return the type at ``loc``, or None if the path does not exist in the types."""
    found: Any = config
    for step in loc:
        found = _bare(found)
        if isinstance(found, type) and issubclass(found, BaseModel):
            found = settings_of(found).get(str(step))
        else:
            arguments = [a for a in get_args(found) if a is not Ellipsis]
            found = arguments[-1] if arguments else None
    return _bare(found)


def settings_of(config: type[BaseModel]) -> dict[str, Any]:
    """Return the types of a group's settings, by their names in files.

    Examples
    --------
    >>> from schemas.config.model import WindowConfig
    >>> list(settings_of(WindowConfig))
    ['pane', 'length', 'bound', 'lateness', 'idle', 'max_skew']
    """
    return {info.alias or name: info.annotation for name, info in config.model_fields.items()}


def _bare(annotation: Any) -> Any:
    """Strip Annotated and ``| None``."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _bare(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        inner = [a for a in get_args(annotation) if a is not types.NoneType]
        return _bare(inner[0]) if len(inner) == 1 else annotation
    return annotation


def _allowed(annotation: Any) -> list[str]:
    """Return the values of an enumerated type."""
    if isinstance(annotation, EnumMeta):
        return [str(member.value) for member in annotation]  # type: ignore[var-annotated]
    return [str(a) for a in get_args(annotation)] if get_origin(annotation) is Literal else []


def _unknown_setting(loc: tuple[str | int, ...], config: type[BaseModel]) -> Problem:
    """Return the problem of an unknown setting, with the nearest known one."""
    parent = annotation_at(config, loc[:-1])
    known = list(settings_of(parent)) if hasattr(parent, "model_fields") else []
    return Problem(loc, "unknown setting", suggest(str(loc[-1]), known))


def _field_words(
    error: dict[str, Any], loc: tuple[str | int, ...], config: type[BaseModel]
) -> tuple[str, str]:
    """Return the problem of one value, and the fix."""
    kind, value, ctx = error["type"], error.get("input"), error.get("ctx", {})
    allowed = _allowed(annotation_at(config, loc))
    if kind == "missing":
        if loc and isinstance(loc[-1], int):
            return f"value {loc[-1] + 1} of the list is missing", "write [lowest, highest]"
        return "is missing", f"add it: {' or '.join(allowed)}" if allowed else "add it"
    if value is None:
        return "is empty", "give it a value, or remove the line"
    if allowed:
        return f"{shown(value)} is not allowed", f"{suggest_value(str(value), allowed)}"
    if kind in _RULES:
        return _RULES[kind](value, ctx)
    return str(error["msg"]).replace("Input should", "must"), ""


def suggest_value(value: str, allowed: list[str]) -> str:
    """Return a hint with the nearest allowed value and all others.

    Examples
    --------
    >>> suggest_value("numerical", ["numeric", "categorical"])
    'did you mean numeric? One of numeric, categorical'
    """
    near = difflib.get_close_matches(value, allowed, n=1, cutoff=0.6)
    every = f"one of {', '.join(allowed)}"
    return f"did you mean {near[0]}? {every.capitalize()}" if near else f"write {every}"


def _not(noun: str, fix: str = "") -> Callable[[Any, Any], tuple[str, str]]:
    return lambda value, ctx: (f"{shown(value)} is not {noun}", fix)


def _bound(word: str, key: str) -> Callable[[Any, Any], tuple[str, str]]:
    return lambda value, ctx: (f"{shown(value)} is out of bounds", f"must be {word} {ctx[key]}")


_GROUP = _not("a group of settings", "write one `name: value` a line, indented")
_LIST = _not("a list", "write [a, b], or one `- a` a line")
_RULES: dict[str, Callable[[Any, Any], tuple[str, str]]] = {
    "string_type": _not("text"),
    "int_parsing": _not("a whole number"),
    "int_type": _not("a whole number"),
    "int_from_float": _not("a whole number"),
    "float_parsing": _not("a number"),
    "float_type": _not("a number"),
    "finite_number": _not("a finite number"),
    "bool_parsing": _not("true or false", "write true or false"),
    "bool_type": _not("true or false", "write true or false"),
    "model_type": _GROUP,
    "model_attributes_type": _GROUP,
    "dict_type": _GROUP,
    "tuple_type": _LIST,
    "list_type": _LIST,
    "greater_than": _bound("greater than", "gt"),
    "greater_than_equal": _bound("at least", "ge"),
    "less_than": _bound("less than", "lt"),
    "less_than_equal": _bound("at most", "le"),
    "string_too_short": lambda value, ctx: ("is empty", "give it a value"),
    "string_too_long": lambda value, ctx: (
        f"has {len(value)} characters",
        f"at most {ctx['max_length']}",
    ),
    "too_short": lambda value, ctx: ("is empty", f"needs at least {ctx['min_length']}"),
    "too_long": lambda value, ctx: (
        f"has {ctx['actual_length']} values",
        f"write exactly {ctx['max_length']}",
    ),
}
"""Messages by type of error; other types keep the validator's message."""
