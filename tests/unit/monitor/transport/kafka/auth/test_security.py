"""TLS and login of Kafka clients: what fits together, what each client gets, no secret shown."""

from __future__ import annotations

import logging
import traceback

import pytest
from confluent_kafka import Producer

from monitor.transport.kafka.auth.oauth import TokenEndpoint, TokenProvider
from monitor.transport.kafka.auth.secret import SecretSource, SecretText, secret_from
from monitor.transport.kafka.auth.security import (
    KafkaSecurity,
    Mechanism,
    confluent_settings,
    kafka_python_settings,
)
from monitor.transport.kafka.auth.security_environment import PREFIX, security_from_environment
from schemas.errors import ConfigError

SECRET = "correct-horse-battery"
PASSWORD = {f"{PREFIX}USERNAME": "alice", f"{PREFIX}PASSWORD": SECRET}
JWT_2023 = "e30.eyJleHAiOiAxNzAwMDAwMDAwfQ."
"""Says that it runs out at 1700000000."""


def _from(**variables: str) -> KafkaSecurity:
    return security_from_environment({PREFIX + k: v for k, v in variables.items()})


def test_without_settings_there_is_no_security_and_nothing_to_tell():
    security = security_from_environment({})
    assert security == KafkaSecurity()
    assert confluent_settings(security) == {"security.protocol": "PLAINTEXT"}
    assert kafka_python_settings(security) == {"security_protocol": "PLAINTEXT"}


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "scram-sha-512"])
def test_both_clients_get_user_and_password(mechanism):
    env = {**PASSWORD, f"{PREFIX}TLS": "1", f"{PREFIX}SASL": mechanism}
    security = security_from_environment(env)
    assert confluent_settings(security, env) == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanisms": mechanism.upper(),
        "sasl.username": "alice",
        "sasl.password": SECRET,
    }
    assert kafka_python_settings(security, env) == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": mechanism.upper(),
        "sasl_plain_username": "alice",
        "sasl_plain_password": SECRET,
    }


def test_certificates_turn_tls_on_and_reach_both_clients():
    env = {
        f"{PREFIX}CA_FILE": "/c/ca.pem",
        f"{PREFIX}CERTIFICATE_FILE": "/c/me.pem",
        f"{PREFIX}KEY_FILE": "/c/me.key",
        f"{PREFIX}KEY_PASSWORD": SECRET,
    }
    security = security_from_environment(env)
    assert confluent_settings(security, env) == {
        "security.protocol": "SSL",
        "ssl.ca.location": "/c/ca.pem",
        "ssl.certificate.location": "/c/me.pem",
        "ssl.key.location": "/c/me.key",
        "ssl.key.password": SECRET,
    }
    assert kafka_python_settings(security, env) == {
        "security_protocol": "SSL",
        "ssl_cafile": "/c/ca.pem",
        "ssl_certfile": "/c/me.pem",
        "ssl_keyfile": "/c/me.key",
        "ssl_password": SECRET,
    }


def test_ready_token_reaches_both_clients_with_its_expiry():
    env = {f"{PREFIX}TLS": "1", f"{PREFIX}SASL": "OAUTHBEARER", f"{PREFIX}TOKEN": JWT_2023}
    security = security_from_environment(env)
    assert confluent_settings(security, env)["oauth_cb"]("") == (JWT_2023, 1_700_000_000.0)
    provider = kafka_python_settings(security, env)["sasl_oauth_token_provider"]
    assert provider.token() == JWT_2023


def test_token_file_is_read_again_each_time(tmp_path):
    file = tmp_path / "token"
    file.write_text("one\n")
    provider = TokenProvider(SecretSource(file=file), {})
    assert provider.token().text == "one"
    file.write_text("two\n")
    assert provider.token().text == "two"


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"SASL": "PLAIN"}, "needs a user name and a password"),
        ({"SASL": "SCRAM-SHA-256", "USERNAME": "a"}, "needs a user name and a password"),
        ({"SASL": "SCRAM-SHA-256", "TOKEN": "t", "USERNAME": "a", "PASSWORD": "p"}, "a token"),
        ({"SASL": "OAUTHBEARER", "TLS": "1"}, "needs a token or a token endpoint"),
        ({"SASL": "OAUTHBEARER", "TLS": "1", "TOKEN": "t", "USERNAME": "a"}, "no use for a user"),
        ({"USERNAME": "a", "PASSWORD": "p"}, "no SASL mechanism"),
        ({"PASSWORD": "p"}, "no SASL mechanism"),
        ({"TOKEN": "t"}, "no SASL mechanism"),
        ({"SASL": "PLAIN", "USERNAME": "a", "PASSWORD": "p"}, "without TLS"),
        ({"SASL": "OAUTHBEARER", "TOKEN": "t"}, "without TLS"),
        ({"TLS": "0", "CA_FILE": "/ca"}, "TLS is off"),
        ({"KEY_FILE": "/key"}, "without its certificate"),
        ({"TLS": "1", "KEY_PASSWORD": "p"}, "without certificate and key"),
        ({"SASL": "GSSAPI"}, "is not a mechanism"),
        ({"TLS": "perhaps"}, "is not a yes or no"),
        ({"PASSWORD": "p", "PASSWORD_FILE": "/p"}, "both set"),
        ({"TOKEN_ENDPOINT": "https://i/t", "CLIENT_ID": "c"}, "needs a client ID and a secret"),
    ],
)
def test_settings_that_do_not_fit_are_named(variables, problem):
    with pytest.raises(ConfigError, match=problem):
        _from(**variables)


