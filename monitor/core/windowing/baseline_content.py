"""The content of a baseline's bytes: arrays with their types and shapes, checked when read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from detectors.kernels.scale_state import (
    IS_OPEN,
    N_CELL_VALUES,
    N_COMPONENT_VALUES,
    N_SCALE_VALUES,
    N_SCALES,
    N_SLOTS,
)
from detectors.multiscale.excursion_state import read_kinds
from detectors.multiscale.pairs import MAX_PAIRED, pairable
from detectors.multiscale.reference_cells import reference_cells
from detectors.multiscale.volume import N_VOLUME_VALUES
from monitor.core.bounds import (
    MAX_NAME_CHARS,
    MAX_TEXT_CHARS,
    check_counts,
    check_finite,
    check_names,
    check_number,
    check_text,
    check_time,
)
from monitor.core.windowing.baseline_forms import with_forms
from monitor.core.windowing.stats_codec import (
    MAX_SERIES,
    MAX_VARIABLES,
    SUMS,
    check_values,
    finite_sums,
    shape_of,
)
from schemas.baselines import (
    Baseline,
    Kind,
    LearnedProducts,
    LearnedVolume,
    ReferenceProducts,
    ReferenceTicks,
    ReferenceVolume,
    SeasonalCounts,
    VariableBaseline,
)
from schemas.errors import DomainError
from schemas.panes import ALL, N_BINS, N_COUNTERS, SeriesStats
from schemas.time_units import DAY_US, HOUR_US
from schemas.time_zones import UTC_NAME, find_zone

MAX_KNOWN = 1 << 21
"""Categories of all variables together, beyond the listed ones."""
_N_HOURS = 168
_MAX_LEARNED = 8
_MAX_WEEKS = 10_000
_MAX_RATE = 1e12
_MAX_TICK_US = 400 * DAY_US
_MAX_DIMENSIONS = 4
_ARRAYS = tuple(name for name in SeriesStats.__dataclass_fields__ if name != "segments")
_SEASONS = ("counts", "n_weeks", "is_seasonal")
_LEARNED = ("components", "scales", "cells", "season", "is_seasonal", "season_factor")
_TYPES = {"f": ("<f8", "<f4"), "i": ("<i8", "<i4"), "b": ("|b1",)}
_Packed = tuple[str, Annotated[list[int], Meta(max_length=_MAX_DIMENSIONS)], bytes]


class _Variable(msgspec.Struct, forbid_unknown_fields=True):
    """One variable, as it is written."""

    name: str
    kind: Kind
    edges: _Packed
    categories: Annotated[tuple[str, ...], Meta(max_length=N_BINS)]
    known: Annotated[tuple[str, ...], Meta(max_length=MAX_KNOWN)]


class _Seasonal(msgspec.Struct, forbid_unknown_fields=True):
    """The reference by hour of the week, as it is written; baselines of before have UTC's hours."""

    counts: _Packed
    n_weeks: _Packed
    is_seasonal: _Packed
    timezone: str = UTC_NAME
    unzoned_us: int | None = None


class _Ticks(msgspec.Struct, forbid_unknown_fields=True):
    """What rule 2 learned from the reference's ticks, as it is written."""

    tick_us: int
    n_ticks: int
    components: _Packed
    scales: _Packed
    cells: _Packed
    season: _Packed
    is_seasonal: _Packed
    season_factor: _Packed
    timezone: str = UTC_NAME
    excursions: bytes = b""


class _LearnedVolume(msgspec.Struct, forbid_unknown_fields=True):
    """What was learned from ticks of one length, as it is written."""

    tick_us: int
    scatter: float
    n_ticks: int
    averages: _Packed


class _Volume(msgspec.Struct, forbid_unknown_fields=True):
    """Rows by hour of the week, as they are written."""

    by_slot: _Packed
    n_rows: int
    n_weeks: float
    timezone: str
    learned: Annotated[list[_LearnedVolume], Meta(max_length=_MAX_LEARNED)]


class _LearnedProducts(msgspec.Struct, forbid_unknown_fields=True):
    """How products moved in the reference's ticks, as it is written."""

    tick_us: int
    n_ticks: int
    components: _Packed
    scales: _Packed
    cells: _Packed


