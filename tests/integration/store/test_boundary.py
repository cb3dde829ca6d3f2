"""What an account of the store cannot reach: files, hosts, passwords, other queries."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE

import pytest
from backports import zstd

from monitor.storage.passwords import PASSWORD_VARIABLE
from tests.support.repository import ROOT
from tests.support.store.clickhouse_http import Server, running
from tests.support.store.client import PASSWORDS, READER_PASSWORD, WRITER_PASSWORD, ask, send
from tests.support.store.connection_probe import listening

pytestmark = pytest.mark.integration

WHO = {"X-ClickHouse-User": "reader", "X-ClickHouse-Key": READER_PASSWORD}
USERS = ("reader", "default")


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("boundary") / "store"
    with running(folder, environment=PASSWORDS) as server:
        ask(server.url, "CREATE TABLE t (a Int64) ENGINE = MergeTree ORDER BY a", "default")
        ask(server.url, "INSERT INTO t SELECT number FROM numbers(1000)", "default")
        yield server


@pytest.fixture
def secret(tmp_path) -> Path:
    file = tmp_path / "secret.txt"
    file.write_text("TOPSECRET\n")
    return file


STRUCTURES = [
    "SELECT * FROM format(JSONEachRow, {s:String}, '{{}}')",
    "SELECT * FROM format('JSONEachRow', concat('a String DEFAULT ', {s:String}), '{{}}')",
    "SELECT * FROM format(JSONEachRow, unhex(hex({s:String})), '{{}}')",
    "SELECT * FROM format(Values, 'a String', '(file(\\'{file}\\'))')",
    "SELECT * FROM values({s:String}, ('x'))",
    "SELECT * FROM input({s:String})",
    "SELECT * FROM null({s:String})",
    "SELECT * FROM generateRandom({s:String}) LIMIT 1",
    "SELECT * FROM eval('SELECT file(\\'{file}\\')')",
    "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT file('{file}')))",
    "SELECT * FROM loop(file('{file}'))",
    "WITH (SELECT a FROM format(JSONEachRow, {s:String}, '{{}}')) AS x SELECT x",
    "SELECT * FROM view(SELECT * FROM format(JSONEachRow, {s:String}, '{{}}'))",
    "EXPLAIN SELECT (SELECT a FROM format(JSONEachRow, {s:String}, '{{}}'))",
    "DESCRIBE TABLE format(JSONEachRow, {s:String}, '{{}}')",
]


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("sql", STRUCTURES)
def test_no_structure_of_a_table_function_is_evaluated(server, secret, sql, user):
    text = sql.replace("{{}}", "{}").replace("{file}", str(secret))
    reply = ask(server.url, text, user, param_s=f"a String DEFAULT file('{secret}')")
    assert reply.status >= 400
    assert "TOPSECRET" not in reply.text


SETTINGS = [
    ("output_format_schema", "{file}"),
    ("format_schema", "{file}:x"),
    ("format_schema_source", "string"),
    ("format_template_row", "{file}"),
    ("format_template_resultset", "{file}"),
    ("format_avro_schema_registry_url", "http://127.0.0.1:{port}/"),
    ("input_format_record_errors_file_path", "{file}"),
    ("input_format_values_interpret_expressions", "1"),
    ("additional_result_filter", "file('{file}') = ''"),
    ("additional_table_filters", "{{'t': 'file(''{file}'') = '''''}}"),
    ("dialect", "kusto"),
    ("allow_introspection_functions", "1"),
    ("http_response_headers", "{{'X': 'y'}}"),
    ("rename_files_after_processing", "x"),
    ("compatibility", "20.1"),
    ("log_queries", "1"),
    ("ast_fuzzer_runs", "5"),
]


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(("name", "value"), SETTINGS)
def test_settings_are_an_allow_list_everywhere(server, secret, name, value, user):
    with listening() as (port, heard):
        given = value.format(file=secret, port=port)
        quoted = given.replace("\\", "\\\\").replace("'", "\\'")
        clause = f"SETTINGS {name} = '{quoted}'"
        for sql in (
            f"SELECT 1 AS a {clause} FORMAT Protobuf",
            f"SELECT 1 AS a FORMAT Protobuf {clause}",
            f"SELECT * FROM (SELECT 1 AS a {clause})",
            f"SELECT 1 UNION ALL (SELECT 2 SETTINGS max_threads = 1, {name} = '{quoted}')",
            f"WITH x AS (SELECT 1 {clause}) SELECT * FROM x",
            f"EXPLAIN SELECT 1 {clause}",
        ):
            assert ask(server.url, sql, user).code == 452, sql
        assert ask(server.url, "SELECT 1 AS a FORMAT Protobuf", user, **{name: given}).code == 452
        insert = f"INSERT INTO t {clause} SELECT 1"
        assert ask(server.url, insert, user).code == (164 if user == "reader" else 452)
    assert not heard
    assert secret.read_text() == "TOPSECRET\n"


@pytest.mark.parametrize(
    "clause",
    ["param_f = '/etc/passwd'", "profile = 'default'", "MAX_THREADS = 1", "custom_x = 1"],
)
def test_names_that_the_engine_does_not_list_are_no_settings(server, clause):
    assert ask(server.url, f"SELECT 1 SETTINGS {clause}").code == 115


@pytest.mark.parametrize(
    "name", ["role", "profile", "stacktrace", "param", "http_response_headers"]
)
def test_what_a_server_would_take_from_the_url_is_refused(server, name):
    assert ask(server.url, "SELECT 1", **{name: "default"}).status >= 400


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE x (a Int8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = local)",
        "CREATE TABLE x (a Int8) ENGINE = MergeTree ORDER BY a SETTINGS storage_policy = 'p'",
        "ALTER TABLE t MODIFY SETTING storage_policy = 'p'",
        "ALTER TABLE t MODIFY COLUMN a DEFAULT length(file('{file}'))",
        "CREATE MATERIALIZED VIEW m ENGINE = Memory AS SELECT file('{file}')",
        "CREATE MATERIALIZED VIEW m REFRESH EVERY 1 SECOND ENGINE = Memory AS SELECT 1",
        "CREATE VIEW v SQL SECURITY NONE AS SELECT * FROM system.processes",
        "CREATE TABLE x AS url('http://127.0.0.1:9/', CSV, 'a Int8')",
        "CREATE TABLE x (a Int8) ENGINE = URL('http://127.0.0.1:9/', CSV)",
        "INSERT INTO TABLE FUNCTION file('{file}', CSV, 'a String') VALUES ('x')",
        "CREATE FUNCTION f AS (x) -> file(x)",
        "CREATE DICTIONARY d (a Int8) PRIMARY KEY a SOURCE(FILE(path '{file}' format CSV)) "
        "LAYOUT(FLAT()) LIFETIME(1)",
        "CREATE NAMED COLLECTION c AS a = 1",
        "CREATE TEMPORARY TABLE x (a Int8)",
        "ALTER TABLE t FREEZE",
        "ATTACH TABLE x FROM '/tmp' (a Int8) ENGINE = MergeTree ORDER BY a",
        "DETACH TABLE t",
        "KILL QUERY WHERE 1",
        "SET dialect = 'kusto'",
        "SET ROLE driftline_owner",
        "EXECUTE AS default SELECT 1",
        "SYSTEM STOP MERGES",
        "BACKUP TABLE t TO File('{file}')",
        "GRANT ALL ON *.* TO default",
        "SELECT 1 PARALLEL WITH SELECT 2",
    ],
)
def test_the_writer_stays_inside_the_store(server, secret, sql):
    reply = ask(server.url, sql.format(file=secret), "default")
    assert reply.status >= 400
    assert reply.code in (48, 62, 164, 452, 497)
    assert secret.read_text() == "TOPSECRET\n"
    assert ask(server.url, "SELECT count() FROM t").body == b"1000\n"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM system.processes",
        "SELECT query FROM `system`.`processes`",
        "SELECT count() FROM t WHERE 1 IN (SELECT 1 FROM system.processes)",
        "SELECT (SELECT any(query) FROM system.processes)",
        "SELECT * FROM {d:Identifier}.processes",
        "EXPLAIN SELECT (SELECT any(query) FROM system.processes)",
        "DESCRIBE (SELECT (SELECT any(query) FROM system.processes))",
        "SHOW PROCESSLIST",
        "SELECT * FROM system.user_query_log",
        "SELECT * FROM system.disks",
        "SELECT * FROM system.server_settings",
        "SELECT * FROM system.stack_trace",
        "SELECT * FROM system.users",
        "SELECT * FROM system.tables",
        "SELECT t.* FROM system.tables AS t",
        "SELECT COLUMNS('path') FROM system.tables",
        "SELECT data_paths[1] FROM system.tables",
        "SELECT hex(metadata_path) FROM system.databases",
        "SELECT path FROM system.parts",
        "SELECT getServerSetting('path')",
        "SELECT getMacro('x')",
    ],
)
def test_a_reader_sees_no_other_query_and_no_path(server, sql):
    reply = ask(server.url, sql, param_d="system")
    assert reply.code == 497
    assert ask(server.url, sql.rpartition(".")[2], database="system").status >= 400
    assert "/tmp" not in reply.text


def test_a_reader_sees_what_dashboards_ask_for(server):
    for sql, part in [
        ("SELECT database, name FROM system.tables ORDER BY database, name", "default\tt\n"),
        ("SELECT name, type FROM system.columns WHERE table = 't'", "a\tInt64\n"),
        ("SELECT name FROM system.databases", "default\n"),
        ("SELECT sum(rows) FROM system.parts WHERE table = 't' AND active", "1000\n"),
        ("SELECT name, value FROM system.settings WHERE name = 'max_threads'", "max_threads"),
        ("SHOW TABLES", "t\n"),
        ("SHOW CREATE TABLE t", "CREATE TABLE default.t"),
        ("DESCRIBE TABLE t", "a\tInt64"),
        ("SELECT DISTINCT a FROM t ORDER BY a LIMIT 1 SETTINGS max_execution_time=10", "0\n"),
    ]:
        reply = ask(server.url, sql)
        assert (reply.status, part in reply.text) == (200, True), sql


@pytest.mark.parametrize("user", USERS)
def test_errors_name_no_path_and_show_no_stack(server, user):
    for sql, data in [
        ("SELECT throwIf(1)", None),
        ("SELECT * FROM nowhere", None),
        ("INSERT INTO t FORMAT CSV", b"not a number\n"),
        ("INSERT INTO t FORMAT Parquet", b"PAR1 no"),
        ("SELECT 1 FORMAT Template", None),
    ]:
        key = READER_PASSWORD if user == "reader" else WRITER_PASSWORD
        headers = {"X-ClickHouse-User": user, "X-ClickHouse-Key": key}
        reply = send(server.url, data or b"", headers=headers, query=sql)
        assert reply.status >= 400
        assert "/tmp/" not in reply.text
        assert "spool" not in reply.text
        assert "Stack trace" not in reply.text


def test_what_runs_is_the_engines_own_spelling(server):
    sql = "select /* hidden */ query from system . processes -- here too"
    assert ask(server.url, sql, "default").text.startswith("SELECT query FROM system.processes")


def test_a_query_that_cannot_be_stopped_keeps_no_client_waiting(server):
    # The engine looks at its clock between calls over a block of rows, and this one is long.
    haystack = "concat(" + ", ".join(["repeat('a', 1000000)"] * 8) + ")"
    call = f"position({haystack}, concat(repeat('a', 900), n))"
    sql = f"SELECT max({call}) FROM (SELECT toString(number) AS n FROM numbers(65000))"
    reply = ask(server.url, sql, max_execution_time="1")
    assert (reply.status, reply.code) == (408, 159)
    assert "has not stopped yet" in reply.text
    assert ask(server.url, "SELECT count() FROM t").text == "1000\n"


def test_passwords_are_not_in_the_process_environment(server):
    environ = Path(f"/proc/{server.process.pid}/environ").read_bytes()
    assert b"PATH=" in environ
    for password in (WRITER_PASSWORD, READER_PASSWORD):
        assert password.encode() not in environ


def test_a_password_may_lie_in_a_file(tmp_path):
    file = tmp_path / "password"
    file.write_text("from-a-file\n")
    given = {f"{PASSWORD_VARIABLE}_FILE": str(file)}
    with running(tmp_path / "store", environment=given) as server:
        for key, status in (("from-a-file", 200), ("", 401)):
            headers = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": key}
            assert send(server.url, b"SELECT 1", headers=headers).status == status


def test_a_readers_upload_is_refused_before_it_is_kept(server, tmp_path_factory):
    bomb = zstd.compress(b"INSERT INTO t FORMAT CSV\n" + b"0" * (1 << 26))
    spool = next(tmp_path_factory.getbasetemp().glob("boundary*/store/spool"))
    seen, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            seen[0] = max(seen[0], sum(f.stat().st_size for f in spool.glob("*.data")))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        reply = send(server.url, bomb, headers=WHO | {"Content-Encoding": "zstd"})
    finally:
        done.set()
        thread.join()
    assert reply.code == 164
    assert seen[0] == 0


CONFINED = """
import socket, sys
from pathlib import Path
from monitor.storage.serve.sandbox import confine
if not confine([Path(sys.argv[1])]):
    print("no landlock"); sys.exit()