def test_every_problem_is_named_at_once():
    with pytest.raises(ConfigError) as caught:
        _from(SASL="PLAIN", KEY_FILE="/key", TLS="0")
    assert len(caught.value.problems) == 4


def test_cleartext_is_allowed_only_when_asked_for():
    variables = {"SASL": "PLAIN", "USERNAME": "a", "PASSWORD": "p", "ALLOW_CLEARTEXT": "1"}
    assert _from(**variables).protocol == "SASL_PLAINTEXT"
    assert _from(SASL="SCRAM-SHA-512", USERNAME="a", PASSWORD="p").protocol == "SASL_PLAINTEXT"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://identity.example/token", "must be an https address"),
        ("identity.example", "must be an https address"),
        ("https://", "must be an https address"),
        (f"https://me:{SECRET}@identity.example/token", "holds a user name or password"),
    ],
)
def test_token_endpoint_must_be_private(url, problem):
    with pytest.raises(ConfigError, match=problem) as caught:
        _from(SASL="OAUTHBEARER", TLS="1", TOKEN_ENDPOINT=url, CLIENT_ID="c", CLIENT_SECRET=SECRET)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "content", [None, b"", b"\n", b"\xff\xfe"], ids=["missing", "empty", "line", "binary"]
)
def test_secret_that_cannot_be_read_names_its_file(tmp_path, content):
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=str(file)):
        SecretSource(file=file).read({})


def test_missing_variable_is_named():
    with pytest.raises(ConfigError, match=f"{PREFIX}PASSWORD"):
        SecretSource(f"{PREFIX}PASSWORD").read({})


def test_source_is_a_variable_or_a_file():
    assert secret_from({"P": ""}, "P") is None
    for wrong in ({}, {"variable": "P", "file": "/p"}):
        with pytest.raises(ConfigError, match="either an environment variable or a file"):
            SecretSource(**wrong)


def test_secret_in_a_file_keeps_its_spaces(tmp_path):
    file = tmp_path / "password"
    file.write_text(f" {SECRET} \r\n")
    assert SecretSource(file=file).read({}) == f" {SECRET} "


def test_nothing_that_prints_shows_a_secret(caplog):
    env = {**PASSWORD, f"{PREFIX}TLS": "1", f"{PREFIX}SASL": "PLAIN", f"{PREFIX}KEY_PASSWORD": ""}
    security = security_from_environment(env)
    settings = [confluent_settings(security, env), kafka_python_settings(security, env)]
    provider = TokenProvider(SecretSource("T"), {"T": SECRET})
    endpoint = TokenEndpoint("https://i/t", "c", SecretSource("T"))
    shown = [
        repr(security),
        str(security),
        repr(settings),
        str(settings),
        f"{settings[0]}",
        repr(provider),
        repr(provider.token()),
        repr(endpoint),
        repr(SecretText(SECRET)),
    ]
    caplog.set_level(logging.DEBUG)
    logging.getLogger("kafka").debug("Starting with configuration: %s", settings[1])
    assert "[redacted]" in caplog.text
    assert all(SECRET not in text for text in [*shown, caplog.text])


def test_client_gets_the_secret_and_its_refusal_does_not_show_it():
    env = {**PASSWORD, f"{PREFIX}TLS": "1", f"{PREFIX}SASL": "PLAIN"}
    settings = confluent_settings(security_from_environment(env), env)
    assert str(settings["sasl.password"]) == SECRET
    with pytest.raises(Exception, match="ssl.ca.location") as caught:
        Producer({**settings, "ssl.ca.location": "/nowhere/ca.pem"})
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_config_made_in_code_is_judged_like_one_from_the_environment():
    with pytest.raises(ConfigError, match="without TLS"):
        KafkaSecurity(mechanism=Mechanism.PLAIN, username="a", password=SecretSource("P"))
