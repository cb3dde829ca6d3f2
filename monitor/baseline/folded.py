"""Hints for texts of a reference that are missing values or merged, unlike intended. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from driftline.canonical import category_of_text
from monitor.core.column_values import as_text
from schemas.baselines import Kind
from schemas.config.model import ModelConfig

MAX_DISTINCT = 100_000
"""Columns with more distinct texts are not categories, and are skipped."""


def folded_texts(table: pa.Table, config: ModelConfig) -> list[str]:
    """Return a hint for each column whose texts may be literal values.

    Parameters
    ----------
    table : pyarrow.Table
        The reference as read.

    Returns
    -------
    list of str
        For ``NA`` and other words that count as missing, and for fractions that are equal as
        numbers, such as the versions 1.1 and 1.10. None for columns listed under ``verbatim``.

    Examples
    --------
    >>> config = ModelConfig(model="m", features={"land": {"kind": "categorical"}})
    >>> folded_texts(pa.table({"land": ["DE", "NA", "NA"]}), config)
    ["land: 'NA' is missing in 2 rows; list land under `verbatim:` if it is a category"]
    """
    features = [n for n, f in config.features.items() if f.kind is Kind.CATEGORICAL]
    found: list[str] = []
    for name in dict.fromkeys((*features, *config.segments)):
        if name not in config.verbatim:
            for place in (name, f"features.{name}", f"segments.{name}"):
                if place in table.column_names:
                    found += _hints(name, table[place])
    return found


def _hints(name: str, column: pa.ChunkedArray) -> Iterator[str]:
    """Yield the hints of one column."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind)):
        return
    try:
        counted = pc.value_counts(as_text(column, is_verbatim=True).drop_null())
    except pa.ArrowException:  # not UTF-8, which is reported when the column is read
        return
    if len(counted) > MAX_DISTINCT:
        return
    versions: dict[str, list[str]] = defaultdict(list)
    for text, n in zip(
        counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True
    ):
        form = category_of_text(text)
        if form is None and text.strip():
            what = f"{name}: {text[:40]!r} is missing in {n:,} rows"
            yield f"{what}; list {name} under `verbatim:` if it is a category"
        elif form is not None and "." in form:
            versions[form].append(text)
    for form, texts in versions.items():
        if len(texts) > 1:
            what = f"{name}: {texts[0][:40]!r} and {texts[1][:40]!r} are one category, {form}"
            yield f"{what}; list {name} under `verbatim:` if they are versions"
            return
