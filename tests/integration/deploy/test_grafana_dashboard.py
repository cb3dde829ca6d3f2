"""The dashboard asks for what is there: every query runs, on the tables and metrics as they are."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest
import yaml
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from monitor import metrics
from monitor.storage.clickhouse import Store
from monitor.storage.rows import detectable_rows
from schemas.detectable import DetectableRow
from tests.support.repository import ROOT
from tests.support.scenario.whole_pipeline import Outside, run_whole
from tests.support.worlds.small import CONFIG, START_US, build_small_world

pytestmark = pytest.mark.integration

DEPLOY = ROOT / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana/dashboards/driftline.json").read_text())
UNTIL_US = START_US + 3_600_000_000

PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
SQL = [
    (panel["title"], target["rawSql"])
    for panel in PANELS
    for target in panel["targets"]
    if "rawSql" in target
]
SQL.append(("annotation", DASHBOARD["annotations"]["list"][0]["target"]["rawSql"]))
SQL.append(("variable", DASHBOARD["templating"]["list"][0]["query"]["rawSql"]))
PROMQL = [
    (panel["title"], target["expr"])
    for panel in PANELS
    for target in panel["targets"]
    if "expr" in target
]
RULES = [
    (rule.get("alert") or rule["record"], rule["expr"])
    for group in yaml.safe_load((DEPLOY / "prometheus/rules.yml").read_text())["groups"]
    for rule in group["rules"]
]


LOOKS = [
    DetectableRow(
        tenant=CONFIG.tenant,
        model=CONFIG.model,
        model_version="1",
        profile_id="p",
        feature="a",
        segment="*",
        time_us=START_US + i * 60_000_000,
        horizon_s=horizon_s,
        shift_sd=0.4 if i else None,
    )
    for i in range(3)
    for horizon_s in (3_600, 86_400)
]
"""What rule 2 would write: the world is judged by rule 1."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store that the whole pipeline filled: drift, a bad replica, late and broken events."""
    world = build_small_world()
    with Store.open(tmp_path_factory.mktemp("dashboard") / "store") as opened:
        opened.migrate()
        run_whole(world, CONFIG, Outside(world.log(), opened))
        opened.insert("detectable", detectable_rows(LOOKS))
        yield opened


def text_of(time_us: int) -> str:
    moment = datetime.fromtimestamp(time_us // 1_000_000, UTC)
    return f"toDateTime('{moment:%Y-%m-%d %H:%M:%S}', 'UTC')"


def expand(sql: str) -> str:
    """Write out what the data source's plugin and Grafana put in place of their macros."""
    since, until = text_of(START_US), text_of(UNTIL_US)
    sql = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 >= {since} AND \1 <= {until}", sql)
    sql = re.sub(
        r"\$__timeInterval\((\w+)\)", r"toStartOfInterval(toDateTime(\1), INTERVAL 60 second)", sql
    )
    sql = sql.replace("$__fromTime", since).replace("$__toTime", until)
    sql = sql.replace("${model:singlequote}", f"'{CONFIG.model}'")
    assert "$" not in sql, f"an unknown macro: {sql}"
    return sql


@pytest.mark.parametrize(("title", "sql"), SQL, ids=[title for title, _ in SQL])
def test_every_query_runs_and_finds_something(store, title, sql):
    answer = store.query(expand(sql))
    assert len(answer), expand(sql)
    values = [column for column in answer.column_names if column not in ("time", "bucket")]
    assert any(answer[name].null_count < len(answer) for name in values)


def test_the_alerts_that_are_open_are_those_that_nothing_resolved(store):
    (sql,) = [sql for title, sql in SQL if title == "Alerts open"]
    shown = sum(store.query(expand(sql))["open"].to_pylist())
    alerts = store.query(
        "SELECT transition, count() AS n FROM alerts FINAL GROUP BY transition"
    ).to_pydict()
    counts = dict(zip(alerts["transition"], alerts["n"], strict=True))
    assert shown == counts["opened"] - counts.get("resolved", 0)
    assert shown > 0


@pytest.mark.parametrize(
    "panel", [p for p in PANELS if p["type"] == "timeseries"], ids=lambda p: p["title"]
)
def test_a_series_begins_with_a_time_and_ends_with_a_number(store, panel):
    for target in panel["targets"]:
        if "rawSql" not in target:
            continue
        schema = store.query(expand(target["rawSql"])).schema
        kinds = {field.name: str(field.type) for field in schema}
        names = list(kinds)
        assert names[0] in ("time", "bucket")
        assert kinds[names[-1]] in ("double", "float"), kinds


def known_metrics() -> dict[str, set[str]]:
    """Return the names Prometheus will see, with the labels of each."""
    found: dict[str, set[str]] = {}
    for metric in vars(metrics).values():
        if not isinstance(metric, MetricWrapperBase):
            continue
        labels = set(metric._labelnames)
        endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
        for ending in endings.get(metric._type, ("",)):
            found[metric._name + ending] = labels | ({"le"} if ending == "_bucket" else set())
    for family in REGISTRY.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set(sample.labels))
    return found


@pytest.mark.parametrize(
    ("title", "expression"), PROMQL + RULES, ids=[title for title, _ in PROMQL + RULES]
)
def test_every_metric_and_label_exists(title, expression):
    known = known_metrics()
    # Names with colons are those of recording rules; the names of their labels come first.
    recorded = set(re.findall(r"\b\w+:driftline\w+:\w+", expression))
    assert recorded <= {title for title, _ in RULES}
    names = set(re.findall(r"(?<![\w:])(?:driftline|process)_\w+", expression))
    assert names or recorded or "up{" in expression
    assert names <= known.keys()
    labels = {"job", "instance"}.union(*(known[name] for name in names))
    for asked in re.findall(r"by \(([^)]*)\)", expression):
        assert {label.strip() for label in asked.split(",")} <= labels
    for name, asked in re.findall(r"(?<![\w:])((?:driftline|process)_\w+)\{([^}]*)\}", expression):
        assert set(re.findall(r"(\w+)\s*(?:=|!)", asked)) <= known[name]


def test_panels_have_ids_titles_and_sources_of_their_own():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    titles = [panel["title"] for panel in PANELS]
    assert len(titles) == len(set(titles))
    folder = DEPLOY / "grafana/provisioning/datasources"
    provisioned = yaml.safe_load((folder / "driftline.yaml").read_text())["datasources"]
    sources = {source["uid"]: source["type"] for source in provisioned}
    for panel in PANELS:
        for asked in (panel["datasource"], *(t["datasource"] for t in panel["targets"])):
            assert sources[asked["uid"]] == asked["type"]


def test_panels_do_not_lie_over_each_other():
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
