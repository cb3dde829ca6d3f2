"""GPU alerts of the last week by GPU and host, as evidence for later replica alerts."""

from __future__ import annotations

from schemas.alerts import Alert


class GpuHistory:
    """GPU alerts in log order, indexed by GPU and host.

    Examples
    --------
    >>> history = GpuHistory()
    >>> history.near("node-2", "GPU-7"), history.hosts_of("GPU-7")
    ([], set())
    """

    def __init__(self) -> None:
        self._alerts: list[Alert] = []
        self._by_gpu: dict[str, list[int]] = {}
        self._by_host: dict[str, list[int]] = {}

    def add(self, alert: Alert) -> None:
        """Append an alert."""
        number = len(self._alerts)
        self._alerts.append(alert)
        self._by_gpu.setdefault(alert.gpu_uuid, []).append(number)
        self._by_host.setdefault(alert.host, []).append(number)

    def near(self, host: str, gpu_uuid: str) -> list[Alert]:
        """Return the alerts on a GPU or on a host, in order."""
        numbers = {*self._by_gpu.get(gpu_uuid, ()), *self._by_host.get(host, ())}
        return [self._alerts[number] for number in sorted(numbers)]

    def hosts_of(self, gpu_uuid: str) -> set[str]:
        """Return the hosts on which a GPU had alerts."""
        return {self._alerts[number].host for number in self._by_gpu.get(gpu_uuid, ())}

    def forget_before(self, time_us: int) -> None:
        """Drop the alerts from before a time."""
        kept = [alert for alert in self._alerts if alert.time_us >= time_us]
        for index in (self._alerts, self._by_gpu, self._by_host):
            index.clear()
        for alert in kept:
            self.add(alert)
