"""Index of open incidents by cell, model, feature, GPU, host and replica of their alerts.

With thousands of open incidents a linear search takes a millisecond per alert. Each incident is
indexed by the keys of its alerts; a lookup returns candidates in order of opening, and the rules of
:mod:`monitor.core.incidents.grouping` choose among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from monitor.core.incidents.case import Case, cell_of, is_about_data, is_score, trim_alerts
from monitor.core.incidents.evidence import replica_of
from schemas.alerts import Alert
from schemas.monitors import Monitor

Key = tuple[str, ...]


def model_key(alert: Alert) -> Key:
    """Return the key of the alert's model."""
    return ("model", alert.tenant, alert.model)


def score_key(alert: Alert) -> Key:
    """Return the key of scores of the alert's model."""
    return ("score", alert.tenant, alert.model)


def feature_key(alert: Alert) -> Key:
    """Return the key of the alert's feature in its model."""
    return ("feature", alert.tenant, alert.model, alert.feature)


def gpu_keys(host: str, gpu_uuid: str) -> tuple[Key, Key]:
    """Return the keys of GPU alerts on a GPU or on its host."""
    return ("gpu", gpu_uuid), ("gpu_host", host)


def replica_keys(host: str, gpu_uuid: str) -> tuple[Key, Key]:
    """Return the keys of replicas on a GPU or on its host."""
    return ("replica_gpu", gpu_uuid), ("replica_host", host)


def keys_of(alert: Alert) -> list[Key]:
    """Return the index keys of an alert.

    Examples
    --------
    >>> from schemas.alerts import Severity, Transition
    >>> alert = Alert(alert_id="1", tenant="t", monitor="drift", severity=Severity.PAGE, sequence=0,
    ...               transition=Transition.OPENED, time_us=0, opened_at_us=0, title="",
    ...               model="loans", feature="age")
    >>> keys_of(alert)
    [('model', 't', 'loans'), ('feature', 't', 'loans', 'age')]
    """
    keys: list[Key] = []
    if alert.model:
        keys.append(model_key(alert))
        if is_score(alert):
            keys.append(score_key(alert))
        if is_about_data(alert):
            keys.append(feature_key(alert))
    if alert.monitor == Monitor.GPU:
        keys += gpu_keys(alert.host, alert.gpu_uuid)
    elif alert.monitor == Monitor.REPLICA:
        keys += replica_keys(*replica_of(alert))
    return keys


class OpenCases:
    """Open incidents in order of opening, with their index.

    Notes
    -----
    All changes of an incident's alerts and open cells go through this class, so that the index is
    consistent. A cell is open in at most one incident. An update costs a dictionary access per key
    of the alert, a lookup is linear in its candidates; neither depends on the number of open
    incidents.

    Examples
    --------
    >>> OpenCases().of_cell("a cell") is None, OpenCases().having(("model", "t", "m"))
    (True, [])
    """

    def __init__(self) -> None:
        self._cases: dict[int, Case] = {}
        self._by_cell: dict[str, Case] = {}
        self._by_key: dict[Key, dict[int, Case]] = {}
        self._n_opened = 0

    def __iter__(self) -> Iterator[Case]:
        return iter(self._cases.values())

    def of_cell(self, cell: str) -> Case | None:
        """Return the incident with an open cell."""
        return self._by_cell.get(cell)

    def having(self, *keys: Key) -> list[Case]:
        """Return the incidents with an alert of one of the keys, oldest first."""
        found: dict[int, Case] = {}
        for key in keys:
            found |= self._by_key.get(key, {})
        return [found[number] for number in sorted(found)]

    def open(self, case: Case) -> None:
        """Add an incident with its alerts and open cells."""
        case.number = self._n_opened
        self._n_opened += 1
        self._cases[case.number] = case
        self._by_cell.update(dict.fromkeys(case.open_cells, case))
        self._index(case, case.incident.alerts)

    def close(self, case: Case) -> None:
        """Remove an incident; its alerts and cells are unchanged."""
        del self._cases[case.number]
        for cell in case.open_cells:
            del self._by_cell[cell]
        for key in case.n_by_key:
            self._drop(case, key)

    def add(self, case: Case, alert: Alert) -> None:
        """Append an alert to an incident, and mark its cell as open."""
        case.incident.alerts.append(alert)
        cell = cell_of(alert)
        case.open_cells.add(cell)
        self._by_cell[cell] = case
        self._index(case, [alert])

    def resolve(self, case: Case, alert: Alert) -> None:
        """Append an alert that closes its cell; the last cell closes the incident."""
        case.incident.alerts.append(alert)
        cell = cell_of(alert)
        case.open_cells.remove(cell)
        del self._by_cell[cell]
        self._index(case, [alert])
        if not case.open_cells:
            self.close(case)

    def absorb(self, case: Case, other: Case) -> None:
        """Close another incident, and move its alerts and open cells into this one."""
        self.close(other)
        case.incident.alerts.extend(other.incident.alerts)
        case.open_cells |= other.open_cells
        self._by_cell.update(dict.fromkeys(other.open_cells, case))
        self._index(case, other.incident.alerts)

    def trim(self, case: Case) -> None:
        """Drop surplus alerts of a very long incident."""
        for alert in trim_alerts(case.incident):
            for key in keys_of(alert):
                case.n_by_key[key] -= 1
                if not case.n_by_key[key]:
                    del case.n_by_key[key]
                    self._drop(case, key)

    def _index(self, case: Case, alerts: Iterable[Alert]) -> None:
        """Add the keys of new alerts of an incident."""
        for alert in alerts:
            for key in keys_of(alert):
                case.n_by_key[key] = case.n_by_key.get(key, 0) + 1
                self._by_key.setdefault(key, {})[case.number] = case

    def _drop(self, case: Case, key: Key) -> None:
        """Remove an incident from the index of a key."""
        cases = self._by_key[key]
        del cases[case.number]
        if not cases:
            del self._by_key[key]
