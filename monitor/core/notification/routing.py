"""Which receivers are notified of an incident."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from schemas.alerts import Incident, Severity
from schemas.config.model import Place, RouteConfig
from schemas.errors import ConfigError


class RoutingReason(StrEnum):
    """Why these receivers."""

    ROUTE_MATCHED = "route_matched"
    NO_ROUTE_MATCHED = "no_route_matched"
    """Every receiver is notified: silence must be configured."""
    RECORD_ONLY = "record_only"
    """A record that no route names: kept without a notification."""


@dataclass(frozen=True, slots=True)
class Routing:
    """Receivers of an incident, and why."""

    receivers: tuple[str, ...]
    reason: RoutingReason


def match_route(incident: Incident, routes: Sequence[RouteConfig]) -> RouteConfig | None:
    """Return the first route whose severity and cause fit; a route without causes fits all.

    Examples
    --------
    >>> from schemas.alerts import Cause
    >>> incident = Incident(incident_id="1", tenant="t", cause=Cause.DATA, title="",
    ...                     severity=Severity.PAGE, opened_at_us=0, owner_alert_id="1")
    >>> match_route(incident, [RouteConfig(cause=("hardware",), receivers=("dc",)),
    ...                        RouteConfig(receivers=("ml",))]).receivers
    ('ml',)
    """
    for route in routes:
        is_fit = incident.severity.value in route.severity
        if is_fit and (not route.cause or incident.cause.value in route.cause):
            return route
    return None


def choose_receivers(
    incident: Incident,
    routes: Mapping[tuple[str, str], Sequence[RouteConfig]],
    receivers: Sequence[str],
) -> Routing:
    """Choose the receivers of an incident.

    Parameters
    ----------
    incident : Incident
        Incident to route.
    routes : mapping of (tenant, model) to sequence of RouteConfig
        Routes of each model; for every affected model the first matching route is used.
    receivers : sequence of str
        All receivers of the installation.

    Returns
    -------
    Routing
        Receivers without duplicates, in order of the routes.

    Examples
    --------
    >>> from schemas.alerts import Cause
    >>> incident = Incident(incident_id="1", tenant="t", cause=Cause.DATA, title="",
    ...                     severity=Severity.PAGE, opened_at_us=0, owner_alert_id="1")
    >>> choose_receivers(incident, {}, ["console"]).reason.value
    'no_route_matched'
    """
    models = dict.fromkeys((a.tenant, a.model) for a in incident.alerts if a.model)
    matched = [match_route(incident, routes.get(model, ())) for model in models]
    found = [name for route in matched if route is not None for name in route.receivers]
    if any(route is not None for route in matched):
        return Routing(tuple(dict.fromkeys(found)), RoutingReason.ROUTE_MATCHED)
    if incident.severity is Severity.RECORD:
        return Routing((), RoutingReason.RECORD_ONLY)
    return Routing(tuple(receivers), RoutingReason.NO_ROUTE_MATCHED)


def unknown_receivers(
    routes: Sequence[RouteConfig], receivers: Collection[str]
) -> list[tuple[Place, str]]:
    """Return where routes name receivers that the installation does not have.

    Parameters
    ----------
    routes : sequence of RouteConfig
        Of one model.
    receivers : collection of str
        All receivers of the installation.

    Returns
    -------
    list of (tuple, str)
        Path of the setting in the model's config, and the name.

    Examples
    --------
    >>> unknown_receivers([RouteConfig(receivers=("console", "slak"))], ["console", "slack"])
    [(('routes', 0, 'receivers', 1), 'slak')]
    """
    return [
        (("routes", i, "receivers", j), name)
        for i, route in enumerate(routes)
        for j, name in enumerate(route.receivers)
        if name not in receivers
    ]


def check_routes(model: str, routes: Sequence[RouteConfig], receivers: Collection[str]) -> None:
    """Reject a route to a receiver that does not exist.

    Raises
    ------
    ConfigError
        With the route and the existing receivers.

    Examples
    --------
    >>> check_routes("m", [RouteConfig(receivers=("console",))], ["console"])
    """
    for path, name in unknown_receivers(routes, receivers):
        raise ConfigError(
            f"{name!r} is not a receiver",
            where=f"model {model}: routes[{path[1]}].receivers",
            fix=f"one of: {', '.join(sorted(receivers)) or 'none is configured'}",
        )
