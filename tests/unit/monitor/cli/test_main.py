"""The command line: what is printed, and how each failure ends."""

from __future__ import annotations

import errno
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from monitor.cli import main as cli
from monitor.cli.main import main
from monitor.cli.terminal.lazy import Entry, load_command
from schemas.errors import BaselineError, ConfigError
from tests.support.repository import ROOT

MODEL = (
    "model: m\nfeatures:\n  age: {kind: numeric}\n  land: {kind: categorical}\nsegments: [land]\n"
)


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    """Run the command line in this process; return exit code, output and errors."""
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An installation with one model and a reference."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models/m.yaml").write_text(MODEL)
    (tmp_path / "driftline.yaml").write_text("models: [models/*.yaml]\n")
    rng = np.random.default_rng(0)
    table = pa.table({"age": rng.normal(size=2_000), "land": rng.choice(["a", "b"], 2_000)})
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet")
    return tmp_path


def fail_with(monkeypatch, error: BaseException) -> None:
    """Give the command line one more command, which fails."""
    import types

    def broken() -> None:
        """Fail."""
        raise error

    module = types.ModuleType("broken_command")
    module.run = broken
    monkeypatch.setitem(sys.modules, "broken_command", module)
    entries = cli.COMMANDS | {"broken": Entry("broken_command:run", "Fails.")}
    monkeypatch.setattr(cli.Commands, "entries", entries)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ConfigError("x is 1", where="f:2", fix="write 2"), 2, "error: f:2: x is 1 (write 2)\n"),
        (ConfigError("a\nb", problems=("a", "b")), 2, "a\nb\n2 problems\n"),
        (BaselineError("is damaged", where="m.profile"), 3, "error: m.profile: is damaged\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/data/x"),
            1,
            "error: no space left on the disk under /data/x (free some, then run this again)\n",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 4, "error: /x: Permission de"),
        (ModuleNotFoundError("no", name="chdb"), 1, "error: the module chdb is not installed"),
        (KeyError("k"), 1, "error: KeyError: 'k'\nThis is a bug in Driftline."),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_a_failure_is_a_line_and_an_exit_code(capsys, monkeypatch, error, code, line):
    fail_with(monkeypatch, error)
    monkeypatch.delenv("DRIFTLINE_TRACEBACK", raising=False)
    ended, out, err = run(capsys, "broken")
    assert (ended, out) == (code, "")
    assert err.startswith(line)
    assert "Traceback" not in err


def test_the_traceback_is_shown_when_it_is_asked_for(monkeypatch):
    fail_with(monkeypatch, BaselineError("x"))
    monkeypatch.setenv("DRIFTLINE_TRACEBACK", "1")
    with pytest.raises(BaselineError):
        main(["broken"])


