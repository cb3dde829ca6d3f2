"""The files for Prometheus and Alertmanager, checked by their own tools."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.service.address import PORTS
from tests.support.programs import require_program
from tests.support.repository import ROOT

pytestmark = pytest.mark.integration

DEPLOY = ROOT / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
RULES = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
CASES = yaml.safe_load((PROMETHEUS / "rules_test.yml").read_text())["tests"]


def run(*command: object, **environment: str) -> str:
    """Run a tool that must succeed; return what it printed."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_promtool_accepts_the_configuration_and_its_rules(tmp_path):
    folder = shutil.copytree(PROMETHEUS, tmp_path / "prometheus")
    printed = run(require_program("promtool"), "check", "config", folder / "prometheus.yml")
    assert f"{len(RULES)} rules found" in printed


def test_each_alert_fires_and_stays_quiet_as_its_cases_expect():
    assert "SUCCESS" in run(
        require_program("promtool"), "test", "rules", PROMETHEUS / "rules_test.yml"
    )


def test_a_broken_rule_does_not_pass_its_cases(tmp_path):
    folder = shutil.copytree(PROMETHEUS, tmp_path / "prometheus")
    rules = folder / "rules.yml"
    rules.write_text(rules.read_text().replace('or absent(up{job="archive"})', ""))
    done = subprocess.run(
        [require_program("promtool"), "test", "rules", str(folder / "rules_test.yml")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "DriftlineStageDown" in done.stdout + done.stderr


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_has_a_case_for_firing_and_one_for_staying_quiet(name):
    expected: list[list[Any]] = [
        check["exp_alerts"]
        for case in CASES
        for check in case["alert_rule_test"]
        if check["alertname"] == name
    ]
    assert any(expected), "no case in which it fires"
    assert not all(expected), "no case in which it stays quiet"


@pytest.mark.parametrize("stage", PORTS)
def test_the_absence_of_each_stage_is_an_alert(stage):
    assert f'absent(up{{job="{stage}"}})' in ALERTS["DriftlineStageDown"]["expr"]
    summaries = [
        alert["exp_annotations"]["summary"]
        for case in CASES
        for check in case["alert_rule_test"]
        if check["alertname"] == "DriftlineStageDown"
        for alert in check["exp_alerts"]
    ]
    assert f"{stage} has no process" in summaries


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_has_a_severity_that_is_routed_and_a_summary(name):
    assert ALERTS[name]["labels"]["severity"] in ("page", "ticket")
    assert ALERTS[name]["annotations"]["summary"]


# --- Alertmanager

RECEIVERS = {
    "none": {},
    "slack": {"DRIFTLINE_ALERT_SLACK_URL": "https://hooks.slack.com/services/T0/B0/x"},
    "webhook": {"DRIFTLINE_ALERT_WEBHOOK_URL": "https://pager.example/a?b=c&d=it's|#e"},
}
RECEIVERS["both"] = RECEIVERS["slack"] | RECEIVERS["webhook"]


def configured(folder: Path, environment: dict[str, str]) -> Path:
    """Return the file that start.sh gives to Alertmanager."""
    shown, copy = folder / "show.sh", folder / "alertmanager.yml"
    shown.write_text(f'#!/bin/sh\ncp "${{1#--config.file=}}" {copy}\n')
    shown.chmod(0o755)
    run("sh", DEPLOY / "alertmanager/start.sh", ALERTMANAGER=str(shown), **environment)
    return copy


@pytest.mark.parametrize("name", RECEIVERS)
def test_amtool_accepts_what_the_environment_configures(name, tmp_path):
    environment = RECEIVERS[name]
    file = configured(tmp_path, {**environment, "TMPDIR": str(tmp_path)})
    assert "SUCCESS" in run(require_program("amtool"), "check-config", file)
    (receiver,) = yaml.safe_load(file.read_text())["receivers"]
    urls = [c.get("api_url", c.get("url")) for k, v in receiver.items() if k != "name" for c in v]
    assert sorted(urls) == sorted(environment.values())


def test_the_addresses_of_receivers_are_readable_by_their_user_only(tmp_path):
    file = configured(tmp_path, {**RECEIVERS["both"], "TMPDIR": str(tmp_path)})
    assert file.stat().st_mode & 0o077 == 0
    for path in (DEPLOY / "alertmanager").iterdir():
        assert not re.search(r"https?://", path.read_text())


@pytest.mark.parametrize("severity", ["page", "ticket"])
def test_each_severity_reaches_the_receiver(severity):
    printed = run(
        require_program("amtool"),
        "config",
        "routes",
        "test",
        f"--config.file={DEPLOY / 'alertmanager/alertmanager.yml'}",
        f"severity={severity}",
        "alertname=DriftlineStageDown",
    )
    assert printed.splitlines()[0] == "operators"


def test_prometheus_sends_to_the_alertmanager_of_the_compose_file():
    compose = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text())
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    (target,) = config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    name, _, port = target.partition(":")
    assert any(text.endswith(f":{port}") for text in compose["services"][name]["ports"])
