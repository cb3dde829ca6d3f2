"""Logs: one line a record, no flood, no secret."""

from __future__ import annotations

import io
import json
import logging
import threading
from asyncio import CancelledError

import pytest

from monitor.logs import configure_logs, secrets_of
from monitor.logs.setup import limit_stderr
from schemas.errors import ConfigError


@pytest.fixture(autouse=True)
def _as_before():
    """Leave logging as it was found."""
    root = logging.getLogger()
    before = (list(root.handlers), root.level, threading.excepthook)
    levels = {
        n: logging.getLogger(n).level for n in ("monitor", "detectors", "schemas", "driftline")
    }
    yield
    root.handlers[:], threading.excepthook = before[0], before[2]
    root.setLevel(before[1])
    logging.captureWarnings(False)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def lines_of(write, **options) -> list[str]:
    """Configure, write, and return what came out."""
    out = io.StringIO()
    handler = configure_logs("ingest", stream=out, **{"environment": {}, **options})
    write()
    handler.close()
    return out.getvalue().splitlines()


def test_a_record_is_one_json_object_off_a_terminal():
    def write():
        logging.getLogger("driftline.x").info(
            "read %d events\nof two lines", 7, extra={"topic": "t"}
        )

    (line,) = lines_of(write)
    record = json.loads(line)
    assert record.pop("time").endswith("+00:00")
    assert record == {
        "level": "info",
        "stage": "ingest",
        "logger": "driftline.x",
        "message": "read 7 events\nof two lines",
        "topic": "t",
    }


def test_text_keeps_a_message_on_one_line():
    def write():
        logging.getLogger("monitor.x").warning("two\nlines", extra={"partition": 3})

    (line,) = lines_of(write, style="text")
    assert line.endswith("warning ingest monitor.x: two\\nlines partition=3")


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_traceback_comes_along(style):
    def write():
        try:
            raise ValueError("broken")
        except ValueError:
            logging.getLogger("driftline").exception("it ends")

    lines = lines_of(write, style=style)
    assert "ValueError: broken" in "\n".join(lines)
    assert len(lines) == 1 if style == "json" else all(x.startswith("    ") for x in lines[1:])


def test_libraries_speak_from_warning_on_and_we_from_the_level():
    def write():
        for name in ("aiokafka.conn", "driftline.y"):
            for level in (logging.DEBUG, logging.INFO, logging.WARNING):
                logging.getLogger(name).log(level, "words")

    def said(**options):
        return [(r["logger"], r["level"]) for r in map(json.loads, lines_of(write, **options))]

    assert said() == [
        ("aiokafka.conn", "warning"),
        ("driftline.y", "info"),
        ("driftline.y", "warning"),
    ]
    assert said(level="error") == [("aiokafka.conn", "warning")]
    assert said(environment={"DRIFTLINE_LOG_LEVEL": "warning"})[-1] == ("driftline.y", "warning")
    assert len(said(level="debug")) == 6


def test_the_same_words_pass_five_times_and_are_counted_after_that():
    def write():
        for i in range(1_000):
            logging.getLogger("aiokafka.conn").error("try %d of node %s", i, "n1")
            if i % 100 == 0:
                logging.getLogger("driftline").warning("something else %d", i)

    lines = [json.loads(x)["message"] for x in lines_of(write)]
    tries = [x for x in lines if x.startswith("try")]
    assert tries[:5] == [f"try {i} of node n1" for i in range(5)]
    assert tries[5:] == ["try 999 of node n1 (repeated 995 times in 10 s)"]
    assert len(lines) == 6 + 6


def test_words_that_differ_in_numbers_are_the_same_and_loggers_apart():
    def write():
        for i in range(20):
            logging.getLogger("faust.a").error(f"commit {i} failed")
            logging.getLogger("faust.b").error(f"commit {i} failed")

    names = [json.loads(x)["logger"] for x in lines_of(write)]
    assert names.count("faust.a") == names.count("faust.b") == 6


def test_messages_of_a_template_without_words_are_kinds_of_their_own():
    def write():
        for i in range(20):
            for what in ("refused", "timed out"):
                log = logging.getLogger("driftline.kafka.client")
                log.error("%s [%s] %s", "FAIL", f"consumer-{i}", what)

    lines = [json.loads(x)["message"] for x in lines_of(write)]
    assert [sum(what in x for x in lines) for what in ("refused", "timed out")] == [6, 6]


def test_a_command_without_logs_of_its_own_limits_its_warnings(capsys):
    root = logging.getLogger()
    root.handlers[:] = []
    limit_stderr()
    limit_stderr()
    for _ in range(20):
        logging.getLogger("driftline.kafka").warning("no broker answers")
    assert len(root.handlers) == 1
    assert capsys.readouterr().err.splitlines() == ["no broker answers"] * 5


def test_a_flood_of_different_words_keeps_a_bounded_memory():
    out = io.StringIO()
    handler = configure_logs("ingest", stream=out, environment={})
    for i in range(3_000):
        logging.getLogger("driftline").warning("word " + "x" * i)
    assert len(handler._kinds) <= 512
    assert len(out.getvalue().splitlines()) == 3_000


@pytest.mark.parametrize("style", ["text", "json"])
def test_no_secret_is_seen_in_message_extra_or_traceback(style):
    environment = {
        "DRIFTLINE_KAFKA_PASSWORD": "hunter2hunter2",
        "SLACK_TOKEN": "xoxb-1",
        "DRIFTLINE_KAFKA_TOKEN_ENDPOINT": "https://login/x",
    }

    def write():
        log = logging.getLogger("kafka.conn")
        log.error("login %s", "hunter2hunter2", extra={"why": "xoxb-1"})
        log.error("at https://ann:letmein@store/x, hook https://hooks/abcdef")
        try:
            raise OSError("refused " + environment["DRIFTLINE_KAFKA_PASSWORD"])
        except OSError:
            log.exception("failed")

    given = {"environment": environment, "secrets": ["https://hooks/abcdef"]}
    text = "\n".join(lines_of(write, style=style, **given))
    for secret in ("hunter2hunter2", "xoxb-1", "letmein", "abcdef"):
        assert secret not in text
    assert text.count("[redacted]") == 5


def test_names_say_which_variables_hold_secrets():
    environment = {"A_SECRET": "1", "B_PASSWORD_FILE": "/f", "TOKEN_ENDPOINT": "u", "HOME": "/"}
    assert secrets_of(environment) == ["1"]


@pytest.mark.parametrize("options", [{"level": "loud"}, {"environment": {"DRIFTLINE_LOG": "xml"}}])
def test_words_that_are_not_known_are_refused(options):
    with pytest.raises(ConfigError, match="is not known"):
        lines_of(lambda: None, **options)


def test_a_thread_that_ends_by_an_error_is_logged():
    def fail():
        raise KeyError("k")

    def write():
        thread = threading.Thread(target=fail, name="worker")
        thread.start()
        thread.join()

    (line,) = lines_of(write)
    assert json.loads(line)["message"] == "thread worker ended"
    assert "KeyError" in json.loads(line)["traceback"]


def test_a_thread_that_was_cancelled_is_no_error():
    def stop():
        raise CancelledError

    def write():
        thread = threading.Thread(target=stop, name="fetcher")
        thread.start()
        thread.join()

    (line,) = lines_of(write)
    found = json.loads(line)
    assert (found["level"], found["message"]) == ("info", "thread fetcher was cancelled")
    assert "traceback" not in found


def test_a_closed_stream_is_no_error():
    out = io.StringIO()
    configure_logs("ingest", stream=out, environment={})
    out.close()
    logging.getLogger("driftline").error("the stream is closed")