def test_help_lists_every_command_with_examples(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert "Examples:" in out
    for name, entry in cli.COMMANDS.items():
        assert f"  {name}" in out
        assert entry.summary in out


def leaves(words: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Each command below one, by what is typed."""
    below = getattr(command, "commands", None)
    if below is None:
        yield words, command
        return
    for name, child in below.items():
        yield from leaves(f"{words} {name}", child)


LEAVES = dict(
    leaf for name, entry in cli.COMMANDS.items() for leaf in leaves(name, load_command(name, entry))
)


@pytest.mark.parametrize("name", LEAVES)
def test_each_command_has_a_purpose_exit_codes_and_examples(capsys, name):
    code, out, _ = run(capsys, *name.split(), "--help")
    assert code == 0
    assert inspect.cleandoc(LEAVES[name].help).splitlines()[0].endswith(".")
    assert "Exit code: 0 " in out
    assert f"driftline {name}" in out.split("Examples:")[1]


@pytest.mark.parametrize("name", LEAVES)
def test_each_option_has_a_description_and_names_its_value(capsys, name):
    options = [param for param in LEAVES[name].params if param.param_type_name == "option"]
    assert [param.name for param in options if not (param.help or "").endswith(".")] == []
    _, out, _ = run(capsys, *name.split(), "--help")
    assert re.findall(r"--\S+ <(?:str|int|float|path|list).*?>", out) == []


def test_a_mistyped_command_names_the_nearest(capsys):
    code, _, err = run(capsys, "chek")
    assert code == 2
    assert "check" in err.splitlines()[-1]


def test_the_version_is_printed(capsys):
    from detectors.version import VERSION

    assert run(capsys, "--version")[:2] == (0, f"driftline {VERSION}\n")


def test_help_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from monitor.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'numba', 'pyarrow', 'pydantic', 'chdb', 'rich', 'yaml', 'msgspec'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_check_tells_what_is_missing_and_how_to_get_it(capsys, folder):
    code, out, _ = run(capsys, "check")
    assert code == 3
    assert "-> driftline baseline build models/m.yaml --reference FILE --out baselines" in out
    assert "3 ok, 1 failed" in out
    assert not (folder / "driftline-store").exists()


def test_check_passes_once_the_baseline_is_built(capsys, folder):
    assert run(capsys, "baseline", "build", "models/m.yaml", "-r", "train.parquet")[0] == 0
    code, out, _ = run(capsys, "check", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["ok"] is True
    assert [c["state"] for c in found["checks"]] == ["ok"] * 4


def test_check_notices_a_baseline_that_no_longer_fits(capsys, folder):
    run(capsys, "baseline", "build", "models/m.yaml", "-r", "train.parquet")
    (folder / "models/m.yaml").write_text(
        MODEL.replace("land: {kind", "city: {kind").replace("[land]", "[]")
    )
    code, out, _ = run(capsys, "check")
    assert code == 3
    assert "built without city; built with land, now gone" in out


def test_check_notices_a_damaged_baseline(capsys, folder):
    run(capsys, "baseline", "build", "models/m.yaml", "-r", "train.parquet")
    file = next((folder / "baselines").glob("*.profile"))
    file.write_bytes(file.read_bytes()[:-1])
    code, out, _ = run(capsys, "check")
    assert code == 3
    assert f"{file.name}: is damaged: its checksum does not match" in out


def test_check_names_environment_variables_and_never_their_values(capsys, folder, monkeypatch):
    text = "receivers:\n  hook: {kind: webhook, url_env: HOOK_URL, secret_env: HOOK_KEY}\n"
    (folder / "driftline.yaml").write_text("models: [models/*.yaml]\n" + text)
    monkeypatch.setenv("HOOK_URL", "https://T0P-SECRET")
    monkeypatch.delenv("HOOK_KEY", raising=False)
    code, out, err = run(capsys, "check")
    assert code == 2
    assert "environment variable not set: HOOK_KEY" in out
    assert "SECRET" not in out + err


def test_check_prints_every_problem_of_a_config(capsys, folder):
    (folder / "models/m.yaml").write_text("model: m\nfeatures: {a: {kind: x}}\nfoo: 1\n")
    code, out, _ = run(capsys, "check")
    assert code == 2
    assert out.splitlines()[0].startswith("models/m.yaml:2: features.a.kind: ")
    assert out.splitlines()[1].startswith("models/m.yaml:3: foo: unknown setting")
    assert out.splitlines()[2] == "2 problems; nothing else was checked"


def test_check_refuses_a_store_that_is_a_file(capsys, folder):
    run(capsys, "baseline", "build", "models/m.yaml", "-r", "train.parquet")
    (folder / "driftline-store").write_text("not a store")
    code, out, _ = run(capsys, "check")
    assert code == 5
    assert "store driftline-store: " in out


@pytest.mark.integration
def test_check_writes_to_a_store_and_leaves_nothing(capsys, folder):
    from monitor.storage.clickhouse import Store

    run(capsys, "baseline", "build", "models/m.yaml", "-r", "train.parquet")
    with Store.open("driftline-store") as store:
        store.migrate()
        before = store.query("SHOW TABLES").to_pydict()
    code, out, _ = run(capsys, "check")
    assert (code, "opened and written to" in out) == (0, True)
    with Store.open("driftline-store") as store:
        assert store.query("SHOW TABLES").to_pydict() == before


def test_build_says_what_it_decided(capsys, folder):
    code, out, err = run(capsys, "baseline", "build", "models/m.yaml", "-r", "train.parquet")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert ["age", "numeric", "60", "0", "%"] in [line[:5] for line in lines]
    assert ["land", "categorical", "2", "0", "%"] in [line[:5] for line in lines]
    assert "never there: not monitored" in out
    assert "if the stream has sessions, its first day has to show them" in out
    assert "land=a" in out


def test_build_prints_one_json_document(capsys, folder):
    args = ("baseline", "build", "models/m.yaml", "-r", "train.parquet", "--json")
    code, out, err = run(capsys, *args)
    assert (code, err, out.count("\n")) == (0, "", 1)
    found = json.loads(out)
    assert found["n_rows"] == 2_000
    assert Path(found["file"]).exists()
    assert [v["name"] for v in found["variables"]] == ["age", "land", "score"]


def test_show_lists_what_was_built(capsys, folder):
    assert run(capsys, "baseline", "show")[0] == 3
    run(capsys, "baseline", "build", "models/m.yaml", "-r", "train.parquet")
    code, out, _ = run(capsys, "baseline", "show")
    assert code == 0
    assert "train.parquet" in out
    file = next((folder / "baselines").glob("*.profile"))
    assert "categorical" in run(capsys, "baseline", "show", file)[1]
    listed = json.loads(run(capsys, "baseline", "show", "--json")[1])
    assert [p["model"] for p in listed["profiles"]] == ["m"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give either --reference FILE or --store"),
        (("-r", "a", "--store", "b"), "give either --reference FILE or --store"),
        (("--store", "b"), "--store needs --since and --until"),
        (("-r", "train.parquet", "--active-from", "soon"), '"soon" is not a time'),
    ],
)
def test_build_explains_its_options(capsys, folder, arguments, message):
    code, _, err = run(capsys, "baseline", "build", "models/m.yaml", *arguments)
    assert code == 2
    assert message in " ".join(err.split())
    assert not (folder / "baselines").exists()
