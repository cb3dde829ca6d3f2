"""Plans publications of baselines: which baseline is active from when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from monitor.baseline.fit import misfits
from monitor.core.windowing.baseline_codec import with_id
from monitor.core.windowing.catalog import Catalog
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.config.values import parse_duration_us
from schemas.errors import BaselineError
from schemas.time_text import second_text, time_of_iso
from schemas.time_units import MINUTE_US

NOTICE_US = MINUTE_US
"""Time within which every worker has read a published baseline."""
USUAL_NOTICE_US = 120_000_000


class PublicationOutcome(StrEnum):
    """Outcome of publishing a baseline."""

    PUBLISHED = "published"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Publication:
    """Plan for one baseline."""

    outcome: PublicationOutcome
    baseline: Baseline
    """Baseline as on the topic; another activation time gives another ID."""
    effective_us: int
    """Start of the first pane for which it is active; 0 for always."""
    until: Baseline | None
    """Baseline that is active until then."""
    note: str = ""


def plan_publication(
    baseline: Baseline,
    config: ModelConfig,
    published: Sequence[Baseline],
    now_us: int,
    active_from: str | None = None,
    *,
    is_first: bool | None = None,
) -> Publication:
    """Plan the activation of a baseline, or that there is nothing to do.

    Parameters
    ----------
    baseline : Baseline
        Baseline to publish.
    config : ModelConfig
        Config of its model.
    published : sequence of Baseline
        All baselines on the topic.
    now_us : int
        Wall clock, which the event times of workers follow approximately.
    active_from : str, optional
        An ISO time (by default UTC), ``now`` (as soon as every worker has read it) or ``+5m``. By
        default the baseline's own time; without one, always for a model's first baseline, else the
        earliest time that is safe for every event.
    is_first : bool, optional
        Whether no worker can have counted events in another baseline; by default whether the topic
        has no baseline of the version.

    Returns
    -------
    Publication

    Raises
    ------
    BaselineError
        If the baseline does not match the config, if workers may already have counted events after
        its activation time, or if another baseline has the same activation time.

    Notes
    -----
    The same content is not published twice, neither with another activation time, nor, unless
    ``active_from`` is given, after it was superseded.
    """
    found = misfits(config, baseline)
    if found:
        raise _refusal(baseline, f"does not fit its model: {'; '.join(found)}", _REBUILD)
    eras = _eras(baseline, config, published)
    same = [p for p in eras if _content_id(p) == _content_id(baseline)]
    if same and (active_from is None or same[-1] is eras[-1]):
        note = "" if same[-1] is eras[-1] else f"superseded by {eras[-1].profile_id}"
        return _unchanged(same[-1], eras, config, note)
    is_first = not eras if is_first is None else is_first
    start_us = _start_us(baseline, config, now_us, active_from, is_first)
    if start_us != baseline.active_from_us:
        baseline = with_id(replace(baseline, active_from_us=start_us))
    _check_start(baseline, eras, now_us, is_first)
    before = [p for p in eras if p.active_from_us < start_us]
    return Publication(
        PublicationOutcome.PUBLISHED,
        baseline,
        _round_up(start_us, config.window.pane_us),
        before[-1] if before else None,
        "" if is_first else _skew_note(config, start_us, now_us),
    )


def plan_all(
    baselines: Iterable[tuple[Baseline, ModelConfig]],
    published: Sequence[Baseline],
    now_us: int,
    active_from: str | None = None,
) -> list[Publication]:
    """Plan several baselines, each after the ones before it.

    Raises
    ------
    BaselineError
        As :func:`plan_publication`; nothing should be written then.
    """
    plans: list[Publication] = []
    known = list(published)
    for baseline, config in sorted(baselines, key=lambda pair: pair[0].active_from_us):
        is_first = not _eras(baseline, config, published)
        plan = plan_publication(baseline, config, known, now_us, active_from, is_first=is_first)
        plans.append(plan)
        if plan.outcome is PublicationOutcome.PUBLISHED:
            known.append(plan.baseline)
    return plans


def parse_start(text: str, now_us: int, soonest_us: int) -> int:
    """Parse ``now``, ``+5m`` or an ISO time.

    Parameters
    ----------
    now_us : int
        Time to which ``+`` is relative.
    soonest_us : int
        Meaning of ``now``.

    Raises
    ------
    BaselineError
        If the text is none of these.

    Examples
    --------
    >>> parse_start("+5m", 1_000_000, 0), parse_start("1970-01-02", 0, 0)
    (301000000, 86400000000)
    """
    if text == "now":
        return soonest_us
    try:
        if text.startswith("+"):
            return now_us + int(parse_duration_us(text[1:]))
        return time_of_iso(text)
    except ValueError:
        raise BaselineError(
            f"{text!r} is not an activation time",
            fix="write now, +5m, or a time like 2026-01-31T12:00:00",
        ) from None


_REBUILD = "build it again with `driftline baseline build`"


def _eras(baseline: Baseline, config: ModelConfig, published: Sequence[Baseline]) -> list[Baseline]:
    """Return the published baselines of a model version, by activation time."""
    name = (baseline.tenant, baseline.model)
    own = [p for p in published if (p.tenant, p.model) == name and not misfits(config, p)]
    return Catalog.of([config], own).baselines_for(*name, baseline.model_version)


def _content_id(baseline: Baseline) -> str:
    """Return a hash of a baseline's content without its activation time."""
    return with_id(replace(baseline, active_from_us=0)).profile_id


