"""A receiver and a retraining target of new kinds: one class each, one row in a registry each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.app.installation import load_installation
from monitor.app.json_schema import generate_all
from monitor.app.stages import Site, secrets_of_receivers
from monitor.notify.receivers import registry as receivers
from monitor.notify.receivers.protocol import ReceiverSettings, secret_from
from monitor.notify.retraining import registry as retraining
from monitor.notify.retraining.target import RetrainingTarget
from schemas.alerts import Notification
from schemas.config.values import EnvironmentName
from schemas.config.yaml import read_yaml
from schemas.errors import ConfigError
from tests.support.installation import command

HOUR_US = 3_600_000_000
START_US = 1_709_510_400_000_000
SITE = """models: [models/*.yaml]
group_wait: 0s
receivers:
  diary: {kind: journal, path_env: DIARY_PATH, mark: "!"}
"""
MODEL = """model: shop
features:
  amount: {kind: numeric, importance: high}
window: {length: 1h}
retraining: {kind: journal, path_env: RETRAINING_PATH, on: [page, ticket], wait: 0s}
"""


class Journal:
    """Appends notifications to a file, one JSON object a line."""

    def __init__(self, path: str, mark: str = "") -> None:
        self._path, self._mark = Path(path), mark

    async def send(self, notification: Notification) -> str:
        title = f"{self._mark}{notification.incident.title}"
        line = {"kind": notification.kind, "title": title, "evidence": notification.evidence}
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        return "written"

    def remember(self, notification: Notification, detail: str) -> None:
        pass

    async def close(self) -> None:
        pass


class JournalReceiver(ReceiverSettings):
    """Notifications in a file."""

    kind: Literal["journal"]
    path_env: EnvironmentName
    mark: str = ""

    def build(self, name: str) -> Journal:
        return Journal(secret_from(self.path_env, f"receivers.{name}.path_env"), self.mark)


class JournalTarget(RetrainingTarget):
    """Requests of retraining in a file."""

    kind: Literal["journal"]
    path_env: EnvironmentName

    def build(self, model: str) -> Journal:
        return Journal(secret_from(self.path_env, f"model {model}: retraining.path_env"))


@pytest.fixture(autouse=True)
def rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows that a new kind adds to its registry."""
    monkeypatch.setattr(receivers, "RECEIVERS", (*receivers.RECEIVERS, JournalReceiver))
    monkeypatch.setattr(retraining, "TARGETS", (*retraining.TARGETS, JournalTarget))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation that uses both kinds, and the current folder."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models/m.yaml").write_text(MODEL)
    (tmp_path / "driftline.yaml").write_text(SITE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DIARY_PATH", raising=False)
    monkeypatch.delenv("RETRAINING_PATH", raising=False)
    return tmp_path


def states() -> dict[tuple[str, str], str]:
    """What ``driftline check`` says, and of which variable."""
    found = json.loads(command("check", "--json").out)["checks"]
    return {(c["check"], c["name"]): c["detail"] for c in found}


def test_check_names_the_variables_of_new_kinds(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = states()
    assert found["receiver", "diary"] == "environment variable not set: DIARY_PATH"
    assert found["retraining", "shop"] == "environment variable not set: RETRAINING_PATH"
    monkeypatch.setenv("DIARY_PATH", "T0P-SECRET")
    monkeypatch.setenv("RETRAINING_PATH", "T0P-SECRET")
    found = states()
    assert found["receiver", "diary"] == "DIARY_PATH set"
    assert found["retraining", "shop"] == "RETRAINING_PATH set"


def test_logs_redact_the_values_of_variables_that_new_kinds_name(here: Path) -> None:
    site = Site(load_installation(), None, "")  # type: ignore[arg-type]
    environment = {"DIARY_PATH": "one", "RETRAINING_PATH": "two", "OTHER": "three"}
    assert secrets_of_receivers(site, environment) == ["one", "two"]


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("driftline.yaml", "mark", "amrk", ".yaml:4: receivers.diary.amrk: unknown setting (did"),
        ("driftline.yaml", "path_env", "url_env", ".diary.path_env: is missing (a journal receiv"),
        ("driftline.yaml", "DIARY_PATH", "/var/T0P-SECRET", "path_env: must be the NAME of an en"),
        ("driftline.yaml", "journal", "jurnal", 'kind: "jurnal" is not allowed (did you mean jo'),
        ("models/m.yaml", "path_env", "url_env", "m.yaml:5: retraining.path_env: is missing (ad"),
        ("models/m.yaml", "journal", "diary", 'kind: "diary" is not allowed (write one of webh'),
    ],
)
def test_settings_of_a_new_kind_are_checked_with_file_line_and_field(
    here: Path, file: str, old: str, new: str, problem: str
) -> None:
    path = here / file
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load_installation()
    assert any(problem in line for line in caught.value.problems), caught.value.problems
    assert "SECRET" not in str(caught.value)


def test_the_json_schemas_include_a_new_kind() -> None:
    schemas = generate_all()
    jsonschema.validate(read_yaml(SITE, "").value, schemas["driftline"])
    jsonschema.validate(read_yaml(MODEL, "").value, schemas["model"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(read_yaml(SITE.replace("mark", "amrk"), "").value, schemas["driftline"])


def test_a_replay_notifies_a_new_kind_and_asks_it_for_a_retraining(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIARY_PATH", str(here / "diary.jsonl"))
    monkeypatch.setenv("RETRAINING_PATH", str(here / "requests.jsonl"))
    rng = np.random.default_rng(0)
    table = {"time_us": np.arange(4_000) * 60_000_000, "amount": rng.exponential(20, 4_000)}
    pq.write_table(pa.table(table), "ref.parquet")
    assert command("baseline", "build", "models/m.yaml", "-r", "ref.parquet").code == 0
    times = START_US + np.arange(24 * 250) * (HOUR_US // 250)
    amounts = rng.exponential(20, len(times)) + np.where(np.arange(len(times)) < 2_500, 0, 40)
    pq.write_table(pa.table({"time_us": times, "amount": amounts}), "day.parquet")
    ended = command("replay", "day.parquet", "--store", "none", "--notify", "--json")
    assert ended.code == 0, ended.err
    sent = read(here / "diary.jsonl")
    assert sent[0]["kind"] == "incident"
    assert sent[0]["title"].startswith("!shop: amount")
    requests = read(here / "requests.jsonl")
    assert [r["kind"] for r in requests] == ["retraining"]
    assert json.loads(requests[0]["evidence"])["model"] == "shop"


def read(path: Path) -> list[dict[str, Any]]:
    """Read what a journal holds."""
    return [json.loads(line) for line in path.read_text().splitlines()]
