"""Names of the topics."""

from __future__ import annotations

from typing import Final

PREDICTIONS: Final = "driftline.predictions"
LABELS: Final = "driftline.labels"
GPU: Final = "driftline.gpu"
PANES: Final = "driftline.panes"
BASELINES: Final = "driftline.profiles"
SILENCES: Final = "driftline.silences"
STATE: Final = "driftline.state"
ACTIONS: Final = "driftline.actions"
RESULTS: Final = "driftline.results"
ALERTS: Final = "driftline.alerts"
NOTIFICATIONS: Final = "driftline.notifications"
DEAD_LETTERS: Final = "driftline.deadletter"
LATE: Final = "driftline.late"