class _Products(msgspec.Struct, forbid_unknown_fields=True):
    """Products of features, as they are written."""

    features: Annotated[tuple[str, ...], Meta(min_length=2, max_length=MAX_PAIRED)]
    sums: _Packed
    learned: _LearnedProducts | None = None


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    """Everything a baseline holds, as it is written; variables are read one by one."""

    profile_id: str
    tenant: str
    model: str
    model_version: str
    variables: Annotated[list[msgspec.Raw], Meta(max_length=MAX_VARIABLES)]
    segments: Annotated[tuple[str, ...], Meta(max_length=MAX_SERIES)]
    reference: dict[str, _Packed]
    phi: _Packed
    eps_learned: _Packed
    n_reference_windows: int
    eps_source: str
    positive: str
    active_from_us: int
    created_from: str
    seasonal: _Seasonal | None = None
    ticks: _Ticks | None = None
    volume: _Volume | None = None
    products: _Products | None = None
    has_forms: bool = False
    """Whether categories have their canonical form; no part of what the id is made of."""


def content_of(baseline: Baseline) -> dict[str, Any]:
    """List everything a baseline holds, in a fixed order."""
    stats, seasonal = baseline.reference, baseline.seasonal
    # absent where there is none, so that baselines of earlier versions keep their ids
    more: dict[str, Any] = {} if seasonal is None else {"seasonal": _packed_fields(seasonal)}
    if baseline.ticks is not None:
        more["ticks"] = _packed_ticks(baseline.ticks)
    if baseline.volume is not None:
        more["volume"] = _packed_volume(baseline.volume)
    if baseline.products is not None:
        more["products"] = _packed_products(baseline.products)
    return more | {
        "profile_id": baseline.profile_id,
        "tenant": baseline.tenant,
        "model": baseline.model,
        "model_version": baseline.model_version,
        "variables": [
            {
                "name": v.name,
                "kind": str(v.kind),
                "edges": _packed(v.edges),
                "categories": list(v.categories),
                "known": list(v.known),
            }
            for v in baseline.variables
        ],
        "segments": list(stats.segments),
        "reference": {name: _packed(_written(stats, name)) for name in _ARRAYS},
        "phi": _packed(baseline.phi),
        "eps_learned": _packed(baseline.eps_learned),
        "n_reference_windows": baseline.n_reference_windows,
        "eps_source": baseline.eps_source,
        "positive": baseline.positive,
        "active_from_us": baseline.active_from_us,
        "created_from": baseline.created_from,
    }


def read_content(data: bytes) -> Baseline:
    """Read the content of a baseline, and check all of it.

    Raises
    ------
    DomainError
        If a value is none that a baseline can have.
    msgspec.DecodeError
        If it is not the content of a baseline.
    """
    content = msgspec.msgpack.decode(data, type=_Content)
    _check_names(content)
    variables = _variables(content.variables)
    reference = _reference(content, len(variables))
    cells = (len(reference.segments), len(variables))
    phi, eps_learned = (
        _floats(name, getattr(content, name), cells) for name in ("phi", "eps_learned")
    )
    if (phi <= 0).any() or (eps_learned < 0).any():
        raise DomainError("a design effect or a tolerance below 0")
    baseline = Baseline(
        profile_id=content.profile_id,
        tenant=content.tenant,
        model=content.model,
        model_version=content.model_version,
        variables=variables,
        reference=reference,
        phi=phi,
        eps_learned=eps_learned,
        n_reference_windows=check_number(
            "n_reference_windows", content.n_reference_windows, 0, 1 << 53
        ),
        eps_source=content.eps_source,
        positive=content.positive,
        active_from_us=check_time("active_from_us", content.active_from_us),
        created_from=content.created_from,
        seasonal=_seasonal(content.seasonal, cells),
        ticks=_ticks(content.ticks, variables, reference.counts),
        volume=_volume(content.volume),
        products=_products(content.products, variables, reference.counts),
    )
    return baseline if content.has_forms else with_forms(baseline)


