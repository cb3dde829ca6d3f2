"""YAML parser that records the line of every field, for messages.

Scalars stay text and are interpreted by the config's types, so ``on:`` is a key, ``positive: 1`` is
the class "1", and ``tenant: no`` is not false.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from schemas.errors import ConfigError
from schemas.names import shown_name, text_fault

Path = tuple[str | int, ...]
Spot = tuple[Path, int, str, str]
"""Path, line, problem, fix."""

_REWRITE = "write the character itself, or \\U and eight digits"
MAX_NODES = 100_000
"""Maximum expansion of aliases; more is an error or an attack."""

_NULLS = {"", "~", "null", "Null", "NULL"}
_INFINITE = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}
_STANDARD_TAG = "tag:yaml.org,2002:"


@dataclass
class Document:
    """A YAML file as plain dicts, lists, text and None."""

    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    """1-based line of each key and list item; the empty path is the first line."""
    spots: list[Spot] = field(default_factory=list)
    """Problems of the text itself: duplicate keys, tags."""
    n_nodes: int = 0

    def line(self, path: Path) -> int:
        """Return the line of ``path``, or of its nearest parent in the file."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_yaml(text: str, name: str) -> Document:
    """Parse YAML and record the line of each key.

    Parameters
    ----------
    text : str
        Content of the file.
    name : str
        Name of the file, for messages.

    Returns
    -------
    Document
        Duplicate keys and tags are in its ``spots``, not raised.

    Raises
    ------
    ConfigError
        If the text is not YAML or is empty.

    Examples
    --------
    >>> document = read_yaml("a:\\n  b: 1", "x.yaml")
    >>> document.value, document.line(("a", "b"))
    ({'a': {'b': '1'}}, 2)
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, name) from None
    except yaml.YAMLError as error:
        what = f"not readable as YAML: {str(error).splitlines()[0]}"
        raise ConfigError(what, where=name, fix="save the file as UTF-8 text") from None
    except RecursionError:
        raise ConfigError(
            "nested too deeply", where=f"{name}:1", fix="close the brackets"
        ) from None
    if root is None:
        raise ConfigError("the file is empty", where=f"{name}:1", fix="see deploy/examples")
    document = Document(lines={(): root.start_mark.line + 1})
    document.value = _value(root, (), document, name, ())
    return document


def _syntax_error(error: yaml.MarkedYAMLError, name: str) -> ConfigError:
    """Return the error with its line and the parser's message, which can be searched for."""
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    problem = error.problem or "cannot be read"
    fix = "indent with spaces" if "\\t" in problem else "check indentation, colons and quotes"
    return ConfigError(f"not valid YAML: {problem}", where=f"{name}:{line}", fix=fix)


def _value(
    node: yaml.Node, path: Path, document: Document, name: str, parents: tuple[int, ...]
) -> Any:
    """Convert one node to plain data."""
    document.n_nodes += 1
    if document.n_nodes > MAX_NODES or id(node) in parents:
        what = "an alias contains itself, or aliases expand without end"
        raise ConfigError(what, where=f"{name}:{node.start_mark.line + 1}", fix="write it out")
    if not node.tag.startswith(_STANDARD_TAG) or "python" in node.tag:
        fix = "remove it, write the plain value"
        document.spots.append((path, document.line(path), f"tag {node.tag} is not supported", fix))
    inside = (*parents, id(node))
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, document, name, inside)
    if isinstance(node, yaml.SequenceNode):
        items = []
        for i, item in enumerate(node.value):
            document.lines[(*path, i)] = item.start_mark.line + 1
            items.append(_value(item, (*path, i), document, name, inside))
        return items
    text = _scalar(node)
    if text is not None and (fault := text_fault(text)):
        spot = f"{shown_name(text)} {fault}"
        document.spots.append((path, node.start_mark.line + 1, spot, _REWRITE))
        return ascii(text)[1:-1]
    return text


def _mapping(
    node: yaml.MappingNode, path: Path, document: Document, name: str, inside: tuple[int, ...]
) -> dict[str, Any]:
    """Convert a mapping to a dict with unique text keys."""
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            document.spots.append((path, line, "a key must be text", "write `key: value`"))
            continue
        key = str(key_node.value)
        if key_node.tag == f"{_STANDARD_TAG}merge":
            what, fix = "merge keys (<<) are not supported", "write the settings out"
            document.spots.append((path, line, what, fix))
        elif fault := text_fault(key):
            document.spots.append((path, line, f"the key {shown_name(key)} {fault}", _REWRITE))
        elif key in result:
            what = f"occurs twice, first in line {document.line((*path, key))}"
            document.spots.append(((*path, key), line, what, "remove one of them"))
        else:
            document.lines[(*path, key)] = line
            result[key] = _value(value_node, (*path, key), document, name, inside)
    return result


def _scalar(node: yaml.Node) -> str | None:
    """Return the text of a scalar; None for a plain null."""
    text = str(node.value)
    if getattr(node, "style", None) is not None:
        return text
    if text in _NULLS:
        return None
    return _INFINITE.get(text.lower(), text)
