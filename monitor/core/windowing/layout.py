"""How one model version's columns are counted: its baseline, flattened for the kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.binning import (
    Grid,
    GridTables,
    bin_columns,
    grid_tables,
    make_grid,
    packed_grids,
)
from detectors.multiscale.pairs import paired_values
from detectors.multiscale.products import product_steps
from driftline.canonical import boolean_aliases, category_of_text
from monitor.core.windowing.held.row_tables import RowTables
from schemas.baselines import Baseline, Kind, VariableBaseline
from schemas.batch import EventBatch, ModelSchema, StringColumn
from schemas.errors import BaselineError
from schemas.events import MAX_VALUE_CHARS
from schemas.panes import ALL, MAX_SEGMENT_VALUES, MISSING, OTHER, UNSEEN

MAX_JOINT = 1 << 40
"""More combinations of segment values than this are never counted jointly."""


class Remap:
    """Mapping from the codes of a column's strings to what is counted.

    Parameters
    ----------
    index : mapping of str to int
        The strings that are known.
    null : int
        Target of code -1.
    unknown : int
        Target of every other string.

    Notes
    -----
    A table is kept for as long as the column's ``values`` are the same list, and
    extended when that list has grown; one new string costs one dict look-up.

    Examples
    --------
    >>> column = StringColumn(np.array([1, 0, -1], np.int32), ["a", "b"])
    >>> Remap({"b": 7}, null=62, unknown=63).table(column).tolist()
    [62, 63, 7]
    """

    def __init__(self, index: Mapping[str, int], null: int, unknown: int) -> None:
        self.index = index
        self.null = null
        self.unknown = unknown
        self._values: Sequence[str] | None = None
        self._table: NDArray[np.int64] = np.empty(0, np.int64)

    def table(self, column: StringColumn) -> NDArray[np.int64]:
        """Return the table: entry ``code + 1`` is the target of that code."""
        return self.table_of(column.values)

    def table_of(self, values: Sequence[str]) -> NDArray[np.int64]:
        """Return the table of a column that has these values."""
        if self._values is not values:
            self._values = values
            self._table = np.array([self.null], np.int64)
        n_known = len(self._table) - 1
        if n_known < len(values):
            new = [self.index.get(v, self.unknown) for v in values[n_known:]]
            self._table = np.concatenate((self._table, np.array(new, np.int64)))
        return self._table


def _category_index(variable: VariableBaseline) -> dict[str, int]:
    """Counter of each category the reference held."""
    categories = variable.categories
    index = dict.fromkeys(variable.known, len(categories) - 1)
    index |= {name: i for i, name in enumerate(categories)}
    return index | {alias: index[name] for alias, name in boolean_aliases(categories).items()}


def _positive(schema: ModelSchema, baseline: Baseline) -> str:
    """Return the positive class as predictions spell it: ``1.0`` in a config is ``1``."""
    is_verbatim = schema.is_verbatim("prediction")
    return baseline.positive if is_verbatim else category_of_text(baseline.positive) or ""


def _kept_values(baseline: Baseline | None, name: str) -> list[str]:
    """Return the values of a segment that keep their name: those of the reference."""
    prefix = f"{name}="
    named = baseline.reference.segments if baseline is not None else ()
    values = [s[len(prefix) :] for s in named if s.startswith(prefix)]
    return [v for v in values if v != OTHER][:MAX_SEGMENT_VALUES]


class PairedColumns(NamedTuple):
    """F numeric features whose products are summed."""

    columns: NDArray[np.int64]
    """Shape (F,): of the schema's numeric features."""
    rows: dict[int, int]
    """Row of each column in arrays of F rows."""
    grids: GridTables
    steps: NDArray[np.int32]
    """Shape (F, 64): value of each counter under the first polynomial, units of 2^-10."""

    def bins_of(self, values: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Return the counters of values, shape (F, n)."""
        return bin_columns(values, self.grids)


class Layout:
    """The baseline of one model version as the kernels want it.

    Parameters
    ----------
    schema : ModelSchema
        Columns of the model's events.
    baseline : Baseline or None
        Without one only rows are counted: no variables, segments or slices. Its
        ``reference.segments`` name the segment values that keep their name; all
        other values of a segment are counted as ``other``, a null in ``*`` only.

    Raises
    ------
    BaselineError
        If the baseline's variables are not those of the schema.

    Notes
    -----
    Holds look-up tables, so one layout is used by one thread at a time.

    Examples
    --------
    >>> Layout(ModelSchema("t", "m", ("x",)), None).n_variables
    0
    """

    def __init__(self, schema: ModelSchema, baseline: Baseline | None) -> None:
        self.schema = schema
        self.baseline = baseline
        self.grids: list[Grid] = []
        self.categories: list[Remap] = []
        self.n_variables = 0
        self.positives: Remap = Remap({}, null=0, unknown=1)
        if baseline is not None:
            self._take(schema, baseline)
        self._take_segments(schema if baseline is not None else None)

    @property
    def profile_id(self) -> str:
        """Return the baseline's id, empty without a baseline."""
        return self.baseline.profile_id if self.baseline is not None else ""

    @property
    def active_from_us(self) -> int:
        """Return the event time from which the baseline holds."""
        return self.baseline.active_from_us if self.baseline is not None else 0

    def _take(self, schema: ModelSchema, baseline: Baseline) -> None:
        """Check the baseline against the schema and build every table."""
        names = tuple(v.name for v in baseline.variables)
        n_numeric = len(schema.numeric)
        kinds = [Kind.NUMERIC] * n_numeric + [Kind.CATEGORICAL] * len(schema.categorical)
        expected = list(zip(schema.variables, [*kinds, Kind.NUMERIC], strict=True))
        if [(v.name, v.kind) for v in baseline.variables] != expected:
            raise BaselineError(
                f"baseline {baseline.profile_id!r} has variables {names}, not {schema.variables}",
                where=f"model {schema.tenant}/{schema.model}",
                fix="build the baseline again from the model's current config",
            )
        *features, score = baseline.variables
        numeric, categorical = features[:n_numeric], features[n_numeric:]
        self.grids = packed_grids([make_grid(v.edges) for v in (*numeric, score)])
        self.categories = [Remap(_category_index(v), MISSING, UNSEEN) for v in categorical]
        self.n_variables = len(names)
        if baseline.positive:
            self.positives = Remap({_positive(schema, baseline): 2}, null=0, unknown=1)

    def _take_segments(self, schema: ModelSchema | None) -> None:
        """Number every segment, and every combination of segment values."""
        self.segments: list[str] = [ALL]
        self.remaps: list[Remap] = []
        self.digits: list[NDArray[np.int32]] = []
        self.n_joint = 1
        for name in schema.segments if schema is not None else ():
            values = [*_kept_values(self.baseline, name), OTHER]
            first = len(self.segments)
            self.segments += [f"{name}={v}" for v in values]
            index = {v: i for i, v in enumerate(values)}
            self.remaps.append(Remap(index, null=len(values), unknown=len(values) - 1))
            series = [*range(first, first + len(values)), -1]
            self.digits.append(np.array(series, np.int32))
            self.n_joint *= len(series)
        self.is_joint = self.n_joint <= MAX_JOINT

    @cached_property
    def paired(self) -> PairedColumns | None:
        """The features whose products are summed; None if the baseline has none."""
        products = self.baseline.products if self.baseline is not None else None
        if self.baseline is None or products is None:
            return None
        variables, counts = self.baseline.variables, self.baseline.reference.counts[0]
        columns = [self.schema.numeric.index(name) for name in products.features]
        grids = grid_tables([self.grids[c] for c in columns])
        values = paired_values(variables, counts, products.features)
        rows = {c: row for row, c in enumerate(columns)}
        return PairedColumns(np.array(columns, np.int64), rows, grids, product_steps(values))

    @cached_property
    def row_tables(self) -> RowTables:
        """How rows of this layout are kept in panes that hold few of them."""
        return RowTables(self)

    def series_of(self, joint: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the segments of combinations, shape (n, 1 + names); -1 is none."""
        targets = np.zeros((len(joint), 1 + len(self.digits)), np.int32)
        rest = joint.copy()
        for d in range(len(self.digits) - 1, -1, -1):
            rest, digit = np.divmod(rest, len(self.digits[d]))
            targets[:, d + 1] = self.digits[d][digit]
        return targets


def segment_names(batch: EventBatch) -> tuple[str, ...]:
    """Return ``*`` and the segments a reference should keep: the commonest values.

    Parameters
    ----------
    batch : EventBatch
        The reference's rows.

    Returns
    -------
    tuple of str
        ``"*"``, then per segment name at most 100 values by falling count, equal
        counts by name, and ``name=other`` where there are more, or ones that are too long.

    Notes
    -----
    For the baseline builder: a draft baseline whose reference is
    ``SeriesStats.empty(segment_names(batch), V)`` makes :class:`Layout` keep them.
    """
    names = [ALL]
    for name, column in zip(batch.schema.segments, batch.segments, strict=True):
        counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.values))
        by_value: dict[str, int] = {}
        for value, n in zip(column.values, counts.tolist(), strict=True):
            by_value[value] = by_value.get(value, 0) + n
        ranked = sorted((-n, value) for value, n in by_value.items() if n)
        named = [v for _, v in ranked if v != OTHER and len(v) <= MAX_VALUE_CHARS]
        kept = named[:MAX_SEGMENT_VALUES]
        names += [f"{name}={value}" for value in kept]
        if len(kept) < len(ranked):
            names.append(f"{name}={OTHER}")
    return tuple(names)