def _check_names(content: _Content) -> None:
    """Check every text but those of variables."""
    for name in ("profile_id", "tenant", "model", "model_version", "eps_source"):
        check_text(name, getattr(content, name), MAX_NAME_CHARS)
    for name in ("positive", "created_from"):
        check_text(name, getattr(content, name), MAX_TEXT_CHARS)
    if not content.profile_id or "|" in content.profile_id:
        raise DomainError(f"{content.profile_id[:80]!r} is not the id of a baseline")
    check_names("segments", content.segments, MAX_SERIES)
    if content.segments[:1] != (ALL,):
        raise DomainError(f"its first segment is not {ALL!r}")


def _variables(packed: list[msgspec.Raw]) -> tuple[VariableBaseline, ...]:
    """Read the variables, one at a time: a message can hold more names than memory."""
    found: list[VariableBaseline] = []
    n_known = 0
    for raw in packed:
        variable = msgspec.msgpack.decode(raw, type=_Variable)
        n_known += len(variable.known)
        check_number("known categories", n_known, 0, MAX_KNOWN)
        found.append(_variable(variable))
    check_names("variables", [v.name for v in found], MAX_VARIABLES)
    check_number("number of variables", len(found), 1, MAX_VARIABLES)
    return tuple(found)


def _variable(variable: _Variable) -> VariableBaseline:
    """Check one variable: bins that ascend, or categories that differ."""
    edges = _floats(f"edges of {variable.name[:80]}", variable.edges)
    is_numeric = variable.kind is Kind.NUMERIC
    check_number("dimensions of edges", edges.ndim, 1, 1)
    check_number("number of edges", len(edges), 2 if is_numeric else 0, (N_BINS + 1) * is_numeric)
    if (edges[1:] < edges[:-1]).any():
        raise DomainError(f"edges of {variable.name[:80]} that do not ascend")
    for text in variable.known:
        check_text("category", text, MAX_TEXT_CHARS)
    check_number("number of categories", len(variable.categories), 0, N_BINS * (not is_numeric))
    if len(set(variable.categories)) != len(variable.categories):
        raise DomainError(f"a category of {variable.name[:80]} is listed twice")
    for text in variable.categories:
        check_text("category", text, MAX_TEXT_CHARS)
    return VariableBaseline(
        variable.name, variable.kind, edges, variable.categories, variable.known
    )


def _reference(content: _Content, n_variables: int) -> SeriesStats:
    """Read the counters of the reference."""
    if content.reference.keys() != set(_ARRAYS):
        raise DomainError("a reference without some of its arrays")
    s = len(content.segments)
    arrays = {
        name: _array(
            name,
            content.reference[name],
            "f" if name in SUMS or name in ("minima", "maxima") else "i",
            shape_of(name, s, n_variables),
        )
        for name in _ARRAYS
    }
    stats = SeriesStats(segments=content.segments, **arrays)
    check_values(stats)
    return stats


def _seasonal(packed: _Seasonal | None, cells: tuple[int, int]) -> SeasonalCounts | None:
    """Read the counters by the hour of the week, where there are any."""
    if packed is None:
        return None
    counts = _array("counts", packed.counts, "i", (_N_HOURS, *cells, N_COUNTERS))
    n_weeks = _array("n_weeks", packed.n_weeks, "i", (_N_HOURS,))
    check_counts("counts", counts)
    check_counts("n_weeks", n_weeks)
    if packed.unzoned_us is not None:
        check_time("unzoned_us", packed.unzoned_us)
    return SeasonalCounts(
        counts,
        n_weeks,
        _array("is_seasonal", packed.is_seasonal, "b", cells),
        find_zone(check_text("timezone", packed.timezone)).key,
        packed.unzoned_us,
    )


