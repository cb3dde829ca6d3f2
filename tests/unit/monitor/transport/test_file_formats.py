"""Formats of files: what is recognised, read through, or named with what to do."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import socket
import threading
import uuid
import zipfile
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.baseline.kinds import infer_kind
from monitor.baseline.source import event_columns, read_rows
from monitor.transport.canonical import as_number, as_text
from monitor.transport.csv_dialect import dialect_of
from monitor.transport.decimal_comma import decimal_comma_in
from monitor.transport.files import open_source, read_table
from monitor.transport.json_layout import as_lines
from monitor.transport.plain_columns import index_columns, plain, plain_column
from schemas.config.model import ModelConfig
from schemas.errors import DriftlineError, TransportError

CONFIG = ModelConfig(model="m", features={"x": {"kind": "numeric"}, "c": {"kind": "categorical"}})
EVENTS = [
    {"model": "m", "time_us": 1_700_000_000_000_000 + i, "features": {"x": i, "c": "a"}}
    for i in range(6)
]
LINES = b"".join(json.dumps(event).encode() + b"\n" for event in EVENTS)
ROWS = pa.table({"x": [1.5, 2.5], "c": ["a", "b"], "time_us": [1, 2]})


def n_messages(path) -> int:
    return sum(len(chunk) for chunk in open_source(path, CONFIG))


def rows_of(path) -> list[dict]:
    return [
        row
        for chunk in open_source(path, CONFIG)
        for row in pa.ipc.open_stream(chunk.buffer.tobytes()).read_all().to_pylist()
    ]


def zipped(name: str, content: bytes, *more: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
        for other in more:
            archive.writestr(other, b"")
    return sink.getvalue()


def compressed(kind: str, content: bytes) -> bytes:
    if kind in ("zstd", "lz4"):
        sink = io.BytesIO()
        with pa.CompressedOutputStream(sink, kind) as stream:
            stream.write(content)
            stream.flush()
            return sink.getvalue() if stream.closed else (stream.close(), sink.getvalue())[1]
    return {"gzip": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}[kind](content)


# --- compressions and archives -------------------------------------------------------


@pytest.mark.parametrize("kind", ["gzip", "bz2", "xz", "zip"])
def test_lines_and_tables_are_read_through_a_compression(tmp_path, kind):
    csv = b"x,c,time_us\n1.5,a,1\n2.5,b,2\n"
    sink = io.BytesIO()
    pq.write_table(ROWS, sink)
    for name, content, expected in (
        ("e.jsonl", LINES, 6),
        ("t.csv", csv, 1),
        ("t.parquet", sink.getvalue(), 1),
    ):
        packed = zipped(name, content) if kind == "zip" else compressed(kind, content)
        path = tmp_path / f"{name}.{kind}"
        path.write_bytes(packed)
        assert n_messages(path) == expected


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.avro", b"Obj\x01", "is Avro, which is not read"),
        ("a.feather", b"FEA1....", "is Feather version 1"),
        ("a.jsonl", "{}\n".encode("utf-16"), "is UTF-16 text"),
        ("a.csv", "x,y\n1,2\n".encode("utf-16-le"), "is UTF-16LE text"),
        ("a.xlsx", zipped("xl/workbook.xml", b""), "is an Excel workbook"),
        ("a.ods", zipped("content.xml", b"", "mimetype"), "is an OpenDocument spreadsheet"),
        ("a.zip", zipped("a.csv", b"x\n1\n", "b.csv"), "is a zip archive of 2 files"),
        ("a.csv", b"\xff\x06\x00\x00sNaPpY", "is framed Snappy"),
        ("a.parquet", b"PARE", "is encrypted Parquet"),
        ("a.tar", b"\0" * 257 + b"ustar" + b"\0" * 250, "is a tar archive"),
        ("a.parquet", b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        ("a.gz", compressed("gzip", LINES)[:-9], "cannot be read as JSONL"),
        ("a.jsonl.xz", compressed("xz", LINES)[:-9], "cannot be read as JSONL"),
        ("a.zip", zipped("a.csv", b"x\n1\n")[:-9], "cannot be read as JSONL"),
        ("a.arrow", b"", "is empty"),
        ("a.csv", b"x,c,x\n1,2,3\n", "has two columns 'x'"),
    ],
)
def test_what_is_not_read_is_named_with_what_to_do(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    for read in (n_messages, read_rows):
        with pytest.raises(TransportError, match=words) as caught:
            read(path)
        assert "\n" not in str(caught.value)
        assert caught.value.fix


def test_a_socket_and_a_pipe_are_distinguished(tmp_path):
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "s"))
    with pytest.raises(TransportError, match="is a socket"):
        open_source(tmp_path / "s", CONFIG)
    server.close()
    os.mkfifo(tmp_path / "p")
    writer = threading.Thread(target=(tmp_path / "p").write_bytes, args=(LINES,))
    writer.start()
    assert n_messages(tmp_path / "p") == len(EVENTS)
    writer.join()


# --- CSV -----------------------------------------------------------------------------


@given(
    st.sampled_from(",;\t|"),
    st.lists(
        st.text(st.sampled_from('ab,;|\t "1'), min_size=1), min_size=2, max_size=4, unique=True
    ),
    st.integers(0, 5),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_the_delimiter_is_found_whatever_the_quoted_names_hold(delimiter, names, n, end):
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    rows = [delimiter.join(["1"] * len(names))] * n
    text = end.join([delimiter.join(quoted), *rows, ""])
    found = dialect_of(text, is_whole=True)
    assert (found.delimiter, list(found.names)) == (delimiter, names)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", list(",;\t|"))
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_delimiters_and_marks_change_nothing(tmp_path, end, delimiter, mark):
    lines = [["x", "c", "time_us"], ["1.5", "a", "1"], ["2.5", "b", "2"]]
    path = tmp_path / "t.csv"
    path.write_bytes(mark + end.join(delimiter.join(line) for line in lines).encode())
    assert [(r["features.x"], r["features.c"]) for r in rows_of(path)] == [(1.5, "a"), (2.5, "b")]


def test_excels_hint_a_repeated_header_and_a_nameless_index_are_no_data(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("sep=;\n;x;c;time_us\n0;1.5;a;1\n;x;c;time_us\n1;2.5;b;2\n")
    assert [r["features.x"] for r in rows_of(path)] == [1.5, 2.5]
    assert read_table(path).column_names == ["x", "c", "time_us"]


def test_a_header_alone_is_a_table_without_rows(tmp_path):
    (tmp_path / "t.csv").write_text("x,c,time_us\n")
    assert rows_of(tmp_path / "t.csv") == []


# --- layouts of JSON -----------------------------------------------------------------


LAYOUTS = {
    "lines": LINES,
    "CRLF": LINES.replace(b"\n", b"\r\n"),
    "CR": LINES.replace(b"\n", b"\r"),
    "mark": b"\xef\xbb\xbf" + LINES,
    "array": json.dumps(EVENTS).encode(),
    "indented array": json.dumps(EVENTS, indent=2).encode(),
    "one element a line": b"[\n" + LINES.rstrip().replace(b"}\n", b"},\n") + b"\n]\n",
    "indented objects": b"\n".join(json.dumps(e, indent=2).encode() for e in EVENTS),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_events_are_read_however_their_json_is_laid_out(tmp_path, layout):
    path = tmp_path / "e.json"
    path.write_bytes(LAYOUTS[layout])
    table = read_rows(path)
    assert table["features.x"].to_pylist() == list(range(6))
    text = b"".join(chunk.buffer.tobytes() for chunk in open_source(path, CONFIG))
    assert text.count(b'"model"') == 6


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(
    st.lists(st.dictionaries(st.text(max_size=5), _json, min_size=1, max_size=4), min_size=1),
    st.booleans(),
    st.booleans(),
)
def test_laid_out_json_loses_and_changes_no_event(events, is_array, is_ascii):
    def written(value) -> str:
        return json.dumps(value, indent=1, ensure_ascii=is_ascii)

    text = written(events) if is_array else "\n".join(map(written, events))
    read = as_lines(io.BytesIO(text.encode()).read, "f")
    lines = iter(lambda: read(1), b"")
    found = [json.loads(line) for line in b"".join(lines).split(b"\n") if line.strip()]
    assert [e for line in found for e in (line if isinstance(line, list) else [line])] == events


def test_an_array_that_is_cut_off_keeps_its_events_and_shows_the_rest(tmp_path):
    path = tmp_path / "e.json"
    path.write_bytes(json.dumps(EVENTS, indent=2).encode()[:-60])
    messages = [
        chunk.buffer[first:last].tobytes()
        for chunk in open_source(path, CONFIG)
        for first, last in zip(chunk.offsets[:-1], chunk.offsets[1:], strict=True)
    ]
    assert [json.loads(message) for message in messages[:-1]] == EVENTS[:5]
    assert messages[-1].startswith(b"[{")


# --- column types --------------------------------------------------------------------


UUIDS = [uuid.UUID(int=7), None, uuid.uuid4()]
_raw = [u and u.bytes for u in UUIDS]
TYPES = {
    "string_view": (pa.array(["a", None], pa.string_view()), ["a", None]),
    "binary_view": (pa.array([b"a", None], pa.binary_view()), ["a", None]),
    "uuid": (pa.array(_raw, pa.uuid()), [u and str(u) for u in UUIDS]),
    "16 bytes": (pa.array(_raw, pa.binary(16)), [u and str(u) for u in UUIDS]),
    "bytes that are no text": (pa.array([b"\xff\x01", None], pa.binary(2)), ["ff01", None]),
    "fixed bytes": (pa.array([b"ab", None], pa.binary(2)), ["ab", None]),
    "run ends": (
        pa.RunEndEncodedArray.from_arrays(pa.array([2, 3]), pa.array(["a", "b"])),
        [*"aab"],
    ),
    "half": (pa.array([1.5, None]).cast(pa.float16()), ["1.5", None]),
    "duration": (pa.array([1_500, None], pa.duration("ms")), ["1.5", None]),
    "time": (pa.array([60, None], pa.time32("s")), ["00:01:00", None]),
    "json": (pa.ExtensionArray.from_storage(pa.json_(), pa.array(["1", None])), ["1", None]),
    "bool8": (
        pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, None], pa.int8())),
        ["true", None],
    ),
    "opaque": (
        pa.ExtensionArray.from_storage(pa.opaque(pa.int64(), "x", "y"), pa.array([7])),
        ["7"],
    ),
    "dictionary of views": (
        pa.DictionaryArray.from_arrays(pa.array([0, None]), pa.array(["a"], pa.string_view())),
        ["a", None],
    ),
    "dictionary of uuids": (
        pa.DictionaryArray.from_arrays(pa.array([0, None]), pa.array(_raw[:1], pa.uuid())),
        [str(UUIDS[0]), None],
    ),
    "decimal128": (pa.array([Decimal("1.50"), None]), None),
    "decimal256": (pa.array([Decimal("1.50"), None], pa.decimal256(50, 2)), None),
    "null": (pa.nulls(2), [None, None]),
}


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_of_column_becomes_one_that_is_computed_with(kind):
    values, text = TYPES[kind]
    for part in (values, values.slice(1), values.slice(0, 0)):
        made = plain_column(pa.chunked_array([part]))
        assert len(made) == len(part)
        spelt = as_text(made).to_pylist()
        assert spelt == text[len(values) - len(part) :][: len(part)] if text else True
    empty = plain_column(pa.chunked_array([], values.type))
    assert empty.type == plain_column(pa.chunked_array([values])).type


@pytest.mark.parametrize("kind", ["lists", "maps", "intervals"])
def test_a_type_without_a_counterpart_is_named_where_it_is_a_feature(tmp_path, kind):
    odd = {
        "lists": pa.array([[1], [2]]),
        "maps": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
        "intervals": pa.array([(1, 2, 3), None], pa.month_day_nano_interval()),
    }[kind]
    path = tmp_path / "t.arrow"
    table = ROWS.set_column(1, "c", odd)
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(DriftlineError, match=r"column 'c' .*cannot be read as features.c"):
        rows_of(path)
    assert read_table(path).num_rows == 2


def test_two_columns_of_one_name_are_refused_by_every_reader(tmp_path):
    twice = pa.table([[1.0], [2.0], ["a"], [1]], names=["x", "x", "c", "time_us"])
    pq.write_table(twice, tmp_path / "t.parquet")
    nested = pa.table({"a": pa.array([{"b": 1}]), "a.b": [2]})
    for read in (rows_of, read_rows):
        with pytest.raises(TransportError, match="has two columns 'x'"):
            read(tmp_path / "t.parquet")
    with pytest.raises(TransportError, match=r"has two columns 'a.b'"):
        plain(nested, "f")


# --- the index of pandas -------------------------------------------------------------


def test_only_an_unnamed_pandas_index_is_dropped():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"x": [1.0, 2.0]}, index=[5, 7])
    levels = frame.set_index([pd.Index([1, 2]), pd.Index([3, 4], name="day")])
    for made, expected in (
        (frame, ["x"]),
        (levels, ["x", "day"]),
        (frame.rename_axis("k"), ["x", "k"]),
    ):
        table = plain(pa.Table.from_pandas(made), "f")
        assert table.column_names == expected
        stripped = pa.Table.from_pandas(made).replace_schema_metadata(None)
        assert plain(stripped, "f").column_names == expected


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b'{"columns": 7}', b'{"columns": [7]}'])
def test_damaged_pandas_metadata_says_nothing(damaged):
    schema = pa.schema([("x", pa.int64())], metadata={b"pandas": damaged})
    assert index_columns(schema) == []


# --- folders -------------------------------------------------------------------------


def test_a_folder_of_parts_is_one_table_in_the_order_of_its_names(tmp_path):
    folder = tmp_path / "parts"
    for i in (10, 2, 1):
        inside = folder / f"day={i}" / "land=F%20R"
        inside.mkdir(parents=True)
        pq.write_table(pa.table({"x": [i], "c": ["a"], "time_us": [i]}), inside / "part-0.parquet")
    (folder / "_SUCCESS").touch()
    (folder / ".part.crc").write_bytes(b"x")
    (folder / "README.md").write_text("notes")
    table = read_table(folder)
    assert table.to_pydict() == {
        "x": [1, 2, 10],
        "c": ["a"] * 3,
        "time_us": [1, 2, 10],
        "day": ["1", "2", "10"],
        "land": ["F R"] * 3,
    }
    assert [r["features.x"] for r in rows_of(folder)] == [1.0, 2.0, 10.0]


def test_parts_may_differ_in_types_and_columns(tmp_path):
    pq.write_table(pa.table({"x": [2**53 + 1], "c": pa.nulls(1)}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": [0.5], "c": ["b"], "z": [True]}), tmp_path / "b.parquet")
    dictionary = pa.array(["c"]).dictionary_encode()
    pq.write_table(
        pa.table({"x": pa.array([7], pa.int8()), "c": dictionary}), tmp_path / "c.parquet"
    )
    assert read_table(tmp_path).to_pydict() == {
        "x": [2.0**53, 0.5, 7.0],
        "c": [None, "b", "c"],
        "z": [None, True, None],
    }


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "is a folder without data files"),
        ({"a.yaml": b"a: 1"}, "is a folder without data files"),
        ({"a.csv": b"x\n1\n", "b.jsonl": b"{}\n"}, "is a folder of files in different formats"),
        ({"_delta_log/0.json": b"{}", "a.csv": b"x\n1\n"}, "is a Delta table"),
        ({"k=1/a.csv": b"x\n1\n", "a.csv": b"x\n1\n"}, "different depths"),
    ],
)
def test_a_folder_that_is_no_table_is_named(tmp_path, files, words):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with pytest.raises(TransportError, match=words):
        read_rows(tmp_path)


def test_parts_whose_types_do_not_fit_are_named(tmp_path):
    pq.write_table(pa.table({"x": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": ["b"]}), tmp_path / "b.parquet")
    with pytest.raises(TransportError, match=r"'x' is int64 in a.parquet and string in b.parquet"):
        read_table(tmp_path)


def test_a_folder_of_json_lines_is_read_as_one(tmp_path):
    for i in (0, 1):
        (tmp_path / f"part-{i}.jsonl").write_bytes(LINES)
    offsets = [o for chunk in open_source(tmp_path, CONFIG) for o in chunk.log_offset.tolist()]
    assert offsets == list(range(12))
    assert pc.sum(read_rows(tmp_path)["features.x"]).as_py() == 30


# --- decimal commas ------------------------------------------------------------------


def test_a_decimal_comma_is_named_in_the_row_it_refuses(tmp_path):
    (tmp_path / "t.csv").write_text("x;c;time_us\n1,5;a;1700000000000000\n2.5;b;1700000000000001\n")
    chunks = open_source(tmp_path / "t.csv", CONFIG)
    [table] = [pa.ipc.open_stream(chunk.buffer.tobytes()).read_all() for chunk in chunks]
    [detail, none] = table["driftline.refused"].to_pylist()
    assert "'1,5' is no value of features.x: it has a decimal comma" in detail
    assert none is None


@pytest.mark.parametrize("kind", [pa.string(), pa.binary(), pa.dictionary(pa.int8(), pa.string())])
def test_a_column_of_decimal_commas_is_no_feature(kind):
    column = pa.chunked_array([pa.array([f"{i},{i}5" for i in range(100)], kind)])
    assert decimal_comma_in(column) == "0,05"
    found = infer_kind(column)
    assert found.kind is None
    assert "decimal comma, such as '" in found.reason
    assert not decimal_comma_in(pa.chunked_array([["1,5", "a", "b"]]))
    assert not decimal_comma_in(pa.chunked_array([[1.5]]))


# --- JSON events as a table ----------------------------------------------------------


def written_table(tmp_path, *lines: bytes) -> pa.Table:
    (tmp_path / "e.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    return read_rows(tmp_path / "e.jsonl")


def test_bare_nan_and_infinities_are_missing_as_in_a_replay(tmp_path):
    line = b'{"features": {"x": %s, "c": "NaN"}}'
    table = written_table(
        tmp_path, *(line % text for text in (b"NaN", b"-Infinity", b"Infinity", b"1.5", b"null"))
    )
    assert table["features.x"].to_pylist() == [None, None, None, 1.5, None]
    assert table["features.c"].to_pylist() == ["NaN"] * 5


def test_arrays_and_envelopes_are_taken_apart_as_in_a_replay(tmp_path):
    event = b'{"model": "m", "features": {"x": 1}}'
    envelope = (
        b'{"specversion": "1.0", "id": "7", "source": "s", "type": "t", '
        b'"time": "1970-01-01T00:00:01Z", "data": %s}'
    )
    table = written_table(tmp_path, b"[%s, %s]" % (event, event), b"[]", envelope % event)
    assert table["features.x"].to_pylist() == [1, 1, 1]
    assert table["id"].to_pylist() == [None, None, "7"]
    assert table["time_us"].to_pylist() == [None, None, 1_000_000]


@pytest.mark.parametrize("large", [2**53 + 1, 2**63 - 1, 2**64 - 1, 10**30, -(2**63)])
def test_large_integers_beside_fractions_are_the_nearest_doubles(tmp_path, large):
    first = [b'{"x": %d}' % large] * 5_000
    for second in ([b'{"x": 0.5}'], [b'{"x": 0.5}'] * 5_000):
        table = written_table(tmp_path, *first, *second)
        values = as_number(table["x"]).to_pylist()
        assert values[0] == float(large)
        assert values[-1] == 0.5


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"[1, 2]", "line 2 is no JSON object: a int"),
        (b"[{}, {]", "line 2 is no JSON object: the array's brackets do not match"),
        (b'{"specversion": "1.0"}', "CloudEvents envelope"),
        (b'{"a": ' * 2_000 + b"1" + b"}" * 2_000, "nested too deeply"),
        (b'{"a": "\xff"}', "line 2 is no JSON object"),
    ],
)
def test_a_line_that_holds_no_event_is_named(tmp_path, line, words):
    with pytest.raises(TransportError, match=words):
        written_table(tmp_path, b"{}", line)


def test_malformed_events_are_counted_and_left_out_as_in_a_replay(tmp_path):
    lines = [b'{"x": 1}', b'{"x', b'[{"x": 2}, 7, {"x": 3}]', b'{"x": 4}']
    (tmp_path / "e.jsonl").write_bytes(b"\n".join(lines))
    notes: list[str] = []
    table = read_rows(tmp_path / "e.jsonl", note=notes.append)
    assert table["x"].to_pylist() == [1, 2, 3, 4]
    [note] = notes
    assert "2 of 6 events are malformed and left out; the first: line 2 is no JSON object" in note
    (tmp_path / "e.jsonl").write_bytes(b"\n".join(lines[:2]))
    with pytest.raises(TransportError, match="line 2 is no JSON object"):
        read_rows(tmp_path / "e.jsonl", note=notes.append)


@pytest.mark.parametrize("orient", ["columns", "index", "split", "table"])
@pytest.mark.parametrize("n_columns", [1, 2])
def test_a_table_in_one_json_object_is_named_with_what_to_do(tmp_path, orient, n_columns):
    rows = pd.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"]}).iloc[:, :n_columns]
    rows.to_json(tmp_path / "t.json", orient=orient)
    with pytest.raises(TransportError, match="one table written by columns"):
        read_rows(tmp_path / "t.json")
    with pytest.raises(TransportError, match="one table written by columns"):
        list(open_source(tmp_path / "t.json", CONFIG))


@pytest.mark.parametrize(
    "event",
    [
        {"features": {"0": 1, "1": 2}, "model": "m", "time_us": 1},
        {"features": {"a": 1}, "segments": {"b": "c"}},
        {"data": {"model": "m", "time_us": 1}, "specversion": "1.0", "id": "1"},
        {"data": [1, 2], "x": 1},
    ],
)
def test_one_event_alone_is_no_table(event):
    text = io.BytesIO(json.dumps(event).encode())
    assert json.loads(as_lines(text.read, "f")(1000)) == event


def test_events_are_a_reference_whatever_the_columns_of_tables_are_called(tmp_path):
    columns = {"time": "ts", "time_unit": "s", "score": "p", "id": "key"}
    config = ModelConfig(model="m", features={"x": {"kind": "numeric"}}, columns=columns)
    line = b'{"model": "m", "time_us": 1709510400000000, "score": 0.5, "features": {"x": 2}}'
    mapped, has_time = event_columns(written_table(tmp_path, line), config)
    assert has_time
    assert mapped.to_pylist() == [
        {"features.x": 2.0, "time_us": 1_709_510_400_000_000, "score": 0.5}
    ]


def test_only_the_events_of_the_model_are_its_reference(tmp_path):
    lines = [
        json.dumps({"model": model, "tenant": tenant, "features": {"x": i}}).encode()
        for i, (model, tenant) in enumerate([("m", "default"), ("n", "default"), ("m", "other")])
    ]
    (tmp_path / "e.jsonl").write_bytes(b"\n".join(lines))
    assert read_rows(tmp_path / "e.jsonl", ("default", "m"))["features.x"].to_pylist() == [0]
    with pytest.raises(TransportError, match="holds no event of model 'z'"):
        read_rows(tmp_path / "e.jsonl", ("default", "z"))
