"""Where each value of a model's events goes: column numbers, shared by both paths.

Numbers: ``schema.numeric`` in order, then the score. Codes: ``schema.categorical``,
then the segments an event itself names, then model_version, prediction, host,
gpu_uuid.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.batch import ModelSchema

NAMES = ("model_version", "prediction", "host", "gpu_uuid")
"""Top-level strings that are dictionary-coded, in column order."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Column numbers of one model, and its dictionaries.

    A segment that is a categorical feature shares that feature's dictionary,
    so that one code means one string whichever of the two an event names.
    """

    schema: ModelSchema
    numeric: dict[str, int]
    categorical: dict[str, int]
    segments: dict[str, int]
    names: dict[str, int]
    dictionaries: tuple[int, ...]
    """Dictionary of each code column."""
    verbatim: frozenset[int]
    """Dictionaries whose texts are kept as they are, and not as categories."""

    @property
    def n_numeric(self) -> int:
        """Number columns, the score included."""
        return len(self.numeric) + 1

    @property
    def score(self) -> int:
        """Column number of the score."""
        return len(self.numeric)

    @property
    def has_shared_segments(self) -> bool:
        """Whether a segment is a categorical feature, too."""
        return not self.segments.keys().isdisjoint(self.categorical)


def assign_columns(schema: ModelSchema, first_dictionary: int) -> Columns:
    """Number a model's columns; its dictionaries start at ``first_dictionary``.

    Examples
    --------
    >>> c = assign_columns(ModelSchema("t", "m", ("a",), ("sex",), ("sex", "region")), 10)
    >>> c.segments, c.names["host"], c.dictionaries
    ({'sex': 1, 'region': 2}, 5, (10, 10, 11, 12, 13, 14, 15))
    """
    n_categorical, n_segments = len(schema.categorical), len(schema.segments)
    categorical = {name: i for i, name in enumerate(schema.categorical)}
    segments = {name: n_categorical + i for i, name in enumerate(schema.segments)}
    names = {name: n_categorical + n_segments + i for i, name in enumerate(NAMES)}
    dictionaries: list[int] = [first_dictionary + i for i in range(n_categorical)]
    following = first_dictionary + n_categorical
    for name in (*schema.segments, *NAMES):
        if name in segments and name in categorical and len(dictionaries) < names[NAMES[0]]:
            dictionaries.append(first_dictionary + categorical[name])
        else:
            dictionaries.append(following)
            following += 1
    insides = ["features"] * n_categorical + ["segments"] * n_segments + [""] * len(NAMES)
    places = zip((*schema.categorical, *schema.segments, *NAMES), insides, strict=True)
    return Columns(
        schema=schema,
        numeric={name: i for i, name in enumerate(schema.numeric)},
        categorical=categorical,
        segments=segments,
        names=names,
        dictionaries=tuple(dictionaries),
        verbatim=frozenset(
            dictionary
            for dictionary, (name, inside) in zip(dictionaries, places, strict=True)
            if schema.is_verbatim(name, inside)
        ),
    )
