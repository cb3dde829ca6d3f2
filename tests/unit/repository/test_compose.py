"""docker-compose.yml and what it mounts, as far as that can be known without Docker."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import stat
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from typer.main import get_command

from detectors.version import VERSION
from monitor.app.installation import load_installation
from monitor.cli.main import app
from monitor.core import topics
from monitor.devkit.distribution import KAFKA_VERSION
from monitor.service.address import PORTS
from monitor.service.signals import DRAIN_S
from tests.support.repository import ROOT

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
STAGES = tuple(PORTS)
OURS = [name for name, service in SERVICES.items() if "build" in service]
ONCE = [name for name, service in SERVICES.items() if service["restart"] == "on-failure"]
LASTING = [name for name in SERVICES if name not in ONCE]
VARIABLE = re.compile(r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}")


def resolve(text: str) -> str:
    """Put the defaults in, as compose does; what must be set becomes ``set-by-you``."""
    return VARIABLE.sub(lambda m: m[3] if m[2] == ":-" else "set-by-you", str(text))


def texts(value: Any) -> list[str]:
    """Return every string below a value."""
    if isinstance(value, dict):
        return [text for v in value.values() for text in texts(v)]
    if isinstance(value, list):
        return [text for v in value for text in texts(v)]
    return [str(value)]


def each(names: list[str] | tuple[str, ...]):
    return pytest.mark.parametrize("name", names)


def test_the_file_is_valid_by_the_compose_specification():
    # Only the schema is wanted, and the package cannot be imported beside Faust's click.
    package = importlib.metadata.distribution("check-jsonschema")
    path = package.locate_file("check_jsonschema/builtin_schemas/vendor/compose-spec.json")
    schema = json.loads(Path(path).read_text(encoding="utf-8"))
    validator = Draft202012Validator(schema)
    assert [f"{e.json_path}: {e.message}" for e in validator.iter_errors(COMPOSE)] == []
    broken = {**COMPOSE, "services": {"x": {"image": "a", "helthcheck": {}}}}
    assert not validator.is_valid(broken)


def parse_command(arguments: list[str]) -> dict[str, Any]:
    """Parse a command line of ours without running it; return its options."""
    command: Any = get_command(app)
    context = command.make_context("driftline", list(arguments), resilient_parsing=False)
    rest = [*context._protected_args, *context.args]
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, list(rest), parent=context)
        rest = [*getattr(context, "_protected_args", []), *context.args]
    return context.params


@each([name for name in OURS if "entrypoint" not in SERVICES[name]])
def test_each_command_is_one_of_ours_with_options_it_has(name, monkeypatch):
    monkeypatch.delenv("DRIFTLINE_KAFKA", raising=False)
    arguments = [resolve(text) for text in SERVICES[name]["command"]]
    assert parse_command(arguments)
    with pytest.raises(Exception, match="No such option"):
        parse_command([*arguments, "--no-such-option"])


@each(STAGES)
def test_a_stage_is_watched_where_it_listens(name):
    service, port = SERVICES[name], PORTS[name]
    options = parse_command(service["command"])
    assert options["http"] == f"0.0.0.0:{port}"
    assert str(options["config"]) == "/etc/driftline/driftline.yaml"
    assert service["expose"] == [str(port)]
    assert f"http://127.0.0.1:{port}/healthz" in service["healthcheck"]["test"][-1]
    prometheus = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    (job,) = [job for job in prometheus["scrape_configs"] if job["job_name"] == name]
    (found,) = job["dns_sd_configs"]
    assert (found["names"], found["port"]) == ([name], port)


@each(STAGES)
def test_a_stage_has_time_to_drain(name):
    grace = SERVICES[name]["stop_grace_period"]
    assert int(grace.removesuffix("s")) >= DRAIN_S + 10


@each(list(SERVICES))
def test_no_container_is_root_or_can_become_it(name):
    service = SERVICES[name]
    assert service["user"].split(":")[0] not in ("", "0", "root")
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    limits = service["deploy"]["resources"]["limits"]
    assert float(limits["cpus"]) > 0
    assert re.fullmatch(r"\d+[mg]", limits["memory"])
    assert service["logging"]["options"]["max-size"]
    assert service.get("network_mode") is None


@each(OURS)
def test_our_containers_write_only_where_they_must(name):
    assert SERVICES[name]["read_only"] is True
    assert SERVICES[name]["user"] == "10001:10001"


@each(LASTING)
def test_what_lasts_is_started_again_and_has_a_health_check(name):
    assert SERVICES[name]["restart"] == "unless-stopped"
    if name != "demo-traffic":
        check = SERVICES[name]["healthcheck"]
        assert check["test"][0] == "CMD"
        assert {"interval", "timeout", "retries", "start_period"} <= check.keys()


@each(list(SERVICES))
def test_ports_are_open_to_this_machine_only(name):
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", resolve(port))


@each(list(SERVICES))
def test_images_are_pinned(name):
    image = resolve(SERVICES[name]["image"])
    assert re.search(r":v?\d+\.\d+[\w.-]*$", image), image


def test_versions_are_those_of_the_code():
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"
    assert {resolve(SERVICES[name]["image"]) for name in OURS} == {f"driftline:{VERSION}"}
    assert f"driftline:{VERSION}" in (ROOT / "deploy/docker/build.sh").read_text()


def mounts() -> list[tuple[str, str, str]]:
    """Return service, source and options of every mount."""
    return [
        (name, *resolve(text).split(":", 1))
        for name, service in SERVICES.items()
        for text in service.get("volumes", [])
    ]


def test_mounted_files_exist_and_cannot_be_written():
    files = [mount for mount in mounts() if mount[1].startswith(".")]
    assert len({source for _, source, _ in files}) >= 8
    for name, source, rest in files:
        assert (ROOT / source).exists(), (name, source)
        assert rest.endswith(":ro"), (name, source)


def test_volumes_are_declared_and_used():
    named = {source for _, source, _ in mounts() if not source.startswith((".", "/"))}
    assert named == set(COMPOSE["volumes"])
    assert not [source for _, source, _ in mounts() if source.startswith("/")]


def test_who_waits_for_whom_is_there_and_can_be_waited_for():
    done: set[str] = set()
    for _ in SERVICES:
        done |= {n for n, s in SERVICES.items() if set(s.get("depends_on", {})) <= done}
    assert done == set(SERVICES)
    for service in SERVICES.values():
        for name, how in service.get("depends_on", {}).items():
            wanted = how["condition"]
            if wanted == "service_healthy":
                assert "healthcheck" in SERVICES[name]
            else:
                assert wanted == "service_completed_successfully"
                assert name in ONCE
    for stage in STAGES:
        assert "topics" in SERVICES[stage]["depends_on"]


def test_without_the_demo_baseline_nothing_of_the_demo_runs():
    demo = [name for name, service in SERVICES.items() if service.get("profiles") == ["demo"]]
    assert demo == [name for name in SERVICES if name.startswith("demo-")]
    for name, service in SERVICES.items():
        if name not in demo:
            assert not set(service.get("depends_on", {})) & set(demo)


def test_secrets_come_from_the_environment_and_must_be_set():
    n_secrets = 0
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|TOKEN|CLUSTER_ID", key):
                n_secrets += 1
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), key
    assert n_secrets >= 5
    mounted = [ROOT / source for _, source, _ in mounts() if source.startswith(".")]
    for path in mounted:
        for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
            if file.suffix in (".yml", ".yaml", ".xml"):
                for value in re.findall(r"password\W+(\S+)", file.read_text(), re.IGNORECASE):
                    assert value.startswith(("$", "from_env=", "DRIFTLINE_")), (file, value)


ACCOUNTS = {
    "topics": "admin",
    "ingest": "ingest",
    "detect": "detect",
    "notify": "notify",
    "archive": "archive",
    "demo-publish": "admin",
    "demo-traffic": "producer",
}


def test_every_client_of_kafka_logs_in_with_an_account_of_its_own():
    broker = SERVICES["kafka"]["environment"]
    accounts = dict(
        re.findall(
            r'user_(\w+)="\$\{(\w+):\?[^}]+\}"',
            broker["KAFKA_LISTENER_NAME_CLIENTS_PLAIN_SASL_JAAS_CONFIG"],
        )
    )
    clients = {n for n, s in SERVICES.items() if "DRIFTLINE_KAFKA" in s.get("environment", {})}
    assert clients == set(ACCOUNTS)
    for name, account in ACCOUNTS.items():
        environment = SERVICES[name]["environment"]
        assert environment["DRIFTLINE_KAFKA_USERNAME"] == account
        assert environment["DRIFTLINE_KAFKA_PASSWORD"].startswith(f"${{{accounts[account]}:?")
    assert set(accounts) == set(ACCOUNTS.values())


def test_no_listener_that_others_reach_takes_clients_without_a_login():
    broker = SERVICES["kafka"]["environment"]
    protocols = dict(
        pair.split(":") for pair in broker["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")
    )
    for listener in broker["KAFKA_LISTENERS"].split(","):
        name, address = listener.split("://")
        assert protocols[name] == "SASL_PLAINTEXT" or address.startswith("localhost:")
    assert set(protocols.values()) == {"SASL_PLAINTEXT", "PLAINTEXT"}


def test_every_variable_is_explained_and_every_required_one_is_made(tmp_path):
    used = {m[1]: m[2] for text in texts(COMPOSE) for m in VARIABLE.finditer(text)}
    example = (ROOT / "deploy/docker/env.example").read_text()
    required = set(re.findall(r"^(\w+)=$", example, re.MULTILINE))
    assert {name for name, how in used.items() if how == ":?"} == required
    explained = set(re.findall(r"^#? ?(DRIFTLINE_\w+)=", example, re.MULTILINE))
    assert used.keys() - explained <= {
        "DRIFTLINE_TAG",
        "DRIFTLINE_DEMO_RATE",
        "DRIFTLINE_DEMO_BREAK_AFTER",
    }


def make_env(file: Path) -> str:
    done = subprocess.run(
        ["bash", str(ROOT / "deploy/docker/make-env.sh"), str(file)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def test_passwords_are_made_once_and_only_the_owner_can_read_them(tmp_path):
    file = tmp_path / ".env"
    said = make_env(file)
    made = dict(re.findall(r"^(\w+)=(\S+)$", file.read_text(), re.MULTILINE))
    assert len(made) == 10 == len(set(made.values()))
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22,}", value) for value in made.values())
    assert len(made["DRIFTLINE_CLUSTER_ID"]) == 22
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not any(value in said for value in made.values())
    before = file.read_text()
    assert make_env(file) == ""
    assert file.read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_the_installation_of_the_file_is_valid(tmp_path):
    shutil.copy(ROOT / "deploy/docker/driftline.yaml", tmp_path)
    shutil.copytree(ROOT / "deploy/docker/models", tmp_path / "models")
    installation = load_installation(tmp_path / "driftline.yaml")
    assert [model.model for model in installation.models] == ["loans"]
    monitor = installation.monitor
    assert monitor.kafka.bootstrap == SERVICES["ingest"]["environment"]["DRIFTLINE_KAFKA"]
    database = SERVICES["clickhouse"]["environment"]["CLICKHOUSE_DB"]
    assert monitor.store == f"http://clickhouse:8123/{database}"


def test_clickhouse_gets_well_formed_settings_and_grafana_a_reader():
    for path in sorted((ROOT / "deploy/docker/clickhouse").glob("*.xml")):
        assert ET.parse(path).getroot().tag == "clickhouse"
    reader = ET.parse(ROOT / "deploy/docker/clickhouse/reader.xml").getroot()
    account = reader.find("users/reader")
    variable = account.find("password").get("from_env")
    assert variable in SERVICES["clickhouse"]["environment"]
    assert reader.findtext(f"profiles/{account.findtext('profile')}/readonly") == "2"
    database = SERVICES["clickhouse"]["environment"]["CLICKHOUSE_DB"]
    assert account.findtext("grants/query") == f"GRANT SELECT, SHOW ON {database}.*"
    sources = yaml.safe_load(
        (ROOT / "deploy/grafana/provisioning/datasources/driftline.yaml").read_text()
    )["datasources"]
    assert sources[0]["jsonData"]["username"] == "reader"
    assert sources[0]["secureJsonData"]["password"] == f"${variable}"
    assert variable in SERVICES["grafana"]["environment"]


def test_the_image_is_built_from_what_docker_is_shown():
    dockerfile = (ROOT / "deploy/docker/Dockerfile").read_text()
    shown = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"}
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
        for source in line.split()
    ]
    packages = {"driftline", "schemas", "detectors", "monitor"}
    assert {"pyproject.toml", "requirements", *packages} <= set(copied)
    for source in copied:
        assert (ROOT / source).exists()
        assert source in shown
    assert re.search(r"^USER 10001:10001$", dockerfile, re.MULTILINE)


def test_the_demo_writes_to_topics_that_exist():
    traffic = (ROOT / "deploy/docker/traffic.py").read_text()
    for name in re.findall(r'"(driftline\.\w+)"', traffic):
        assert name in vars(topics).values()
