"""Pages of other sites: what a browser sends for them reaches no store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.store.clickhouse_http import running
from tests.support.store.client import (
    PASSWORDS,
    READER_PASSWORD,
    WRITER_PASSWORD,
    ask,
    send,
)

pytestmark = pytest.mark.integration

BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
FORM = BROWSER | {"Content-Type": "text/plain"}
CREATE = b"CREATE TABLE from_a_page (a Int8) ENGINE = Memory"


@pytest.fixture(scope="module")
def open_url(tmp_path_factory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("open") / "store") as server:
        yield server.url


@pytest.fixture(scope="module")
def locked_url(tmp_path_factory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("locked") / "store", environment=PASSWORDS) as server:
        yield server.url


@pytest.mark.parametrize("site", ["cross-site", "same-site", "Cross-Site", "nonsense", ""])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_requests_for_other_sites_are_refused(open_url, locked_url, site, method):
    body = b"SELECT 1" if method == "POST" else None
    given = {"query": "SELECT 1"} if body is None else {}
    key = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": WRITER_PASSWORD}
    for url in (open_url, locked_url):
        headers = key | {"Sec-Fetch-Site": site}
        assert send(url, body, method=method, headers=headers, **given).code == 497
        for path in ("none", "same-origin"):
            headers = (key if url == locked_url else {}) | {"Sec-Fetch-Site": path}
            assert send(url, body, method=method, headers=headers, **given).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        FORM,
        FORM | {"Content-Type": "application/x-www-form-urlencoded"},
        # A form whose URL holds a name: the browser adds this by itself.
        FORM | {"Authorization": "Basic ZGVmYXVsdDo="},
        {"Authorization": "Basic ZGVmYXVsdDo="},
    ],
)
def test_an_open_store_is_not_written_to_by_what_a_page_can_send(open_url, headers):
    reply = send(open_url, CREATE, headers=headers)
    assert reply.code == 164
    assert "X-ClickHouse-User" in reply.text
    insert = send(open_url, b"1", headers=headers, query="INSERT INTO labels (id) FORMAT CSV")
    assert insert.code == 164
    assert send(open_url, b"EXISTS TABLE from_a_page", headers=headers).body == b"0\n"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-ClickHouse-User": "default"},
        {"X-ClickHouse-Key": ""},
        {"Authorization": "Basic ZGVmYXVsdDo=", "User-Agent": "Go-http-client/1.1"},
        {"User-Agent": "clickhouse-connect/1.12.0 (lv:py/3.11)"},
    ],
)
def test_programs_write_to_an_open_store(open_url, headers):
    send(open_url, b"DROP TABLE IF EXISTS made", headers={"X-ClickHouse-User": "default"})
    sql = b"CREATE TABLE made (a Int8) ENGINE = Memory"
    assert send(open_url, sql, headers=headers).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_get_writes_nothing_under_any_account(open_url, locked_url, method):
    for url, key in ((open_url, ""), (locked_url, WRITER_PASSWORD)):
        headers = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": key}
        sql = "CREATE TABLE from_a_get (a Int8) ENGINE = Memory"
        assert send(url, method=method, headers=headers, query=sql).code == 164
        assert send(url, b"EXISTS TABLE from_a_get", headers=headers).body == b"0\n"


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "DELETE", "TRACE", "PATCH"])
def test_preflights_and_other_methods_are_refused(open_url, method):
    headers = {"Access-Control-Request-Headers": "X-ClickHouse-User"}
    assert send(open_url, method=method, headers=headers).status >= 400


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "0.0.0.0", "[::]", "192.168.0.1", "", "]["]
)
def test_a_name_of_another_site_is_no_way_to_an_open_store(open_url, host):
    headers = {"Host": host, "X-ClickHouse-User": "default"}
    assert send(open_url, b"SELECT 1", headers=headers).status in (400, 403)


def test_an_origin_must_be_the_store_itself(open_url, locked_url):
    key = {"X-ClickHouse-User": "reader", "X-ClickHouse-Key": READER_PASSWORD}
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        for url in (open_url, locked_url):
            headers = key | {"Origin": origin}
            assert send(url, b"SELECT 1", headers=headers).code == 497
    assert send(locked_url, b"SELECT 1", headers=key | {"Origin": locked_url}).status == 200


def test_answers_are_not_for_pages_of_other_sites(locked_url):
    assert ask(locked_url, "SELECT 1").status == 200
    import urllib.request

    key = {"X-ClickHouse-User": "reader", "X-ClickHouse-Key": READER_PASSWORD}
    request = urllib.request.Request(locked_url, b"SELECT 1", key)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        assert not [name for name in answer.headers if name.startswith("Access-Control-")]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