def _ticks(
    packed: _Ticks | None,
    variables: Sequence[VariableBaseline],
    counts: NDArray[np.int64],
) -> ReferenceTicks | None:
    """Read what was learned from the reference's ticks, where there are any."""
    if packed is None:
        return None
    components = reference_cells(variables, counts)[1]
    n_cells, n = len(components), sum(map(len, components))
    has_season = packed.season[1] != [N_SLOTS, 0]
    ticks = ReferenceTicks(
        tick_us=check_number("tick_us", packed.tick_us, 1, HOUR_US),
        n_ticks=check_number("n_ticks", packed.n_ticks, 1, 1 << 53),
        components=_singles("components", packed.components, (n, N_COMPONENT_VALUES)),
        scales=_singles("scales", packed.scales, (n_cells, N_SCALES, N_SCALE_VALUES)),
        cells=_singles("cells", packed.cells, (n_cells, N_CELL_VALUES)),
        season=_singles("season", packed.season, (N_SLOTS, n if has_season else 0)),
        is_seasonal=_array("is_seasonal", packed.is_seasonal, "b", (n,)),
        season_factor=_floats("season_factor", packed.season_factor, (n,)),
        excursions=packed.excursions,
        timezone=find_zone(check_text("timezone", packed.timezone)).key,
    )
    read_kinds(packed.excursions, n, n_cells)
    if ticks.is_seasonal.any() and not has_season:
        raise DomainError("a component with a season that is not there")
    if (ticks.season_factor < 1).any():
        raise DomainError("a learned weight or count below 0")
    _check_learned(ticks)
    return ticks


def _products(
    packed: _Products | None, variables: Sequence[VariableBaseline], counts: NDArray[np.int64]
) -> ReferenceProducts | None:
    """Read the products of features, where there are any."""
    if packed is None:
        return None
    n = len(packed.features)
    check_names("paired features", packed.features, MAX_PAIRED)
    n_pairs = n * (n - 1) // 2
    sums = _array("sums", packed.sums, "i", (n_pairs,))
    if not set(packed.features) <= set(pairable(variables, counts[0])):
        raise DomainError("products of features without a location")
    learned = _learned_products(packed.learned, n, n_pairs)
    return ReferenceProducts(packed.features, sums, learned)


def _learned_products(
    packed: _LearnedProducts | None, n_features: int, n_pairs: int
) -> LearnedProducts | None:
    """Read how products moved in the reference's ticks."""
    if packed is None:
        return None
    n, n_cells = n_features + n_pairs, n_features + 1
    learned = LearnedProducts(
        tick_us=check_number("tick_us", packed.tick_us, 1, HOUR_US),
        n_ticks=check_number("n_ticks", packed.n_ticks, 1, 1 << 53),
        components=_singles("components", packed.components, (n, N_COMPONENT_VALUES)),
        scales=_singles("scales", packed.scales, (n_cells, N_SCALES, N_SCALE_VALUES)),
        cells=_singles("cells", packed.cells, (n_cells, N_CELL_VALUES)),
    )
    _check_learned(learned)
    return learned


def _check_learned(learned: ReferenceTicks | LearnedProducts) -> None:
    """Check the state that the ticks of a reference have left."""
    if (learned.scales < 0).any() or (learned.cells < 0).any():
        raise DomainError("a learned weight or count below 0")
    if learned.cells[:, IS_OPEN].any():
        raise DomainError("an open alert of the reference")


