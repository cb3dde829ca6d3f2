"""Deprecated alias of :mod:`driftline`, the producer SDK; removed in the release after 0.1."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module

from driftline import Counters, Reporter

__all__ = ["Counters", "Reporter"]

_MODULES = (
    *("arrow", "batches", "buffer", "counters", "courier", "events", "kafka_sender"),
    *("reporter", "rows", "values", "watch"),
)

warnings.warn(
    "monitor.sdk is deprecated and is removed in the release after 0.1; "
    "import from driftline instead: from driftline import Reporter",
    DeprecationWarning,
    stacklevel=2,
)

for _name in _MODULES:
    # The module itself under its old name: a second copy would define each class twice.
    globals()[_name] = sys.modules[f"{__name__}.{_name}"] = import_module(f"driftline.{_name}")
