"""The notify stage: alerts in, messages and retraining requests out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from monitor.core.failpoints import Hit, pass_through
from monitor.core.incidents.grouping import Grouping, IncidentChange, Incidents
from monitor.core.notification.dedupe import Dedupe, NotifyReason, SendDecision
from monitor.core.notification.retraining import (
    RECEIVER,
    Retraining,
    RetrainingDecision,
    RetrainingOutcome,
    request_retraining,
)
from monitor.core.notification.routing import check_routes, choose_receivers
from monitor.notify.delivery.attempts import RetryPolicy, Sleep, deliver
from monitor.notify.delivery.log import LogEntry, NotificationLog, last_steps
from monitor.notify.delivery.outbox import Outbox
from monitor.notify.receivers.protocol import Receiver
from schemas.alerts import Alert, Delivery, DeliveryState, Notification, NotificationKind
from schemas.config.model import ModelConfig
from schemas.config.monitor import MonitorConfig
from schemas.errors import ConfigError


@dataclass(slots=True)
class NotifyStep:
    """Result of one alert or tick."""

    changes: list[IncidentChange] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    """Done, failed and suppressed deliveries; with an outbox intents, whose outcome is logged
    later.
    """
    retrainings: list[RetrainingDecision] = field(default_factory=list)


@dataclass(slots=True)
class _Sender:
    """Logs the intent, sends, logs the outcome; never sends the same notification twice."""

    receivers: Mapping[str, Receiver]
    retrainers: Mapping[tuple[str, str], Receiver]
    log: NotificationLog
    policy: RetryPolicy
    sleep: Sleep
    hit: Hit
    outbox: Outbox | None
    sent: set[str] = field(default_factory=set)

    async def send(
        self, notification: Notification, *, is_logged: bool = False, is_replayed: bool = False
    ) -> Delivery:
        """Send one notification that is not suppressed."""
        key = notification.notification_id
        if key in self.sent:
            return await self.suppress(
                notification, NotifyReason.ALREADY_SENT, is_replayed=is_replayed
            )
        self.sent.add(key)
        receiver = self._find(notification)
        if receiver is None:
            return await self._keep(notification, DeliveryState.FAILED, "no such receiver")
        if not is_logged:
            await self._keep(notification, DeliveryState.INTENT, "")
        if self.outbox is not None:
            self.outbox.put(receiver, notification, self._came_of)
            return _outcome(notification, DeliveryState.INTENT, "")
        delivery = await deliver(receiver, notification, self.policy, self.sleep)
        return await self._came_of(notification, delivery)

    async def suppress(
        self, notification: Notification, reason: NotifyReason, *, is_replayed: bool
    ) -> Delivery:
        """Log that a notification was suppressed, with the reason; once, also across restarts."""
        if is_replayed:
            return _outcome(notification, DeliveryState.SUPPRESSED, reason.value)
        return await self._keep(notification, DeliveryState.SUPPRESSED, reason.value)

    def remember(self, entry: LogEntry) -> None:
        """Restore the notifications that were sent before a restart."""
        self.sent.add(entry.notification.notification_id)
        receiver = self._find(entry.notification)
        if receiver is not None and entry.delivery.state == DeliveryState.DONE:
            receiver.remember(entry.notification, entry.delivery.detail)

    def _find(self, notification: Notification) -> Receiver | None:
        """Return the receiver of a notification."""
        if notification.kind is not NotificationKind.RETRAINING:
            return self.receivers.get(notification.receiver)
        models = [(a.tenant, a.model) for a in notification.incident.alerts]
        return next((self.retrainers[m] for m in models if m in self.retrainers), None)

    async def _came_of(self, notification: Notification, delivery: Delivery) -> Delivery:
        """Log the outcome of a message that was sent or failed."""
        self.hit("notify:sent")
        return await self._note(notification, delivery)

    async def _keep(
        self, notification: Notification, state: DeliveryState, detail: str
    ) -> Delivery:
        """Append one entry to the log."""
        return await self._note(notification, _outcome(notification, state, detail))

    async def _note(self, notification: Notification, delivery: Delivery) -> Delivery:
        """Append one entry and hit the failpoint of its step."""
        await self.log.append(LogEntry(notification, delivery))
        self.hit(f"notify:{delivery.state}")
        return delivery


def _outcome(notification: Notification, state: DeliveryState, detail: str) -> Delivery:
    """Build a log entry that is not an attempt."""
    return Delivery(
        notification_id=notification.notification_id,
        receiver=notification.receiver,
        state=state,
        time_us=notification.time_us,
        detail=detail,
    )


class Notifier:
    """Groups alerts into incidents, determines their cause, and sends notifications.

    Parameters
    ----------
    config : MonitorConfig
        ``group_wait`` and ``repeat_interval``.
    models : sequence of ModelConfig
        Their routes and retraining policies.
    receivers : mapping of str to Receiver
        By the names that routes use.
    log : NotificationLog
        Log of intents and outcomes.
    retrainers : mapping of (tenant, model) to Receiver, optional
        Targets of retraining requests.
    grouping : Grouping, optional
        Bounds within which alerts share an incident.
    policy : RetryPolicy, optional
        Bounds of one delivery.
    sleep : callable, optional
        Waits between attempts.
    hit : callable, optional
        Called with the name of each failpoint.
    outbox : Outbox, optional
        Sends messages in the background once their intent is logged, so that a slow receiver delays
        neither the step nor other receivers. Without an outbox messages are sent within the step.

    Raises
    ------
    ConfigError
        If a route names a receiver that does not exist, or a model's retraining has no
        receiver.

    Notes
    -----
    The intent is logged, the notification is sent, then the outcome is logged. ``start`` reads the
    log: delivered notifications are not sent again, and an intent without an outcome is sent again
    under the same key. A crash causes at most one repeat, which receivers can recognise.
    """

    def __init__(
        self,
        config: MonitorConfig,
        models: Sequence[ModelConfig],
        receivers: Mapping[str, Receiver],
        log: NotificationLog,
        *,
        retrainers: Mapping[tuple[str, str], Receiver] | None = None,
        grouping: Grouping | None = None,
        policy: RetryPolicy | None = None,
        sleep: Sleep = asyncio.sleep,
        hit: Hit = pass_through,
        outbox: Outbox | None = None,
    ) -> None:
        asked = {(m.tenant, m.model): m.retraining for m in models if m.retraining is not None}
        for model in models:
            check_routes(model.model, model.routes, list(receivers))
        for key in asked:
            if key not in (retrainers or {}):
                raise ConfigError(
                    f"model {key[1]!r} has a retraining policy and no receiver for it",
                    where="notifier",
                    fix="pass one in retrainers, or leave retraining out of the model's config",
                )
        self._routes = {(m.tenant, m.model): m.routes for m in models}
        self._names = tuple(receivers)
        self._policies = {key: Retraining(*key, wish) for key, wish in asked.items()}
        self._last_sent_us = 0
        self._incidents = Incidents(grouping)
        self._dedupe = Dedupe(config.group_wait_us, config.repeat_interval_us)
        self._sender = _Sender(
            receivers, retrainers or {}, log, policy or RetryPolicy(), sleep, hit, outbox
        )

    @property
    def n_waiting(self) -> int:
        """Number of groups in their group wait."""
        return self._dedupe.n_waiting

    @property
    def last_sent_us(self) -> int:
        """Time of the last notification before ``start``; 0 without one."""
        return self._last_sent_us

    async def start(self) -> list[Delivery]:
        """Read the log, and finish what a crash interrupted.

        Returns
        -------
        list of Delivery
            Deliveries of the intents that had no outcome.

        Notes
        -----
        Only the last step of each notification is used, as after compaction.
        """
        newest = last_steps(await self._sender.log.read())
        interrupted = []
        self._last_sent_us = max((e.notification.time_us for e in newest.values()), default=0)
        for entry in newest.values():
            self._dedupe.remember(entry.notification)
            if entry.notification.kind is NotificationKind.RETRAINING:
                for policy in self._policies.values():
                    policy.remember(entry.notification)
            if entry.delivery.state == DeliveryState.INTENT:
                interrupted.append(entry.notification)
            else:
                self._sender.remember(entry)
        return [await self._sender.send(n, is_logged=True) for n in interrupted]

    async def observe(self, alert: Alert, now_us: int, *, is_replayed: bool = False) -> NotifyStep:
        """Process one alert.

        Parameters
        ----------
        alert : Alert
            In the order of the log.
        now_us : int
            Event time of the alert stream. Group waits, cooldowns and repeat intervals are measured
            on it.
        is_replayed : bool
            The alert was processed before a restart: its suppressions are not logged again.

        Returns
        -------
        NotifyStep
        """
        return await self._follow(self._incidents.observe(alert, now_us), now_us, is_replayed)

    def rest(self, now_us: int) -> None:
        """Do what ``tick`` does where there has been no alert, and so nothing is due."""
        self._incidents.forget_old(now_us)

    async def tick(self, now_us: int, *, is_replayed: bool = False) -> NotifyStep:
        """Send the notifications that are due.

        Parameters
        ----------
        now_us : int
            The same clock as in ``observe``.
        is_replayed : bool
            As in ``observe``.

        Returns
        -------
        NotifyStep
        """
        self._incidents.forget_old(now_us)
        step = NotifyStep(deliveries=await self._send_all(self._dedupe.tick(now_us), is_replayed))
        for policy in self._policies.values():
            await self._ask(policy.tick(now_us), step, is_replayed)
        return step

    async def close(self) -> None:
        """Close every receiver."""
        everyone = [*self._sender.receivers.values(), *self._sender.retrainers.values()]
        await asyncio.gather(*(receiver.close() for receiver in everyone))

    async def _follow(
        self, changes: list[IncidentChange], now_us: int, is_replayed: bool
    ) -> NotifyStep:
        """Send the notifications and retraining requests of incident changes."""
        step = NotifyStep(changes=changes)
        for change in changes:
            routing = choose_receivers(change.incident, self._routes, self._names)
            decisions = self._dedupe.observe(change, routing.receivers, now_us)
            step.deliveries += await self._send_all(decisions, is_replayed)
            for policy in self._policies.values():
                await self._ask(policy.observe(change, now_us), step, is_replayed)
        return step

    async def _send_all(self, decisions: list[SendDecision], is_replayed: bool) -> list[Delivery]:
        """Send to different receivers concurrently, to each receiver in order."""
        by_receiver: dict[str, list[SendDecision]] = {}
        for decision in decisions:
            by_receiver.setdefault(decision.notification.receiver, []).append(decision)
        parts = await asyncio.gather(
            *(self._send_each(part, is_replayed) for part in by_receiver.values())
        )
        return [delivery for part in parts for delivery in part]

    async def _send_each(self, decisions: list[SendDecision], is_replayed: bool) -> list[Delivery]:
        """Send one receiver's notifications in order."""
        return [
            await self._sender.send(d.notification, is_replayed=is_replayed)
            if d.is_sent
            else await self._sender.suppress(d.notification, d.reason, is_replayed=is_replayed)
            for d in decisions
        ]

    async def _ask(
        self, decisions: list[RetrainingDecision], step: NotifyStep, is_replayed: bool
    ) -> None:
        """Send the retraining requests."""
        for decision in decisions:
            step.retrainings.append(decision)
            if decision.outcome is RetrainingOutcome.REQUESTED:
                request = request_retraining(decision)
                step.deliveries.append(await self._sender.send(request, is_replayed=is_replayed))


__all__ = ["RECEIVER", "Notifier", "NotifyStep"]
