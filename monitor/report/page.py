"""One HTML page, whole in itself, that shows what a run found, and why."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from monitor.report.content import FindingRow, ReplicaPanel, ReportContent
from monitor.report.evidence_words import evidence_html, nats_detail, rarity_text
from monitor.report.evidently_page import write_evidently
from monitor.report.fairness import fairness_section
from monitor.report.figures import evidence_figure, gpu_figure, replica_figure
from monitor.report.incident_cards import incident_cards, tag
from monitor.report.markup import cards_table, scroll_region
from monitor.report.style import STYLE
from schemas.errors import StorageError
from schemas.spelling import spell_html as escape


def write_report(path: Path, content: ReportContent) -> Path:
    """Write the report, and evidently's beside it where that library is installed.

    Parameters
    ----------
    path : Path
        The page; its folder must exist. ``evidently_report.html`` goes beside it.
    content : ReportContent
        Content of the report.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    StorageError
        If the page cannot be written; nothing half written is left behind.

    Notes
    -----
    No script and no outside resource: the page can be mailed and opened offline.
    """
    beside = ""
    if content.reference is not None and content.current is not None:
        beside = write_evidently(
            path.with_name("evidently_report.html"), content.reference, content.current
        )
    write_whole(path, render_report(content, beside))
    return path


def render_report(content: ReportContent, beside: str = "") -> str:
    """Return the page as text.

    Parameters
    ----------
    beside : str, optional
        HTML about the evidently report.

    Returns
    -------
    str
        HTML.
    """
    facts = "".join(
        f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in content.facts
    )
    sections = [
        f"<h1>{escape(content.title)}</h1>",
        f'<p class="lead">{escape(content.headline)}</p>',
        f'<dl class="facts">{facts}</dl>' if facts else "",
        _findings(content),
        _evidence(content),
        incident_cards(content.incidents),
        _replicas(content),
        _gpus(content),
        fairness_section(content.fairness, content.start_us, content.end_us),
        f"<h2>The same data by evidently</h2>{beside}" if beside else "",
        "".join(f'<p class="soft">{escape(note)}</p>' for note in content.notes),
    ]
    return whole_page(content.title, sections)


def whole_page(title: str, sections: Sequence[str]) -> str:
    """Return a page that needs nothing but itself.

    Parameters
    ----------
    title : str
        Of the browser's window.
    sections : sequence of str
        HTML.

    Returns
    -------
    str
        HTML.
    """
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


def write_whole(path: Path, page: str) -> None:
    """Write beside and rename, so that a full disk leaves the old page standing.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(page)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StorageError(
            f"the report could not be written: {error.strerror}",
            where=str(path),
            fix="choose a folder that exists and has room",
        ) from error


def _findings(content: ReportContent) -> str:
    """The table: planted, found after, evidence, effect, where, cause, retraining."""
    if not content.findings:
        return ""
    names = (
        *("what happened", "found after", "evidence", "effect", "where"),
        *("called", "severity", "retraining"),
    )
    table = cards_table(names, [_finding_cells(row) for row in content.findings])
    heading = "What happened, and what was found"
    return f"<h2>{heading}</h2>{scroll_region(heading, table, css='card')}"


def _finding_cells(row: FindingRow) -> tuple[str, ...]:
    """One line of the table, as HTML."""
    state = "found" if row.is_found else "missed"
    return (
        f"{escape(row.what)}<br><span class=soft>{escape(row.when)}</span>",
        f'<span class="{state}">{escape(row.found_after)}</span>',
        evidence_html(row.evidence, row.threshold),
        escape(row.effect),
        escape(row.where),
        tag(row.cause),
        tag(row.severity),
        escape(row.retraining),
    )


def _evidence(content: ReportContent) -> str:
    """The timeline of the evidence."""
    if not content.evidence:
        return ""
    figure = evidence_figure(
        content.evidence, content.spans, content.threshold, content.start_us, content.end_us
    )
    heading = "Evidence, window by window"
    nats = "the scale is the logarithm of evidence M"
    alert = ""
    if content.threshold is not None:
        nats += f", and a cell fires at log M = {content.threshold:.1f}"
        alert = f" It fires at the dashed line, once in {rarity_text(content.threshold)} windows,"
        alert += " and starts again."
    return (
        f"<h2>{heading}</h2>"
        '<p class="soft">Each line is one monitored cell: in how many windows chance alone would '
        "get so far once, if nothing had changed by more than the tolerance."
        f"{alert} Grey is the highest of all cells outside the incidents. Shaded: what was known "
        f"to be wrong, and when.</p>{nats_detail(nats)}"
        '<div class="legend"><span><i class="data"></i>data</span>'
        '<span><i class="hardware"></i>hardware</span>'
        '<span><i class="ref"></i>everything else</span></div>'
        f"{scroll_region(heading, figure, css='card wide')}"
    )


def _replicas(content: ReportContent) -> str:
    """Small multiples: scores by replica."""
    if not content.replicas:
        return ""
    cards = "".join(_replica(panel) for panel in content.replicas)
    return (
        "<h2>Scores by replica</h2>"
        '<p class="soft">Bars: this replica, while the hardware incident was open. Line: all '
        "other replicas in the same windows. What every replica shares is data; what one has "
        f'alone is its own.</p><div class="grid">{cards}</div>'
    )


def _replica(panel: ReplicaPanel) -> str:
    """One small multiple."""
    css = "card faulty" if panel.is_faulty else "card"
    return f'<div class="{css}"><h3>{escape(panel.label)}</h3>{replica_figure(panel)}</div>'


def _gpus(content: ReportContent) -> str:
    """Lanes of what the GPUs reported."""
    if not content.gpus:
        return ""
    spans = [span for span in content.spans if span.cause == "hardware"]
    figure = gpu_figure(content.gpus, spans, content.start_us, content.end_us)
    heading = "What the GPUs reported"
    return (
        f'<h2>{heading}</h2><p class="soft">Ticks are double-bit memory errors, flags are XIDs.</p>'
        f"{scroll_region(heading, figure, css='card wide')}"
    )