def fails(work):
    try: work()
    except PermissionError: return True
    return False
secret, inside = Path(sys.argv[2]), Path(sys.argv[1]) / "x"
import yaml, detectors.version  # not imported before
beside = [Path.cwd() / "beside.txt", Path(sys.argv[4]) / "pyproject.toml"]
inside.write_text("1"); inside.rename(inside.with_name("y"))
import sqlite3, xml.sax  # the installation can still be read
print([fails(secret.read_text), fails(lambda: secret.write_text("")),
       *[fails(path.read_text) for path in beside],
       fails(Path("/proc/self/environ").read_bytes),
       fails(lambda: socket.create_connection(("127.0.0.1", int(sys.argv[3])), 5)),
       fails(lambda: __import__("os").execv("/bin/true", ["true"]))])
"""


def test_the_kernel_keeps_the_server_inside_its_store(tmp_path, secret):
    folder, workplace = tmp_path / "inside", tmp_path / "workplace"
    folder.mkdir()
    workplace.mkdir()
    (workplace / "confined.py").write_text(CONFINED)
    (workplace / "beside.txt").write_text("of the user who started it")
    with listening() as (port, heard):
        done = subprocess.run(
            [sys.executable, "-m", "confined", str(folder), str(secret), str(port), str(ROOT)],
            cwd=workplace,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.stderr == ""
    if done.stdout == "no landlock\n":
        pytest.skip("this kernel has no Landlock")
    assert done.stdout == "[True, True, True, True, True, True, True]\n"
    assert not heard


UNCONFINED = """
import sys
from pathlib import Path
from monitor.storage.serve.sandbox import confine
while confine([Path("/")]): pass  # the kernel takes 16 of these, and refuses the next
from monitor.cli.main import main
sys.argv = ["driftline", "store", "serve", "--store", sys.argv[1], "--port", "0"]
main()
"""


def test_a_server_that_the_kernel_does_not_confine_says_so(tmp_path):
    command = [sys.executable, "-c", UNCONFINED, str(tmp_path / "store")]
    with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout.readline().startswith("serving ")
        finally:
            process.terminate()
        assert "warning: this kernel has no Landlock, or forbids it" in process.stderr.read()
