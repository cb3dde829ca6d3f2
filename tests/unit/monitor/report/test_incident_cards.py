"""What a report says of an incident."""

from __future__ import annotations

import msgspec

from monitor.report.incident_cards import incident_cards
from tests.support.alerts import incident
from tests.support.store.stored import alert_of


def test_a_card_says_where_a_change_is():
    plain = alert_of()
    located = msgspec.structs.replace(
        plain, contributions=(("region=eu", 0.71),), reference_counts=(1,) * 64
    )
    assert "<dt>where</dt><dd>mostly region=eu (71 %)</dd>" in incident_cards([incident(located)])
    nowhere = msgspec.structs.replace(located, contributions=())
    assert "<dt>where</dt>" not in incident_cards([incident(nowhere)])
