"""The producer SDK: what it takes, what it counts, that it never breaks the model."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import datetime as dt
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from decimal import Decimal

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pydantic
import pytest

from driftline import Counters, Reporter
from driftline.batches import MAX_MESSAGE_BYTES, OutgoingMessage
from driftline.ids import time_of_id
from monitor.decode.chunk import chunk_of
from monitor.decode.decoder import Decoder
from schemas.batch import ModelSchema
from schemas.errors import DomainError
from schemas.events import LabelEvent
from tests.support.repository import ROOT

BOUND_S = 20


class FakeSender:
    """Replaces Kafka: acknowledges, refuses, or does not answer, as set."""

    def __init__(self) -> None:
        self.messages: list[OutgoingMessage] = []
        self.is_down = False
        self.failure: Exception | None = None
        self.is_silent = False
        self.is_abandoned = False
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def send(self, message: OutgoingMessage, done: Callable[[BaseException | None], None]) -> None:
        self.entered.set()
        self.gate.wait(BOUND_S)
        if self.is_down:
            raise ConnectionError("no broker")
        self.messages.append(message)
        if not self.is_silent:
            done(self.failure)

    def flush(self, timeout_s: float) -> None:
        pass

    def close(self, timeout_s: float) -> None:
        pass

    def abandon(self) -> None:
        self.is_abandoned = True

    def events(self, topic: str = "driftline.predictions") -> list[dict]:
        return [e for m in self.messages if m.topic == topic for e in json.loads(m.payload)]


@pytest.fixture
def sender() -> FakeSender:
    return FakeSender()


@pytest.fixture
def new_reporter(sender):
    made: list[Reporter] = []

    def make(**options) -> Reporter:
        options = {"model": "m", "linger_s": 0.0, "host": "h", **options}
        made.append(Reporter("nowhere:9", _sender=lambda: sender, **options))
        return made[-1]

    yield make
    sender.gate.set()
    for reporter in made:
        reporter.close(0)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOUND_S
    while not holds():
        assert time.monotonic() < deadline, "did not happen in time"
        threading.Event().wait(0.002)


def test_what_was_reported_is_what_the_decoder_reads(new_reporter, sender):
    reporter = new_reporter(tenant="t", model_version="v1", gpu_uuid="GPU-1")
    schema = ModelSchema("t", "m", ("age", "income"), ("job",), ("region",))
    reporter.predict(
        {"age": np.float64(41.5), "income": np.int64(3), "job": np.str_("käse")},
        score=np.float32(0.25),
        prediction=True,
        id="a",
        segments={"region": "north"},
        time_us=7,
    )
    reporter.predict({"age": float("nan"), "income": None}, id="b", host="other", time_us=8)
    assert reporter.close(BOUND_S)
    decoded = Decoder([schema]).decode(chunk_of([m.payload for m in sender.messages], "s"))
    assert decoded.rejects == ()
    (batch,) = decoded.batches
    assert batch.time_us.tolist() == [7, 8]
    np.testing.assert_array_equal(batch.numeric[0], [41.5, np.nan])
    np.testing.assert_array_equal(batch.numeric[1], [3.0, np.nan])
    np.testing.assert_array_equal(batch.score, [0.25, np.nan])
    first, second = sender.events()
    assert (first["prediction"], first["gpu_uuid"], first["host"]) == ("true", "GPU-1", "h")
    assert second["host"] == "other"


def test_a_label_goes_to_its_own_topic(new_reporter, sender):
    reporter = new_reporter()
    id_ = reporter.predict({"a": 1})
    reporter.label(id_, np.bool_(True), time_us=9)
    reporter.label("x", "fraud", time_us=9)
    assert reporter.close(BOUND_S)
    labels = sender.events("driftline.labels")
    assert [(e["id"], e["label"]) for e in labels] == [(id_, 1.0), ("x", "fraud")]
    for label in labels:
        msgspec.convert(label, LabelEvent)
    assert [e["id"] for e in sender.events()] == [id_]


def test_receipts_make_labels_that_carry_their_prediction(new_reporter, sender):
    reporter = new_reporter(receipts=True, model_version="3")
    receipt = reporter.predict({"a": 1}, id="x", score=0.25, segments={"SEX": "1"}, time_us=7)
    reporter.label(receipt, 1, time_us=9)
    reporter.label("x", 0, time_us=9)
    broken = reporter.predict({"a": 1}, id="y", score=object(), prediction=[1], time_us=7)
    reporter.label(broken, 1, time_us=9)
    assert reporter.close(BOUND_S)
    assert [e["id"] for e in sender.events()] == ["x", "y"]
    full, bare, odd = sender.events("driftline.labels")
    assert (full["id"], full["prediction_time_us"], full["score"]) == ("x", 7, 0.25)
    assert (full["model_version"], full["segments"], full["host"]) == ("3", {"SEX": "1"}, "h")
    assert bare == {"id": "x", "model": "m", "time_us": 9, "label": 0.0}
    assert (odd["id"], odd["prediction_time_us"], "score" in odd) == ("y", 7, False)


def test_ids_that_are_made_up_begin_with_the_time_of_the_event(new_reporter):
    reporter, noon_us = new_reporter(), 1_700_000_000_123_456
    assert time_of_id(reporter.predict({"a": 1}, time_us=noon_us)) == noon_us
    before_us = time.time_ns() // 1000
    found = [reporter.predict({"a": 1}), reporter.predict({"a": 1}, time_us=object())]
    after_us = time.time_ns() // 1000
    assert all(before_us <= time_of_id(id_) <= after_us for id_ in found)
    assert reporter.predict({"a": 1}, id="own", time_us=object()) == "own"


def test_the_event_is_as_it_was_when_it_was_reported(new_reporter, sender):
    sender.gate.clear()
    reporter = new_reporter(feature_names=("a", "b"))
    seen, row = {"a": 1, "b": 2}, np.array([1.0, 2.0])
    reporter.predict(seen)
    reporter.predict(row)
    seen["a"] = row[0] = 99
    sender.gate.set()
    assert reporter.close(BOUND_S)
    assert [e["features"] for e in sender.events()] == [{"a": 1, "b": 2}, {"a": 1.0, "b": 2.0}]


class Hostile:
    """Raises whatever is done to it."""

    def __getattribute__(self, name):
        raise RuntimeError("hostile")

    def __str__(self):
        raise RuntimeError("hostile")

    __iter__ = __len__ = __float__ = __str__


@pytest.mark.parametrize(
    "call",
    [
        lambda r: r.predict(None, score=object()),
        lambda r: r.predict(Hostile()),
        lambda r: r.predict([1, 2, 3]),
        lambda r: r.predict(5),
        lambda r: r.predict(pd.DataFrame({"a": [1, 2]})),
        lambda r: r.predict({}, time_us=-1),
        lambda r: r.predict({}, time_us="now"),
        lambda r: r.predict({}, time_us=float("nan")),
        lambda r: r.predict({str(i): "x" * 200_000 for i in range(9)}),
        lambda r: r.label("x", None),
        lambda r: r.label("x", pd.NA),
        lambda r: r.label("x", "NaN"),
        lambda r: r.label("x", Hostile()),
        lambda r: r.label(Hostile(), 1),
    ],
)
def test_whatever_is_wrong_is_counted_and_not_raised(new_reporter, sender, call):
    reporter = new_reporter()
    call(reporter)
    reporter.predict({"a": 1}, id="good")
    assert reporter.close(BOUND_S)
    counters = reporter.counters
    assert (counters.n_reported, counters.n_invalid, counters.n_sent) == (2, 1, 1)
    assert counters.last_error
    assert [e["id"] for e in sender.events()] == ["good"]


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no words either")


class Worse:
    def item(self) -> float:
        raise Unspeakable


ODD = [
    *[Hostile(), Worse(), object(), [1, 2], {"x": 1}, (1,), {1}, np.zeros(3), b"\xff", 1j],
    *[np.void((1,), dtype=[("x", "i4")]), "x" * (1 << 21), 10**400, Decimal("1e999999")],
    *[len, iter([1]), np.datetime64("-9999-01-01"), pd.DataFrame({"x": [1]})],
]


@pytest.mark.parametrize("format", ["json", "arrow"])
@pytest.mark.parametrize("number", range(len(ODD)))  # pytest itself looks at a value
def test_an_odd_value_is_missing_and_counted_and_its_event_is_sent(
    new_reporter, sender, number, format
):
    value = ODD[number]
    reporter = new_reporter(format=format)
    reporter.predict(
        {"a": value, "b": 2.5},
        id="1",
        score=value,
        prediction=value,
        segments={"s": value, "t": "u"},
    )
    assert reporter.close(BOUND_S)
    counters = reporter.counters
    assert (counters.n_sent, counters.n_invalid) == (1, 0)
    # an integer beyond all floats is a class like any other; it is a float nowhere
    assert counters.n_odd_values == (2 if type(value) is int else 4)
    assert counters.last_error.startswith(("prediction: ", "score: "))
    assert counters.is_complete
    decoder = Decoder([ModelSchema("default", "m", ("b",), ("a",), ("s",))])
    chunk = chunk_of([message.payload for message in sender.messages], "t")
    (batch,) = decoder.decode(chunk).batches
    assert (batch.numeric[0].tolist(), batch.categorical[0].codes.tolist()) == ([2.5], [-1])
    assert np.isnan(batch.score).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda r: r.predict({"b": 2.5}, score="high"),
        lambda r: r.predict({"b": 2.5}, segments=5),
        lambda r: r.predict({"b": 2.5, Hostile(): 1}),
        lambda r: r.predict({"b": 2.5}, host=[1]),
    ],
)
def test_what_is_odd_beside_the_features_costs_no_event(new_reporter, sender, call):
    reporter = new_reporter()
    call(reporter)
    assert reporter.close(BOUND_S)
    assert (reporter.counters.n_sent, reporter.counters.n_odd_values) == (1, 1)
    assert sender.events()[0]["features"] == {"b": 2.5}


def test_text_that_utf8_cannot_hold_is_mended(new_reporter, sender):
    reporter = new_reporter()
    reporter.predict({"a": "x\ud800y", "\udfff": 1})
    assert reporter.close(BOUND_S)
    assert sender.events()[0]["features"] == {"a": "x\ufffdy", "\ufffd": 1}
    assert reporter.counters.n_odd_values == 0


Row = collections.namedtuple("Row", "amount code")


@dataclasses.dataclass(slots=True)
class DataRow:
    code: int
    amount: float


class PydanticRow(pydantic.BaseModel):
    code: int
    amount: float


class MsgspecRow(msgspec.Struct):
    code: int
    amount: float


@pytest.mark.parametrize("names", [(), ("amount", "code")])
@pytest.mark.parametrize(
    "features",
    [
        pd.Series({"code": 3, "amount": 0.1}),
        pd.Series({"code": 3, "amount": 0.1}, dtype="float32"),
        pd.DataFrame({"code": [3], "amount": [0.1]}),
        Row(amount=0.1, code=3),
        DataRow(code=3, amount=0.1),
        PydanticRow(code=3, amount=0.1),
        MsgspecRow(code=3, amount=0.1),
        np.array([(3, 0.1)], dtype=[("code", "i4"), ("amount", "f4")])[0],
        {"code": np.int64(3), "amount": np.float16(0.1)},
    ],
    ids=lambda value: type(value).__name__,
)
def test_features_that_bring_names_are_matched_by_them(new_reporter, sender, features, names):
    reporter = new_reporter(feature_names=names)
    reporter.predict(features)
    assert reporter.close(BOUND_S)
    assert sender.events()[0]["features"] == {"code": 3, "amount": 0.1}


@pytest.mark.parametrize(
    "features",
    [
        [0.1, 3],
        np.array([0.1, 3], np.float32),
        np.array([[0.1, 3]], np.float16),
        pd.Series([0.1, 3], dtype="float32"),
        pd.DataFrame([[0.1, 3]], dtype="float32"),
        (x for x in (0.1, 3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_features_without_names_come_in_the_reporters_order(new_reporter, sender, features):
    reporter = new_reporter(feature_names=("amount", "code"))
    reporter.predict(features)
    assert reporter.close(BOUND_S)
    assert sender.events()[0]["features"] == {"amount": 0.1, "code": 3}


def test_an_array_may_be_changed_after_it_was_reported(new_reporter, sender):
    reporter = new_reporter(feature_names=("amount", "code"))
    array = np.array([0.1, 3])
    sender.gate.clear()
    reporter.predict(array)
    array[:] = 9
    sender.gate.set()
    assert reporter.close(BOUND_S)
    assert sender.events()[0]["features"] == {"amount": 0.1, "code": 3}


@pytest.mark.parametrize(
    "time_us",
    [
        1_709_510_400.0,
        1_709_510_400,
        np.int64(1_709_510_400_000),
        1_709_510_400_000_000,
        1_709_510_400_000_000_000,
        dt.datetime(2024, 3, 4, tzinfo=dt.UTC),
        pd.Timestamp("2024-03-04"),
        "2024-03-04T00:00:00Z",
    ],
)
def test_an_event_time_is_never_in_1970(new_reporter, sender, time_us):
    reporter = new_reporter()
    reporter.predict({}, time_us=time_us)
    reporter.label("1", 1, time_us=time_us)
    assert reporter.close(BOUND_S)
    events = [*sender.events(), *sender.events("driftline.labels")]
    assert [e["time_us"] for e in events] == [1_709_510_400_000_000] * 2


def test_ids_have_their_form(new_reporter, sender):
    reporter = new_reporter()
    given = [7, 7.0, np.int64(7), "7.0", uuid.UUID(int=5)]
    returned = [reporter.predict({}, id=one) for one in given]
    assert returned == ["7", "7", "7", "7.0", str(uuid.UUID(int=5))]
    assert len(reporter.predict({}, id=float("nan"))) == 32
    reporter.close(BOUND_S)
    assert [e["id"] for e in sender.events()][:5] == returned


def test_integers_of_any_size_are_numbers(new_reporter, sender):
    reporter = new_reporter()
    reporter.predict({"a": 10**30, "b": 10**400, "c": -(2**63)})
    assert reporter.close(BOUND_S)
    assert sender.events()[0]["features"] == {"a": 1e30, "b": None, "c": -(2**63)}


def test_a_full_buffer_drops_the_oldest_and_counts_them(new_reporter, sender):
    sender.gate.clear()
    reporter = new_reporter(n_buffered=100, n_batch=10)
    reporter.predict({}, id="first")
    assert sender.entered.wait(BOUND_S)  # the first is with the sender; the rest must wait
    begin = time.perf_counter()
    for i in range(1_000):
        reporter.predict({}, id=str(i))
    assert time.perf_counter() - begin < 5
    assert reporter.counters.n_dropped == 900
    assert reporter.counters.n_waiting == 101
    sender.gate.set()
    assert reporter.close(BOUND_S)
    assert [e["id"] for e in sender.events()] == ["first", *map(str, range(900, 1_000))]
    assert reporter.counters.n_sent == 101
    assert reporter.counters.is_complete


def test_a_broker_that_is_down_is_tried_again_until_it_is_there(new_reporter, sender):
    sender.is_down = True
    reporter = new_reporter()
    for i in range(50):
        reporter.predict({}, id=str(i))
    wait_until(lambda: "no broker" in reporter.counters.last_error)
    assert reporter.counters.n_waiting == 50
    sender.is_down = False
    wait_until(lambda: reporter.counters.n_sent == 50)
    assert sorted(int(e["id"]) for e in sender.events()) == list(range(50))


def test_what_kafka_gives_up_on_is_counted(new_reporter, sender):
    sender.failure = TimeoutError("not acknowledged")
    reporter = new_reporter()
    reporter.predict({})
    wait_until(lambda: reporter.counters.n_failed == 1)
    assert "not acknowledged" in reporter.counters.last_error
    assert reporter.counters.is_complete


def test_messages_without_an_answer_are_bounded(new_reporter, sender):
    sender.is_silent = True
    reporter = new_reporter(n_batch=1, n_in_flight=3)
    for _ in range(20):
        reporter.predict({})
    wait_until(lambda: len(sender.messages) == 3)
    assert not reporter.close(0.2)
    assert len(sender.messages) == 3
    assert reporter.counters.n_unsent == 20


def test_close_is_bounded_and_says_what_is_left(new_reporter, sender):
    sender.is_down = True
    reporter = new_reporter()
    for _ in range(5):
        reporter.predict({})
    begin = time.monotonic()
    assert not reporter.close(0.3)
    assert time.monotonic() - begin < 5
    assert reporter.counters.n_unsent == 5
    reporter.predict({})
    counters = reporter.counters
    assert (counters.n_reported, counters.n_unsent, counters.n_waiting) == (6, 6, 0)
    assert counters.is_complete
    assert reporter.close(0)


def test_close_sends_what_is_still_waiting_for_others(new_reporter, sender):
    reporter = new_reporter(linger_s=60.0)
    reporter.predict({}, id="a")
    begin = time.monotonic()
    assert reporter.close(BOUND_S)
    assert time.monotonic() - begin < BOUND_S / 2
    assert [e["id"] for e in sender.events()] == ["a"]


def test_a_full_batch_does_not_wait_for_others(new_reporter, sender):
    reporter = new_reporter(linger_s=60.0, n_batch=10)
    for _ in range(20):
        reporter.predict({})
    wait_until(lambda: reporter.counters.n_sent == 20)
    assert [m.n_events for m in sender.messages] == [10, 10]


def test_no_message_is_longer_than_a_broker_takes(new_reporter, sender):
    sender.gate.clear()
    reporter = new_reporter(n_batch=100)
    for i in range(20):
        reporter.predict({"text": "x" * 200_000}, id=str(i))
    sender.gate.set()
    assert reporter.close(BOUND_S)
    assert max(len(m.payload) for m in sender.messages) <= MAX_MESSAGE_BYTES + 2
    assert [e["id"] for e in sender.events()] == [str(i) for i in range(20)]


def test_threads_may_report_at_once(new_reporter, sender):
    reporter = new_reporter()

    def work(k: int) -> None:
        for i in range(500):
            reporter.predict({"i": i}, id=f"{k}-{i}")

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reporter.close(BOUND_S)
    assert {e["id"] for e in sender.events()} == {f"{k}-{i}" for k in range(8) for i in range(500)}
    assert reporter.counters == Counters(n_reported=4_000, n_sent=4_000)


def test_arrow_batches_hold_the_same(new_reporter, sender):
    reporter = new_reporter(format="arrow", n_batch=3, linger_s=60.0)
    reporter.predict({"a": 1, "job": "x"}, score=0.5, id="1", time_us=1, segments={"r": "n"})
    reporter.predict({"a": 2.5}, id="2", time_us=2)
    reporter.predict({"a": None, "job": "ü"}, id="3", time_us=3, prediction=7)
    assert reporter.close(BOUND_S)
    (message,) = sender.messages
    assert message.payload[:4] == b"\xff\xff\xff\xff"
    schema = ModelSchema("default", "m", ("a",), ("job",), ("r",))
    decoded = Decoder([schema]).decode(chunk_of([message.payload], "s"))
    assert decoded.rejects == ()
    (batch,) = decoded.batches
    np.testing.assert_array_equal(batch.numeric[0], [1.0, 2.5, np.nan])
    np.testing.assert_array_equal(batch.score, [0.5, np.nan, np.nan])
    assert pa.ipc.open_stream(message.payload).read_all()["prediction"].to_pylist() == [
        None,
        None,
        "7",
    ]


def test_values_that_fit_no_column_go_as_json(new_reporter, sender):
    reporter = new_reporter(format="arrow", n_batch=2, linger_s=60.0)
    reporter.predict({"a": 1})
    reporter.predict({"a": "x"})
    assert reporter.close(BOUND_S)
    assert [e["features"] for e in sender.events()] == [{"a": 1}, {"a": "x"}]


def test_watched_functions_are_reported_and_otherwise_left_alone(new_reporter, sender):
    reporter = new_reporter()

    @reporter.watch()
    def by_position(features):
        """Keep me."""
        return features["a"] / 2

    @reporter.watch(score=lambda result: result["p"], prediction=lambda result: result["class"])
    def by_name(*, a, b):
        return {"p": 0.75, "class": "yes"}

    @reporter.watch(features=lambda row, n: {"a": row[0] * n}, id=lambda row, n: f"id{n}")
    async def later(row, n):
        return 0.5

    @reporter.watch(features=lambda x: 1 / 0)
    def hidden(x):
        return 1.0

    assert by_position({"a": 3}) == 1.5
    assert by_position.__doc__ == "Keep me."
    assert by_name(a=1, b="x") == {"p": 0.75, "class": "yes"}
    assert asyncio.run(later([2], 3)) == 0.5
    assert hidden(1) == 1.0
    with pytest.raises(KeyError, match="a"):
        by_position({})
    assert reporter.close(BOUND_S)
    got = [(e["features"], e.get("score"), e.get("prediction")) for e in sender.events()]
    assert got == [
        ({"a": 3}, 1.5, None),
        ({"a": 1, "b": "x"}, 0.75, "yes"),
        ({"a": 6}, 0.5, None),
    ]
    assert sender.events()[2]["id"] == "id3"
    assert reporter.counters.n_invalid == 1


def test_host_and_gpu_come_from_the_environment(new_reporter, sender, monkeypatch):
    monkeypatch.setenv("DRIFTLINE_HOST", "node7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-77")
    reporter = new_reporter(host=None)
    reporter.predict({})
    assert reporter.close(BOUND_S)
    assert (sender.events()[0]["host"], sender.events()[0]["gpu_uuid"]) == ("node7", "GPU-77")


@pytest.mark.parametrize(
    "wrong",
    [
        *({"model": ""}, {"format": "xml"}, {"n_buffered": 0}, {"n_batch": 0}, {"linger_s": -1}),
        {"compression": "brotli"},
    ],
)
def test_a_wrong_argument_is_an_error_at_the_start(wrong):
    with pytest.raises(DomainError):
        Reporter("nowhere:9", **{"model": "m", **wrong})


def test_a_forked_child_reports_its_own_events_and_none_of_its_parents():
    done = run_python(FORK)
    assert done.returncode == 0, done.stderr
    parent, child = json.loads(done.stdout.splitlines()[1]), json.loads(done.stdout.splitlines()[0])
    assert child == {"ids": ["child"], "abandoned": True, "sent": 1, "reported": 1}
    assert parent == {"ids": ["before", "after"], "abandoned": False, "sent": 2, "reported": 2}


def test_the_end_of_the_process_sends_what_is_left_and_is_bounded():
    done = run_python(EXIT)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "sent a, b\n"
    begin = time.monotonic()
    done = run_python(EXIT, "down")
    assert (done.returncode, done.stdout) == (0, "")
    assert time.monotonic() - begin < BOUND_S


def test_importing_it_loads_nothing_heavy():
    done = run_python(
        "import sys\nfrom driftline import *\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules} & set(sys.argv[1:])))",
        *HEAVY,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_reporting_loads_nothing_heavy_either():
    done = run_python(EXIT + "\nprint(sorted({m.partition('.')[0] for m in sys.modules} & HEAVY))")
    assert done.stdout.splitlines()[0] == "[]"


HEAVY = (
    "numba", "numpy", "scipy", "faust", "pandas", "pyarrow", "clickhouse_connect", "chdb",
    "pydantic", "aiohttp", "confluent_kafka", "detectors", "monitor", "schemas",
)  # fmt: skip

EXIT = f"""
import sys, json
from driftline import Reporter
HEAVY = set({HEAVY!r})
class Sender:
    def send(self, message, done):
        if "down" in sys.argv:
            raise ConnectionError("down")
        print("sent", ", ".join(e["id"] for e in json.loads(message.payload)), flush=True)
        done(None)
    def flush(self, timeout_s): pass
    def close(self, timeout_s): pass
    def abandon(self): pass
