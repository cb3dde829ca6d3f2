"""Compile the kernels of every stage once, before the tests begin.

With an empty cache each test worker, and each process that its tests start, would compile the
same kernels at the same time: 40 s of CPU a process, which on two cores became 150 s of waiting
and ran tests into their bounds.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from monitor.archive.warm import warm_archive
from monitor.core.windowing.catalog import Catalog
from monitor.detect.warm import warm_decision
from monitor.ingest.on_kafka import source_window, warm_up
from tests.support.repository import ROOT
from tests.support.worlds.small import build_small_world

SHARES = (("ingest", "1"), ("archive", "2"))
"""What one process compiles after the other: a stage, or the number of detect's rule."""


def warm(what: str) -> None:
    """Compile the kernels of a stage."""
    catalog = build_small_world().catalog
    if what == "ingest":
        warm_up(catalog, source_window(catalog))
    elif what == "archive":
        warm_archive(list(catalog.configs.values()))
    else:
        configs = [
            each.model_copy(
                update={"decision": each.decision.model_copy(update={"rule": int(what)})}
            )
            for each in catalog.configs.values()
        ]
        baselines = [one for own in catalog.baselines.values() for one in own]
        warm_decision(Catalog.of(configs, baselines))


def main(arguments: Sequence[str]) -> int:
    """Compile the given parts, or all of them in two processes."""
    for what in arguments:
        warm(what)
    if arguments:
        return 0
    command = [sys.executable, "-m", "tests.support.worlds.warm_kernels"]
    processes = [subprocess.Popen([*command, *share], cwd=ROOT) for share in SHARES]
    return max(process.wait() for process in processes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
