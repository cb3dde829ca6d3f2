"""The producer SDK: report a model's predictions and labels from inside its service.

Imports kafka-python and msgspec, none of Driftline's other dependencies and none of its other
packages, so it loads beside any service. Arrow batches need pyarrow, imported for the first one.
Names are imported when they are first used: ``driftline.wire`` and ``driftline.errors`` do not
load the reporter.

Examples
--------
>>> from driftline import Reporter
>>> reporter = Reporter("kafka:9092", model="loans")  # doctest: +SKIP
>>> reporter.predict({"age": 41.0, "job": "clerk"}, score=0.83)  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from driftline.counters import Counters
    from driftline.errors import DomainError, DriftlineError, TransportError
    from driftline.reporter import Reporter
    from driftline.wire import GpuEvent, LabelEvent, PredictionEvent

_HOMES = {
    "Counters": "counters",
    "DomainError": "errors",
    "DriftlineError": "errors",
    "GpuEvent": "wire",
    "LabelEvent": "wire",
    "PredictionEvent": "wire",
    "Reporter": "reporter",
    "TransportError": "errors",
}

__all__ = [
    "Counters",
    "DomainError",
    "DriftlineError",
    "GpuEvent",
    "LabelEvent",
    "PredictionEvent",
    "Reporter",
    "TransportError",
]


def __getattr__(name: str) -> Any:
    """Import the module that defines a public name."""
    if name not in _HOMES:
        raise AttributeError(f"module 'driftline' has no attribute {name!r}")
    return getattr(import_module(f"driftline.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
