"""What a pane of a configured model may hold: its layout bounds it, before it is unpacked."""

from __future__ import annotations

from functools import lru_cache

from monitor.core.bounds import check_number
from monitor.core.windowing.pane_body import PaneBody
from monitor.core.windowing.stats_codec import body_limit
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.errors import DomainError
from schemas.panes import ALL, MAX_SEGMENT_VALUES

_N_VALUES = MAX_SEGMENT_VALUES + 1
"""Of one segment, host or GPU: those that keep their names, and ``other``."""


def largest_body(config: ModelConfig, baseline: Baseline | None) -> int:
    """Return the most bytes a pane of a model takes before compression.

    Parameters
    ----------
    baseline : Baseline or None
        That the pane names, where it is known.

    Examples
    --------
    >>> from schemas.config.parse import parse_model
    >>> config = parse_model("model: m\\nfeatures: {a: {kind: numeric}}", "m.yaml")
    >>> largest_body(config, None) > 202 * 1_000
    True
    """
    n_named = len(baseline.reference.segments) if baseline is not None else 0
    n_series = max(1 + _N_VALUES * len(config.segments), n_named + len(config.segments))
    n_variables = config.n_variables
    if baseline is not None:
        n_variables = max(n_variables, len(baseline.variables))
    return body_limit(n_series, n_variables, n_slices=2 * _N_VALUES)


def _are_slices(names: tuple[str, ...]) -> bool:
    """Whether all names are those of slices."""
    return all("=" in name for name in names)


_are_few_slices = lru_cache(maxsize=512)(_are_slices)
"""Most panes have the same few names as others."""
_MAX_FEW = 64


def check_pane(
    model: str, body: PaneBody, baseline: Baseline | None, width: int | None, limit: int
) -> None:
    """Refuse a pane that cannot be added to those of its window.

    Parameters
    ----------
    body : PaneBody
        Checked by itself.
    baseline : Baseline or None
        That it names, where it is known.
    width : int or None
        Variables of the panes of its series that its window holds already; None for none.
    limit : int
        Bytes that its arrays may take, of :func:`largest_body`.

    Raises
    ------
    DomainError
        If it is not in the layout of its baseline, or another than those before it.
    """
    if baseline is not None and body.n_variables != len(baseline.variables):
        raise DomainError(
            f"a pane of {body.n_variables} variables, its baseline {baseline.profile_id} "
            f"has {len(baseline.variables)}",
            where=f"panes of {model}",
        )
    if width is not None and body.n_variables != width:
        raise DomainError(
            f"a pane of {body.n_variables} variables among panes of {width}",
            where=f"panes of {model}",
        )
    check_number("bytes of its arrays", body.unpacked_bytes, 0, limit)
    segments, slices = body.segments, body.slices
    if segments and segments[0] != ALL:
        raise DomainError(f"its first segment is {segments[0][:80]!r}, not {ALL!r}", where="panes")
    is_known = _are_few_slices if len(slices) <= _MAX_FEW else _are_slices
    if not is_known(slices):
        raise DomainError("a slice that names no host and no GPU", where="panes")
