"""Converts features of callers: copied on the model's thread, named on the sending thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def copied(features: Any) -> Any:
    """Copy features, which the caller may change afterwards.

    Parameters
    ----------
    features : object
        With names: a mapping, a pandas Series, a frame of one row, a named tuple, a record,
        an instance of a dataclass or of a pydantic, attrs or msgspec model. Without names:
        an array or a sequence.

    Raises
    ------
    TypeError
        If it is none of these.

    Returns
    -------
    object
        A dict by name, or a copy in the same order. Values are not converted: an array keeps
        its dtype, which decides how its numbers are read.

    Examples
    --------
    >>> import collections, numpy as np
    >>> copied(collections.namedtuple("Row", "age code")(41, 7))
    {'age': 41, 'code': 7}
    >>> copied(np.array([[1.5, 2.5]]))
    array([1.5, 2.5])
    """
    if isinstance(features, dict):
        return features.copy()
    if isinstance(features, Mapping):
        return dict(features)
    if hasattr(features, "iloc"):
        return _of_pandas(features)
    if callable(as_dict := getattr(features, "_asdict", None)):
        return dict(as_dict())
    if (names := _field_names(features)) is not None:
        return {name: getattr(features, name) for name in names}
    if isinstance(features, str | bytes):
        raise TypeError(f"a {type(features).__name__} is no row of features")
    if getattr(getattr(features, "dtype", None), "names", None):
        return {name: features[name] for name in features.dtype.names}
    if hasattr(features, "dtype"):
        return _of_array(features)
    return tuple(features)


def by_name(features: Any, names: tuple[str, ...]) -> Any:
    """Return features by name; those without names are in the order of ``names``.

    Parameters
    ----------
    features : object
        As :func:`copied` returned it.
    names : tuple of str
        The reporter's ``feature_names``.

    Raises
    ------
    ValueError
        If the counts differ.
    """
    if features is None or isinstance(features, Mapping):
        return features
    if len(features) != len(names):
        raise ValueError(f"{len(features)} features are not the {len(names)} of feature_names")
    return dict(zip(names, features, strict=True))


def _field_names(features: Any) -> list[str] | None:
    """Return the declared fields of a structured object; None if it declares none."""
    kind = type(features)
    if isinstance(declared := getattr(kind, "__dataclass_fields__", None), dict):
        return list(declared)
    if isinstance(declared := getattr(kind, "model_fields", None), dict):  # pydantic
        return [*declared, *(getattr(features, "__pydantic_extra__", None) or ())]
    if isinstance(declared := getattr(kind, "__struct_fields__", None), tuple):  # msgspec
        return list(declared)
    if isinstance(declared := getattr(kind, "__attrs_attrs__", None), tuple):
        return [attribute.name for attribute in declared]
    return None


def _of_pandas(features: Any) -> Any:
    """Copy a Series or a frame of one row, by name if all labels are text."""
    if hasattr(features, "columns"):
        if len(features) != 1:
            raise ValueError(f"a frame of {len(features)} rows is not one prediction")
        cells = [features.iloc[0, i] for i in range(len(features.columns))]
        return _named_if_text(features.columns, cells)
    return _named_if_text(features.index, list(getattr(features, "array", features)))


def _named_if_text(names: Any, values: list[Any]) -> Any:
    """Return a dict if every name is text, else the values in order."""
    listed = list(names)
    if listed and all(isinstance(name, str) for name in listed):
        return dict(zip(listed, values, strict=True))
    return tuple(values)


def _of_array(features: Any) -> Any:
    """Copy an array of numpy, torch, TensorFlow or JAX; of a one-row matrix, its row."""
    shape = tuple(getattr(features, "shape", ()))
    if len(shape) == 2 and shape[0] == 1:
        features = features[0]
    for method in ("copy", "clone"):
        if callable(copy := getattr(features, method, None)):
            return copy()
    return features
