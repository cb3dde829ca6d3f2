"""``driftline up``: run all stages and the store on one machine."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from monitor.app.prepare import Preparation
    from monitor.app.stages import Site
    from monitor.cli.up_lines import Lines
    from monitor.service.supervisor import Supervisor

STORE = "store"
_STORE_START_S = 60.0
_FURTHER_INGEST = 10
"""Offset of the ports of the second and further ingest processes from the first one's."""


def run(
    config: Annotated[
        Path, typer.Option("--config", "-c", metavar="FILE", help="Configuration file.")
    ] = Path("driftline.yaml"),
    n_ingest: Annotated[
        int,
        typer.Option(
            "--ingest",
            metavar="N",
            min=1,
            max=64,
            help="Number of ingest processes; at most one per core is useful.",
        ),
    ] = 1,
    http_base: Annotated[
        int,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65_000,
            help="HTTP port of ingest; the other stages use the next ones. 0 takes free ports.",
        ),
    ] = 9101,
    store_port: Annotated[
        int,
        typer.Option(
            metavar="PORT", min=0, max=65_535, help="Port of the store; 0 takes a free one."
        ),
    ] = 8123,
    create_topics: Annotated[
        bool, typer.Option("--create-topics", help="Create missing topics.")
    ] = False,
    partitions: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Partitions of the topics panes, gpu, state and results, if created.",
        ),
    ] = 8,
    input_partitions: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Partitions of predictions, labels, deadletter and late, if created.",
        ),
    ] = 8,
    wait: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0, help="How long to wait for Kafka at the start."),
    ] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print events as JSON lines.")] = False,
    log_json: Annotated[
        bool,
        typer.Option("--log-json", help="Log JSON lines; the default if stderr is not a terminal."),
    ] = False,
    log_level: Annotated[
        str,
        typer.Option(
            metavar="LEVEL",
            help="debug, info, warning or error; by default DRIFTLINE_LOG_LEVEL, else info.",
        ),
    ] = "",
) -> None:
    """Run all stages and the store on this machine, and restart them if they fail.

    For a small installation. It first publishes the baselines of the config's folder that
    are not published yet. A store that is a folder is served over HTTP, so that other
    programs can read it. A process that exits, or whose main loop hangs, is restarted
    after 1 s, then 2 s, up to 30 s. If `driftline up` itself is killed, all processes end.

    At the start it prints what is not monitored (a model without a baseline, no
    receivers). As windows close, and at the end, it prints the coverage: the share of
    events with a verdict, and the reasons for the rest.

    \b
    Events go to standard output, logs to standard error; each line names its process.
    The first SIGTERM or Ctrl-C drains the stages in order, the second exits at once.

    \b
    Exit code: 0 drained, 1 a process did not drain, 2 config, 3 a baseline, 4 Kafka or its
    topics, 5 the store; after a second signal 130 (Ctrl-C) or 143 (SIGTERM).

    \b
    Examples:
      driftline up --create-topics
      driftline up --config driftline.yaml --ingest 4 --json
      driftline sql --store http://127.0.0.1:8123/default "SELECT count() FROM predictions"
    """
    from monitor.service.signals import hold_signals, release_signals

    hold_signals()
    try:
        from monitor.app.prepare import Preparation
        from monitor.app.stages import STAGES, check_stage, load_site, secrets_of_receivers
        from monitor.cli.up_lines import Lines
        from monitor.logs import configure_logs

        site = load_site(config)
        configure_logs(
            "up",
            level=log_level,
            style="json" if log_json else "",
            secrets=secrets_of_receivers(site, os.environ),
        )
        for stage in STAGES:
            check_stage(stage, site)
        lines = Lines(as_json=as_json, is_log_json=log_json)
        prepare = Preparation(create_topics, partitions, input_partitions, wait)
        ports = _Ports(n_ingest, http_base, store_port)
        code = _run(site, config, ports, prepare, lines, log_level)
    finally:
        release_signals()
    if code:
        raise typer.Exit(code)


