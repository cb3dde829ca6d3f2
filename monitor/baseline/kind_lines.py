"""Writes kinds into a model file, keeping its comments and order."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace

import yaml

from monitor.baseline.draft import ModelDraft
from schemas.baselines import Kind
from schemas.errors import ConfigError

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def feature_lines(kinds: Mapping[str, Kind]) -> list[str]:
    """Format a list of features for a model file.

    Examples
    --------
    >>> feature_lines({"age": Kind.NUMERIC, "a: b": Kind.CATEGORICAL})
    ['  age: {kind: numeric}', '  "a: b": {kind: categorical}']
    """
    return [f"  {_key(name)}: {{kind: {kind}}}" for name, kind in kinds.items()]


def with_kinds(draft: ModelDraft, kinds: Mapping[str, Kind]) -> str:
    """Return the file's text with the kinds added.

    Parameters
    ----------
    draft : ModelDraft
        Current model file.
    kinds : mapping of str to Kind
        Kinds of the features without one; of all features if it lists none.

    Returns
    -------
    str
        Otherwise unchanged text.

    Raises
    ------
    ConfigError
        If the layout of the file does not allow insertion; the file is not changed.

    Examples
    --------
    >>> draft = ModelDraft("model: m\\nfeatures:\\n  age:   # years\\n  sex: {range: [0, 1]}", "m")
    >>> print(with_kinds(draft, {"age": Kind.NUMERIC, "sex": Kind.NUMERIC}))
    model: m
    features:
      age: {kind: numeric}   # years
      sex: {kind: numeric, range: [0, 1]}
    """
    text = draft.text
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    features = _child(root, "features")
    if features is None:
        end = "" if text.endswith("\n") else "\n"
        written = f"{text}{end}\n" + "\n".join(["features:", *feature_lines(kinds), ""])
    elif draft.open_features is None:
        written = _spliced(text, features, "\n" + "\n".join(feature_lines(kinds)))
    else:
        written = text
        # From the end, so that earlier positions stay valid.
        for name in reversed(draft.open_features):
            written = _with_kind(written, _child(features, name), kinds[name])
    _check(replace(draft, text=written), draft, kinds)
    return written


def _key(name: str) -> str:
    """Quote a name if YAML requires it."""
    return name if _PLAIN.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _child(node: yaml.Node | None, name: str) -> yaml.Node | None:
    """Return the value of a key."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for key, value in pairs if key.value == name), None)


def _with_kind(text: str, node: yaml.Node | None, kind: Kind) -> str:
    """Insert one kind into the settings of its feature."""
    if not isinstance(node, yaml.MappingNode):
        return text if node is None else _spliced(text, node, f" {{kind: {kind}}}")
    at = node.start_mark.index
    if node.flow_style:
        at = text.index("{", at) + 1
        return f"{text[:at]}kind: {kind}{', ' if node.value else ''}{text[at:]}"
    indent = " " * node.start_mark.column
    return f"{text[:at]}kind: {kind}\n{indent}{text[at:]}"


def _spliced(text: str, node: yaml.Node, new: str) -> str:
    """Replace a null, which may be an empty string, by text."""
    before = text[: node.start_mark.index].rstrip(" ")
    return f"{before}{new}{text[node.end_mark.index :]}"


def _check(written: ModelDraft, draft: ModelDraft, kinds: Mapping[str, Kind]) -> None:
    """Raise if the text does not parse to the config with exactly these kinds added."""
    try:
        is_same = written.config() == draft.config(dict(kinds))
    except ConfigError:
        is_same = False
    if not is_same:
        raise ConfigError(
            "the kinds cannot be written into it",
            where=draft.name,
            fix="write them by hand: " + ", ".join(line.strip() for line in feature_lines(kinds)),
        )
