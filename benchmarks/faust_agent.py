"""The same work as ingest does, the plain way: a Faust agent over JSON events.

Started by :mod:`benchmarks.ingest` as a process of its own. Each event is decoded by
Faust's own codec, its ten features and its score are counted into the bins of the same
baseline (``bisect``, which for one value is faster than numpy), for ``*`` and for each of
its two segments; a pane is sent as JSON when an event is later than its end. Leaves
events and seconds, from the first event on, in a file of the folder.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from bisect import bisect_left
from pathlib import Path
from typing import Any

import faust

from benchmarks.worlds import fraud

PANE_US, BOUND_US = 10_000_000, 5_000_000


def main(bootstrap: str, topic: str, n_events: str, folder: str) -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # ends with the benchmark, however that ends
    n_wanted = int(n_events)
    catalog = fraud()
    ((baseline,),) = catalog.baselines.values()
    edges = {v.name: v.edges[1:-1].tolist() for v in baseline.variables}
    app = faust.App(
        "bench-faust",
        broker=f"kafka://{bootstrap}",
        store="memory://",
        datadir=folder,
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
    )
    source = app.topic(topic, value_serializer="json")
    panes = app.topic(f"{topic}-faust-panes", value_serializer="json")
    open_panes: dict[tuple[int, str], dict[str, Any]] = {}
    state = {"n": 0, "begin_s": 0.0, "watermark_us": 0}

    def count(pane_us: int, name: str, event: dict[str, Any]) -> None:
        pane = open_panes.get((pane_us, name))
        if pane is None:
            pane = open_panes[pane_us, name] = {
                "n_rows": 0,
                "counts": {name: [0] * 64 for name in edges},
                "sums": dict.fromkeys(edges, 0.0),
                "sums_sq": dict.fromkeys(edges, 0.0),
            }
        pane["n_rows"] += 1
        counts, sums, sums_sq = pane["counts"], pane["sums"], pane["sums_sq"]
        for feature, x in event["features"].items():
            counts[feature][bisect_left(edges[feature], x)] += 1
            sums[feature] += x
            sums_sq[feature] += x * x
        x = event["score"]
        counts["score"][bisect_left(edges["score"], x)] += 1
        sums["score"] += x
        sums_sq["score"] += x * x

    @app.agent(source)
    async def ingest(stream: Any) -> None:
        async for event in stream:
            if not state["n"]:
                state["begin_s"] = time.perf_counter()
            state["n"] += 1
            time_us = event["time_us"]
            pane_us = time_us // PANE_US * PANE_US
            count(pane_us, "*", event)
            for name, value in event["segments"].items():
                count(pane_us, f"{name}={value}", event)
            if time_us - BOUND_US > state["watermark_us"]:
                state["watermark_us"] = time_us - BOUND_US
                for key in [k for k in open_panes if k[0] + PANE_US <= state["watermark_us"]]:
                    await panes.send(key=str(key), value=open_panes.pop(key))
            if state["n"] >= n_wanted:
                seconds = time.perf_counter() - state["begin_s"]
                result = json.dumps({"n": state["n"], "seconds": seconds})
                Path(folder, "result.json").write_text(result)
                os._exit(0)

    sys.argv = ["faust", "worker", "--without-web", "-l", "error"]
    app.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
