"""Every kind of bad event in one file: its outcome, its dead letter, and its neighbours."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.cli.terminal.exit_codes import UNJUDGED
from monitor.storage.clickhouse import Store
from schemas.refused import MAX_PAYLOAD_BYTES
from tests.support.installation import START_US, command, event, install, rows, write_lines

pytestmark = pytest.mark.integration

MIB = 1 << 20


def features(**values: object) -> dict[str, object]:
    return {"income": 1.0, "job": "cook"} | values


LINES: dict[str, bytes] = {
    "whole": event(0),
    "malformed": b'{"id": "e1", "model": "loans", ',
    "mistyped": event(2, score="high"),
    "oversized": event(3, note="x" * MIB),
    "nanoseconds": event(4, time_us=START_US * 1000),
    "another model": event(5, model="absent"),
    "another tenant": event(6, tenant="absent"),
    "NaN": event(7, features=features(income=math.nan)),
    "infinity": event(8, features=features(income=-math.inf)),
    "null": event(9, features={"income": None, "job": None}, score=None),
    "missing feature": event(10, features={"job": "cook"}),
    "missing features": event(11, features={}),
    "extra feature": event(12, features=features(more=[1, {}]), more="x"),
    "text for a number": event(13, features=features(income="1.0")),
    "word for a number": event(33, features=features(income="ten")),
    "boolean for a number": event(14, features=features(income=True)),
    "number for a category": event(15, features=features(job=7)),
    "fraction for a category": event(16, features=features(job=7.5)),
    "empty text": event(17, features=features(job="")),
    "empty text for a number": event(18, features=features(income="")),
    "huge integer": event(19).replace(b"50019.0", b"9" * 40),
    "integer beyond floats": event(20).replace(b"50020.0", b"9" * 400),
    "duplicate keys": event(21).replace(b'"income": 50021.0', b'"income": 1.0, "income": 2.5'),
    "duplicate mistyped": event(22).replace(b'"income"', b'"income": "1", "income"'),
    "invalid UTF-8": event(23).replace(b"cook", b"co\xffk"),
    "invalid UTF-8 unread": event(24).replace(b'{"id"', b'{"x": "\xff", "id"'),
    "no object": b"7",
    "byte order mark": b"\xef\xbb\xbf" + event(26),
    "word for the time": event(27, time_us="yesterday"),
    "before 1970": event(28, time_us=-1),
    "no time": event(29, time_us=None),
    "array": b"[" + event(30) + b", " + event(31, score=[]) + b"]",
    "last": event(32),
}
REFUSED = {
    "malformed": "malformed",
    "mistyped": "mistyped",
    "oversized": "oversized",
    "nanoseconds": "future",
    "another model": "unknown_model",
    "another tenant": "unknown_model",
    "word for a number": "mistyped",
    "integer beyond floats": "mistyped",
    "invalid UTF-8": "invalid_utf8",
    "no object": "malformed",
    "byte order mark": "malformed",
    "word for the time": "mistyped",
    "before 1970": "mistyped",
    "no time": "mistyped",
    "array": "mistyped",
}
"""What is refused and why; of the array only its second row. Everything else is accepted."""
ROW_OF_ARRAY = event(31, score=[])


class Replayed(NamedTuple):
    """What one replay left behind."""

    summary: dict
    letters: list[dict]
    predictions: dict[str, dict]


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Path:
    return install(tmp_path_factory.mktemp("bad") / "here")


def replayed(here: Path, file: Path) -> Replayed:
    """Replay one file into a store of its own, and read that."""
    place = here / f"store-{file.stem}"
    shutil.rmtree(place, ignore_errors=True)
    arguments = ("replay", file, "--config", here / "driftline.yaml", "--store", place, "--json")
    ended = command(*arguments)
    assert ended.code in (0, UNJUDGED)  # a few lines are too few for any verdict
    assert ended.err == ""
    again = command(*arguments)
    assert again.out == ended.out
    with Store.open(place, is_read_only=True) as store:
        letters = store.query(
            "SELECT source, offset, row, reason, detail, n_bytes, sha256, hex(payload) AS payload, "
            "tenant, model FROM dead_letters FINAL ORDER BY offset, row"
        ).to_pylist()
        found = store.query(
            "SELECT id, time_us, score, mapKeys(features) AS k, mapValues(features) AS v, "
            "mapKeys(categories) AS ck, mapValues(categories) AS cv FROM predictions FINAL"
        ).to_pylist()
    predictions = {
        row["id"]: dict(zip(row["k"], row["v"], strict=True))
        | dict(zip(row["ck"], row["cv"], strict=True))
        | {"score": row["score"]}
        for row in found
    }
    return Replayed(json.loads(ended.out), letters, predictions)


@pytest.fixture(scope="module")
def lines(here) -> Replayed:
    return replayed(here, write_lines(here / "bad.jsonl", LINES.values()))


def test_each_bad_event_is_counted_under_its_reason(lines):
    reasons = list(REFUSED.values())
    assert lines.summary["rejected"] == {r: reasons.count(r) for r in set(reasons)}
    assert lines.summary["accepted"] == len(LINES) - len(REFUSED) + 1
    assert lines.summary["messages"] == len(LINES)
    assert lines.summary["late"] == 0
    assert set(lines.summary["rejected_examples"]) == set(reasons)


def test_each_bad_event_is_a_dead_letter_with_its_original_bytes(lines):
    expected = [
        (number, name, ROW_OF_ARRAY if name == "array" else LINES[name])
        for number, name in enumerate(LINES)
        if name in REFUSED
    ]
    assert len(lines.letters) == len(expected)
    for letter, (number, name, original) in zip(lines.letters, expected, strict=True):
        assert letter["offset"] == number, name
        assert letter["row"] == (name == "array")
        assert letter["reason"] == REFUSED[name], name
        assert bytes.fromhex(letter["payload"]) == original[:MAX_PAYLOAD_BYTES], name
        assert letter["n_bytes"] == len(original)
        assert letter["sha256"] == hashlib.sha256(original).hexdigest()
        assert letter["source"].startswith("bad.jsonl@")
        assert letter["detail"]


def test_an_oversized_event_keeps_its_first_half_mebibyte(lines):
    [letter] = [x for x in lines.letters if x["reason"] == "oversized"]
    assert len(letter["payload"]) // 2 == MAX_PAYLOAD_BYTES == 512 * 1024
    assert letter["n_bytes"] > MIB


def test_what_is_accepted_beside_them_has_its_stated_value(lines):
    values = {
        "e0": {"income": 50_000.0, "job": "cook", "score": 0.5},
        "e7": {"job": "cook", "score": 0.5},
        "e8": {"job": "cook", "score": 0.5},
        "e9": {"score": None},
        "e10": {"job": "cook", "score": 0.5},
        "e11": {"score": 0.5},
        "e12": {"income": 1.0, "job": "cook", "score": 0.5},
        "e13": {"income": 1.0, "job": "cook", "score": 0.5},
        "e14": {"income": 1.0, "job": "cook", "score": 0.5},
        "e15": {"income": 1.0, "job": "7", "score": 0.5},
        "e16": {"income": 1.0, "job": "7.5", "score": 0.5},
        "e17": {"income": 1.0, "score": 0.5},
        "e18": {"job": "cook", "score": 0.5},
        "e19": {"income": 1e40, "job": "cook", "score": 0.5},
        "e21": {"income": 2.5, "job": "cook", "score": 0.5},
        "e22": {"income": 50_022.0, "job": "cook", "score": 0.5},
        "e24": {"income": 50_024.0, "job": "cook", "score": 0.5},
        "e30": {"income": 50_030.0, "job": "cook", "score": 0.5},
        "e32": {"income": 50_032.0, "job": "cook", "score": 0.5},
    }
    assert lines.predictions == values


def test_a_file_without_record_times_knows_no_future_before_2255(here):
    # The event time is used as the missing record time: what comes after is late.
    ahead = event(1, time_us=START_US + 30 * 365 * 86_400_000_000)
    events = [*map(event, range(20)), ahead, event(21)]
    found = replayed(here, write_lines(here / "ahead.jsonl", events))
    assert (found.summary["accepted"], found.summary["late"]) == (21, 1)
    assert found.summary["rejected"] == {}


def test_a_bad_value_in_a_table_refuses_its_row_and_no_other(here):
    n = 300
    income = ["1", "ten", None, "", *["50000"] * (n - 4)]
    job = [b"cook", b"cook", b"cook", b"co\xffk", *[b"cook"] * (n - 4)]
    table = rows(n)
    table = table.set_column(0, "income", [income])
    table = table.set_column(1, "job", pa.array(job, pa.binary()).view(pa.string()))
    pq.write_table(table, here / "text.parquet")
    found = replayed(here, here / "text.parquet")
    assert found.summary["accepted"] == n - 2
    assert found.summary["rejected"] == {"mistyped": 1, "invalid_utf8": 1}
    assert [(x["row"], x["reason"], x["detail"]) for x in found.letters] == [
        (1, "mistyped", "'ten' is no value of features.income"),
        (3, "invalid_utf8", r"b'co\xffk' of features.job is not UTF-8"),
    ]
    for letter in found.letters:
        payload = bytes.fromhex(letter["payload"])
        assert pa.ipc.open_stream(payload).read_all().num_rows == 1
        assert letter["sha256"] == hashlib.sha256(payload).hexdigest()


def test_a_table_with_record_times_refuses_what_is_stamped_ahead_of_them(here):
    model = here / "models/loans.yaml"
    text = model.read_text()
    table = rows(300)
    logged = table["time_us"].to_pylist()
    times = [*logged[:-1], logged[-1] + 3_600_000_000]
    table = table.append_column("logged", [logged]).set_column(4, "time_us", [times])
    pq.write_table(table, here / "ahead.parquet")
    try:
        model.write_text(text + "columns: {record_time: logged}\n")
        found = replayed(here, here / "ahead.parquet")
    finally:
        model.write_text(text)
    assert found.summary["accepted"] == 299
    assert found.summary["rejected"] == {"future": 1}
    [letter] = found.letters
    assert letter["row"] == 299
    assert letter["detail"] == "time_us is 3600 s ahead of the record time"


@pytest.mark.parametrize("name", ["replay", "backtest"])
@pytest.mark.parametrize("unit", ["", "columns: {time_unit: s}\n"])
def test_json_times_in_seconds_are_named_whatever_unit_tables_have(here, name, unit):
    model = here / "models/loans.yaml"
    text = model.read_text()
    seconds = [event(i, time_us=START_US // 10**6 + i) for i in range(20)]
    file = write_lines(here / "seconds.jsonl", seconds)
    store = ("--store", "none") if name == "replay" else ()
    try:
        model.write_text(text + unit)
        ended = command(name, file, "--config", here / "driftline.yaml", *store)
    finally:
        model.write_text(text)
    assert ended.code == 2
    assert "are they seconds?" in ended.err