class _Ports:
    """Numbers of processes, and their ports."""

    def __init__(self, n_ingest: int, base: int, store: int) -> None:
        self.store = store
        self._base = base
        self.ingest = ["ingest"] + [f"ingest-{i}" for i in range(2, n_ingest + 1)]
        self.stages = [*self.ingest, "detect", "notify", "archive"]

    def http(self, name: str) -> str:
        """Return the address on which a process listens."""
        if not self._base:
            return "127.0.0.1:0"
        first = ["ingest", "detect", "notify", "archive"]
        more = _FURTHER_INGEST - 1 + (self.ingest.index(name) if name in self.ingest else 0)
        return f"127.0.0.1:{self._base + (first.index(name) if name in first else more)}"


def _run(
    site: Site,
    config: Path,
    ports: _Ports,
    preparation: Preparation,
    lines: Lines,
    log_level: str,
) -> int:
    """Prepare, start, supervise and drain."""
    from monitor.app.stage_coverage import UpCoverage
    from monitor.app.unmonitored import unmonitored
    from monitor.service.lifecycle import Lifecycle
    from monitor.service.signals import watch_signals
    from monitor.service.supervisor import DRAIN_S, Supervisor

    lifecycle = Lifecycle("up")
    coverage = UpCoverage(lines.tell)
    supervisor = Supervisor(lifecycle, lines.tell, coverage.observe)
    names = [*ports.stages, STORE]

    def leave(code: int) -> None:
        """Exit immediately, after killing the children."""
        supervisor.kill()
        os._exit(code)

    watch_signals(lifecycle, drain_s=DRAIN_S * (len(names) + 1), leave=leave)
    lines.tell("starting", children=names, kafka=site.cluster.bootstrap)
    if not preparation.run(site, lifecycle):
        return 0
    for gap in unmonitored(site.installation, preparation.without_baseline):
        lines.tell("unmonitored", **asdict(gap))
    try:
        _start(supervisor, site, config, ports, lines, log_level)
        supervisor.run()
    except BaseException:
        supervisor.kill()
        raise
    code = supervisor.drain(names)
    coverage.finish()
    lines.tell("left", code=code)
    return code


def _start(
    supervisor: Supervisor, site: Site, config: Path, ports: _Ports, lines: Lines, log_level: str
) -> None:
    """Start the store, then the stages that use it."""
    from monitor.service.child import Child
    from monitor.storage.passwords import (
        PASSWORD_VARIABLE,
        READER_PASSWORD_VARIABLE,
        passwords_for_child,
        take_passwords,
    )

    take_passwords()  # not inherited by the other stages
    passwords = {
        STORE: passwords_for_child(PASSWORD_VARIABLE, READER_PASSWORD_VARIABLE),
        "archive": passwords_for_child(PASSWORD_VARIABLE),
    }
    environment = {"DRIFTLINE_LOG": "json" if lines.is_log_json else "text"}
    if log_level:
        environment["DRIFTLINE_LOG_LEVEL"] = log_level

    def make(name: str, *arguments: str) -> Child:
        """Build one child."""
        return Child(name, arguments, lines.pass_on, environment | passwords.get(name, {}))

    store = site.store
    if "://" not in store:
        served = make(STORE, "store", "serve", "--store", store, "--port", str(ports.store))
        supervisor.add(served, has_probes=False)
        url = supervisor.await_address(served, _STORE_START_S)
        if not url:
            return
        # A restarted store must use the same address, which the stages were given.
        served.arguments[-1] = url.rpartition(":")[2]
        store = f"{url}/default"
    for name in ports.stages:
        arguments = [name.partition("-")[0], "--config", str(config)]
        arguments += ["--http", ports.http(name), "--member", f"up-{name}"]
        arguments += ["--store", store] if name == "archive" else []
        supervisor.add(make(name, *arguments))
