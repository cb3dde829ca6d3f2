"""Incidents as cards: cause, owner, what belongs to it, what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from markupsafe import Markup

from monitor.core.incidents.details_text import details_text
from monitor.core.incidents.text import began_us, places_text
from monitor.drawing.bars import change_figure
from monitor.report.templating import render
from schemas.alerts import Alert, Incident, Transition
from schemas.spelling import spell_controls

_NO_HINTS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Card:
    """What the template shows of one incident; an empty text is left out."""

    incident: Incident
    owner: Alert | None
    pictured: Alert | None
    """The alert whose counts are drawn: the owner if it carries any, else the first that does."""
    others: Sequence[Alert]
    """Further alerts that opened."""
    began_us: int
    effect: str
    details: str
    places: str
    rows: str
    hint: str
    figure: Markup


def incident_cards(incidents: Sequence[Incident], hints: Mapping[str, str] = _NO_HINTS) -> Markup:
    """Write a card for each incident, the owner's picture beside its facts.

    Parameters
    ----------
    incidents : sequence of Incident
        In any order.
    hints : mapping of str to str, optional
        Where the change of an incident is concentrated, by its ID.

    Returns
    -------
    Markup
        HTML; empty without incidents.
    """
    if not incidents:
        return Markup("")
    ordered = sorted(incidents, key=lambda incident: incident.opened_at_us)
    return render("incidents.html", cards=[_card(incident, hints) for incident in ordered])


def _card(incident: Incident, hints: Mapping[str, str]) -> _Card:
    owner = next((a for a in incident.alerts if a.alert_id == incident.owner_alert_id), None)
    candidates = [owner, *incident.alerts] if owner else incident.alerts
    pictured = next((a for a in candidates if a.reference_counts), None)
    return _Card(
        incident,
        owner,
        pictured,
        [a for a in incident.alerts if a.transition is Transition.OPENED and a is not owner],
        began_us(incident),
        _effect_text(pictured) if pictured else "",
        spell_controls(details_text(pictured)) if pictured else "",
        places_text(pictured) if pictured else "",
        _rows_text(pictured) if pictured else "",
        hints.get(incident.incident_id, ""),
        change_figure(pictured) if pictured else Markup(""),
    )


def _effect_text(alert: Alert) -> str:
    """Share of the set that moved, before and now."""
    if alert.p_reference is None or alert.p_current is None:
        return ""
    return f"{alert.effect_where}: {alert.p_reference:.1%} → {alert.p_current:.1%} of the rows"


def _rows_text(alert: Alert) -> str:
    return f"{alert.n:,} in the window, {alert.n_reference:,} in the reference"
