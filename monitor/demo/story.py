"""The report of a demo run: planted faults, findings, and charts of the evidence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import msgspec
import numpy as np
import pyarrow as pa

from monitor.demo.faults import BAD_REPLICA
from monitor.demo.score import DemoScore, Finding, describe_finding
from monitor.demo.world import World
from monitor.report.content import (
    EvidenceLine,
    FindingRow,
    GpuLane,
    ReplicaPanel,
    ReportContent,
    Span,
)
from monitor.report.fairness import fairness_panels
from schemas.alerts import Alert, Cause, Incident, Transition
from schemas.events import GpuEvent
from schemas.monitors import Monitor
from schemas.results import DetectorResult, Verdict
from schemas.time_text import short_text
from schemas.time_units import HOUR_US

N_SCORE_BINS = 20


def compose_report(
    world: World,
    score: DemoScore,
    incidents: Sequence[Incident],
    results: Iterable[DetectorResult],
    seconds: float,
    hints: Mapping[str, str] = MappingProxyType({}),
) -> ReportContent:
    """Fill the report of one run.

    Parameters
    ----------
    score : DemoScore
        The run judged.
    results : iterable of DetectorResult
        Those with metric ``decision`` are drawn as evidence, those of fairness summed up; others
        are skipped.
    seconds : float
        Wall-clock time of the run.
    hints : mapping of str to str, optional
        Where the change of an incident is concentrated, by its ID.

    Returns
    -------
    ReportContent
        For ``monitor.report.page.write_report``.
    """
    kept = [r for r in results if r.metric == "decision" or r.monitor == Monitor.FAIRNESS]
    lines, threshold = _evidence(kept, incidents)
    broken = [world.served_table(p.start_us, p.end_us) for p in world.planted]
    return ReportContent(
        title="Driftline demo",
        headline=_headline(score),
        facts=[("judged", _judged_text(kept)), *_facts(world, score, seconds)],
        start_us=world.start_us,
        end_us=world.end_us,
        findings=[_finding_row(f) for f in score.findings],
        incidents=incidents,
        hints=hints,
        spans=[Span(p.name, p.start_us, p.end_us, p.cause) for p in world.planted],
        evidence=lines,
        threshold=threshold,
        replicas=_replicas(world),
        gpus=_gpu_lanes(world),
        fairness=fairness_panels(kept),
        reference=world.reference,
        current=_concatenated(broken),
        notes=_notes(world, score),
    )


def _headline(score: DemoScore) -> str:
    """Return the headline, one sentence."""
    n, found, false = len(score.findings), score.n_found, len(score.false_alerts)
    first = (
        f"{found} of {n} injected faults found" if found < n else f"All {n} injected faults found"
    )
    second = "no other alert was opened" if not false else f"{false} false alerts"
    return f"{first}, and {second}." if not false else f"{first}, but {second}."


def _judged_text(results: Iterable[DetectorResult]) -> str:
    """Return how many cells (variable, segment and window) got a verdict, and of how many."""
    cells = [r for r in results if r.metric == "decision" and r.monitor == Monitor.DRIFT]
    n_judged = sum(r.verdict is not Verdict.NONE for r in cells)
    return f"{n_judged:,} of {len(cells):,} cells"


def _facts(world: World, score: DemoScore, seconds: float) -> list[tuple[str, str]]:
    """Return the numbers below the headline."""
    first = min((p.start_us for p in world.planted), default=world.end_us)
    quiet = (first - world.start_us) // HOUR_US
    early = sum(a.opened_at_us < first for a in score.false_alerts)
    return [
        ("events", f"{world.n_events:,}"),
        ("took", f"{seconds:.1f} s"),
        ("windows of 1 h", str(world.n_windows)),
        ("alerts before the first fault", f"{early} in {quiet} windows"),
        ("false alerts", str(len(score.false_alerts))),
        ("retrainings requested", str(score.n_retrainings)),
        ("model's AUC on 2016", f"{world.auc:.3f}"),
        ("seed", str(world.seed)),
    ]


def _notes(world: World, score: DemoScore) -> list[str]:
    """Return notes: false alerts by name, and the source of the data."""
    notes = [f"Not explained: {short_text(a.opened_at_us)} {a.title}" for a in score.false_alerts]
    return [
        *notes,
        "Data: American Community Survey, Massachusetts, U.S. Census Bureau, public domain. The "
        "model was fitted on 2015 when the demo was built and serves 2016, households shuffled, "
        "1,000 people an hour, from eight replicas on eight GPUs.",
    ]


def _finding_row(finding: Finding) -> FindingRow:
    """Return one row of the table."""
    words = describe_finding(finding)
    del words["evidence"]
    alert, planted = finding.alert, finding.planted
    return FindingRow(
        what=planted.what,
        when=f"from {short_text(planted.start_us)} to {short_text(planted.end_us)}",
        is_found=finding.is_found,
        evidence=alert.evidence if alert else None,
        threshold=alert.threshold if alert else None,
        **words,
    )


def _evidence(
    results: Iterable[DetectorResult], incidents: Sequence[Incident]
) -> tuple[list[EvidenceLine], float | None]:
    """Return a line for each incident's cell, and one for the maximum of all other cells."""
    cells: dict[tuple[str, str, str], dict[int, float]] = defaultdict(dict)
    threshold = None
    for r in results:
        if r.metric == "decision" and r.evidence is not None:
            cells[r.monitor, r.feature, r.segment][r.end_us] = r.evidence
            threshold = r.threshold if r.threshold is not None else threshold
    member = {_cell(a): i.cause for i in incidents for a in i.alerts if a.monitor != Monitor.GPU}
    drawn = [a for a in map(_pictured, incidents) if a is not None]
    causes = {_cell(a): member[_cell(a)] for a in drawn}
    lines = [
        _line(f"{feature} {segment}", cells[monitor, feature, segment], cause)
        for (monitor, feature, segment), cause in causes.items()
        if (monitor, feature, segment) in cells
    ]
    highest: dict[int, float] = {}
    for cell, values in cells.items():
        if cell not in member:
            for end_us, value in values.items():
                highest[end_us] = max(value, highest.get(end_us, -np.inf))
    return [*lines, _line("highest of all other cells", highest, None)], threshold


