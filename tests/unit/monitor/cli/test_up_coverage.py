"""What ``driftline up`` says of coverage: totals over processes and their restarts."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest

from monitor.app.stage_coverage import TELL_S, UpCoverage
from monitor.cli.up_lines import _sentence, coverage_sentence


class CountingChild:
    """A child with counters of its own; a restart begins them at 0."""

    def __init__(self, name: str) -> None:
        self.name, self.pid = name, 1
        self.is_away = False
        self.restart()

    def restart(self) -> None:
        self.pid += 1
        self.registry = CollectorRegistry()
        labels = {
            "driftline_events": ["stage", "topic"],
            "driftline_rejected": ["stage", "topic", "reason"],
            "driftline_late": ["topic"],
            "driftline_coverage": ["unit", "outcome"],
        }
        self.counters = {
            name: Counter(name, name, names, registry=self.registry)
            for name, names in labels.items()
        }

    def count(self, name: str, *labels: str, n: int) -> None:
        self.counters[name].labels(*labels).inc(n)

    def metrics_text(self) -> str | None:
        return None if self.is_away else generate_latest(self.registry).decode()


class House:
    """Ingest and detect, observed at times set by hand."""

    def __init__(self) -> None:
        self.ingest, self.detect = CountingChild("ingest"), CountingChild("detect")
        self.now_s = 0.0
        self.printed: list[dict[str, Any]] = []
        self.coverage = UpCoverage(
            lambda _, **facts: self.printed.append(facts), lambda: self.now_s
        )

    def look(self, after_s: float = 60.0) -> None:
        self.now_s += after_s
        for child in (self.ingest, self.detect):
            self.coverage.observe(child)  # type: ignore[arg-type]

    def close(self, outcome: str = "judged", n: int = 100) -> None:
        self.detect.count("driftline_coverage", "events", outcome, n=n)
        self.detect.count("driftline_coverage", "windows", outcome, n=1)
        self.detect.count("driftline_coverage", "cells", outcome, n=4)


@pytest.fixture
def house() -> House:
    return House()


def test_what_was_read_and_what_was_judged_are_printed_with_reasons(house):
    house.ingest.count("driftline_events", "ingest", "p.driftline.predictions", n=130)
    house.ingest.count("driftline_rejected", "ingest", "p.driftline.predictions", "mistyped", n=7)
    house.ingest.count("driftline_late", "p.driftline.predictions", n=2)
    house.detect.count("driftline_coverage", "events", "rejected", n=7)
    house.close()
    house.close("too_few_samples", 13)
    house.look()
    (facts,) = house.printed
    assert facts["read"] == {"accepted": 130, "rejected": {"mistyped": 7}, "late": 2}
    assert facts["closed"]["windows"] == {"judged": 1, "not_judged": {"too_few_samples": 1}}
    assert coverage_sentence(facts) == (
        "coverage: read 130 events, 7 rejected (mistyped 7), 2 late; closed 2 windows: judged "
        "100 of 120 events (83 %), 1 of 2 windows, 4 of 8 cells; not judged: "
        "13 too few samples, 7 rejected; no GPU telemetry"
    )
    assert _sentence("coverage", facts) == coverage_sentence(facts)


def test_a_process_that_starts_again_adds_to_what_it_had_counted(house):
    house.close()
    house.look()
    house.detect.restart()
    house.close()
    house.look(TELL_S)
    assert house.printed[-1]["closed"]["events"]["judged"] == 200


def test_a_process_that_does_not_answer_keeps_its_last_counts(house):
    house.close()
    house.look()
    house.detect.is_away = True
    house.look(TELL_S)
    house.coverage.finish()
    assert house.printed[-1]["closed"]["events"]["judged"] == 100


def test_it_is_printed_when_windows_closed_not_more_often_and_at_the_end(house):
    for _ in range(20):
        house.close()
        house.look()
    assert len(house.printed) == 2
    for _ in range(20):
        house.look()
    assert len(house.printed) == 3, "windows closed after the second"
    house.coverage.finish()
    assert house.printed[-1] == house.printed[-2]


def test_without_a_window_nothing_is_claimed(house):
    house.look()
    assert house.printed == []
    house.coverage.finish()
    assert coverage_sentence(house.printed[0]) == (
        "coverage: read 0 events, 0 rejected, 0 late; closed 0 windows; no GPU telemetry"
    )


def test_what_is_not_monitored_is_a_sentence_with_its_fix():
    facts = {"check": "baseline", "name": "m", "detail": "m has no baseline", "fix": "build one"}
    assert _sentence("unmonitored", facts) == "not monitored: m has no baseline (build one)"
