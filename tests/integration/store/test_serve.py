"""``driftline store serve``: accounts, bounds, encodings, many clients, and its end."""

from __future__ import annotations

import base64
import gzip
import json
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, urlencode

import clickhouse_connect
import lz4.frame
import numpy as np
import pyarrow as pa
import pytest
from backports import zstd

from monitor.storage.clickhouse import Store
from monitor.storage.passwords import PASSWORD_VARIABLE, READER_PASSWORD_VARIABLE, USER_VARIABLE
from schemas.errors import StorageError
from tests.support.repository import ROOT
from tests.support.store.clickhouse_http import COMMAND, Server, running
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

BOUNDS = ("--query-seconds", "2", "--query-mib", "256", "--result-mib", "8", "--body-mib", "64")
PASSWORDS = {PASSWORD_VARIABLE: "s3cret", READER_PASSWORD_VARIABLE: "r3ad"}


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("open") / "store", *BOUNDS) as server:
        yield server.url


@pytest.fixture(scope="module")
def locked(tmp_path_factory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("locked") / "store"
    with running(folder, environment=PASSWORDS) as server:
        yield server.url


def ask(
    url: str,
    sql: str | bytes | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    **parameters: str,
) -> tuple[int, bytes, Mapping[str, str]]:
    """Send one request: POST with a body, else GET; as a program, not as a page."""
    data = sql.encode() if isinstance(sql, str) else sql
    request = urllib.request.Request(
        f"{url}/?{urlencode(parameters)}",
        data=data,
        headers={"X-ClickHouse-Database": "default"} | dict(headers or {}),
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


def code_of(answer: tuple[int, bytes, Mapping[str, str]]) -> int:
    return int(answer[2].get("X-ClickHouse-Exception-Code", "0"))


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_it_says_that_it_is_there(served):
    for path in ("/ping", "/replicas_status", ""):
        with urllib.request.urlopen(served + path) as answer:
            assert answer.read() == b"Ok.\n"


def test_a_get_answers_and_writes_nothing(served):
    status, body, headers = ask(served, query="SELECT 1 AS a", default_format="JSONEachRow")
    assert (status, json.loads(body)) == (200, {"a": 1})
    assert headers["X-ClickHouse-Format"] == "JSONEachRow"
    assert headers["X-ClickHouse-Query-Id"]
    assert code_of(ask(served, query="CREATE TABLE x (a Int8) ENGINE = Memory")) == 164


def test_the_format_is_the_statements_then_the_requests(served):
    for sql, parameters, expected in [
        ("SELECT 1 FORMAT JSON", {"default_format": "CSV"}, "JSON"),
        ("SELECT 'FORMAT JSON'", {"default_format": "CSV"}, "CSV"),
        ("SELECT 1 -- FORMAT JSON", {}, "TabSeparated"),
    ]:
        assert ask(served, sql, **parameters)[2]["X-ClickHouse-Format"] == expected


def test_parameters_are_values_never_text(served):
    evil = "x' OR 1 = 1 --\\n"
    status, body, _ = ask(
        served, "SELECT {v:String}, {n:Array(UInt8)}", param_v=evil, param_n="[1,2]"
    )
    assert (status, body) == (200, b"x\\' OR 1 = 1 --\\n\t[1,2]\n")


@pytest.mark.parametrize(
    ("headers", "parameters"),
    [
        (basic("default", "s3cret"), {}),
        ({"X-ClickHouse-User": "default", "X-ClickHouse-Key": "s3cret"}, {}),
        ({}, {"user": "default", "password": "s3cret"}),
        (basic("reader", "r3ad"), {}),
    ],
)
def test_the_right_password_opens_in_every_place(locked, headers, parameters):
    assert ask(locked, "SELECT 1", headers=headers, **parameters)[:2] == (200, b"1\n")


@pytest.mark.parametrize(
    ("headers", "parameters"),
    [
        ({}, {}),
        (basic("default", "wrong"), {}),
        (basic("default", "r3ad"), {}),
        (basic("absent", "s3cret"), {}),
        (basic("absent", "\0no such account"), {}),
        ({"Authorization": "Basic ???"}, {}),
        ({"X-ClickHouse-User": "default"}, {}),
        ({"X-ClickHouse-Key": ""}, {"user": "default", "password": "s3cret"}),
        ({}, {"user": "reader", "password": "s3cret"}),
    ],
)
def test_a_wrong_password_is_401_and_516_and_is_not_shown(locked, headers, parameters):
    answer = ask(locked, "SELECT 1", headers=headers, **parameters)
    assert (answer[0], code_of(answer)) == (401, 516)
    assert answer[2]["WWW-Authenticate"].startswith("Basic")
    assert b"s3cret" not in answer[1]
    assert b"r3ad" not in answer[1]


def test_the_store_says_that_the_password_is_wrong_and_works_with_the_right_one(
    locked, monkeypatch
):
    monkeypatch.setenv(PASSWORD_VARIABLE, "wrong")
    with pytest.raises(StorageError, match="rejected the user or the password") as caught:
        Store.open(locked + "/default")
    assert "wrong" not in str(caught.value)
    monkeypatch.setenv(PASSWORD_VARIABLE, "r3ad")
    monkeypatch.setenv(USER_VARIABLE, "reader")
    with Store.open(locked + "/default") as store:
        assert store.query("SELECT count() AS n FROM results")["n"][0].as_py() == 0
        with pytest.raises(StorageError, match="readonly"):
            store.insert("predictions", pa.table({"id": ["a"], "time_us": [1]}))


FORBIDDEN_TO_READERS = [
    "INSERT INTO predictions (id, time_us) VALUES ('a', 1)",
    "CREATE TABLE x (a Int8) ENGINE = Memory",
    "CREATE TEMPORARY TABLE x (a Int8)",
    "ALTER TABLE predictions DELETE WHERE 1",
    "DROP TABLE predictions",
    "TRUNCATE TABLE predictions",
    "OPTIMIZE TABLE predictions",
    "SET readonly = 0",
    "KILL QUERY WHERE 1",
]


@pytest.mark.parametrize("sql", FORBIDDEN_TO_READERS)
def test_a_reader_only_reads(locked, sql):
    assert code_of(ask(locked, sql, headers=basic("reader", "r3ad"))) == 164


def test_a_reader_cannot_leave_its_read_only_mode(locked):
    who = basic("reader", "r3ad")
    assert ask(locked, "SELECT getSetting('readonly')", headers=who)[1] == b"2\n"
    assert ask(locked, "SELECT getSetting('readonly')", headers=who, readonly="0")[1] == b"2\n"
    assert code_of(ask(locked, "SELECT 1 SETTINGS readonly = 0", headers=who)) == 164


@pytest.mark.parametrize("user", ["default", "reader"])
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM file('{file}', 'LineAsString')",
        "SELECT * FROM FILE('{file}', 'LineAsString')",
        "SELECT * FROM `file` /* ( */ ('{file}', LineAsString)",
        "SELECT * FROM \"fi\\x6ce\"('{file}', LineAsString)",
        "SELECT file('{file}')",
        "SELECT * FROM `{file}`",
        "SELECT * FROM '{file}'",
        "SELECT * FROM default.`{file}`",
        "SELECT * FROM `{{/nowhere,}}{file}`",
        "WITH x AS (SELECT * FROM '{file}') SELECT * FROM x",
        "DESCRIBE TABLE file('{file}')",
        "SELECT * FROM url('http://127.0.0.1:9/', LineAsString)",
        "SELECT * FROM s3('http://127.0.0.1:9/b/k')",
        "SELECT * FROM remote('127.0.0.1:9', system.one)",
        "SELECT * FROM executable('cat', TSV, 'a String')",
        "SELECT * FROM view(SELECT * FROM file('{file}', 'LineAsString'))",
        "SELECT 1 INTO OUTFILE '{file}2'",
        "SELECT 1 INTO/**/OUTFILE '{file}2' TRUNCATE FORMAT CSV",
        "SELECT 1 /* ' */ INTO OUTFILE '{file}2' -- '",
        "EXPLAIN SELECT * FROM file('{file}')",
    ],
)
def test_no_query_reaches_files_or_hosts(served, tmp_path, user, sql):
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret\n")
    answer = ask(served, sql.format(file=secret), user=user)
    assert (answer[0], code_of(answer)) == (403, 497)
    assert b"the secret" not in answer[1]
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret.txt"]


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        ("SELECT * FROM {t:Identifier}", {"param_t": "{file}"}),
        ("SELECT * FROM { t : Identifier }", {"param_t": " {file}"}),
        ("from `{file}`", {"dialect": "prql"}),
        ("SELECT 1", {"additional_result_filter": "file('{file}') = 'x'"}),
        ("SELECT 1", {"format_template_resultset": "{file}"}),
        ("INSERT INTO FUNCTION file('{file}2', CSV) VALUES (1)", {}),
        ("INSERT INTO FUNCTION file('{file}2', CSV, 'a Int8') FORMAT CSV\n1", {}),
        ("INSERT INTO labels (id) FROM INFILE '{file}' FORMAT LineAsString", {}),
        ("CREATE TABLE f (a String) ENGINE = File(LineAsString, '{file}')", {}),
        ("CREATE TABLE f AS file('{file}', LineAsString)", {}),
        ("CREATE DATABASE f ENGINE = Filesystem('/')", {}),
        ("CREATE VIEW f AS SELECT * FROM '{file}'", {}),
        ("CREATE TABLE f (a String DEFAULT file('{file}')) ENGINE = Memory", {}),
        ("CREATE FUNCTION f AS () -> file('{file}')", {}),
        ("ATTACH TABLE f FROM '{file}' (a Int8) ENGINE = MergeTree ORDER BY a", {}),
        ("BACKUP TABLE labels TO File('{file}2')", {}),
        ("SYSTEM SHUTDOWN", {}),
        ("SELECT 1; SELECT file('{file}')", {}),
    ],
)
def test_no_other_path_leads_to_files(served, tmp_path, sql, parameters):
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret\n")
    filled = {name: value.replace("{file}", str(secret)) for name, value in parameters.items()}
    answer = ask(served, sql.replace("{file}", str(secret)), **filled)
    assert answer[0] >= 400
    assert code_of(answer) in (62, 452, 497)
    assert b"the secret" not in answer[1]
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret.txt"]


