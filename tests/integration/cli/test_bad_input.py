"""What goes wrong at the command line: an exit code, one line, and nothing half written."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.installation import (
    MODEL,
    command,
    contents,
    event,
    install,
    rows,
    start,
    write_lines,
)
from tests.support.repository import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(100)]

HOLD = """
import sys
from monitor.storage.clickhouse import Store
with Store.open(sys.argv[1]) as store:
    store.migrate()
    print("open", flush=True)
    sys.stdin.readline()
"""
WEBHOOK = "models: [models/*.yaml]\nreceivers:\n  hook: {kind: webhook, url_env: HOOK_URL}\n"
REPLAY = ("replay", "events.jsonl")
BUILD = ("baseline", "build", "models/loans.yaml", "-r")


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    return install(tmp_path_factory.mktemp("template") / "here")


@pytest.fixture
def here(template, tmp_path, monkeypatch) -> Path:
    """A copy of the installation, and the current folder."""
    folder = tmp_path / "here"
    shutil.copytree(template, folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("HOOK_URL", raising=False)
    monkeypatch.delenv("DRIFTLINE_TRACEBACK", raising=False)
    return folder


def nothing(here: Path) -> None:
    """Leave the installation as it is."""


def without_baselines(here: Path) -> None:
    shutil.rmtree(here / "baselines")


def with_another_model(here: Path) -> None:
    (here / "models/loans.yaml").write_text(MODEL.replace("job:", "trade:"))


def with_a_damaged_baseline(here: Path) -> None:
    [file] = (here / "baselines").glob("*.profile")
    file.write_bytes(file.read_bytes()[:-1])


def without_models(here: Path) -> None:
    (here / "driftline.yaml").write_text("store: elsewhere\n")


def with_a_webhook(here: Path) -> None:
    (here / "driftline.yaml").write_text(WEBHOOK)


def with_models_that_disagree(here: Path) -> None:
    other = MODEL.replace("loans", "cars").replace("{length: 1h}", "{length: 1h, lateness: 5m}")
    (here / "models/cars.yaml").write_text(other)


def with_foreign_events(here: Path) -> None:
    write_lines(here / "foreign.jsonl", [event(i, model="cars") for i in range(3)])


def with_broken_files(here: Path) -> None:
    whole = (here / "train.parquet").read_bytes()
    (here / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (here / "text.parquet").write_text("hello")
    pq.write_table(rows(300).drop_columns(["job"]), here / "other.parquet")
    pq.write_table(rows(300).drop_columns(["time_us"]), here / "timeless.parquet")
    (here / "foreign").mkdir()
    (here / "foreign/letter.txt").write_text("dear")


@pytest.mark.parametrize(
    ("prepare", "arguments", "code", "words"),
    [
        (nothing, (*REPLAY, "--config", "no.yaml"), 2, "no.yaml: no such file"),
        (without_models, REPLAY, 2, "driftline.yaml: it names no models"),
        (with_models_that_disagree, REPLAY, 2, "window.lateness of 'loans' differs"),
        (nothing, (*REPLAY, "--model", "cars"), 2, 'no model is called "cars"'),
        (with_a_webhook, (*REPLAY, "--notify"), 2, "HOOK_URL is not set"),
        (nothing, (*REPLAY, "--rows-per-window", "10"), 2, "JSONL events cannot be assigned"),
        (without_baselines, REPLAY, 3, "no baseline fits any configured model (build one: drift"),
        (with_another_model, REPLAY, 3, "score (numeric) (build the baseline again"),
        (with_a_damaged_baseline, REPLAY, 3, ".profile: is damaged: its checksum does not match"),
        (nothing, ("replay", "no.jsonl"), 4, "no.jsonl: no such file"),
        (nothing, ("replay", "models"), 4, "models: is a folder"),
        (nothing, (*REPLAY, "no.parquet"), 4, "no.parquet: no such file"),
        (nothing, (*REPLAY, "--gpu", "no.jsonl"), 4, "no.jsonl: no such file"),
        (nothing, (*REPLAY, "--labels", "no.jsonl"), 4, "no.jsonl: no such file"),
        (with_broken_files, ("replay", "cut.parquet"), 4, "cut.parquet: cannot be read as Parquet"),
        (with_broken_files, ("replay", "text.parquet"), 4, "text.parquet: cannot be read as Parq"),
        (with_broken_files, ("replay", "other.parquet"), 2, "other.parquet: no column 'job'"),
        (with_broken_files, ("replay", "timeless.parquet"), 2, "evenly with --rows-per-window"),
        (with_broken_files, (*REPLAY, "--store", "foreign"), 5, "foreign: the folder holds other"),
        (nothing, (*REPLAY, "--store", "train.parquet"), 5, "train.parquet: a file, not a folder"),
        (nothing, (*REPLAY, "--store", "ftp://x"), 5, "ftp:// is no store"),
        (nothing, (*REPLAY, "--store", "http://127.0.0.1:9"), 5, "127.0.0.1:9: the store does not"),
        (nothing, ("sql",), 5, "driftline-store: there is no store here (run `driftline demo`"),
        (with_broken_files, ("sql", "--store", "foreign"), 5, "(name the store's folder)"),
        (nothing, ("sql", "DROP TABLE alerts"), 5, "DROP is not a read-only statement"),
        (nothing, (*BUILD, "no.parquet"), 4, "no.parquet: no such file"),
        (with_foreign_events, (*BUILD, "foreign.jsonl"), 4, "holds no event of model 'loans'"),
        (with_broken_files, (*BUILD, "cut.parquet"), 4, "cut.parquet: cannot be read as Parquet"),
        (with_broken_files, (*BUILD, "other.parquet"), 3, "no column 'job'"),
        (nothing, ("baseline", "show", "train.parquet"), 3, "is not a Driftline baseline"),
        (nothing, ("baseline", "show", "nowhere"), 3, "nowhere: no baselines here"),
        (with_broken_files, ("demo", "--output", "foreign"), 1, "foreign: the folder is not empty"),
        (nothing, ("demo", "--output", "train.parquet"), 4, "train.parquet: Not a directory"),
    ],
)
def test_a_failure_is_one_line_and_leaves_everything_as_it_was(
    here, prepare: Callable[[Path], None], arguments, code, words
):
    prepare(here)
    before = contents(here)
    ended = command(*arguments)
    assert (ended.code, ended.out) == (code, "")
    [line] = ended.err.splitlines()
    assert line.startswith("error: ")
    assert words in line
    assert contents(here) == before


def test_each_problem_of_a_config_is_a_line_with_file_line_and_field(here):
    (here / "driftline.yaml").write_text("models: [models/*.yaml, no/*.yaml]\nrecievers: {}\n")
    (here / "models/loans.yaml").write_text(MODEL.replace("numeric", "number") + "columns: 7\n")
    before = contents(here)
    for arguments in (REPLAY, (*BUILD, "train.parquet")):
        ended = command(*arguments)
        assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines()[:1] == [
        'models/loans.yaml:3: features.income.kind: "number" is not allowed '
        "(did you mean numeric? One of numeric, categorical)"
    ]
    assert ended.err.splitlines()[1].startswith("models/loans.yaml:7: columns: ")
    assert ended.err.splitlines()[2:] == ["2 problems"]
    assert command("check").out.startswith("driftline.yaml:2: recievers: unknown setting")
    (here / "driftline.yaml").write_text("models: [models/*.yaml, no/*.yaml]\n")
    assert (
        command(*REPLAY)
        .err.splitlines()[0]
        .startswith('driftline.yaml:1: models[1]: no file matches "no/*.yaml"')
    )
    assert contents(here) == before | {"driftline.yaml": b"models: [models/*.yaml, no/*.yaml]\n"}


def test_check_refuses_the_models_that_replay_refuses(here):
    with_models_that_disagree(here)
    for arguments in (("check",), REPLAY):
        ended = command(*arguments)
        assert ended.code == 2
        assert "window.lateness of 'loans' differs" in ended.out + ended.err


def test_a_demo_only_empties_a_folder_of_its_own(here):
    from monitor.cli.demo import prepare_folder

    prepare_folder(Path("out"))
    (here / "out/store").mkdir()
    assert [p.name for p in prepare_folder(Path("out")).iterdir()] == [".driftline-demo"]


def test_sql_names_the_demos_store_after_only_the_demo_ran(here):
    (here / "demo-output/store").mkdir(parents=True)
    ended = command("sql")
    assert ended.code == 5
    assert "(the demo's is at --store demo-output/store)" in ended.err


def test_events_of_an_unknown_model_are_counted_and_said(here):
    write_lines(here / "foreign.jsonl", [event(0, model="cars"), event(1)])
    ended = command("replay", "foreign.jsonl", "--store", "none")
    # Standard error may hold how far it has come: on a cold cache it takes over two seconds.
    assert ended.code == 6, "one row is too few for a verdict"
    assert "Judged: 0 of 2 events" in ended.out
    assert "Nothing was judged" in ended.out
    assert "error" not in ended.err
    assert "1 event accepted, 1 rejected" in ended.out
    assert "1 unknown model, e.g. no model 'cars' of tenant 'default' is configured (foreign" in (
        ended.out
    )
    write_lines(here / "foreign.jsonl", [event(0, model="cars")])
    assert "Nothing to judge." in command("replay", "foreign.jsonl", "--store", "none").out


def test_rows_of_a_table_as_json_lines_are_named_as_no_events(here):
    write_lines(here / "rows.jsonl", [b'{"time": "2024-03-04", "age": 41}'] * 3)
    ended = command("replay", "rows.jsonl", "--store", "none")
    assert ended.code == 6
    assert "A JSON event names its model" in ended.out
    assert "Rows of a table are read from Parquet, CSV, Arrow or ORC" in ended.out


@pytest.mark.parametrize("kind", ["gz", "csv"])
def test_a_file_that_breaks_off_half_way_leaves_a_store_that_works(here, kind):
    if kind == "gz":
        text = gzip.compress(b"".join(event(i) + b"\n" for i in range(30_000)))
        (here / "bad.jsonl.gz").write_bytes(text[: len(text) * 9 // 10])
    else:
        lines = [f"{50_000 + i},cook,eu,.5,{1_451_606_400_000_000 + i}" for i in range(30_000)]
        text = "\n".join(["income,job,region,score,time_us", *lines, "1,2", ""])
        (here / "bad.csv").write_text(text)
    ended = command("replay", f"bad.jsonl.{kind}" if kind == "gz" else "bad.csv")
    assert ended.code == 4
    errors = [line for line in ended.err.splitlines() if not line.startswith("replaying: ")]
    assert len(errors) == 1
    assert errors[0].startswith("error: bad.")
    assert command(*REPLAY).code == 0
    assert json.loads(command("sql", "SELECT count() AS n FROM results", "--json").out)["n"] > 0


def test_a_store_that_is_held_names_its_holder_and_is_left_alone(here):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, "driftline-store"],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "open\n"
        for arguments in (REPLAY, ("sql",), ("check",)):
            ended = command(*arguments)
            assert ended.code == 5
            said = ended.out if arguments == ("check",) else ended.err
            assert f"another process holds the store (process {holder.pid}" in said
            assert arguments == ("check",) or said.count("\n") == 1
    finally:
        holder.communicate("\n", timeout=60)
    assert command("sql").code == 0


@pytest.fixture
def small_disk(here):
    """A file system of 24 MiB below the installation, where the machine lets us mount one."""
    place = here / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("not permitted here: mounting a small file system needs root")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)], capture_output=True
    )
    if done.returncode:
        pytest.skip("not permitted here: mounting a small file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(path: Path, n_bytes: int) -> None:
    """Write until nothing more goes in."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        for _ in range(n_bytes // 4096):
            file.write(b"\0" * 4096)


