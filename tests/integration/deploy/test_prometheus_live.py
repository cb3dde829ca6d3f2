"""Prometheus and Alertmanager watch a stage on Kafka: it is killed, and a webhook is called."""

from __future__ import annotations

import contextlib
import json
import os
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from monitor.service.address import PORTS
from tests.support.alertmanager_webhook import AlertmanagerWebhook
from tests.support.installation import install
from tests.support.kafka.topics import create_stage_topics
from tests.support.programs import free_port, require_program, running
from tests.support.repository import ROOT
from tests.support.stage_processes import DIRECT, StageProcess, Stages
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.integration, pytest.mark.slow]

DEPLOY = ROOT / "deploy"
STAGE = "notify"
BOUND_S = 60.0
"""For each thing that is waited for; each takes seconds on a quiet machine."""


def prometheus_files(folder: Path, stage_port: int, alertmanager_port: int) -> Path:
    """Write the shipped files with short times and with targets of this machine."""
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    for job in config["scrape_configs"]:
        job.pop("dns_sd_configs")
        is_started = job["job_name"] == STAGE
        targets = [f"127.0.0.1:{stage_port}"] if is_started else []
        job["static_configs"] = [{"targets": targets}]
    (static,) = config["alerting"]["alertmanagers"][0]["static_configs"]
    static["targets"] = [f"127.0.0.1:{alertmanager_port}"]
    rules = yaml.safe_load((DEPLOY / "prometheus/rules.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = "1s"
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    return file


def alertmanager_files(folder: Path) -> Path:
    """Copy the shipped files with short times; return the start script."""
    config = yaml.safe_load((DEPLOY / "alertmanager/alertmanager.yml").read_text())
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "100ms", "group_interval": "1s"}
    # The receivers come last: the start script appends to them.
    receivers = yaml.safe_dump({"receivers": config.pop("receivers")}, indent=2)
    folder.mkdir()
    text = yaml.safe_dump(config) + receivers.replace("- name", "  - name")
    (folder / "alertmanager.yml").write_text(text)
    start = folder / "start.sh"
    start.write_text((DEPLOY / "alertmanager/start.sh").read_text())
    return start


class WatchedPrometheus(NamedTuple):
    """A running stage and those who watch it."""

    stage: StageProcess
    webhook: AlertmanagerWebhook
    prometheus: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Ask Prometheus; nothing while it starts."""
        url = f"{self.prometheus}/api/v1/query?query={urllib.parse.quote(expression)}"
        with contextlib.suppress(OSError), DIRECT.open(url, timeout=5) as answer:
            return list(json.loads(answer.read())["data"]["result"])
        return []


@pytest.fixture
def watched(broker, topic_prefix, tmp_path) -> Iterator[WatchedPrometheus]:
    """Start notify, Alertmanager and Prometheus."""
    prometheus = require_program("prometheus")
    alertmanager = require_program("prometheus-alertmanager")
    site = install(tmp_path / "site") / "driftline.yaml"
    site.write_text(f"models: [models/*.yaml]\nkafka: {{prefix: {topic_prefix!r}}}\n")
    create_stage_topics(broker.bootstrap, topic_prefix)
    ports = {name: free_port() for name in ("stage", "alertmanager", "prometheus")}
    config = prometheus_files(tmp_path, ports["stage"], ports["alertmanager"])
    start = alertmanager_files(tmp_path / "alertmanager")
    with contextlib.ExitStack() as stack:
        webhook = stack.enter_context(AlertmanagerWebhook())
        stages = stack.enter_context(Stages(site, broker.bootstrap))
        stage = stages.start(STAGE, "--http", f"127.0.0.1:{ports['stage']}").wait_ready()
        stack.enter_context(
            running(
                [
                    *("sh", str(start), "--cluster.listen-address="),
                    f"--web.listen-address=127.0.0.1:{ports['alertmanager']}",
                    f"--storage.path={tmp_path / 'alertmanager-data'}",
                ],
                tmp_path / "alertmanager.log",
                env={
                    **{k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")},
                    "ALERTMANAGER": alertmanager,
                    "DRIFTLINE_ALERT_WEBHOOK_URL": webhook.url,
                    "TMPDIR": str(tmp_path),
                },
            )
        )
        stack.enter_context(
            running(
                [
                    *(prometheus, f"--config.file={config}"),
                    f"--web.listen-address=127.0.0.1:{ports['prometheus']}",
                    f"--storage.tsdb.path={tmp_path / 'tsdb'}",
                    # What is sent before Alertmanager is found is lost, until it is sent again.
                    "--rules.alert.resend-delay=1s",
                ],
                tmp_path / "prometheus.log",
                env={k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")},
            )
        )
        yield WatchedPrometheus(stage, webhook, f"http://127.0.0.1:{ports['prometheus']}")


@pytest.mark.timeout(600)
def test_a_killed_stage_is_reported_to_the_webhook_and_resolved_when_it_is_back(watched):
    stage, webhook = watched.stage, watched.webhook
    wait_until(lambda: watched.query(f'driftline_ready{{stage="{STAGE}"}} == 1'), BOUND_S, "scrape")
    # The other stages have no process here, and their absence is an alert from the start.
    for name in PORTS.keys() - {STAGE}:
        wait_until(
            lambda name=name: "firing" in webhook.statuses("DriftlineStageDown", job=name),
            BOUND_S,
            f"the alert that {name} is absent",
        )
    assert webhook.statuses("DriftlineStageDown", job=STAGE) == []

    stage.kill()
    down = {"alertname": "DriftlineStageDown", "job": STAGE, "severity": "page"}
    wait_until(lambda: webhook.statuses(**down), BOUND_S, "the alert of the killed stage")
    assert webhook.statuses(**down)[0] == "firing"
    (alert, *_) = [a for a in webhook.alerts if a["labels"].get("job") == STAGE]
    assert alert["annotations"]["summary"].startswith(f"{STAGE} on 127.0.0.1:")

    # It answers long before it is ready: Kafka waits for the member that was killed.
    stage.start()
    wait_until(lambda: webhook.statuses(**down)[-1] == "resolved", BOUND_S, "its resolution")
