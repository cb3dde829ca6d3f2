"""The retraining inbox takes what was signed just now, once."""

from __future__ import annotations

import pytest

from monitor.clock import now_us
from monitor.demo.target import RetrainingInbox
from monitor.notify.receivers.signed_post import sign

BODY = b'{"incident": {"incident_id": "i-1"}}'


@pytest.fixture
def inbox():
    return RetrainingInbox("key")


def _now_s() -> int:
    return now_us() // 1_000_000


def test_signed_request_is_taken_once(inbox):
    signature = sign("key", BODY, _now_s())
    assert inbox.accept(BODY, signature, "k1") == 202
    assert inbox.accept(BODY, signature, "k1") == 200
    assert [r.incident_id for r in inbox.requests] == ["i-1"]
    assert inbox.n_repeated == 1


def _refused() -> dict[str, tuple[bytes, str, str, int]]:
    now = _now_s()
    good = sign("key", BODY, now)
    return {
        "unsigned": (BODY, "", "k", 401),
        "signed with another key": (BODY, sign("other", BODY, now), "k", 401),
        "another body": (BODY + b" ", good, "k", 401),
        "an hour old": (BODY, sign("key", BODY, now - 3600), "k", 401),
        "not a signature": (BODY, "t=x,v1=y", "k", 401),
        "not JSON": (b"{", sign("key", b"{", now), "k", 400),
        "not an object": (b"[]", sign("key", b"[]", now), "k", 400),
        "no idempotency key": (BODY, good, "", 400),
    }


@pytest.mark.parametrize("what", _refused())
def test_request_is_refused(inbox, what):
    body, signature, key, status = _refused()[what]
    assert inbox.accept(body, signature, key) == status
    assert inbox.requests == ()
    assert inbox.n_refused == 1


def test_bundle_without_an_incident_is_taken_and_names_none(inbox):
    assert inbox.accept(b"{}", sign("key", b"{}", _now_s()), "k") == 202
    assert inbox.requests[0].incident_id == ""