def test_a_full_disk_is_said_in_one_line_and_room_is_all_it_needs(here, small_disk):
    fill(small_disk / "filler", 24 << 20)
    arguments = ("baseline", "build", "models/loans.yaml", "-r", "train.parquet", "-o")
    ended = command(*arguments, "disk/baselines")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("error: no space left on the disk")
    assert ended.err.count("\n") == 1
    assert not [p for p in small_disk.rglob("*") if p.is_file() and p.name != "filler"]
    ended = command(*REPLAY, "--store", "disk/store")
    assert (ended.code, ended.out) == (5, "")
    [line] = ended.err.splitlines()
    assert line.startswith("error: disk/store: ")
    assert line.endswith("no space left on the disk (free some space and run it again)")
    (small_disk / "filler").unlink()
    assert command(*REPLAY, "--store", "disk/store").code == 0
    assert command("sql", "SELECT count() AS n FROM predictions FINAL", "--json", "--store",
                   "disk/store").out == '{"n": 200}\n'  # fmt: skip


def test_a_disk_that_fills_up_while_running_loses_nothing_that_was_written(here, small_disk):
    # by windows: an incident that is found in the first ticks would be printed before the error
    (here / "models/loans.yaml").write_text(MODEL + "decision: {rule: 1}\n")
    assert command(*REPLAY, "--store", "disk/store").code == 0
    fill(small_disk / "filler", 24 << 20)
    write_lines(here / "more.jsonl", (event(i, id=f"m{i}") for i in range(3_000)))
    ended = command("replay", "more.jsonl", "--store", "disk/store")
    assert (ended.code, ended.out) == (5, "")
    errors = [line for line in ended.err.splitlines() if not line.startswith("replaying: ")]
    [line] = errors
    assert "no space left on the disk" in line
    (small_disk / "filler").unlink()
    assert command("replay", "more.jsonl", "--store", "disk/store").code == 0
    count = "SELECT count() AS n FROM predictions FINAL"
    assert command("sql", count, "--json", "--store", "disk/store").out == '{"n": 3200}\n'


