"""Tables of cases for routes."""

from __future__ import annotations

import pytest

from monitor.core.notification.routing import check_routes, choose_receivers
from schemas.alerts import Cause, Severity
from schemas.config.model import RouteConfig
from schemas.errors import ConfigError
from tests.support.alerts import drift, gpu, incident

ROUTES = [
    RouteConfig(severity=("page",), cause=("hardware",), receivers=("dc", "slack")),
    RouteConfig(severity=("page", "ticket"), cause=("data", "model"), receivers=("slack",)),
    RouteConfig(severity=("record",), receivers=("log",)),
]
ALL = ("console", "slack", "dc", "log")


@pytest.mark.parametrize(
    ("severity", "cause", "receivers", "reason"),
    [
        ("page", "hardware", ("dc", "slack"), "route_matched"),
        ("ticket", "hardware", ALL, "no_route_matched"),
        ("page", "data", ("slack",), "route_matched"),
        ("ticket", "model", ("slack",), "route_matched"),
        ("page", "pipeline", ALL, "no_route_matched"),
        ("record", "hardware", ("log",), "route_matched"),
    ],
)
def test_the_first_match_wins(
    severity: str, cause: str, receivers: tuple[str, ...], reason: str
) -> None:
    about = incident(drift(14), cause=Cause(cause), severity=Severity(severity))
    routing = choose_receivers(about, {("default", "employment"): ROUTES}, ALL)
    assert (routing.receivers, routing.reason) == (receivers, reason)


def test_a_record_without_a_route_notifies_no_one() -> None:
    about = incident(gpu(1), cause=Cause.HARDWARE, severity=Severity.RECORD)
    routing = choose_receivers(about, {}, ALL)
    assert (routing.receivers, routing.reason) == ((), "record_only")


def test_a_gpu_without_a_model_notifies_everyone() -> None:
    about = incident(gpu(1), cause=Cause.HARDWARE)
    routes = {("default", "employment"): ROUTES}
    assert choose_receivers(about, routes, ALL).receivers == ALL


def test_two_models_of_one_incident_add_their_receivers_once() -> None:
    about = incident(drift(14), drift(14, model="car_loan"))
    other = [RouteConfig(receivers=("log", "slack"))]
    routes = {("default", "employment"): ROUTES, ("default", "car_loan"): other}
    assert choose_receivers(about, routes, ALL).receivers == ("slack", "log")


def test_a_route_to_an_unknown_receiver_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"routes\[0\].*'dc' is not a receiver"):
        check_routes("employment", ROUTES, ("slack", "log"))


@pytest.mark.parametrize(
    ("receivers", "fix"),
    [(("slack", "log"), "one of: log, slack"), ((), "one of: none is configured")],
)
def test_a_refused_route_names_the_receivers_that_there_are(receivers, fix) -> None:
    with pytest.raises(ConfigError) as caught:
        check_routes("employment", ROUTES, receivers)
    assert caught.value.fix == fix
