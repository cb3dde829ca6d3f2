"""The store over HTTP through a faulty proxy: the caller's error, and the stored rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from monitor.storage.clickhouse import TIMEOUT_VARIABLE, Store
from schemas.errors import StorageError
from tests.support.store.clickhouse_http import fresh_database
from tests.support.store.fault_proxy import Fault, FaultProxy

pytestmark = pytest.mark.integration

COUNT = "SELECT count() AS n FROM predictions"


@pytest.fixture
def proxy(clickhouse) -> Iterator[FaultProxy]:
    with (
        fresh_database(clickhouse) as url,
        FaultProxy(url) as proxy,
        Store.open(url) as direct,
    ):
        direct.migrate()
        yield proxy


@pytest.fixture
def store(proxy, monkeypatch) -> Iterator[Store]:
    monkeypatch.setenv(TIMEOUT_VARIABLE, "2")
    with Store.open(proxy.url) as store:
        yield store


def rows_of(n: int, first: int = 0) -> pa.Table:
    ids = np.arange(first, first + n)
    return pa.table({"id": pa.array(ids).cast(pa.string()), "time_us": ids})


def n_rows(proxy: FaultProxy) -> int:
    with Store.open(proxy.target) as direct:
        return direct.query(COUNT)["n"][0].as_py()


BROKEN = [
    Fault.OUTAGE,
    Fault.SILENCE,
    Fault.UNAVAILABLE,
    Fault.GATEWAY,
    Fault.CUT_REQUEST,
    Fault.DROPPED_ANSWER,
    Fault.HALF_ANSWER,
]


@pytest.mark.parametrize("fault", BROKEN, ids=lambda fault: fault.name)
@pytest.mark.parametrize("verb", ["query", "insert", "command"])
def test_every_fault_is_one_clear_line(proxy, store, fault, verb):
    proxy.standing = fault
    calls = {
        "query": lambda: store.query(COUNT),
        "insert": lambda: store.insert("predictions", rows_of(10), token="t:0:0:10"),
        "command": lambda: store.command("OPTIMIZE TABLE predictions"),
    }
    if fault is Fault.HALF_ANSWER and verb != "query":
        # An answer without a body has nothing to break off: the statement was done.
        calls[verb]()
        return
    with pytest.raises(StorageError) as caught:
        calls[verb]()
    line = str(caught.value)
    assert "\n" not in line
    assert "<html>" not in line
    assert len(line) < 500
    assert proxy.url.split("/")[2] in line


@pytest.mark.parametrize("fault", BROKEN, ids=lambda fault: fault.name)
def test_a_store_answers_again_after_a_fault(proxy, store, fault):
    proxy.standing = fault
    with pytest.raises(StorageError):
        store.query(COUNT)
    proxy.standing = Fault.NONE
    assert store.query(COUNT)["n"][0].as_py() == 0


@pytest.mark.parametrize("fault", BROKEN, ids=lambda fault: fault.name)
def test_an_insert_repeated_under_its_token_is_there_once(proxy, store, fault):
    proxy.standing = fault
    if fault is Fault.HALF_ANSWER:
        store.insert("predictions", rows_of(10_000), token="t:0:0:10000")
    else:
        with pytest.raises(StorageError):
            store.insert("predictions", rows_of(10_000), token="t:0:0:10000")
    # A dropped answer is the case that matters: the rows are stored, and the caller does not know.
    assert n_rows(proxy) in ((10_000,) if fault in ANSWERED else (0,))
    proxy.standing = Fault.NONE
    store.insert("predictions", rows_of(10_000), token="t:0:0:10000")
    assert n_rows(proxy) == 10_000


ANSWERED = (Fault.DROPPED_ANSWER, Fault.HALF_ANSWER)


def test_a_flapping_store_takes_every_block_once(proxy, store):
    faults = [Fault.DROPPED_ANSWER, Fault.NONE, Fault.UNAVAILABLE, Fault.CUT_REQUEST, Fault.NONE]
    for block in range(10):
        for attempt in range(20):
            proxy.faults.extend(faults[(block + attempt) % 5 :][:2])
            try:
                store.insert("predictions", rows_of(100, 100 * block), token=f"t:0:{block}:0")
                break
            except StorageError:
                continue
        else:
            pytest.fail("never taken")
    proxy.faults.clear()
    assert n_rows(proxy) == 1_000
    assert {Fault.DROPPED_ANSWER, Fault.UNAVAILABLE, Fault.CUT_REQUEST} <= set(proxy.met)


def test_an_outage_is_reported_and_ends(proxy, store):
    proxy.go_down()
    with pytest.raises(StorageError, match="does not answer"):
        store.query(COUNT)
    with pytest.raises(StorageError, match="does not answer"):
        Store.open(proxy.url)
    proxy.come_back()
    assert store.query(COUNT)["n"][0].as_py() == 0


def test_a_slow_answer_is_waited_for(proxy, store):
    proxy.standing = Fault.SLOW
    assert store.query(COUNT)["n"][0].as_py() == 0


def test_silence_is_given_up_on(proxy, store):
    proxy.standing = Fault.SILENCE
    with pytest.raises(StorageError, match="does not answer"):
        store.command("OPTIMIZE TABLE predictions")
