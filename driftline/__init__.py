"""The producer SDK: report what a model saw and said, from inside its service.

Needs kafka-python and msgspec, nothing else of Driftline's dependencies; Arrow batches
need pyarrow, imported when the first one is made.

Examples
--------
>>> from driftline import Reporter
>>> reporter = Reporter("kafka:9092", model="loans")  # doctest: +SKIP
>>> reporter.predict({"age": 41.0, "job": "clerk"}, score=0.83)  # doctest: +SKIP
"""

from .counters import Counters
from .reporter import Reporter

__all__ = ["Counters", "Reporter"]
