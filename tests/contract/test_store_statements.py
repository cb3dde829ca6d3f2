"""What two accounts may ask of a ClickHouse over HTTP: of ours, and of a real server.

``DRIFTLINE_TEST_CLICKHOUSE=http://host:port`` names a real server, with the passwords of
``default`` and ``reader`` in ``DRIFTLINE_STORE_PASSWORD`` and
``DRIFTLINE_STORE_READER_PASSWORD``, and the database that the reader may read in
``DRIFTLINE_TEST_CLICKHOUSE_DATABASE`` (``driftline``). There the account of the server's
owner is not judged: its rights are the server's business.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from monitor.storage.passwords import PASSWORD_VARIABLE, READER_PASSWORD_VARIABLE
from tests.support.store import statements
from tests.support.store.clickhouse_http import SERVER_VARIABLE, running
from tests.support.store.client import PASSWORDS, Reply, send
from tests.support.store.connection_probe import listening

pytestmark = pytest.mark.integration

DATABASE_VARIABLE = "DRIFTLINE_TEST_CLICKHOUSE_DATABASE"
REFUSED = {
    "files": statements.READS_OF_FILES,
    "functions": statements.READS_BY_FUNCTION,
    "texts": statements.TEXTS_THAT_ARE_EVALUATED,
    "hosts": statements.OTHER_HOSTS,
    "outfiles": statements.WRITES_OF_FILES,
    "the server": statements.NOT_FOR_THE_WRITER,
}


@dataclass(frozen=True)
class Subject:
    """A server, what surrounds it, and what must not change."""

    url: str
    passwords: dict[str, str]
    table: str
    is_ours: bool
    folder: Path
    port: int
    heard: list[bool]

    @property
    def secret(self) -> tuple[str, str]:
        """A file on the server's machine, and what it holds."""
        if self.is_ours:
            return str(self.folder / "secret.txt"), "TOPSECRET"
        return "/etc/passwd", "root:x:"

    def fill(self, text: str) -> str:
        """Put this subject's names into a statement."""
        values = {"file": self.secret[0], "out": self.folder / "out", "t": self.table}
        for name, value in (values | {"port": self.port}).items():
            text = text.replace(f"{{{name}}}", str(value))
        return text

    def ask(self, sql: str, user: str, **parameters: str) -> Reply:
        headers = {"X-ClickHouse-User": user, "X-ClickHouse-Key": self.passwords[user]}
        return send(self.url, self.fill(sql).encode(), headers=headers, **parameters)

    def faults_of(self, sql: str, user: str, **parameters: str) -> list[str]:
        """Ask what must be refused; return what went wrong."""
        reply = self.ask(sql, user, **parameters)
        found = [] if reply.status >= 400 else [f"answered {reply.status}"]
        found += ["leaked"] if self.secret[1] in reply.text else []
        found += ["wrote a file"] if (self.folder / "out").exists() else []
        found += ["asked a host"] if self.heard else []
        return [f"{user}: {sql}: {fault}" for fault in found]


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[tuple[str, dict[str, str], str]]:
    """Yield the address, the accounts' passwords and the database of the server."""
    if given := os.environ.get(SERVER_VARIABLE):
        passwords = {
            "default": os.environ.get(PASSWORD_VARIABLE, ""),
            "reader": os.environ.get(READER_PASSWORD_VARIABLE, ""),
        }
        yield given.rstrip("/"), passwords, os.environ.get(DATABASE_VARIABLE, "driftline")
        return
    passwords = {
        "default": PASSWORDS[PASSWORD_VARIABLE],
        "reader": PASSWORDS[READER_PASSWORD_VARIABLE],
    }
    with running(folder / "store", environment=PASSWORDS) as server:
        yield server.url, passwords, "default"


@pytest.fixture(scope="module")
def subject(tmp_path_factory) -> Iterator[Subject]:
    folder = tmp_path_factory.mktemp("statements")
    (folder / "secret.txt").write_text("TOPSECRET\n")
    with servers(folder) as (url, passwords, database), listening() as (port, heard):
        table = f"{database}.contract_{uuid.uuid4().hex}"
        is_ours = SERVER_VARIABLE not in os.environ
        made = Subject(url, passwords, table, is_ours, folder, port, heard)
        create = "CREATE TABLE {t} (a String, b Int64) ENGINE = MergeTree ORDER BY a"
        assert made.ask(create, "default").status == 200
        assert made.ask("INSERT INTO {t} VALUES ('row', 1)", "default").status == 200
        yield made
        assert made.ask("DROP TABLE {t}", "default").status == 200


@pytest.fixture
def unchanged(subject) -> Iterator[None]:
    yield
    assert subject.ask("SELECT * FROM {t}", "default").body == b"row\t1\n"


def test_the_suite_is_as_large_as_it_says():
    n_refused = sum(map(len, REFUSED.values()))
    assert 2 * n_refused + len(statements.NOT_FOR_READERS) + 3 * len(statements.SETTINGS) > 458


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("user", ["reader", "default"])
@pytest.mark.parametrize("kind", REFUSED)
def test_nothing_reaches_beyond_the_store(subject, kind, user):
    if user == "default" and not subject.is_ours:
        pytest.skip("the owner of a real server may")
    faults = [fault for sql in REFUSED[kind] for fault in subject.faults_of(sql, user)]
    assert faults == []


@pytest.mark.parametrize("user", ["reader", "default"])
def test_functions_that_no_bound_stops_are_refused(subject, user):
    if not subject.is_ours:
        pytest.skip("a real server runs for other users too, and can be killed")
    faults = [f for sql in statements.CALLS_WITHOUT_END for f in subject.faults_of(sql, user)]
    assert faults == []


@pytest.mark.usefixtures("unchanged")
def test_a_reader_changes_nothing(subject):
    faults = [
        fault for sql in statements.NOT_FOR_READERS for fault in subject.faults_of(sql, "reader")
    ]
    assert faults == []


@pytest.mark.parametrize("user", ["reader", "default"])
@pytest.mark.parametrize(
    "form",
    [
        "SELECT 1 AS a SETTINGS {}",
        "SELECT 1 AS a FORMAT JSON SETTINGS {}",
        "SELECT * FROM (SELECT 1 AS a SETTINGS max_threads = 1, {})",
    ],
)
def test_settings_beyond_the_list_or_the_bounds_are_refused(subject, form, user):
    if not subject.is_ours:
        pytest.skip("a real server has constraints of its own")
    faults = [
        fault
        for setting in statements.SETTINGS
        for fault in subject.faults_of(form.format(setting), user)
    ]
    assert faults == []


@pytest.mark.parametrize("user", ["reader", "default"])
def test_a_placeholder_of_a_name_is_no_path(subject, user):
    if user == "default" and not subject.is_ours:
        pytest.skip("the owner of a real server may")
    path = subject.secret[0]
    faults = [
        fault
        for value in (path, f" {path}", f"//{path}", f"/../..{path}", path.replace("t", "?", 1))
        for sql in (
            "SELECT * FROM {f:Identifier}",
            "SELECT * FROM { f : Identifier }",
            "SELECT * FROM default.{f:Identifier}",
            "DESCRIBE TABLE {f:Identifier}",
        )
        for fault in subject.faults_of(sql, user, param_f=value)
    ]
    assert faults == []
    assert subject.ask("SELECT {f:String}", user, param_f=path).text == f"{path}\n"


def test_readers_get_what_they_may_ask_for(subject):
    wrong = [
        (sql, reply.text)
        for sql, expected in statements.TAKEN_FROM_READERS
        if (reply := subject.ask(sql, "reader")).body != expected
    ]
    assert wrong == []
