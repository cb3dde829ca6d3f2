"""Reads bounded samples of the raw rows of a model version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from monitor.core.incidents.slices.sample import SAMPLE_ROWS, RawSample
from monitor.storage.clickhouse import Store
from schemas.batch import ModelSchema
from schemas.names import SCORE
from schemas.panes import ALL
from schemas.time_units import DAY_US

BEFORE_US: Final = 28 * DAY_US
"""How far before a change rows are looked for."""
MAX_ATTRIBUTES: Final = 64
"""Columns of a sample, besides the value."""
MAX_VALUE_CHARS: Final = 201
"""Of a text of the variable: one more than an alert's label, so that a cut one is known as such."""
MAX_ATTRIBUTE_CHARS: Final = 65
"""Of a text to slice by: one more than the name of a slice shows. Longer ones that begin alike are
one value. A sample is at most 350 MB of UTF-8, if 64 attributes are all of 4-byte characters."""

_ROWS = (
    "FROM predictions WHERE tenant = {tenant:String} AND model = {model:String} "
    "AND model_version = {version:String} "
    "AND time_us >= {low:Int64} AND time_us < {high:Int64}"
)
_IN_SEGMENT = " AND ifNull(segments[{segment:String}], '') = {within:String}"
_THINNED = " AND cityHash64(id) % {every:UInt64} = 0"
_SETTINGS = "query_plan_execute_functions_after_sorting = 0, max_memory_usage = 2147483648"
"""Texts are cut before rows are sorted; a search that needs more than 2 GiB ends with an error."""
_COUNT = f"SELECT count() AS n {_ROWS}"
_LATER = (
    "SELECT count() AS n FROM (SELECT 1 FROM predictions WHERE tenant = {tenant:String} "
    "AND model = {model:String} AND model_version = {version:String} "
    "AND time_us >= {low:Int64} LIMIT 1)"
)
_VERSION = (
    "SELECT model_version AS version FROM predictions WHERE tenant = {tenant:String} "
    "AND model = {model:String} AND time_us >= {low:Int64} AND time_us < {high:Int64} "
    "GROUP BY version ORDER BY count() DESC, version LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class SampledCell:
    """A variable in the rows of a segment, and what these rows can be sliced by."""

    series: tuple[str, str, str]
    """Tenant, model, model version."""
    schema: ModelSchema
    variable: str
    segment: str = ALL
    """``*``, or ``name=value``."""

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of what rows are sliced by, in an order of their own.

        Categories and segments, hosts and GPUs, and the numbers, some of which may be codes.
        Neither the variable itself, nor what the config keeps unnamed.
        """
        schema = self.schema
        within = self.segment.partition("=")[0]
        names = (*schema.categorical, *schema.segments, "host", "gpu_uuid", *schema.numeric)
        left_out = {self.variable, within, *schema.unnamed}
        found = [name for name in dict.fromkeys(names) if name not in left_out]
        return tuple(found[:MAX_ATTRIBUTES])

    @property
    def is_private(self) -> bool:
        """Whether the config keeps every category to slice by unnamed."""
        named = {*self.schema.categorical, *self.schema.segments} - {self.variable}
        return bool(named) and named <= set(self.schema.unnamed)


def rows_before(store: Store, cell: SampledCell, until_us: int) -> RawSample:
    """Return the last rows before a time, at most :data:`SAMPLE_ROWS`, in order of time."""
    sample = _read(store, cell, (until_us - BEFORE_US, until_us), "time_us DESC, id DESC")
    return sample.reversed()


def rows_since(store: Store, cell: SampledCell, between_us: tuple[int, int]) -> RawSample:
    """Return the first rows of a range of time, at most :data:`SAMPLE_ROWS`, in order of time."""
    return _read(store, cell, between_us, "time_us, id")


def rows_of_range(store: Store, cell: SampledCell, between_us: tuple[int, int]) -> RawSample:
    """Return rows from all of a range, chosen by a hash of their IDs, in order of time."""
    n = int(store.query(_COUNT, _parameters(cell, between_us))["n"][0].as_py())
    every = -(-n // SAMPLE_ROWS)
    return _read(store, cell, between_us, "time_us, id", every)


def has_rows_from(store: Store, series: tuple[str, str, str], from_us: int) -> bool:
    """Return whether the store has a row of a model version at or after a time."""
    tenant, model, version = series
    asked = {"tenant": tenant, "model": model, "version": version, "low": from_us}
    return bool(store.query(_LATER, asked)["n"][0].as_py())


def commonest_version(
    store: Store, name: tuple[str, str], between_us: tuple[int, int]
) -> str | None:
    """Return the model version with the most rows in a range; None without rows."""
    asked = {"tenant": name[0], "model": name[1], "low": between_us[0], "high": between_us[1]}
    found = store.query(_VERSION, asked)["version"].to_pylist()
    return found[0] if found else None


def _read(
    store: Store, cell: SampledCell, between_us: tuple[int, int], order: str, every: int = 1
) -> RawSample:
    """Read a sample in an order of the table's key, so that hardly more is read than returned.

    Notes
    -----
    Rows that were inserted twice are left out as the table itself does, without FINAL, which
    would read the whole range.
    """
    names = cell.attributes
    parameters = _parameters(cell, between_us) | {f"a{i}": name for i, name in enumerate(names)}
    columns = [f"{_column(cell, cell.variable, 'value_name')} AS v"]
    columns += [f"{_column(cell, name, f'a{i}')} AS c{i}" for i, name in enumerate(names)]
    where = (
        _ROWS + (_IN_SEGMENT if "within" in parameters else "") + (_THINNED if every > 1 else "")
    )
    if every > 1:
        parameters["every"] = every
    sql = f"SELECT {', '.join(columns)} {where} ORDER BY {order} LIMIT 1 BY time_us, id"
    table = store.query(f"{sql} LIMIT {SAMPLE_ROWS} SETTINGS {_SETTINGS}", parameters)
    found = {name: _objects(table[f"c{i}"]) for i, name in enumerate(names)}
    return RawSample(_values(table["v"]), found)


def _parameters(cell: SampledCell, between_us: tuple[int, int]) -> dict[str, Any]:
    """Return the parameters of all queries."""
    tenant, model, version = cell.series
    found: dict[str, Any] = {"tenant": tenant, "model": model, "version": version}
    found["value_name"] = cell.variable
    found |= {"low": between_us[0], "high": between_us[1]}
    if cell.segment != ALL:
        name, _, value = cell.segment.partition("=")
        found |= {"segment": name, "within": value}
    return found


def _column(cell: SampledCell, name: str, parameter: str) -> str:
    """Return the expression of a variable or attribute."""
    if name in (SCORE, "host", "gpu_uuid") and name not in cell.schema.categorical:
        text = f"substringUTF8(CAST({name}, 'Nullable(String)'), 1, {MAX_ATTRIBUTE_CHARS})"
        return f"toNullable({name})" if name == SCORE else text
    if name in cell.schema.numeric:
        return f"features[{{{parameter}:String}}]"
    table = "categories" if name in cell.schema.categorical else "segments"
    n_chars = MAX_VALUE_CHARS if name == cell.variable else MAX_ATTRIBUTE_CHARS
    text = f"CAST({table}[{{{parameter}:String}}], 'Nullable(String)')"
    return f"substringUTF8({text}, 1, {n_chars})"


def _values(column: pa.ChunkedArray) -> NDArray[Any]:
    """Return a variable: numbers with NaN where missing, or texts with None."""
    if pa.types.is_floating(column.type):
        return np.array(column.to_numpy(), np.float64)
    return _objects(column)


def _objects(column: pa.ChunkedArray) -> NDArray[np.object_]:
    """Return texts or numbers as objects, None where missing; equal texts are one object."""
    if pa.types.is_floating(column.type):
        found = np.empty(len(column), object)
        found[:] = column.to_pylist()
        return found
    known: dict[str, str] = {}
    texts = (cell.as_py() for cell in column)
    shared = (text if text is None else known.setdefault(text, text) for text in texts)
    return np.fromiter(shared, object, len(column))
