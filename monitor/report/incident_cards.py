"""Incidents as cards: what it is called, who owns it, what belongs to it, what to do."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.core.incident_text import began_us, places_text
from monitor.drawing.bars import change_figure
from monitor.report.evidence_words import evidence_html
from schemas.alerts import Alert, Incident, Transition
from schemas.spelling import spell_html as escape
from schemas.time_text import short_text

_LEGEND = (
    '<div class="legend"><span><i class="ref"></i>reference</span>'
    '<span><i class="cur"></i>current</span></div>'
)


def incident_cards(incidents: Sequence[Incident]) -> str:
    """Write a card for each incident, the owner's picture beside its facts.

    Parameters
    ----------
    incidents : sequence of Incident
        In any order.

    Returns
    -------
    str
        HTML; empty without incidents.
    """
    if not incidents:
        return ""
    cards = "".join(_incident(i) for i in sorted(incidents, key=lambda i: i.opened_at_us))
    return f"<h2>Incidents</h2>{cards}"


def _incident(incident: Incident) -> str:
    """One incident: cause, owner, what belongs to it, what to do."""
    owner = next((a for a in incident.alerts if a.alert_id == incident.owner_alert_id), None)
    pictured = _pictured(incident, owner)
    figure = change_figure(pictured) if pictured else ""
    facts = _incident_facts(incident, owner, pictured)
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in facts if value)
    others = [a for a in incident.alerts if a.transition is Transition.OPENED and a is not owner]
    more = ""
    if others:
        items = "".join(f"<li>{short_text(a.time_us)} {escape(a.title)}</li>" for a in others)
        noun = "alert belongs" if len(others) == 1 else "alerts belong"
        more = (
            f"<details><summary>{len(others)} more {noun} to it</summary><ul>{items}</ul></details>"
        )
    drawn = ""
    if figure and pictured:
        of = f"{pictured.feature} {'' if pictured.segment == '*' else pictured.segment}"
        drawn = f"<p class=soft>{escape(of)}</p>{_LEGEND}{figure}"
    return (
        f'<section class="card incident"><div><h3>{escape(incident.title)}</h3>'
        f"<p>{tag(incident.cause)} {tag(incident.severity)}</p><dl>{listed}</dl>{more}</div>"
        f"<div>{drawn}</div></section>"
    )


def _pictured(incident: Incident, owner: Alert | None) -> Alert | None:
    """The owner if it carries counts, else the first alert that does."""
    candidates = [owner, *incident.alerts] if owner else incident.alerts
    return next((a for a in candidates if a and a.reference_counts), None)


def _incident_facts(
    incident: Incident, owner: Alert | None, pictured: Alert | None
) -> list[tuple[str, str]]:
    """Name and value, in HTML, of everything known about it; an empty value is left out."""
    resolved = incident.resolved_at_us
    facts = [
        ("began", short_text(began_us(incident))),
        ("found", short_text(incident.opened_at_us)),
        ("resolved", short_text(resolved) if resolved else "still open at the end"),
    ]
    if pictured:
        facts += [
            ("evidence", evidence_html(pictured.evidence, pictured.threshold)),
            ("effect", escape(_effect_words(pictured))),
            ("where", escape(places_text(pictured))),
            ("rows", f"{pictured.n:,} in the window, {pictured.n_reference:,} in the reference"),
        ]
    if owner:
        named = (("host", owner.host), ("GPU", owner.gpu_uuid), ("do", owner.action))
        facts += [(name, escape(value)) for name, value in named]
    return facts


def _effect_words(alert: Alert) -> str:
    """Share of the set that moved, before and now."""
    if alert.p_reference is None or alert.p_current is None:
        return ""
    return f"{alert.effect_where}: {alert.p_reference:.1%} → {alert.p_current:.1%} of the rows"


def tag(word: str) -> str:
    """Write a word on a coloured ground.

    Parameters
    ----------
    word : str
        A cause or a severity.

    Returns
    -------
    str
        HTML.

    Examples
    --------
    >>> tag("data")
    '<span class="tag data">data</span>'
    """
    return f'<span class="tag {escape(word or "none")}">{escape(word or "none")}</span>'