def test_a_cache_that_cannot_be_written_costs_time_and_nothing_else(here):
    # Below /proc no user can make folders, not even the superuser.
    process = start(
        *REPLAY, "--store", "none", "--json", folder=here, DRIFTLINE_CACHE_DIR="/proc/driftline"
    )
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, b"")
    assert json.loads(out)["accepted"] == 200


def test_an_interrupt_ends_with_130_and_a_closed_store(here):
    process = start("replay", "-", folder=here)
    try:
        # More than what is read to find out the format; then it waits for the next block.
        process.stdin.write(b"".join(event(i) + b"\n" for i in range(2_000)))
        process.stdin.flush()
        held = here / "driftline-store/driftline.lock"
        while process.poll() is None and not (held.exists() and held.read_bytes()):
            # Waits for output, of which there is none, and looks again.
            assert not select.select([process.stdout], [], [], 0.05)[0]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, out) == (130, b"")
    assert err.decode().splitlines()[-1] == "interrupted"
    assert b"Traceback" not in err
    assert b"error" not in err
    assert command(*REPLAY).code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        (*REPLAY, "--store", "none", "--json"),
        (*REPLAY, "--store", "none", "--json", "--notify"),
        ("check", "--json"),
        (*BUILD, "train.parquet", "--json"),
        ("baseline", "show", "--json"),
    ],
    ids=lambda a: " ".join(a[:2]),
)
def test_json_is_one_line_whatever_else_is_printed(here, arguments):
    # The shift opens an incident, and the config has a console receiver.
    shifted = [event(i, features={"income": 9e5, "job": "cook"}) for i in range(0, 30_000, 15)]
    write_lines(here / "events.jsonl", shifted)
    ended = command(*arguments)
    assert ended.code == 0
    [line] = ended.out.splitlines()
    found = json.loads(line)
    if "replay" in arguments:
        assert found["incidents"]
        assert ("PAGE" in ended.err) == ("--notify" in arguments)


@pytest.mark.parametrize(
    "name",
    ["demo", "check", "baseline", "baseline build", "baseline show", "replay", "sql"],
)
def test_help_reads_as_text_with_examples(name):
    ended = command(*name.split(), "--help")
    assert ended.code == 0
    lines = ended.out.splitlines()
    examples = lines[lines.index("  Examples:") + 1 :]
    assert examples[0].startswith("    ")
    assert f"driftline {name}" in ended.out.split("Examples:")[1]
    assert not [word for word in ("-----", "Parameters\n", "Raises\n", "\b") if word in ended.out]
    assert max(map(len, lines)) <= 100