def _cell(alert: Alert) -> tuple[str, str, str]:
    """Return the cell of an alert."""
    return alert.monitor, alert.feature, alert.segment


def _pictured(incident: Incident) -> Alert | None:
    """Return the owner, or the first alert with evidence if the owner is a GPU rule."""
    opened = [a for a in incident.alerts if a.transition is Transition.OPENED and a.feature]
    owned = [a for a in opened if a.alert_id == incident.owner_alert_id]
    replicas = [a for a in opened if a.monitor == Monitor.REPLICA and a.gpu_uuid]
    return next(iter([*owned, *replicas, *opened]), None)


def _line(label: str, values: dict[int, float], cause: Cause | None) -> EvidenceLine:
    """Return values by time as arrays."""
    times = sorted(values)
    return EvidenceLine(
        label, np.array(times, np.int64), np.array([values[t] for t in times], np.float64), cause
    )


def _replicas(world: World) -> list[ReplicaPanel]:
    """Return scores by replica during the fault of the bad one."""
    bad = next((p for p in world.planted if p.name == BAD_REPLICA), None)
    if bad is None:
        return []
    served = world.served
    rows = (served.time_us >= bad.start_us) & (served.time_us < bad.end_us)
    bins = np.clip((served.scores[rows] * N_SCORE_BINS).astype(int), 0, N_SCORE_BINS - 1)
    counts = np.zeros((len(world.gpus), N_SCORE_BINS), np.int64)
    np.add.at(counts, (served.replica[rows], bins), 1)
    return [
        ReplicaPanel(
            f"{gpu.host} GPU {gpu.index}",
            counts[i],
            counts.sum(axis=0) - counts[i],
            gpu.gpu_uuid == bad.gpu_uuid,
        )
        for i, gpu in enumerate(world.gpus)
    ]


def _gpu_lanes(world: World) -> list[GpuLane]:
    """Return what each GPU reported, read from its messages."""
    decoder = msgspec.json.Decoder(GpuEvent)
    errors: dict[str, list[int]] = defaultdict(list)
    xids: dict[str, list[tuple[int, int]]] = defaultdict(list)
    n_samples: dict[str, int] = defaultdict(int)
    last: dict[str, int] = {}
    for event in map(decoder.decode, world.gpu.messages):
        if event.xid is not None:
            xids[event.gpu_uuid].append((event.time_us, event.xid))
            continue
        n_samples[event.gpu_uuid] += 1
        total = int(event.fields.get("ecc_dbe_vol_total") or 0)
        if total > last.get(event.gpu_uuid, 0):
            errors[event.gpu_uuid].append(event.time_us)
        last[event.gpu_uuid] = total
    return [
        GpuLane(
            label=f"{gpu.host} GPU {gpu.index}",
            time_us=np.array(errors[gpu.gpu_uuid], np.int64),
            xids=xids[gpu.gpu_uuid],
            n_samples=n_samples[gpu.gpu_uuid],
        )
        for gpu in world.gpus
    ]


def _concatenated(tables: Sequence[pa.Table]) -> pa.Table:
    """Concatenate the rows served during faults; dictionaries differ between parts."""
    plain = pa.schema(
        pa.field(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type)
        for f in tables[0].schema
    )
    return pa.concat_tables(table.cast(plain) for table in tables)
