"""One self-contained HTML page: what a run found, and why."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from markupsafe import Markup

from monitor.report.content import ReportContent
from monitor.report.evidently_page import write_evidently
from monitor.report.fairness import fairness_section
from monitor.report.figures import evidence_figure, gpu_figure, replica_figure
from monitor.report.incident_cards import incident_cards
from monitor.report.templating import render
from schemas.alerts import Cause
from schemas.errors import StorageError, TransportError

_NOTHING = Markup("")


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
    beside = _NOTHING
    if content.reference is not None and content.current is not None:
        beside = write_evidently(
            path.with_name("evidently_report.html"), content.reference, content.current
        )
    write_whole(path, render_report(content, beside))
    return path


def render_report(content: ReportContent, beside: Markup = _NOTHING) -> str:
    """Return the page as text.

    Parameters
    ----------
    beside : Markup, optional
        HTML about the evidently report.

    Returns
    -------
    str
        HTML.
    """
    time_axis_us = content.start_us, content.end_us
    hardware = [span for span in content.spans if span.cause is Cause.HARDWARE]
    return render(
        "report.html",
        title=content.title,
        content=content,
        evidence_figure=evidence_figure(
            content.evidence, content.spans, content.threshold, *time_axis_us
        )
        if content.evidence
        else _NOTHING,
        incidents=incident_cards(content.incidents, content.hints),
        replicas=[(panel, replica_figure(panel)) for panel in content.replicas],
        gpu_figure=gpu_figure(content.gpus, hardware, *time_axis_us) if content.gpus else _NOTHING,
        fairness=fairness_section(content.fairness, *time_axis_us),
        beside=beside,
    )


def check_folder(path: Path) -> None:
    """Find out before a long run that its page cannot be written.

    Raises
    ------
    TransportError
        If the page's folder does not exist.
    """
    if not path.parent.is_dir():
        fix = "create it, or name another folder"
        raise TransportError("the folder does not exist", where=str(path.parent), fix=fix)


def write_whole(path: Path, page: str) -> None:
    """Write beside and rename, so that a full disk keeps the old page.

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
