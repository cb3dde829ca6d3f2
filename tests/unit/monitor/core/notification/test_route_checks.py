"""Routes that can never be chosen are named, others are not."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from monitor.core.notification.route_checks import route_gaps
from monitor.core.notification.routing import match_route
from schemas.alerts import Cause, Incident, Severity
from schemas.config.model import RouteConfig

CAUSES = [cause.value for cause in Cause]
routes = st.lists(
    st.builds(
        RouteConfig,
        severity=st.lists(st.sampled_from(["page", "ticket", "record"]), max_size=3).map(tuple),
        cause=st.lists(st.sampled_from(CAUSES), max_size=3).map(tuple),
        receivers=st.sampled_from([("ml",), ("ml", "dc"), ()]),
    ),
    max_size=5,
)


@given(routes)
def test_a_route_is_named_exactly_where_no_incident_finds_it(found):
    """The rule against the router itself, over every kind of incident."""
    incidents = [
        Incident(
            incident_id="1", tenant="t", cause=cause, title="", severity=severity,
            opened_at_us=0, owner_alert_id="1",
        )
        for cause, severity in product(Cause, Severity)
    ]  # fmt: skip
    matched = [match_route(incident, found) for incident in incidents]
    gaps = route_gaps(found)
    for i, route in enumerate(found):
        own = [s for s, m in zip(incidents, matched, strict=True) if m is route]
        said = [gap for gap in gaps if gap.startswith(f"routes[{i}]")]
        assert any("never matches" in gap for gap in said) == (not own)
        is_mute = any(s.severity is not Severity.RECORD for s in own) and not route.receivers
        assert any("no receivers" in gap for gap in said) == is_mute
