"""Routes that can never be chosen, and incidents that no receiver is notified of. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from schemas.alerts import Cause, Severity
from schemas.config.model import RouteConfig

_NOTIFIED = (Severity.PAGE.value, Severity.TICKET.value)
"""Records cause no notification unless a route includes them."""


def route_gaps(routes: Sequence[RouteConfig]) -> list[str]:
    """Return what is wrong with the routes of one model, one sentence each.

    Parameters
    ----------
    routes : sequence of RouteConfig
        In their order: the first match counts.

    Returns
    -------
    list of str
        Routes that no incident can reach, and routes without receivers.

    Examples
    --------
    >>> every = RouteConfig(receivers=("ml",))
    >>> route_gaps([every, RouteConfig(cause=("hardware",), receivers=("dc",))])
    ['routes[1] never matches: earlier routes take all that it names']
    >>> route_gaps([RouteConfig(cause=("data",), receivers=())])
    ['routes[0] has no receivers: no one is notified of page or ticket incidents of data']
    """
    taken: set[tuple[str, str]] = set()
    found = []
    for i, route in enumerate(routes):
        own = set(product(route.severity, route.cause or [cause.value for cause in Cause]))
        if not own:
            found.append(f"routes[{i}] never matches: it names no severity")
        elif own <= taken:
            found.append(f"routes[{i}] never matches: earlier routes take all that it names")
        elif not route.receivers and any(severity in _NOTIFIED for severity, _ in own - taken):
            what = f"{' or '.join(route.severity)} incidents"
            causes = f" of {' or '.join(route.cause)}" if route.cause else ""
            found.append(f"routes[{i}] has no receivers: no one is notified of {what}{causes}")
        taken |= own
    return found