reporter = Reporter("nowhere:9", model="m", linger_s=60.0, exit_s=1.0, _sender=Sender)
reporter.predict({{"a": 1}}, id="a")
reporter.predict({{"a": 1}}, id="b")
"""

FORK = """
import json, os, sys, threading
from driftline import Reporter
class Sender:
    made = []
    def __init__(self):
        self.ids, self.is_abandoned = [], False
        Sender.made.append(self)
    def send(self, message, done):
        self.ids += [e["id"] for e in json.loads(message.payload)]
        done(None)
    def flush(self, timeout_s): pass
    def close(self, timeout_s): pass
    def abandon(self): self.is_abandoned = True
reporter = Reporter("nowhere:9", model="m", linger_s=60.0, _sender=Sender)
reporter.predict({}, id="before")
def tell(sender):
    c = reporter.counters
    print(json.dumps({"ids": sender.ids, "abandoned": Sender.made[0].is_abandoned,
                      "sent": c.n_sent, "reported": c.n_reported}), flush=True)
with reporter._lock:  # as another thread of the parent may hold it
    pid = os.fork()
if pid == 0:
    reporter.predict({}, id="child")
    assert reporter.close(20)
    tell(Sender.made[1])
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
reporter.predict({}, id="after")
assert reporter.close(20)
tell(Sender.made[0])
"""


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=60,
    )
