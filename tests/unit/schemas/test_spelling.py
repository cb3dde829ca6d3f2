"""Invisible characters are escaped wherever a name from outside is shown."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
import unicodedata

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.cli.main import main
from monitor.cli.terminal.output import json_text, print_table
from monitor.logs.guarded_stream import GuardedStream, guarded_output, unguarded
from monitor.logs.setup import configure_logs
from monitor.notify.receivers.console import ConsoleReceiver
from monitor.notify.receivers.message import describe
from monitor.notify.receivers.slack import build_blocks, escape, fallback
from monitor.notify.receivers.webhook import encode_payload
from schemas.alerts import Cause, Incident, Notification, NotificationKind, Severity
from schemas.spelling import spell_controls, spell_json, spell_lines

HOSTILE = "gpu\x1b]0;owned\x07\x1b[2J\r\nFORGED <!channel> & <https://e|x>\x9b31m\u202eabc\u2028\u200b\x7f"
HIDDEN = {"Cc", "Cs", "Zl", "Zp"}


def notification(host: str = HOSTILE) -> Notification:
    incident = Incident(
        incident_id="1",
        tenant="t",
        cause=Cause.HARDWARE,
        severity=Severity.PAGE,
        title=f"GPU 7 on {host}: XID 79",
        opened_at_us=0,
        owner_alert_id="1",
    )
    return Notification(
        notification_id="n",
        dedup_key="k",
        receiver="console",
        time_us=0,
        kind=NotificationKind.INCIDENT,
        incident=incident,
        reason="opened",
    )


def hidden_in(text: str, allowed: str = "") -> set[str]:
    return {
        c
        for c in text
        if c not in allowed
        and (unicodedata.category(c) in HIDDEN or c in "\u202e\u200b\u061c\u2066\ufeff\u00ad")
    }


@given(st.text(alphabet=st.characters()))
def test_what_was_spelt_hides_nothing_and_is_not_spelt_again(text):
    once = spell_controls(text)
    assert hidden_in(once) == set()
    assert spell_controls(once) == once
    assert hidden_in(spell_lines(text), allowed="\n\t") == set()
    assert text.isprintable() is False or once == text


@pytest.mark.parametrize(
    "text", ["Größe", "東京", "naïve é", "می‌خواهم", "👨‍👩‍👧", "a\u00a0b", "C:\\x1b"]
)
def test_what_people_write_stays_as_it_is(text):
    assert spell_controls(text) == text


@pytest.mark.parametrize(
    "c", "\u200b\u200d\u200e\u202a\u2066\u2069\u2060\ufeff\u00ad\x85\x1c\x0b\U000e0041"
)
def test_an_invisible_character_is_escaped_beside_ascii(c):
    assert spell_controls(f"a{c}b").startswith("a\\")


@given(st.dictionaries(st.text(alphabet=st.characters()), st.text(alphabet=st.characters())))
def test_json_keeps_its_value_and_controls_no_terminal(value):
    text = json_text(value)
    assert json.loads(text) == value
    assert hidden_in(text) == set()
    assert json.loads(spell_json(json.dumps(value))) == value


def test_a_notification_is_plain_lines_on_every_receiver():
    message = describe(notification())
    for text in (message.headline, *message.lines, *message.actions):
        assert hidden_in(text) == set()
    out = io.StringIO()
    asyncio.run(ConsoleReceiver(stream=out).send(notification()))
    assert hidden_in(out.getvalue(), allowed="\n") == set()
    assert not any(line.startswith("FORGED") for line in out.getvalue().splitlines())
    body = msgspec.json.decode(encode_payload(notification()))
    assert hidden_in(body["message"]["headline"]) == set()


def test_slack_reads_no_mention_and_no_link_out_of_a_name():
    message = describe(notification())
    marked = [fallback(message)]
    for block in build_blocks(notification(HOSTILE * 3), describe(notification(HOSTILE * 3))):
        parts = [block["text"]] if "text" in block else block["elements"]
        marked += [part["text"] for part in parts if part["type"] == "mrkdwn"]
    assert len(marked) > 3
    for text in marked:
        assert "<" not in text
        assert ">" not in text
        assert hidden_in(text, allowed="\n") == set()
    assert "&lt;!channel&gt; &amp; &lt;https://e|x&gt;" in marked[0]
    assert escape("&lt;") == "&amp;lt;"


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_log_line_is_one_line_whatever_it_tells(style):
    out, root = io.StringIO(), logging.getLogger()
    before = (root.handlers[:], root.level)
    try:
        configure_logs("detect", style=style, stream=out, environment={})
        log = logging.getLogger("driftline.test")
        log.warning("refused: %s", HOSTILE, extra={"host": HOSTILE})
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            log.exception("ended")
    finally:
        root.handlers[:], root.level = before[0], before[1]
        logging.captureWarnings(False)
    assert hidden_in(out.getvalue(), allowed="\n") == set()
    if style == "json":
        assert json.loads(out.getvalue().splitlines()[0])["message"] == f"refused: {HOSTILE}"


def test_a_table_shows_names_on_one_line_each():
    out = io.StringIO()
    print_table([f"column {HOSTILE}"], [(HOSTILE,), ("b",)], title=HOSTILE, file=out)
    assert hidden_in(out.getvalue(), allowed="\n") == set()
    assert not any(line.strip().startswith("FORGED") for line in out.getvalue().splitlines())


def test_what_a_command_prints_is_guarded_and_the_streams_come_back(capsys):
    before = sys.stdout, sys.stderr
    with pytest.raises(SystemExit):
        main(["check", f"no\x1b[31msuch\u202efile{chr(0x9B)}.yaml"])
    assert (sys.stdout, sys.stderr) == before
    shown = capsys.readouterr()
    assert "such" in shown.out
    assert hidden_in(shown.out + shown.err, allowed="\n") == set()


def test_a_guard_within_a_guard_guards_once_and_gives_its_stream(capsys):
    with guarded_output(), guarded_output():
        print("a\x1bb")
        sys.stdout.writelines(["c\x9bd\n"])
        assert not isinstance(unguarded(sys.stdout), GuardedStream)
        unguarded(sys.stdout).write("\x1b[1mbold\x1b[0m\n")
    assert capsys.readouterr().out == "a\\x1bb\nc\\x9bd\n\x1b[1mbold\x1b[0m\n"
