"""Files as sources: what comes out, and how each kind of broken file is reported."""

from __future__ import annotations

import gzip
import io
import json
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.transport import lines, order
from monitor.transport.canonical import canonical, times_us
from monitor.transport.files import open_source, read_table
from monitor.transport.lines import read_lines
from monitor.transport.restamp import stamp_evenly
from schemas.config.model import ModelConfig
from schemas.errors import ConfigError, DomainError, TransportError
from schemas.refused import REFUSED_COLUMN

HOUR_US = 3_600_000_000
CONFIG = ModelConfig(
    model="loans",
    features={"age": {"kind": "numeric"}, "job": {"kind": "categorical"}},
    columns={"time": "when", "score": "p"},
)
TABLE = pa.table(
    {
        "age": pa.array([1, None, 3, 4, 5]),
        "job": pa.array(["a", None, "b", "a", "b"]).dictionary_encode(),
        "when": [f"2016-01-01T00:00:0{i}Z" for i in range(5)],
        "p": [0.1, 0.2, 0.3, 0.4, 0.5],
        "extra": [0] * 5,
    }
)


def messages(chunks) -> list[bytes]:
    return [
        chunk.buffer[a:b].tobytes()
        for chunk in chunks
        for a, b in zip(chunk.offsets[:-1], chunk.offsets[1:], strict=True)
    ]


def tables(chunks) -> list[pa.Table]:
    return [pa.ipc.open_stream(message).read_all() for message in messages(chunks)]


def write(path, table: pa.Table, kind: str):
    if kind == "parquet":
        pq.write_table(table, path)
    elif kind == "csv":
        from pyarrow import csv

        csv.write_csv(table.set_column(1, "job", table["job"].cast(pa.string())), path)
    elif kind == "arrow":
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
    else:
        with pa.ipc.new_stream(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=3)
    return path


# --- JSONL ---------------------------------------------------------------------------


@given(
    st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b""))),
    st.integers(1, 7),
    st.integers(1, 64),
    st.booleans(),
    st.sampled_from([b"\n", b"\r\n"]),
)
def test_every_line_comes_out_once_under_its_number_however_it_is_read(
    texts, chunk_rows, n_read, ends_with_newline, end
):
    text = end.join(texts) + (end if ends_with_newline else b"")
    stream = io.BytesIO(text)
    chunks = list(read_lines(lambda n: stream.read(n_read), "f", chunk_rows, "f"))
    expected = [(i, line) for i, line in enumerate(texts) if line.strip()]
    offsets = [int(offset) for chunk in chunks for offset in chunk.log_offset]
    assert list(zip(offsets, messages(chunks), strict=True)) == expected
    assert all(0 < len(chunk) <= chunk_rows for chunk in chunks)


def test_an_oversized_line_is_delivered_whole_and_its_neighbours_too(tmp_path):
    big = b'{"x":"' + b"y" * (9 << 20) + b'"}'
    path = tmp_path / "e.jsonl"
    path.write_bytes(b'{"a":1}\n' + big + b'\n{"b":2}')
    assert messages(open_source(path, CONFIG)) == [b'{"a":1}', big, b'{"b":2}']


def test_a_file_without_line_ends_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 10_000)
    with pytest.raises(TransportError, match=r"f: a line of more than"):
        list(read_lines(lambda n: b"x" * 1000, "f", 10, "f"))


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_compressed_jsonl_is_opened_on_the_way(tmp_path, kind):
    path = tmp_path / f"e.jsonl.{kind}"
    text = b"".join(b'{"a":%d}\n' % i for i in range(1000))
    if kind == "gz":
        path.write_bytes(gzip.compress(text))
    else:
        path.write_bytes(pa.Codec("zstd").compress(text, asbytes=True))
    assert len(messages(open_source(path, CONFIG))) == 1000


def test_a_truncated_gzip_is_reported(tmp_path):
    path = tmp_path / "e.jsonl.gz"
    noise = np.random.default_rng(0).integers(0, 255, 50_000).astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(noise)[:-20_000])
    with pytest.raises(TransportError, match=str(path)):
        list(open_source(path, CONFIG))


