"""Details of an alert as text: new values by name, the range seen, absent or null."""

from __future__ import annotations

from monitor.core.incidents.shares import share_text
from schemas.alerts import Alert, AlertDetails
from schemas.panes import OVERFLOW, UNDERFLOW, UNSEEN
from schemas.spelling import spell_controls

UNSEEN_SET = "unseen"
MISSING_SET = "missing"
_OUTSIDE = ("above maximum", "below minimum")
_LEAST = 0.005
"""A smaller share is named only where the alert is about it."""
_MOST_NAMES = 3
"""New values in a title."""


def value_text(value: str) -> str:
    """Return a value from outside in quotes, on one line.

    Examples
    --------
    >>> print(value_text("kiosk"), value_text("a`b" + chr(10) + "c"), value_text(""))
    `kiosk` `a'b\\nc` ``
    """
    return f"`{spell_controls(value.replace('`', chr(39)))}`"


def new_values_text(alert: Alert) -> str:
    """Return a sentence on values that the baseline lacks; empty if there are none.

    Examples
    --------
    >>> from schemas.alerts import Severity, Transition
    >>> def alert(*values):
    ...     counts = (92, *([0] * 62), 8)
    ...     return Alert(alert_id="1", tenant="t", monitor="drift", severity=Severity.PAGE,
    ...                  transition=Transition.OPENED, time_us=0, opened_at_us=0, sequence=0,
    ...                  title="",
    ...                  current_counts=counts, new_values=values)
    >>> new_values_text(alert(("kiosk", 0.08)))
    '`kiosk` in 8 % of the rows, never seen before'
    >>> new_values_text(alert(("kiosk", 0.05), ("booth", 0.02)))
    '`kiosk` in 5 %, `booth` in 2 % and others in 1 % of the rows, never seen before'
    """
    new = alert.details.new_values
    if not new:
        return ""
    parts = [f"{value_text(value)} in {share_text(p)}" for value, p in new]
    rest = _share(alert, UNSEEN) - sum(p for _, p in new)
    if rest >= _LEAST:
        parts.append(f"others in {share_text(rest)}")
    return f"{_listed(parts)} of the rows, never seen before"


def new_names(details: AlertDetails) -> str:
    """Return the new values of an alert in a few words, for a title; empty if there are none."""
    new = details.new_values
    names = [value_text(value) for value, _ in new[:_MOST_NAMES]]
    n_more = len(new) - len(names)
    return _listed([*names, f"{n_more} more"] if n_more else names) if names else ""


def range_text(alert: Alert) -> str:
    """Return the range of the numbers seen; empty if the baseline's held all.

    Examples
    --------
    >>> from schemas.alerts import Severity, Transition
    >>> range_text(Alert(alert_id="1", tenant="t", monitor="drift", severity=Severity.PAGE,
    ...                  transition=Transition.OPENED, time_us=0, opened_at_us=0, sequence=0,
    ...                  title="",
    ...                  current_counts=(97, *([0] * 60), 3, 0, 0),
    ...                  seen_range=(2.0, 412.0), baseline_range=(0.0, 94.0)))
    'up to 412 in 3 % of the rows, the baseline has 0 to 94'
    """
    details = alert.details
    if details.seen_range is None or details.baseline_range is None:
        return ""
    (low, high), (first, last) = details.seen_range, details.baseline_range
    below, above = _share(alert, UNDERFLOW), _share(alert, OVERFLOW)
    parts = [f"down to {low:.6g} in {share_text(below)}"] if below else []
    parts += [f"up to {high:.6g} in {share_text(above)}"] if above else []
    if not parts:
        return ""
    return f"{_listed(parts)} of the rows, the baseline has {first:.6g} to {last:.6g}"


def missing_text(alert: Alert) -> str:
    """Return whether missing values are absent or null; empty if that is unknown.

    Examples
    --------
    >>> from schemas.alerts import Severity, Transition
    >>> def alert(p_absent, p_null):
    ...     return Alert(alert_id="1", tenant="t", monitor="drift", severity=Severity.PAGE,
    ...                  transition=Transition.OPENED, time_us=0, opened_at_us=0, sequence=0,
    ...                  title="",
    ...                  p_absent=p_absent, p_null=p_null)
    >>> missing_text(alert(0.0, 1.0)), missing_text(alert(0.4, 0.6))
    ('null in 100 % of the rows', 'null in 60 % and absent in 40 % of the rows')
    """
    details = alert.details
    kinds = (("null", details.p_null), ("absent", details.p_absent))
    parts = [f"{name} in {share_text(p)}" for name, p in kinds if p]
    return f"{_listed(parts)} of the rows" if parts else ""


def details_text(alert: Alert) -> str:
    """Return the details that explain an alert; empty without any."""
    where = alert.effect_where
    outside = _share(alert, UNDERFLOW) + _share(alert, OVERFLOW)
    parts = [
        new_values_text(alert) if where == UNSEEN_SET or _share(alert, UNSEEN) >= _LEAST else "",
        range_text(alert) if where in _OUTSIDE or outside >= _LEAST else "",
        missing_text(alert) if where == MISSING_SET else "",
    ]
    return "; ".join(part for part in parts if part)


def _share(alert: Alert, counter: int) -> float:
    """Return the share of a counter in the window; 0 without counters."""
    n = sum(alert.current_counts)
    return alert.current_counts[counter] / n if n else 0.0


def _listed(parts: list[str]) -> str:
    """Join with commas and "and"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
