"""``driftline ingest | detect | notify | archive``: one stage per process."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path, typer.Option("--config", "-c", metavar="FILE", help="Configuration file.")]
Http = Annotated[
    str,
    typer.Option(
        metavar="HOST:PORT",
        help="Address of /healthz, /readyz and /metrics; port 0 takes a free one, off serves none.",
    ),
]
Member = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Static group member ID (group.instance.id), unique in the group. "
        "Partitions are not reassigned while the process restarts.",
    ),
]
Wait = Annotated[
    float,
    typer.Option(metavar="SECONDS", min=0, help="How long to wait for Kafka at the start."),
]
LogJson = Annotated[
    bool,
    typer.Option("--log-json", help="Log JSON lines; the default if stderr is not a terminal."),
]
LogLevel = Annotated[
    str,
    typer.Option(
        metavar="LEVEL",
        help="debug, info, warning or error; by default DRIFTLINE_LOG_LEVEL, else info.",
    ),
]
DEFAULT_CONFIG = Path("driftline.yaml")
LOG = logging.getLogger("driftline")


def ingest(
    config: Config = DEFAULT_CONFIG,
    http: Http = "127.0.0.1:9101",
    member: Member = None,
    wait: Wait = 60.0,
    log_json: LogJson = False,
    log_level: LogLevel = "",
) -> None:
    """Stage: aggregate predictions into panes, from Kafka to Kafka.

    A pane holds the counts of one model over a short stretch of event time. Run one
    process per core, at most one per partition of driftline.predictions.

    \b
    The first line on standard output is the address; logs go to standard error.
    DRIFTLINE_KAFKA sets the brokers, DRIFTLINE_KAFKA_* TLS and login.
    The first SIGTERM or Ctrl-C drains for at most 30 s (10 s if Kafka does not answer),
    the second exits at once. A restart continues from the last commit.

    \b
    Exit code: 0 drained, 1 failed or not drained in time, 2 config, 4 Kafka or its topics;
    after a second signal 130 (Ctrl-C) or 143 (SIGTERM).

    \b
    Examples:
      driftline ingest
      driftline ingest --config driftline.yaml --http 0.0.0.0:9101 --member ingest-1
      curl http://127.0.0.1:9101/readyz
    """
    _run("ingest", config, http, member, wait, log_json, log_level)


def detect(
    config: Config = DEFAULT_CONFIG,
    http: Http = "127.0.0.1:9102",
    member: Member = None,
    wait: Wait = 60.0,
    log_json: LogJson = False,
    log_level: LogLevel = "",
) -> None:
    """Stage: evaluate windows and GPU events, from panes to results and alerts.

    It merges panes into windows, compares each window with its baseline, and applies the
    GPU rules. Run as many processes as needed, at most one per partition of
    driftline.panes.

    \b
    The first line on standard output is the address; logs go to standard error.
    DRIFTLINE_KAFKA sets the brokers, DRIFTLINE_KAFKA_* TLS and login.
    The first SIGTERM or Ctrl-C drains for at most 30 s (10 s if Kafka does not answer),
    the second exits at once. A restart continues from the last saved state.

    \b
    Exit code: 0 drained, 1 failed or not drained in time, 2 config, 4 Kafka or its topics;
    after a second signal 130 (Ctrl-C) or 143 (SIGTERM).

    \b
    Examples:
      driftline detect
      driftline detect --config driftline.yaml --http 0.0.0.0:9102 --member detect-1
    """
    _run("detect", config, http, member, wait, log_json, log_level)


def notify(
    config: Config = DEFAULT_CONFIG,
    http: Http = "127.0.0.1:9103",
    member: Member = None,
    wait: Wait = 60.0,
    log_json: LogJson = False,
    log_level: LogLevel = "",
) -> None:
    """Stage: group alerts into incidents and notify the receivers (Slack, webhooks).

    One process is active; a second one is a standby, because driftline.alerts has one
    partition.

    \b
    The first line on standard output is the address; logs go to standard error.
    DRIFTLINE_KAFKA sets the brokers, DRIFTLINE_KAFKA_* TLS and login. Secrets of receivers
    are in the environment variables that the config names.
    The first SIGTERM or Ctrl-C drains for at most 30 s (10 s if Kafka does not answer),
    the second exits at once. A restart continues from the last commit.

    \b
    Exit code: 0 drained, 1 failed or not drained in time, 2 config or a missing
    environment variable, 4 Kafka or its topics; after a second signal 130 (Ctrl-C) or
    143 (SIGTERM).

    \b
    Examples:
      driftline notify
      SLACK_TOKEN=... driftline notify --config driftline.yaml --http off
    """
    _run("notify", config, http, member, wait, log_json, log_level)


def archive(
    config: Config = DEFAULT_CONFIG,
    http: Http = "127.0.0.1:9104",
    store: Annotated[
        str,
        typer.Option(
            metavar="STORE",
            help="Folder, or http(s)://host:port/database; overrides the config's store.",
        ),
    ] = "",
    member: Member = None,
    wait: Wait = 60.0,
    log_json: LogJson = False,
    log_level: LogLevel = "",
) -> None:
    """Stage: write all topics to ClickHouse, each row once.

    Only one process can open a store that is a folder. To share it, run
    `driftline store serve` and pass its URL with --store.

    \b
    The first line on standard output is the address; logs go to standard error.
    DRIFTLINE_KAFKA sets the brokers, DRIFTLINE_KAFKA_* TLS and login.
    DRIFTLINE_STORE_USER and DRIFTLINE_STORE_PASSWORD are the login of the store.
    The first SIGTERM or Ctrl-C drains for at most 30 s (10 s if Kafka does not answer),
    the second exits at once. A restart continues from the last commit.

    \b
    Exit code: 0 drained, 1 failed or not drained in time, 2 config, 4 Kafka or its topics,
    5 the store; after a second signal 130 (Ctrl-C) or 143 (SIGTERM).

    \b
    Examples:
      driftline archive
      driftline archive --store http://127.0.0.1:8123/default --member archive-1
    """
    _run("archive", config, http, member, wait, log_json, log_level, store=store)


def _run(
    stage: str,
    config: Path,
    http: str,
    member: str | None,
    wait_s: float,
    is_json: bool,
    level: str,
    *,
    store: str = "",
) -> None:
    """Check the configuration, start the health server, and run the stage until it is drained."""
    from monitor.service.signals import hold_signals, release_signals

    # Before any thread is started.
    hold_signals()
    try:
        _run_held(stage, config, http, member, wait_s, is_json, level, store)
    finally:
        release_signals()


def _run_held(
    stage: str,
    config: Path,
    http: str,
    member: str | None,
    wait_s: float,
    is_json: bool,
    level: str,
    store: str,
) -> None:
    """Run the stage; signals are blocked until its handlers are installed."""
    from contextlib import nullcontext

    from monitor.app.stages import check_stage, load_site, run_stage, secrets_of_receivers
    from monitor.logs import configure_logs
    from monitor.service.address import parse_address
    from monitor.service.armed_failpoints import failpoints
    from monitor.service.health_server import HealthServer
    from monitor.service.lifecycle import Lifecycle
    from monitor.service.signals import (
        bound_freezes,
        bound_the_drain,
        bound_the_end,
        watch_signals,
    )
    from monitor.storage.passwords import take_passwords
    from monitor.transport.kafka.topics.wait_for_topics import BrokerProbe
    from schemas.errors import DriftlineError

    address = parse_address(http, stage)
    lifecycle = Lifecycle(stage, hit=failpoints(os.environ))
    watch_signals(lifecycle)
    site = load_site(config, store=store)
    secrets = secrets_of_receivers(site, os.environ)
    style = "json" if is_json else ""
    configure_logs(stage, level=level, style=style, secrets=secrets)
    take_passwords()  # only now, because the secrets to redact must be known
    check_stage(stage, site)
    bound_the_drain(lifecycle, BrokerProbe(site.cluster))
    bound_freezes()
    with nullcontext() if address is None else HealthServer(lifecycle, address) as server:
        where = "without http" if server is None else f"on {server.url}"
        print(f"driftline {stage} {where}", flush=True)
        try:
            run_stage(stage, site, lifecycle, member=member, wait_s=wait_s)
        except Exception as error:
            # A library's thread that does not end must not prevent the restart.
            bound_the_end(lifecycle)
            if not isinstance(error, DriftlineError):
                LOG.exception("%s failed", stage)
            raise
    LOG.info("%s drained", stage)
