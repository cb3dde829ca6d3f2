"""Rare input: a flood of refused events, and unreadable messages of internal topics."""

from __future__ import annotations

import msgspec

from monitor.core import topics as names
from monitor.core.pipeline_health.dead_letter_limit import RULE
from monitor.storage.clickhouse import Store
from schemas.refused import DeadLetter
from schemas.time_units import MINUTE_US
from tests.support.scenario.batch_oracle import LETTERS_A_MINUTE
from tests.support.scenario.fault_run import FaultRun
from tests.support.waiting import wait_until
from tests.support.worlds.fault import WINDOW_US, FaultEvent

GARBAGE = (b"", b"\xff\xfe not ours", b"\x93\x01\x02\x03", b"{}")
"""Neither a pane, nor an alert, nor a GPU event."""
PUT_ASIDE = (names.PANES, names.ALERTS, names.GPU)
"""Topics whose readers write a dead letter for each of these; they name the topic as here."""
_BEYOND = 200

Place = tuple[str, int, int]


def write_flood(run: FaultRun, partition: int = 0) -> int:
    """Write more refused events of one minute than are kept; return which minute that was.

    Notes
    -----
    Nothing else of the partition lies between them, so a repeated read begins before
    the first; and one more, of two minutes later, lets the flood be over. So what is kept of
    it is the same whatever happens.
    """
    run.world.n_windows += 4 * MINUTE_US // WINDOW_US
    minute = run.world.end_us // MINUTE_US - 2
    times_us = [minute * MINUTE_US] * (LETTERS_A_MINUTE + _BEYOND) + [(minute + 2) * MINUTE_US]
    run.write(
        FaultEvent(names.PREDICTIONS, partition, b"flood", b"flood %d" % i, time_us)
        for i, time_us in enumerate(times_us)
    )
    return minute


def flood_alerts(run: FaultRun) -> set[tuple[str, int]]:
    """Return transition and minute of the alerts about floods; each has one id."""
    alerts = [a for a in run.found.pipeline_alerts if a.rule == RULE]
    changes = {(a.transition.value, a.time_us // MINUTE_US) for a in alerts}
    assert len({a.alert_id for a in alerts}) == len(changes)
    return changes


def await_internal_letters(run: FaultRun) -> None:
    """Wait until each unreadable message has its one row in the store.

    While the stages run, and after the last of them was written and read.
    """
    wanted = _garbage(run)
    assert wanted
    try:
        wait_until(lambda: _stored(run) == wanted, 60, "a dead letter for each message")
    except AssertionError as error:
        stored = _stored(run)
        missing, beyond = sorted({*wanted} - {*stored}), sorted({*stored} - {*wanted})
        raise AssertionError(
            f"{error}: missing {missing}, beyond {beyond}\n{run.tails()}"
        ) from error


def check_internal_letters(run: FaultRun) -> None:
    """There are dead letters of these messages in the log, and of no others of ours."""
    letters = [
        msgspec.msgpack.decode(message.value, type=DeadLetter)
        for _, message in run.topics.of(names.DEAD_LETTERS)
    ]
    found = {(d.source, d.partition, d.offset) for d in letters if d.source in PUT_ASIDE}
    assert sorted(found) == _garbage(run) == _stored(run)


def _garbage(run: FaultRun) -> list[Place]:
    """Return their positions, in order."""
    return sorted(
        (topic, partition, message.offset)
        for topic in PUT_ASIDE
        for partition, message in run.topics.of(topic)
        if message.value in GARBAGE
    )


def _stored(run: FaultRun) -> list[Place]:
    """Return their rows in the store, in order."""
    assert run.store is not None
    named = ", ".join(f"'{topic}'" for topic in PUT_ASIDE)
    sql = f"SELECT source, partition, offset FROM dead_letters FINAL WHERE source IN ({named})"
    with Store.open(run.store) as store:
        rows = store.query(sql).to_pylist()
    return sorted((r["source"], r["partition"], r["offset"]) for r in rows)