def test_standard_input_is_json_csv_or_arrow_by_its_first_bytes(monkeypatch, tmp_path):
    class Stdin:
        def __init__(self, data: bytes) -> None:
            self.buffer = io.BufferedReader(io.BytesIO(data))

    monkeypatch.setattr("sys.stdin", Stdin(b'{"a":1}\n{"b":2}\n'))
    assert messages(open_source("-", CONFIG)) == [b'{"a":1}', b'{"b":2}']
    for kind in ("arrows", "arrow", "csv"):
        data = write(tmp_path / f"t.{kind}", TABLE, kind).read_bytes()
        monkeypatch.setattr("sys.stdin", Stdin(data))
        [table] = tables(open_source("-", CONFIG))
        assert table["features.job"].to_pylist() == ["a", None, "b", "a", "b"]


def test_jsonl_cannot_be_given_new_times(tmp_path):
    path = tmp_path / "e.jsonl"
    path.write_text("{}")
    with pytest.raises(ConfigError, match="JSONL events cannot be assigned new event times"):
        open_source(path, CONFIG, rows_per_window=10)


def test_an_empty_file_has_no_chunks(tmp_path):
    path = tmp_path / "e.jsonl"
    path.write_bytes(b"")
    assert list(open_source(path, CONFIG)) == []


# --- tables --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["parquet", "csv", "arrow", "arrows"])
def test_every_format_gives_the_same_canonical_columns(tmp_path, kind):
    path = write(tmp_path / f"t.{kind}", TABLE, kind)
    chunks = list(open_source(path, CONFIG, chunk_rows=2))
    assert [int(chunk.log_offset[0]) for chunk in chunks] == [0, 2, 4]
    assert {chunk.record_time_us[0] for chunk in chunks} == {-1}
    assert pa.concat_tables(tables(chunks)).to_pydict() == {
        "features.age": [1.0, None, 3.0, 4.0, 5.0],
        "features.job": ["a", None, "b", "a", "b"],
        "time_us": [1_451_606_400_000_000 + i * 1_000_000 for i in range(5)],
        "score": [0.1, 0.2, 0.3, 0.4, 0.5],
        "tenant": ["default"] * 5,
        "model": ["loans"] * 5,
    }


def test_a_changed_file_is_another_source_and_the_same_file_the_same(tmp_path):
    path = write(tmp_path / "t.parquet", TABLE, "parquet")
    [first] = open_source(path, CONFIG)
    [again] = open_source(path, CONFIG)
    [stamped] = open_source(path, CONFIG, rows_per_window=3)
    write(path, TABLE.slice(1), "parquet")
    [changed] = open_source(path, CONFIG)
    assert first.source == again.source
    assert first.source.startswith("t.parquet@")
    assert len({first.source, stamped.source, changed.source}) == 3


