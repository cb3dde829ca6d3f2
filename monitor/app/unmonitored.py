"""Gaps in monitoring and notification that follow from an installation's configuration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.app.installation import Installation

_NO_RECEIVER = "no receivers are configured: alerts are stored, and no one is notified"


@dataclass(frozen=True, slots=True)
class CoverageGap:
    """A model, receiver or route that can never cause a notification."""

    check: str
    """``baseline``, ``receiver`` or ``route``."""
    name: str
    """Name of the model or receiver."""
    detail: str
    fix: str


def unmonitored(
    installation: Installation, without_baseline: Iterable[tuple[str, str]]
) -> list[CoverageGap]:
    """Return the gaps of an installation, none of which prevents its start.

    Parameters
    ----------
    without_baseline : iterable of (tenant, model)
        Models without a baseline in the folder or on the topic.

    Returns
    -------
    list of CoverageGap
        Models whose windows get no verdict, then receivers and routes.
    """
    files = {
        (model.tenant, model.model): file
        for model, file in zip(installation.models, installation.model_files, strict=True)
    }
    missing = [
        CoverageGap(
            "baseline",
            model,
            f"{model} (tenant {tenant}) has no baseline: its events are counted, "
            "and nothing is judged",
            f"driftline baseline build {files[tenant, model]} --reference FILE",
        )
        for tenant, model in without_baseline
    ]
    return [*missing, *silent_routes(installation)]


def silent_routes(installation: Installation) -> list[CoverageGap]:
    """Return the gaps of notification: no receivers, and routes that cannot match.

    Returns
    -------
    list of CoverageGap
    """
    from monitor.core.notification.route_checks import route_gaps

    receivers = installation.monitor.receivers
    found = (
        []
        if receivers
        else [CoverageGap("receiver", "none", _NO_RECEIVER, "add one under receivers")]
    )
    for model in installation.models:
        for detail in route_gaps(model.routes):
            fix = "put the narrower route first, or remove it"
            if "no receivers" in detail:
                fix = "name its receivers"
            found.append(CoverageGap("route", model.model, f"model {model.model}: {detail}", fix))
    return found
