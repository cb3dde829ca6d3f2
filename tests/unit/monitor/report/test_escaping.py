"""Names from outside stay text on every page: no markup, no attribute, no template syntax."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError

import monitor
from monitor.backtest.tables import TextTable
from monitor.compare.comparison import compare
from monitor.compare.page import comparison_page
from monitor.compare.results import Omitted
from monitor.report.backtest_page import BacktestSection, render_backtest
from monitor.report.content import (
    EvidenceLine,
    FindingRow,
    GpuLane,
    ReplicaPanel,
    ReportContent,
    Span,
)
from monitor.report.evidence_panel import EvidencePanel, EvidenceTrack
from monitor.report.fairness import FairnessPanel, GroupRates
from monitor.report.page import render_report
from monitor.report.templating import render
from schemas.alerts import Cause, Incident, Severity
from schemas.spelling import spell_lines
from tests.support.alerts import HOUR, START, drift

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror="alert(1)">',
    "' onmouseover='alert(1)",
    "</style></title><b>",
    "{{ 7 * 7 }}{% include 'page.html' %}{# #}",
    "${7*7} #{7*7} &lt;b&gt; &amp;",
    "\x1b[31m\u202etxt\x00",
    "]]><!--",
    "javascript:alert(1)",
]
PACKAGE = Path(monitor.__file__).parent


class Page(HTMLParser):
    """The elements of a page with the names of their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.values: list[str] = []
        self.links: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.values += [value or "" for _, value in attrs]
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.values.append(data)

    def handle_comment(self, data: str) -> None:
        self.elements.append(("comment", ()))

    def handle_decl(self, decl: str) -> None:
        self.elements.append((decl, ()))


@cache
def report(name: str) -> str:
    """Every section of the report, with one name in every place that takes one."""
    counts = {"reference_counts": (1,) * 64, "current_counts": (2,) * 64}
    owner = msgspec.structs.replace(
        drift(38, name), title=name, effect_where=name, action=name, segment=name, host=name,
        gpu_uuid=name, p_reference=0.1, p_current=0.2, bin_labels=(name,) * 60,
        contributions=((name, 0.7),), **counts,
    )  # fmt: skip
    other = msgspec.structs.replace(drift(39, "score"), title=name)
    incident = Incident(
        incident_id="i", tenant="t", cause=Cause.DATA, severity=Severity.PAGE, title=name,
        opened_at_us=START, owner_alert_id=owner.alert_id, alerts=[owner, other],
    )  # fmt: skip
    times, ones = np.array([START + HOUR]), np.ones(20, np.int64)
    content = ReportContent(
        title=name, headline=name, facts=[(name, name)], start_us=START, end_us=START + 9 * HOUR,
        findings=[FindingRow(*[name] * 3, 15.0, 13.1, *[name] * 5, is_found=True)],
        incidents=[incident], spans=[Span(name, START, START + HOUR, Cause.DATA)],
        evidence=[EvidenceLine(name, times, np.array([1.0]), Cause.DATA)], threshold=13.1,
        replicas=[ReplicaPanel(name, ones, ones, is_faulty=True)],
        gpus=[GpuLane(name, times, [(START + HOUR, 48)], 5)], notes=[name],
        fairness=[
            FairnessPanel(name, name, [GroupRates(name, 9, 0.5, 0.4, 0.6)], [(START, 0.2)], 0.1, 1)
        ],
    )  # fmt: skip
    return render_report(content, render("evidently.html", file="", problem=name))


@cache
def backtest(name: str) -> str:
    """Every section of the backtest's page, with one name in every place that takes one."""
    track = EvidenceTrack(name, np.array([HOUR]), np.array([9.0]), 8.0, [HOUR])
    tables = [TextTable(name, name, ("", name), [(name, name)]), TextTable(name, name, (name,), [])]
    section = BacktestSection(
        name, name, 0, 5 * HOUR, tables, [EvidencePanel(name, [track, track])], name, name
    )
    return render_backtest(name, name, [section])


@cache
def comparison(name: str) -> str:
    """The page of a comparison, with one name in every place that takes one."""
    reference = pa.table({name: [name, "b"] * 50, f"{name}2": [0.5, 1.5] * 50, "gone": [1] * 100})
    found = compare(reference, pa.table({name: ["c", name] * 50, f"{name}2": [0.7, 2.7] * 50}))
    variables = [
        replace(
            v,
            notes=(name,),
            statistics=[replace(s, name=name, is_beyond=True) for s in v.statistics],
        )
        for v in found.variables
    ]
    omitted = [*found.omitted, Omitted(name, name), Omitted(name, name, is_drift=True)]
    return comparison_page(replace(found, variables=variables, omitted=omitted), name, name)


PAGES = (report, backtest, comparison)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_adds_no_element_attribute_or_link(page, name):
    plain, hostile = Page(page("name")), Page(page(name))
    assert hostile.elements == plain.elements
    assert hostile.links == plain.links


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_shown_as_sent_with_controls_as_escapes(page, name):
    # As long, since figures cut what has no room beside its bar.
    harmless, shown = "q" * len(name), spell_lines(name)
    plain, hostile = (Page(page(n)).values for n in (harmless, name))
    # The same number of places, so that none evaluates, drops or repeats what the name holds.
    n_plain = sum(value.count(harmless) for value in plain)
    assert n_plain > 10
    assert sum(value.count(shown) for value in hostile) == n_plain


@given(st.text(max_size=40))
@settings(max_examples=50, deadline=None)
def test_any_text_of_a_note_reads_back_as_it_was_sent(text):
    html = render("evidently.html", file="", problem=f"[{text}]")
    [line] = [value for value in Page(html).values if value.startswith("Not written")]
    assert line == f"Not written: evidently [{spell_lines(text)}]"


def test_a_template_that_uses_an_unknown_name_is_an_error():
    with pytest.raises(UndefinedError, match="problem"):
        render("evidently.html", file="")


def templates() -> list[Path]:
    found = sorted(PACKAGE.glob("**/templates/*"))
    assert len(found) > 10
    return found


@pytest.mark.parametrize("file", templates(), ids=lambda file: file.name)
def test_no_template_switches_escaping_off(file):
    assert not re.search(r"\|\s*safe\b|autoescape|\bMarkup\b", file.read_text(encoding="utf-8"))


def markup_calls() -> list[tuple[str, ast.Call]]:
    """Every ``Markup(...)`` in the code, with its file."""
    return [
        (file.name, node)
        for file in sorted(PACKAGE.glob("**/*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Markup"
    ]


def test_markup_is_made_of_constants_and_of_rendered_templates_only():
    calls = markup_calls()
    assert len(calls) > 5
    variable = {
        file for file, call in calls if not all(isinstance(a, ast.Constant) for a in call.args)
    }
    assert variable == {"templating.py"}
