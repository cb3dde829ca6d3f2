"""What changed in a cell, in words: direction and size of a mean, both shares of a share."""

from __future__ import annotations

import pytest

from monitor.core.drift.ticks.alerts import Finding, change_text


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        ("location", 0.314, "price higher by 0.31 sd"),
        ("location", -0.314, "price lower by 0.31 sd"),
        ("spread", 0.5, "price more spread out by 0.5"),
        ("spread", -0.5, "price less spread out by 0.5"),
        ("tails", -1.0, "price lighter in the tails by 1"),
    ],
)
def test_a_mean_that_changed_has_a_direction_and_a_size(name, change, text):
    assert change_text("price", Finding(0, name, False, 0.0, change, abs(change), False)) == text


@pytest.mark.parametrize(
    ("p", "change", "shares"),
    [(0.01, 0.04, "5 % of rows (baseline 1 %)"), (0.4, -0.5, "0 % of rows (baseline 40 %)")],
)
def test_a_share_that_changed_is_between_0_and_1(p, change, shares):
    found = Finding(0, "missing", True, p, change, abs(change), False)
    assert change_text("price", found) == f"price missing, {shares}"
