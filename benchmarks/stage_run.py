"""An installation on a broker, its stage commands as processes, and the webhook they notify."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import yaml

from benchmarks.traffic import Orders
from monitor.baseline.topic import write_baselines
from monitor.service.parent import VARIABLE as PARENT
from monitor.transport.kafka.cluster import Cluster
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig

ROOT = Path(__file__).resolve().parents[1]
HOOK = "DRIFTLINE_BENCHMARK_HOOK"
START_S = 60.0


def install(
    folder: Path, cluster: Cluster, models: Sequence[ModelConfig], baselines: Sequence[Baseline]
) -> Path:
    """Write ``driftline.yaml`` and the models, and publish their baselines."""
    (folder / "models").mkdir(parents=True)
    for model in models:
        written = model.model_dump(mode="json", exclude_defaults=True)
        written["window"] = {name: f"{us}us" for name, us in model.window.model_dump().items()}
        (folder / f"models/{model.model}.yaml").write_text(yaml.safe_dump(written, sort_keys=False))
    monitor = {
        "kafka": {"bootstrap": cluster.bootstrap, "prefix": cluster.prefix},
        "models": ["models/*.yaml"],
        "receivers": {"hook": {"kind": "webhook", "url_env": HOOK}},
        "group_wait": "0s",
    }
    (folder / "driftline.yaml").write_text(yaml.safe_dump(monitor))
    write_baselines(cluster, baselines)
    return folder / "driftline.yaml"


class StageCommand:
    """``driftline <stage>`` as a process."""

    def __init__(self, stage: str, config: Path, environment: Mapping[str, str]) -> None:
        self.stage, self._config, self._environment = stage, config, environment
        self.start()

    def start(self) -> None:
        """Start it; also again, after it was killed."""
        arguments = ["--config", str(self._config), "--http", "127.0.0.1:0"]
        arguments += ["--member", f"{self.stage}-1", "--log-level", "warning"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "monitor.cli.main", self.stage, *arguments],
            cwd=ROOT,
            env=dict(self._environment),
            stdout=subprocess.PIPE,
            stderr=sys.stderr,
            text=True,
        )

    def wait_ready(self) -> None:
        """Return when it says that it is ready."""
        assert self.process.stdout is not None
        url = self.process.stdout.readline().split()[-1]
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{url}/readyz", timeout=5):
                    return
            except (urllib.error.HTTPError, OSError):
                time.sleep(0.1)
        raise SystemExit(f"{self.stage} is not ready after {START_S:.0f} s")

    def end(self) -> None:
        """Kill it, if it still runs."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def stage_commands(
    config: Path, stages: Sequence[str], **environment: str
) -> Iterator[dict[str, StageCommand]]:
    """Run stages for the length of a block."""
    every = {**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "*", **environment}
    # They end with this process, however that ends.
    every[PARENT] = str(os.getpid())
    running = {stage: StageCommand(stage, config, every) for stage in stages}
    try:
        for command in running.values():
            command.wait_ready()
        yield running
    finally:
        for command in running.values():
            command.end()


class Traffic:
    """:mod:`benchmarks.traffic` in its process."""

    def __init__(self, orders: Orders) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.traffic"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._say(msgspec.json.encode(orders).decode())

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the process that writes events has ended")
        return dict(json.loads(line))

    def begin(self, **times: int) -> None:
        """Let it write, as soon as it has made its events."""
        self._hear()
        self._say(json.dumps(times))

    def report(self, *, is_to_end: bool = False) -> dict[str, Any]:
        """Wait for its end; return what it wrote."""
        if is_to_end:
            self._say("end")
        report = self._hear()
        self.process.wait(30)
        return report

    def end(self) -> None:
        """Kill it, if it still runs."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


class CountingReceiver:
    """Notes when each alert was first handed over; a context manager."""

    def __enter__(self) -> CountingReceiver:
        self.came_us: dict[str, int] = {}
        self.alerts: dict[str, dict[str, Any]] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                came_us = time.time_ns() // 1_000
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()
                for alert in json.loads(body)["incident"]["alerts"]:
                    receiver.came_us.setdefault(alert["alert_id"], came_us)
                    receiver.alerts[alert["alert_id"]] = alert

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