def test_rows_per_window_hold_across_chunks(tmp_path):
    many = pa.concat_tables([TABLE] * 40)
    path = write(tmp_path / "t.parquet", many, "parquet")
    start = 1_451_606_400_000_000
    chunks = open_source(path, CONFIG, chunk_rows=7, rows_per_window=30, start_us=start)
    times = pa.concat_tables(tables(chunks))["time_us"].to_numpy()
    assert np.bincount((times - start) // HOUR_US).tolist() == [30] * 6 + [20]


def test_progress_ends_at_the_whole(tmp_path):
    path = write(tmp_path / "t.parquet", TABLE, "parquet")
    seen = []
    list(
        open_source(path, CONFIG, chunk_rows=2, on_progress=lambda *progress: seen.append(progress))
    )
    assert seen == [(0.4, 2), (0.8, 4), (1.0, 5)]


def test_the_latest_record_time_of_a_message_is_its_own(tmp_path):
    config = CONFIG.model_copy(
        update={"columns": CONFIG.columns.model_copy(update={"record_time": "logged"})}
    )
    path = write(
        tmp_path / "t.parquet", TABLE.append_column("logged", [[5, 9, 7, 1, 2]]), "parquet"
    )
    assert [int(c.record_time_us[0]) for c in open_source(path, config, chunk_rows=3)] == [9, 2]


def test_missing_columns_are_all_named_before_anything_is_read(tmp_path):
    path = write(tmp_path / "t.parquet", TABLE.drop_columns(["age", "p"]), "parquet")
    with pytest.raises(ConfigError) as caught:
        open_source(path, CONFIG)
    for words in (str(path), "'age'", "'p'", "'extra'"):
        assert words in str(caught.value)


def refused(chunks) -> list[str | None]:
    return [
        detail
        for table in tables(chunks)
        for detail in (
            table[REFUSED_COLUMN].to_pylist()
            if REFUSED_COLUMN in table.column_names
            else [None] * table.num_rows
        )
    ]


@pytest.mark.parametrize("kind", ["parquet", "csv", "arrow"])
def test_text_in_a_numeric_column_refuses_its_row_and_no_other(tmp_path, kind):
    bad = TABLE.set_column(0, "age", [["1", "ten", "3", None, "5e"]])
    path = write(tmp_path / f"t.{kind}", bad, kind)
    assert refused(open_source(path, CONFIG, chunk_rows=2)) == [
        None,
        "mistyped: 'ten' is no value of features.age",
        None,
        None,
        "mistyped: '5e' is no value of features.age",
    ]
    ages = [t["features.age"].to_pylist() for t in tables(open_source(path, CONFIG))]
    assert ages == [[1.0, None, 3.0, None, None]]


def test_a_time_that_is_none_refuses_its_row(tmp_path):
    when = [*TABLE["when"].to_pylist()[:4], "yesterday"]
    path = write(tmp_path / "t.parquet", TABLE.set_column(2, "when", [when]), "parquet")
    assert refused(open_source(path, CONFIG))[3:] == [
        None,
        "mistyped: 'yesterday' is no value of time_us",
    ]


def test_text_that_is_not_utf8_refuses_its_row(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"age,job,when,p\n1,a,2016-01-01,.5\n2,\xff,2016-01-01,.5\n")
    assert refused(open_source(path, CONFIG)) == [
        None,
        r"invalid_utf8: b'\xff' of features.job is not UTF-8",
    ]
    broken = pa.array([b"a", b"\xff"], pa.binary()).view(pa.string())
    pq.write_table(TABLE.slice(0, 2).set_column(1, "job", broken), tmp_path / "t.parquet")
    assert refused(open_source(tmp_path / "t.parquet", CONFIG))[1].startswith("invalid_utf8: ")


def test_a_column_of_a_wrong_type_is_reported_before_anything_is_read(tmp_path):
    path = write(tmp_path / "t.parquet", TABLE.set_column(0, "age", [[[1]] * 5]), "parquet")
    with pytest.raises(ConfigError, match="column 'age' .*list"):
        open_source(path, CONFIG)


@pytest.mark.parametrize("kind", ["parquet", "arrow", "arrows"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_table_is_reported_in_one_line(tmp_path, kind, share):
    many = pa.concat_tables([TABLE.drop_columns("job").combine_chunks()] * 2000).combine_chunks()
    config = ModelConfig(model="m", features={"age": {"kind": "numeric"}}, columns={"time": "when"})
    path = write(tmp_path / f"t.{kind}", many, kind)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(TransportError) as caught:
        list(open_source(path, config))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.parquet", None, "no such file"),
        ("text.parquet", b"hello", "cannot be read as Parquet"),
        ("empty.parquet", b"", "is empty"),
        ("empty.csv", b"", "is empty"),
        ("text.arrow", b"hello", "cannot be read as an Arrow file"),
        ("ragged.csv", b"age,job,when,p\n1,2\n", "cannot be read as CSV"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_reported_in_one_line(tmp_path, name, content, words):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TransportError, match=words) as caught:
        list(open_source(path, CONFIG))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(TransportError, match="is a folder"):
        open_source(tmp_path, CONFIG)


def test_a_csv_keeps_leading_zeros_and_reads_words_for_missing(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("age;job;when;p\nNA;007;2016-01-01 00:00:00;0.5\n 2 ;NA;2016-01-01;true\n")
    [table] = tables(open_source(path, CONFIG))
    assert table["features.job"].to_pylist() == ["007", None]
    assert table["features.age"].to_pylist() == [None, 2.0]
    assert table["score"].to_pylist() == [0.5, 1.0]


def test_read_table_gives_the_table_as_it_is(tmp_path):
    for kind in ("parquet", "arrow", "arrows"):
        assert read_table(write(tmp_path / f"t.{kind}", TABLE, kind)).equals(TABLE)
    path = tmp_path / "e.jsonl"
    path.write_text(json.dumps({"a": 1}))
    with pytest.raises(TransportError, match="is no table"):
        read_table(path)


# --- canonical columns ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "spelt"),
    [
        (pa.array([7, None]), ["7", None]),
        (pa.array([7.0, None]), ["7", None]),
        (pa.array([0.5, float("nan")]), ["0.5", None]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array(["7", ""]), ["7", None]),
        (pa.array([7, 7]).dictionary_encode(), ["7", "7"]),
        (pa.array([1e300, -0.0]), ["1e+300", "0"]),
    ],
)
def test_categories_are_spelt_the_same_whatever_type_they_came_as(values, spelt):
    config = ModelConfig(model="m", features={"c": {"kind": "categorical"}})
    assert canonical(pa.table({"c": values}), config)["features.c"].to_pylist() == spelt


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        (pa.array([True, None]), [1.0, None]),
        (pa.array([2**60 + 1]), [float(2**60)]),
        (pa.array([1.5], pa.float32()), [1.5]),
        (pa.array(["1e3", " ", "NaN", "FALSE"]), [1000.0, None, None, 0.0]),
        (pa.array([1, 1]).dictionary_encode(), [1.0, 1.0]),
    ],
)
def test_numbers_come_from_integers_booleans_and_text(values, numbers):
    config = ModelConfig(model="m", features={"x": {"kind": "numeric"}})
    assert canonical(pa.table({"x": values}), config)["features.x"].to_pylist() == numbers


def test_a_segment_named_like_a_feature_needs_no_column_of_its_own():
    config = ModelConfig(model="m", features={"c": {"kind": "categorical"}}, segments=("c", "s"))
    got = canonical(pa.table({"c": ["x"], "s": [3]}), config)
    assert got.to_pydict() == {"features.c": ["x"], "segments.s": ["3"]}


def test_struct_columns_are_found_too():
    config = ModelConfig(model="m", features={"x": {"kind": "numeric"}})
    table = pa.table({"features": [{"x": 1}, {"x": None}]})
    assert canonical(table, config).to_pydict() == {"features.x": [1.0, None]}


MOMENT = datetime(2016, 1, 1, 12, tzinfo=UTC)
MOMENT_US = 1_451_649_600_000_000


@pytest.mark.parametrize(
    "values",
    [
        pa.array([MOMENT_US]),
        pa.array([MOMENT.replace(tzinfo=None)]),
        pa.array([MOMENT], pa.timestamp("ns", tz="UTC")),
        pa.array([MOMENT], pa.timestamp("s", tz="Europe/Berlin")),
        pa.array(["2016-01-01T12:00:00Z"]),
        pa.array(["2016-01-01 12:00:00"]),
        pa.array(["2016-01-01T13:00:00+01:00"]),
        pa.array(["2016-01-01 12:00:00.000"]).dictionary_encode(),
    ],
)
def test_times_are_microseconds_utc_however_they_are_written(values):
    assert times_us(pa.chunked_array([values])).to_pylist() == [MOMENT_US]


def test_zoned_and_plain_times_may_stand_in_one_column():
    column = pa.chunked_array([["2016-01-01T12:00:00Z", None, "2016-01-01T12:00:00"]])
    assert times_us(column).to_pylist() == [MOMENT_US, None, MOMENT_US]


# --- restamping ----------------------------------------------------------------------


@given(
    st.integers(1, 300),
    st.integers(1, 5_000),
    st.integers(0, 10**6),
    st.integers(-(10**6), 10**15),
    st.integers(0, 300),
)
def test_each_window_holds_exactly_so_many_rows_wherever_the_table_is_cut(
    n, per_window, slack, start, cut
):
    window = per_window + slack
    table = pa.table({"x": np.arange(n)})
    whole = stamp_evenly(table, per_window, window, start)["time_us"].to_numpy()
    cut = min(cut, n)
    pieces = [
        stamp_evenly(table.slice(0, cut), per_window, window, start)["time_us"].to_numpy(),
        stamp_evenly(table.slice(cut), per_window, window, start, cut)["time_us"].to_numpy(),
    ]
    assert np.array_equal(whole, np.concatenate(pieces))
    assert np.all(np.diff(whole) > 0)
    assert np.array_equal((whole - start) // window, np.arange(n) // per_window)


@pytest.mark.parametrize(("per_window", "window"), [(0, 10), (11, 10)])
def test_a_window_that_cannot_hold_the_rows_is_refused(per_window, window):
    with pytest.raises(DomainError, match="rows_per_window"):
        stamp_evenly(pa.table({"x": [1]}), per_window, window, 0)


def test_a_time_without_a_zone_is_utc_and_not_local():
    berlin = timezone(timedelta(hours=1))
    column = pa.chunked_array([pa.array([MOMENT.astimezone(berlin)])])
    assert times_us(column).to_pylist() == [MOMENT_US]


# --- rows in another order than that of their times ----------------------------------


def timed(n: int, order) -> pa.Table:
    start = 1_700_000_000_000_000
    table = pa.table({"age": range(n), "job": ["a"] * n, "p": [0.5] * n})
    stamps = [start + 60_000_000 * i for i in range(n)]
    return table.append_column("when", pa.array(stamps, pa.timestamp("us"))).take(list(order))


def ages_read(path, **more) -> list[float]:
    source = open_source(path, CONFIG, chunk_rows=100, **more)
    return [age for table in tables(source) for age in table["features.age"].to_pylist()]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_table_that_runs_backwards_is_read_in_the_order_of_its_times(tmp_path, kind):
    path = tmp_path / f"t.{kind}"
    table = timed(1_000, reversed(range(1_000)))
    if kind == "csv":
        from pyarrow import csv

        csv.write_csv(table, path)
    else:
        pq.write_table(table, path)
    assert ages_read(path) == list(range(1_000))
    source = open_source(path, CONFIG)
    list(source)
    [note] = source.notes
    assert "100 % of the rows are older than rows before them" in note
    # Stamped evenly, and with record times of their own, rows keep their order.
    assert ages_read(path, rows_per_window=10) == list(reversed(range(1_000)))


def test_a_few_late_rows_keep_their_place(tmp_path):
    order = [*range(50), *range(95, 100), *range(50, 95)]
    pq.write_table(timed(1_000, [*range(900), 5, *range(900, 1_000)]), tmp_path / "t.parquet")
    assert ages_read(tmp_path / "t.parquet")[900] == 5
    pq.write_table(timed(100, order), tmp_path / "u.parquet")
    assert ages_read(tmp_path / "u.parquet") == list(range(100))


@pytest.mark.parametrize("unit", [1e-6, 1e-3, 1, 1e3, "text"])
def test_lines_that_run_backwards_are_read_in_the_order_of_their_times(tmp_path, unit):
    start = datetime(2024, 1, 1, tzinfo=UTC)
    moments = [start + timedelta(minutes=i) for i in range(300)]
    times = [
        m.isoformat() if unit == "text" else round(m.timestamp() * 1e6 * unit) for m in moments
    ]
    lines = [json.dumps({"model": "loans", "n": i, "time_us": t}) for i, t in enumerate(times)]
    path = tmp_path / "e.jsonl"
    path.write_text("\n".join([*reversed(lines), '{"no": "time"}', ""]))
    source = open_source(path, CONFIG, chunk_rows=70)
    chunks = list(source)
    read = [json.loads(message) for message in messages(chunks)]
    assert [event.get("n") for event in read if "n" in event] == list(range(300))
    assert len(read) == 301
    assert np.all(np.diff(np.concatenate([c.log_offset for c in chunks])) > 0)
    assert len(source.notes) == 1


def test_what_is_too_long_to_be_sorted_is_refused_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(order, "MAX_SORTED_ROWS", 500)
    pq.write_table(timed(1_000, reversed(range(1_000))), tmp_path / "t.parquet")
    with pytest.raises(TransportError, match="not in the order of its times") as caught:
        ages_read(tmp_path / "t.parquet")
    assert "sort it by time" in str(caught.value)
    pq.write_table(timed(1_000, range(1_000)), tmp_path / "t.parquet")
    assert ages_read(tmp_path / "t.parquet") == list(range(1_000))
