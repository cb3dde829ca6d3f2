"""A second process, a full disk, kill -9 in the middle of an insert: the real ones."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from monitor.storage import clickhouse, lock
from monitor.storage.clickhouse import Store
from schemas.errors import StorageError, StoreFullError, StoreLockedError
from tests.support.repository import ROOT
from tests.support.store.small_disk import fill, small_disk_at

pytestmark = pytest.mark.integration


HOLD = """
import sys
from monitor.storage.clickhouse import Store
with Store.open(sys.argv[1]) as store:
    print("open", flush=True)
    sys.stdin.readline()
"""

INSERT = """
import sys
import pyarrow as pa, numpy as np
from monitor.storage.clickhouse import Store
store = Store.open(sys.argv[1])
store.migrate()
n = 20_000
print("ready", flush=True)
for i in range(10_000):
    ids = np.arange(i * n, (i + 1) * n)
    rows = pa.table({"id": pa.array(ids).cast(pa.string()), "time_us": ids})
    store.insert("predictions", rows, token=f"t:0:{i * n}:{(i + 1) * n}")
    print(i, flush=True)
"""


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def rows_of(n: int, seed: int = 0) -> pa.Table:
    noise = np.random.default_rng(seed).integers(0, 2**62, n)
    return pa.table({"id": pa.array(noise).cast(pa.string()), "time_us": np.arange(n)})


def test_a_second_process_is_refused_by_name_and_gets_in_afterwards(tmp_path):
    holder = python(HOLD, str(tmp_path / "store"))
    try:
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(StoreLockedError, match=f"process {holder.pid}"):
            Store.open(tmp_path / "store")
    finally:
        holder.communicate("\n", timeout=60)
    Store.open(tmp_path / "store").close()


def test_a_lock_dies_with_its_process(tmp_path):
    holder = python(HOLD, str(tmp_path / "store"))
    holder.stdout.readline()
    holder.kill()
    holder.communicate(timeout=60)
    Store.open(tmp_path / "store").close()


def test_one_process_opens_one_store_as_often_as_it_likes_and_no_second_one(tmp_path):
    with Store.open(tmp_path / "a") as first:
        first.migrate()
        with Store.open(tmp_path / "a") as again:
            assert again.query("SELECT count() AS n FROM results")["n"][0].as_py() == 0
        with pytest.raises(StorageError, match="already holds"):
            Store.open(tmp_path / "b")
        assert first.query("SELECT 1 AS one")["one"][0].as_py() == 1
    with Store.open(tmp_path / "b") as second:
        second.migrate()


def test_kill_9_in_the_middle_of_inserts_loses_and_doubles_nothing(tmp_path):
    path = tmp_path / "store"
    n = 20_000
    for _ in range(3):
        writer = python(INSERT, str(path))
        assert writer.stdout.readline() == "ready\n"
        last = -1
        for line in writer.stdout:
            last = int(line)
            if last >= 4:
                os.kill(writer.pid, signal.SIGKILL)
                break
        rest = writer.communicate(timeout=60)[0].split()
        last = max([last, *map(int, rest)])
        with Store.open(path) as store:
            found = store.query(
                "SELECT count() AS n, uniqExact(id) AS ids, max(time_us) AS last FROM predictions"
            ).to_pylist()[0]
            # Whole inserts only: those acknowledged, and perhaps the one in flight.
            assert found["n"] == found["ids"] == found["last"] + 1
            assert found["n"] % n == 0
            assert found["n"] >= (last + 1) * n
            assert store.migrate() == []


@pytest.fixture
def small_disk(tmp_path):
    with small_disk_at(tmp_path / "disk") as place:
        yield place


def test_a_full_disk_is_said_in_one_line_and_leaves_whole_inserts(small_disk):
    with Store.open(small_disk / "store") as store:
        store.migrate()
        n_inserts = itertools.count()

        def insert_until_full() -> None:
            for i in n_inserts:
                store.insert("predictions", rows_of(100_000, i), token=f"t:0:{i}:{i + 1}")

        with pytest.raises(StoreFullError, match="no space left") as caught:
            insert_until_full()
        n_written = (next(n_inserts) - 1) * 100_000  # the last one taken did not go in
        assert "\n" not in str(caught.value)
        assert n_written > 0
        count = "SELECT count() AS n FROM predictions"
        assert store.query(count)["n"][0].as_py() == n_written
    # What was written is still there, for the next process too, and so is the room to drop it.
    with Store.open(small_disk / "store") as store:
        assert store.query(count)["n"][0].as_py() == n_written
        store.command("TRUNCATE TABLE predictions")


def test_no_room_to_open_a_store_is_said_in_one_line(small_disk):
    filler = small_disk / "filler"
    fill(filler)
    with pytest.raises(StoreFullError) as caught, Store.open(small_disk / "store") as store:
        store.migrate()
    assert "\n" not in str(caught.value)


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(StorageError, match="other files and no store"):
        Store.open(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["letters.txt"]


def test_a_file_is_no_store(tmp_path):
    (tmp_path / "file").write_text("dear")
    with pytest.raises(StorageError, match="not a folder"):
        Store.open(tmp_path / "file")


def test_without_chdb_the_install_command_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(clickhouse, "find_spec", lambda name: None)
    with pytest.raises(StorageError, match=r"pip install 'driftline\[embedded\]'"):
        Store.open(tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_failed_open_gives_the_lock_back(tmp_path, monkeypatch):
    def refuse(**_):
        raise RuntimeError("the engine would not start")

    with monkeypatch.context() as patched:
        patched.setattr(clickhouse, "_connect", refuse)
        with pytest.raises(StorageError, match="would not start"):
            Store.open(tmp_path / "store")
    assert not lock._held
    Store.open(tmp_path / "store").close()


@pytest.mark.parametrize("url", ["http://reader:hunter2@127.0.0.1:9/db", "http://127.0.0.1:9/db"])
def test_an_error_about_a_server_never_shows_a_secret(url, monkeypatch):
    monkeypatch.setenv(clickhouse.PASSWORD_VARIABLE, "hunter2")
    with pytest.raises(StorageError) as caught:
        Store.open(url)
    assert "hunter2" not in str(caught.value)
    assert "127.0.0.1:9" in str(caught.value)


def test_a_changed_migration_is_refused_by_the_store_that_ran_it(tmp_path):
    with Store.open(tmp_path / "store") as store:
        store.migrate()
        changed = pa.table(
            {"version": pa.array([2], pa.uint32()), "name": ["x"], "checksum": ["0" * 64]}
        )
        store.insert("schema_migrations", changed)
        with pytest.raises(StorageError, match="0002_statistics changed after it ran"):
            store.migrate()


def test_a_store_newer_than_the_code_is_refused(tmp_path):
    with Store.open(tmp_path / "store") as store:
        store.migrate()
        newer = pa.table({"version": pa.array([99], pa.uint32()), "name": ["x"], "checksum": ["y"]})
        store.insert("schema_migrations", newer)
        with pytest.raises(StorageError, match="schema version 99"):
            store.migrate()
