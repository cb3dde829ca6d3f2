"""What each XID calls for: severity, whether it is latched, and the action."""

from __future__ import annotations

import pytest

from monitor.core.gpu.xid import CATALOGUE, Tier, find_xid, judge_xid
from schemas.alerts import Severity

PAGE, TICKET, RECORD = Severity.PAGE, Severity.TICKET, Severity.RECORD


def codes(tier: Tier) -> list[int]:
    return [code for code, xid in CATALOGUE.items() if xid.tier is tier]


@pytest.mark.parametrize("code", codes(Tier.FATAL))
def test_a_fatal_xid_is_a_latched_page(code):
    verdict = judge_xid(code, 1, None)
    assert (verdict.severity, verdict.is_latched) == (PAGE, True)
    assert verdict.action == find_xid(code).action


@pytest.mark.parametrize("code", codes(Tier.RECORD))
@pytest.mark.parametrize("sibling", [None, 31])
def test_a_record_keeps_its_own_action(code, sibling):
    verdict = judge_xid(code, 1, None, sibling)
    assert (verdict.severity, verdict.is_latched) == (RECORD, False)
    assert verdict.action == find_xid(code).action


def test_xid_45_follows_the_error_before_it():
    alone, after = judge_xid(45, 1, None), judge_xid(45, 1, None, 79)
    assert alone.severity is after.severity is RECORD
    assert alone.action == "follow the error before it"
    assert after.action == f"follow XID 79: {find_xid(79).action}"


@pytest.mark.parametrize("code", [code for code in codes(Tier.OWNER) if code != 109])
def test_an_error_of_an_application_is_a_ticket_with_another_action_when_it_repeats(code):
    first, second = judge_xid(code, 1, None), judge_xid(code, 2, None)
    assert {first.severity, second.severity} == {TICKET}
    assert first.action == find_xid(code).action
    assert second.action == (find_xid(code).repeated_action or first.action)


@pytest.mark.parametrize(
    ("n_in_day", "recovery_action", "severity", "action"),
    [
        (1, None, TICKET, "restart the application"),
        (1, 0, TICKET, "restart the application"),
        (1, 1, PAGE, "reset"),
        (1, 2, PAGE, "reboot"),
        (2, None, PAGE, "twice in 24 hours"),
        (2, 2, PAGE, "twice in 24 hours"),
    ],
)
def test_xid_109_pages_when_it_repeats_or_the_gpu_asks(n_in_day, recovery_action, severity, action):
    verdict = judge_xid(109, n_in_day, recovery_action)
    assert (verdict.severity, verdict.is_latched) == (severity, severity is PAGE)
    assert action in verdict.action


@pytest.mark.parametrize(
    ("recovery_action", "severity"),
    [(None, TICKET), (0, RECORD), (1, PAGE), (2, PAGE), (99, TICKET)],
)
@pytest.mark.parametrize("code", codes(Tier.MAPPED))
def test_a_mapped_xid_has_the_severity_of_the_recovery_action(code, recovery_action, severity):
    verdict = judge_xid(code, 1, recovery_action)
    assert (verdict.severity, verdict.is_latched) == (severity, severity is PAGE)