def _singles(name: str, packed: _Packed, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Read an array of finite numbers of single precision."""
    return _floats(name, packed, shape).astype(np.float32)


def _volume(packed: _Volume | None) -> ReferenceVolume | None:
    """Read the rows by the hour of the week, where there are any."""
    if packed is None:
        return None
    by_slot = _floats("by_slot", packed.by_slot, (_N_HOURS,))
    if (by_slot < 0).any() or (by_slot > _MAX_RATE).any() or not by_slot.any():
        raise DomainError("no rows in any hour of the week, or fewer than none, or too many")
    if not 0 < packed.n_weeks <= _MAX_WEEKS:
        raise DomainError(f"n_weeks is {packed.n_weeks}, not in 0..{_MAX_WEEKS}")
    return ReferenceVolume(
        by_slot,
        check_number("n_rows", packed.n_rows, 1, 1 << 53),
        packed.n_weeks,
        find_zone(check_text("timezone", packed.timezone)).key,
        tuple(_learned(one) for one in packed.learned),
    )


def _learned(packed: _LearnedVolume) -> LearnedVolume:
    """Read what was learned from ticks of one length."""
    if not 0 <= packed.scatter < np.inf:
        raise DomainError(f"scatter is {packed.scatter}")
    averages = _array("averages", packed.averages, "f", (N_VOLUME_VALUES,))
    check_finite("averages", averages)
    return LearnedVolume(
        check_number("tick_us", packed.tick_us, 1, _MAX_TICK_US),
        packed.scatter,
        check_number("n_ticks", packed.n_ticks, 0, 1 << 53),
        averages.astype(np.float32),
    )


def _packed_products(products: ReferenceProducts) -> dict[str, Any]:
    """Write the products of features."""
    written = {"features": list(products.features), "sums": _packed(products.sums)}
    learned = products.learned
    if learned is None:
        return written
    arrays = {name: _packed(getattr(learned, name)) for name in ("components", "scales", "cells")}
    counts = {"tick_us": learned.tick_us, "n_ticks": learned.n_ticks}
    return written | {"learned": counts | arrays}


def _packed_volume(volume: ReferenceVolume) -> dict[str, Any]:
    """Write the rows by the hour of the week."""
    return {
        "by_slot": _packed(volume.by_slot),
        "n_rows": volume.n_rows,
        "n_weeks": volume.n_weeks,
        "timezone": volume.timezone,
        "learned": [
            {
                "tick_us": one.tick_us,
                "scatter": one.scatter,
                "n_ticks": one.n_ticks,
                "averages": _packed(one.averages),
            }
            for one in volume.learned
        ],
    }


def _floats(
    name: str, packed: _Packed, shape: tuple[int, ...] | None = None
) -> NDArray[np.float64]:
    """Read an array of finite numbers."""
    array = _array(name, packed, "f", shape)
    check_finite(name, array)
    return array


def _array(
    name: str, packed: _Packed, kind: str, shape: tuple[int, ...] | None = None
) -> NDArray[Any]:
    """Read an array into memory of its own, so that it may be written to."""
    dtype, found, data = packed
    if dtype not in _TYPES[kind]:
        raise DomainError(f"{name} is of type {dtype[:20]!r}, not one of {_TYPES[kind]}")
    if shape is not None and tuple(found) != shape:
        raise DomainError(f"{name} is of shape {found}, not {list(shape)}")
    n_bytes = np.dtype(dtype).itemsize
    for length in found:
        n_bytes *= max(length, -1)
    if n_bytes != len(data) or any(length < 0 for length in found):
        raise DomainError(f"{name} has {len(data)} bytes for the shape {found}")
    if kind == "b" and data.strip(b"\0\1"):
        raise DomainError(f"{name} holds what is neither true nor false")
    array = np.frombuffer(data, dtype=np.dtype(dtype)).reshape(found)
    return array.astype(array.dtype.newbyteorder("="))


def _written(stats: SeriesStats, name: str) -> NDArray[Any]:
    """Return an array of the reference as it is written: finite where it is a sum."""
    array: NDArray[Any] = getattr(stats, name)
    return finite_sums(array) if name in SUMS else array


def _packed_fields(seasonal: SeasonalCounts) -> dict[str, Any]:
    """Write the arrays of the seasons by name, and what baselines of before do not have."""
    packed: dict[str, Any] = {name: _packed(getattr(seasonal, name)) for name in _SEASONS}
    if seasonal.timezone != UTC_NAME:
        packed["timezone"] = seasonal.timezone
    if seasonal.unzoned_us is not None:
        packed["unzoned_us"] = seasonal.unzoned_us
    return packed


def _packed_ticks(ticks: ReferenceTicks) -> dict[str, Any]:
    """Write what was learned from the reference's ticks by name."""
    packed: dict[str, Any] = {name: _packed(getattr(ticks, name)) for name in _LEARNED}
    packed |= {"tick_us": ticks.tick_us, "n_ticks": ticks.n_ticks}
    if ticks.excursions:
        packed["excursions"] = ticks.excursions
    return packed | ({} if ticks.timezone == UTC_NAME else {"timezone": ticks.timezone})


def _packed(array: NDArray[Any]) -> tuple[str, list[int], bytes]:
    """Write an array as type, shape and little-endian bytes."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return little.dtype.str, list(little.shape), little.tobytes()
