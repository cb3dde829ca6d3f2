"""What a person says of an incident, before it is written."""

from __future__ import annotations

import pytest

from monitor.app.incident_actions import checked_value
from monitor.core.drift.actions import ActionDecoder
from schemas.actions import Action, ActionKind, Label
from schemas.errors import ConfigError


def action(**more: str) -> Action:
    texts = {"by": "ann", "comment": "", **more}
    return Action(
        action_id="1", kind=ActionKind.CLOSE, label=Label.FAULT, time_us=1,
        incident_id="i", tenant="t", model="m", **texts,
    )  # fmt: skip


def test_what_is_written_is_what_detect_reads():
    assert ActionDecoder().decode(checked_value(action(comment="spring sale"))).by == "ann"


@pytest.mark.parametrize(
    "wrong", [{"by": ""}, {"by": "x" * 1_101}, {"comment": "x" * 2_001}, {"by": "\udce9"}]
)
def test_texts_that_detect_would_reject_are_refused_before_they_are_written(wrong):
    with pytest.raises(ConfigError, match="--by"):
        checked_value(action(**wrong))
