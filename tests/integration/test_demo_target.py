"""The retraining target over HTTP, asked by the very client that notify uses."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request

import pytest

from monitor.demo.target import MAX_BODY_BYTES, DemoRetrainingTarget
from monitor.notify.receivers.signed_post import SignedPost
from schemas.errors import RefusedDelivery

pytestmark = pytest.mark.integration
BODY = b'{"incident": {"incident_id": "i-1"}}'


async def _post(url: str, secret: str, *keys: str) -> list[str]:
    async with SignedPost("retraining", url, secret) as post:
        return [await post.post(BODY, key) for key in keys]


def test_signed_posts_arrive_once_per_key():
    with DemoRetrainingTarget() as target:
        answers = asyncio.run(_post(target.url, target.secret, "a", "a", "b"))
    assert answers == ["answered 202", "answered 200", "answered 202"]
    assert [r.idempotency_key for r in target.requests] == ["a", "b"]
    assert {r.incident_id for r in target.requests} == {"i-1"}


def test_wrong_secret_is_refused():
    with DemoRetrainingTarget() as target, pytest.raises(RefusedDelivery, match="401"):
        asyncio.run(_post(target.url, "wrong", "a"))
    assert target.requests == ()


@pytest.mark.parametrize(("length", "status"), [("x", 411), (str(MAX_BODY_BYTES + 1), 413)])
def test_length_is_checked_before_reading(length, status):
    with DemoRetrainingTarget() as target:
        request = urllib.request.Request(
            target.url, data=b"{}", headers={"Content-Length": length}, method="POST"
        )
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=5)
        caught.value.close()
    assert caught.value.code == status


def test_each_target_draws_its_own_secret_and_port():
    with DemoRetrainingTarget() as one, DemoRetrainingTarget() as other:
        assert one.secret != other.secret
        assert one.url != other.url
        assert len(one.secret) >= 32