def test_values_are_values_and_no_expressions(served, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret\n")
    ask(served, "CREATE TABLE strings (a String) ENGINE = Memory")
    for sql in (
        f"INSERT INTO strings VALUES (file('{secret}'))",
        f"INSERT INTO strings SETTINGS input_format_values_interpret_expressions = 1 "
        f"VALUES (file('{secret}'))",
    ):
        assert ask(served, sql)[0] >= 400
    assert ask(served, "INSERT INTO strings VALUES ('a'), ('FORMAT CSV')")[0] == 200
    assert ask(served, "SELECT groupArray(a) FROM strings")[1] == b"['a','FORMAT CSV']\n"


def test_pages_of_other_sites_are_refused_where_no_password_keeps_them_out(served, locked):
    assert code_of(ask(served, "SELECT 1", headers={"Origin": "http://evil.example"})) == 497
    assert code_of(ask(served, "SELECT 1", headers={"Host": "evil.example"})) == 497
    headers = basic("default", "s3cret") | {"Host": "store.example"}
    assert ask(locked, "SELECT 1", headers=headers)[0] == 200


@pytest.mark.parametrize("user", ["default", "reader"])
def test_a_query_that_takes_too_long_is_cut(served, user):
    begin = time.monotonic()
    answer = ask(served, "SELECT count() FROM system.numbers", user=user)
    assert code_of(answer) in (159, 394)
    assert time.monotonic() - begin < 20
    assert code_of(ask(served, "SELECT 1 SETTINGS max_execution_time = 0", user=user)) == 452
    unbounded = ask(served, "SELECT getSetting('max_execution_time')", max_execution_time="0")
    assert unbounded[1] == b"2\n"


def test_a_query_that_the_engine_does_not_stop_is_killed(served):
    # One block of three sleeping rows looks at the clock only in between.
    sql = "SELECT sleepEachRow(1) FROM numbers(60) SETTINGS max_block_size = 1"
    begin = time.monotonic()
    answer = ask(served, sql, timeout_overflow_mode="throw")
    assert code_of(answer) in (159, 394)
    assert time.monotonic() - begin < 20


def test_a_question_ends_with_the_client_that_asked_it(locked):
    who = "".join(f"{k}: {v}\r\n" for k, v in basic("default", "s3cret").items())
    sql = "SELECT sum(sipHash64(number)) FROM system.numbers"
    n_running = "SELECT count() FROM system.processes WHERE query LIKE 'SELECT sum(sipHash64%'"

    def is_running() -> bool:
        return ask(locked, n_running, headers=basic("default", "s3cret"))[1] == b"1\n"

    host, port = locked.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        head = f"POST / HTTP/1.1\r\nHost: {host}\r\n{who}Content-Length: {len(sql)}\r\n\r\n"
        client.sendall((head + sql).encode())
        wait_until(is_running)
    # Its own time would be up after a minute only.
    wait_until(lambda: not is_running())


def test_memory_and_answers_are_bounded(served):
    assert code_of(ask(served, "SELECT groupArray(number) FROM numbers(300000000)")) == 241
    assert code_of(ask(served, "SELECT number FROM numbers(10000000)")) == 396


def test_a_body_beyond_the_bound_is_refused_also_when_it_is_packed(served):
    ask(served, "CREATE TABLE wide (a String) ENGINE = Memory")
    query = "INSERT INTO wide FORMAT LineAsString"
    bomb = gzip.compress(b"x" * (65 << 20))
    assert len(bomb) < 1 << 20
    answer = ask(served, bomb, query=query, headers={"Content-Encoding": "gzip"})
    assert (answer[0], code_of(answer)) == (413, 307)
    assert ask(served, "SELECT count() FROM wide")[1] == b"0\n"
    assert code_of(ask(served, "SELECT '" + "x" * 300_000 + "'")) == 62


@pytest.mark.parametrize(
    ("encoding", "pack", "unpack"),
    [
        ("gzip", gzip.compress, gzip.decompress),
        ("lz4", lz4.frame.compress, lz4.frame.decompress),
        ("zstd", zstd.compress, zstd.decompress),
    ],
)
def test_bodies_are_packed_both_ways(served, encoding, pack, unpack):
    table = f"packed_{encoding}"
    ask(served, f"CREATE TABLE {table} (a UInt32) ENGINE = MergeTree ORDER BY a")
    lines = b"".join(b"%d\n" % i for i in range(5_000))
    # Two frames, one after the other, as clickhouse-connect sends its blocks.
    body = pack(lines[:10_000]) + pack(lines[10_000:])
    headers = {"Content-Encoding": encoding}
    assert ask(served, body, query=f"INSERT INTO {table} FORMAT CSV", headers=headers)[0] == 200
    _, answer, got = ask(
        served, f"SELECT a FROM {table} ORDER BY a", headers={"Accept-Encoding": encoding}
    )
    assert got["Content-Encoding"] == encoding
    assert unpack(answer) == lines
    broken = ask(served, body[:-9], query=f"INSERT INTO {table} FORMAT CSV", headers=headers)
    assert code_of(broken) == 271
    assert ask(served, f"SELECT count() FROM {table}")[1] == b"5000\n"


def test_a_big_arrow_insert_is_right(served):
    n = 200_000
    rng = np.random.default_rng(7)
    rows = pa.table(
        {
            "id": pa.array(np.arange(n)).cast(pa.string()),
            "time_us": np.arange(n),
            "score": rng.random(n).astype(np.float32),
        }
    )
    with Store.open(served + "/default") as store:
        for _ in range(2):
            assert store.insert("predictions", rows, token="big:0:0:200000") == n
        found = store.query(
            "SELECT count() AS n, uniqExact(id) AS ids, sum(time_us) AS t, sum(score) AS s "
            "FROM predictions"
        ).to_pylist()[0]
    assert found["n"] == found["ids"] == n
    assert found["t"] == n * (n - 1) // 2
    assert found["s"] == pytest.approx(float(rows["score"].to_numpy().sum(dtype=float)), rel=1e-4)


def test_the_ordinary_client_works_for_all_its_verbs(served):
    host, port = served.removeprefix("http://").split(":")
    client = clickhouse_connect.get_client(host=host, port=int(port))
    try:
        client.command("CREATE TABLE verbs (a Int32, b String, c Array(Float64)) ENGINE = Memory")
        client.insert("verbs", [[1, "x", [1.5]], [2, "ü", []]], column_names=["a", "b", "c"])
        rows = client.query("SELECT * FROM verbs ORDER BY a").result_rows
        assert rows == [(1, "x", [1.5]), (2, "ü", [])]
        with client.query_rows_stream("SELECT number FROM numbers(100000)") as stream:
            assert sum(row[0] for row in stream) == 4_999_950_000
        assert client.query("SELECT {x:Int32} AS x", parameters={"x": 7}).result_rows == [(7,)]
        assert client.raw_query("SELECT 1", fmt="CSV") == b"1\n"
    finally:
        client.close()


def test_clients_at_once_get_their_own_answers(served):
    answers: dict[int, list[bytes]] = {}

    def work(i: int) -> None:
        answers[i] = [ask(served, f"SELECT {i}, count() FROM numbers(200000)")[1] for _ in range(5)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {i: [b"%d\t200000\n" % i] * 5 for i in range(12)}


def test_settings_and_databases_of_one_request_do_not_reach_the_next(served):
    ask(served, "CREATE DATABASE IF NOT EXISTS other")
    sql = "SELECT currentDatabase(), getSetting('max_threads')"
    assert ask(served, sql, database="other", max_threads="3")[1] == b"other\t3\n"
    assert ask(served, sql)[1].startswith(b"default\t")
    assert code_of(ask(served, "SELECT 1", no_such_setting="1")) == 115
    assert code_of(ask(served, "SELECT 1", **{"a = 1, readonly": "0"})) == 115


def test_a_newer_clients_native_blocks_hold_what_the_older_ones_do(served):
    sql = (
        "SELECT number, toString(number) AS s, if(number = 1, NULL, number) AS n, "
        "[number, 2] AS a, map('k', [toString(number)]) AS m, toDateTime64(number, 3, 'UTC') AS t, "
        "tuple(number, 'x') AS p, toDecimal64(number, 2) AS d, toFixedString('ab', 2) AS f "
        "FROM numbers(3)"
    )
    plain = ask(served, sql, default_format="Native")[1]
    framed = ask(served, sql, default_format="Native", client_protocol_version="54460")[1]
    info = b"\x01\x00\x02\xff\xff\xff\xff\x00"
    assert framed.startswith(info + plain[:2])
    assert len(framed) == len(plain) + len(info) + 9
    # Each column's byte is between its type and its data.
    assert b"\x06number\x06UInt64\x00" + (0).to_bytes(8, "little") in framed


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl: apt-get install curl")
def test_curl_goes_round(served):
    def curl(*arguments: str, data: bytes = b"") -> bytes:
        return subprocess.run(
            ["curl", "-sS", "--noproxy", "*", "-H", "X-ClickHouse-User: default", *arguments],
            input=data,
            capture_output=True,
            check=True,
        ).stdout

    curl(served, "-d", "CREATE TABLE by_curl (a Int32, b String) ENGINE = Memory")
    insert = quote("INSERT INTO by_curl FORMAT CSV")
    curl(f"{served}/?query={insert}", "--data-binary", "@-", data=b'1,"x, y"\n')
    curl(served, "--data-binary", "@-", data=b"INSERT INTO by_curl VALUES (2, 'z')")
    sql = quote("SELECT * FROM by_curl ORDER BY a")
    assert curl("--compressed", f"{served}/?query={sql}") == b"1\tx, y\n2\tz\n"
    assert b"UNKNOWN_TABLE" in curl(f"{served}/?query={quote('SELECT * FROM nowhere')}")


def expecting(url: str, query: str, user: str, password: str) -> tuple[bytes, bytes]:
    """Send the head of a request with ``Expect``; return what comes before and after the body."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as client:
        client.sendall(
            f"POST /?query={quote(query)} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
            f"X-ClickHouse-User: {user}\r\nX-ClickHouse-Key: {password}\r\n"
            "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        before = client.recv(4096)
        if not before.startswith(b"HTTP/1.1 100 "):
            return before, b""
        client.sendall(b"1\n")
        return before, b"".join(iter(lambda: client.recv(4096), b""))


def test_a_client_that_asks_before_it_sends_a_body_is_answered(locked):
    before, after = expecting(locked, "SELECT 1 +", "default", "s3cret")
    assert before == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert after.endswith(b"\r\n\r\n2\n")
    before, after = expecting(locked, "INSERT INTO alerts FORMAT CSV", "reader", "r3ad")
    assert before.startswith(b"HTTP/1.1 500 ")  # refused without the body
    assert b"READONLY" in before


def test_beyond_loopback_it_wants_a_password(tmp_path):
    command = [*COMMAND, "--store", str(tmp_path / "s"), "--host", "0.0.0.0", "--port", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert PASSWORD_VARIABLE in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "s").exists()


def test_a_held_store_and_a_taken_port_are_reported(tmp_path):
    with running(tmp_path / "store") as server, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for folder, more, words in [
            (tmp_path / "store", ("--port", "0"), f"process {server.process.pid}"),
            (tmp_path / "other", ("--port", port), "cannot listen: address already in use"),
        ]:
            done = subprocess.run(
                [*COMMAND, "--store", str(folder), *more],
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert done.returncode == 5
            assert words in done.stderr
            assert done.stderr.count("\n") == 1


def slow_query(server: Server, seconds: float) -> tuple[threading.Thread, list]:
    """Begin a query that takes a while; return once the engine runs it."""
    got: list = []
    sql = f"SELECT sleepEachRow({seconds / 4}) FROM numbers(4) SETTINGS max_block_size = 1"

    def work() -> None:
        try:
            got.append(ask(server.url, sql + " FORMAT Null"))
        except OSError as error:
            got.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    running_now = "SELECT count() FROM system.processes WHERE query LIKE 'SELECT sleepEachRow%'"
    wait_until(lambda: ask(server.url, running_now)[1] == b"1\n")
    return thread, got


def test_sigterm_lets_a_running_query_finish(tmp_path):
    server = Server(tmp_path / "store")
    thread, got = slow_query(server, 2)
    assert server.stop() == 0
    thread.join()
    assert got[0][0] == 200
    Store.open(tmp_path / "store").close()


def test_sigterm_waits_no_longer_than_configured(tmp_path):
    server = Server(tmp_path / "store", "--drain-seconds", "1")
    thread, got = slow_query(server, 10)
    begin = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begin < 9.5  # the query takes ten
    thread.join()
    assert isinstance(got[0], OSError) or got[0][0] != 200


def test_a_second_signal_leaves_at_once_and_the_store_is_whole(tmp_path):
    server = Server(tmp_path / "store")
    thread, _ = slow_query(server, 10)
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: not _accepts(server.url))
    begin = time.monotonic()
    assert server.stop() == 128 + signal.SIGTERM
    assert time.monotonic() - begin < 9.5  # the query takes ten
    thread.join()
    Store.open(tmp_path / "store").close()


def _accepts(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError:
        return False
    return True


def test_what_a_killed_server_left_behind_is_cleared(tmp_path):
    folder: Path = tmp_path / "store"
    with running(folder):
        pass
    (folder / "spool" / "left.data").write_bytes(b"x")
    with running(folder):
        assert list((folder / "spool").iterdir()) == []