def _start_us(
    baseline: Baseline, config: ModelConfig, now_us: int, active_from: str | None, is_first: bool
) -> int:
    """Return the activation time of a baseline."""
    pane_us, ahead_us = config.window.pane_us, _ahead_us(config)
    if active_from is not None:
        soonest_us = now_us + NOTICE_US + ahead_us
        return _round_up(parse_start(active_from, now_us, soonest_us), pane_us)
    if baseline.active_from_us or is_first:
        return baseline.active_from_us
    return _round_up(now_us + USUAL_NOTICE_US + ahead_us, pane_us)


def _check_start(baseline: Baseline, eras: list[Baseline], now_us: int, is_first: bool) -> None:
    """Raise if workers may already have counted events of that time, or if it is taken."""
    start_us = baseline.active_from_us
    if not is_first and start_us < now_us + NOTICE_US:
        raise _refusal(
            baseline,
            f"would be active from {time_text(start_us)}, less than a minute from now: some "
            "ingest processes would count events of that time before they have read it",
            "give --active-from now, +10m, or a later time",
        )
    taken = [p for p in eras if p.active_from_us == start_us]
    if taken and taken[0].model_version == baseline.model_version:
        raise _refusal(
            baseline,
            f"would be active from {time_text(start_us)}, like {taken[0].profile_id}",
            "give another --active-from",
        )


def _unchanged(
    baseline: Baseline, eras: list[Baseline], config: ModelConfig, note: str
) -> Publication:
    """Return a plan without changes."""
    before = [p for p in eras if p.active_from_us < baseline.active_from_us]
    effective_us = _round_up(baseline.active_from_us, config.window.pane_us)
    return Publication(
        PublicationOutcome.UNCHANGED, baseline, effective_us, before[-1] if before else None, note
    )


def _ahead_us(config: ModelConfig) -> int:
    """Return how far event times may be ahead of their arrival and still be counted."""
    return config.window.bound_us + config.window.max_skew_us


def _skew_note(config: ModelConfig, start_us: int, now_us: int) -> str:
    """Return a note if the activation time is closer than the accepted clock skew."""
    ahead_us = _ahead_us(config)
    if start_us >= now_us + NOTICE_US + ahead_us:
        return ""
    return (
        f"events stamped up to {ahead_us // 1_000_000} s ahead are accepted (window.max_skew): "
        "if one is counted before every process has read this baseline, its window gets no verdict"
    )


def _round_up(time_us: int, pane_us: int) -> int:
    """Return the first pane boundary at or after a time."""
    return -(-time_us // pane_us) * pane_us


def time_text(time_us: int) -> str:
    """Format an activation time.

    Examples
    --------
    >>> time_text(1_451_606_400_000_000), time_text(0)
    ('2016-01-01 00:00:00 UTC', 'always')
    """
    return second_text(time_us) if time_us > 0 else "always"


def _refusal(baseline: Baseline, what: str, fix: str) -> BaselineError:
    """Return the error of one baseline."""
    version = f" version {baseline.model_version!r}" if baseline.model_version else ""
    where = f"model {baseline.model!r}{version}"
    return BaselineError(f"baseline {baseline.profile_id} {what}", where=where, fix=fix)
