"""Which codec the producer SDK compresses with."""

from __future__ import annotations

import itertools

import kafka
import pytest
from kafka import codec, errors
from kafka.future import Future

from driftline import Reporter
from driftline.batches import OutgoingMessage
from driftline.compression import choose_codec
from driftline.kafka_sender import REPLACE_PAUSE_S, KafkaSender
from schemas.errors import DomainError

LIBRARIES = ("zstd", "lz4", "snappy")


@pytest.fixture
def install(monkeypatch):
    """Have kafka-python find these libraries, and no others."""

    def make(*installed: str) -> None:
        for name in (*LIBRARIES, "lz4f", "lz4framed"):
            monkeypatch.setattr(codec, name, object() if name in installed else None)

    return make


def test_the_first_installed_codec_is_chosen_and_none_without_any(install):
    for n in range(len(LIBRARIES) + 1):
        for installed in itertools.combinations(LIBRARIES, n):
            install(*installed)
            assert choose_codec("auto") == (installed[0] if installed else None)


@pytest.mark.parametrize("compression", LIBRARIES)
def test_a_codec_that_is_not_installed_is_an_error_at_the_start(install, compression):
    install(*(name for name in LIBRARIES if name != compression))
    with pytest.raises(DomainError, match="not installed"):
        Reporter("nowhere:9", model="m", compression=compression)
    install(compression)
    assert choose_codec(compression) == compression


@pytest.mark.parametrize(
    ("compression", "options", "used"),
    [
        ("auto", {}, "lz4"),
        ("none", {}, None),
        ("gzip", {}, "gzip"),
        ("auto", {"compression_type": None}, None),
        ("none", {"compression_type": "gzip"}, "gzip"),
        ("auto", {"api_version": (2, 1)}, "zstd"),
        ("auto", {"api_version": (2, 0)}, None),
    ],
)
def test_the_producer_gets_the_codec_and_its_own_option_comes_first(
    install, monkeypatch, compression, options, used
):
    made = []

    class Producer:
        def __init__(self, **given) -> None:
            made.append(given["compression_type"])

        def send(self, topic: str, value: bytes) -> Future:
            return Future()

    install("zstd" if "api_version" in options else "lz4")
    monkeypatch.setattr(kafka, "KafkaProducer", Producer)
    sender = KafkaSender("nowhere:9", options, compression)
    sender.send(OutgoingMessage("t", b"x", 1), lambda error: None)
    assert made == [used]


@pytest.mark.parametrize(("compression", "used"), [("auto", ["lz4", None]), ("lz4", ["lz4"] * 2)])
def test_a_broker_that_refuses_the_chosen_codec_gets_uncompressed_messages(
    install, monkeypatch, compression, used
):
    made = []

    class Producer:
        def __init__(self, **given) -> None:
            made.append(given["compression_type"])
            self.future = Future()

        def send(self, topic: str, value: bytes) -> Future:
            return self.future

        def close(self, timeout: float) -> None:
            pass

    install("lz4")
    monkeypatch.setattr(kafka, "KafkaProducer", Producer)
    now_s = [0.0]
    sender = KafkaSender("nowhere:9", {}, compression, _now_s=lambda: now_s[0])
    message, answers = OutgoingMessage("t", b"x", 1), []
    sender.send(message, answers.append)
    sender._producer.future.failure(errors.UnsupportedCompressionTypeError())
    now_s[0] += REPLACE_PAUSE_S
    sender.send(message, answers.append)
    assert (made, len(answers)) == (used, 1)
