"""Config models that ``kind`` chooses: the union, unchecked settings, names of variables."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import ValidationError

from monitor.notify.config_types import model_type, monitor_type
from monitor.notify.receivers.console import ConsoleReceiver
from monitor.notify.receivers.registry import RECEIVERS, build_receivers
from monitor.notify.receivers.webhook import WebhookConfig, WebhookReceiver
from monitor.notify.retraining.registry import build_retrainers
from monitor.notify.retraining.webhook import RetrainReceiver, WebhookTarget
from schemas.config.kinds import KindConfig, kind_of, union_of, with_fields
from schemas.config.model import ModelConfig, RetrainingConfig
from schemas.config.monitor import MonitorConfig
from schemas.config.values import EnvironmentName, Strict
from schemas.errors import ConfigError

FEATURES = {"a": {"kind": "numeric"}}


class Mail(KindConfig):
    kind: Literal["mail"]
    password_env: EnvironmentName | None = None
    servers: tuple[EnvironmentName, ...] = ()
    note: str = ""
    user_env: EnvironmentName


class Box(Strict):
    item: KindConfig


def test_the_default_is_one_console():
    assert build_receivers(monitor_type()()).keys() == {"console"}
    assert monitor_type()().model_dump()["receivers"] == {"console": {"kind": "console"}}


def test_the_types_are_composed_once_so_that_equal_configs_are_equal():
    assert monitor_type() is monitor_type()
    text = {"model": "m", "features": FEATURES, "retraining": {"url_env": "U"}}
    assert model_type().model_validate(text) == model_type().model_validate(text)
    assert issubclass(model_type(), ModelConfig)
    assert issubclass(monitor_type(), MonitorConfig)


def test_the_dump_of_a_retraining_policy_is_that_of_before_kinds():
    config = model_type().model_validate(
        {"model": "m", "features": FEATURES, "retraining": {"url_env": "U", "kind": "webhook"}}
    )
    assert config.retraining == WebhookTarget(url_env="U")
    assert config.model_dump_json().endswith(
        '"retraining":{"url_env":"U","secret_env":null,"on":["page"],"features":[],'
        '"wait":600000000,"cooldown":86400000000}}'
    )
    assert model_type().model_validate(config.model_dump()) == config


def test_a_dump_of_receivers_holds_the_settings_of_their_kinds():
    settings = {"h": {"kind": "webhook", "url_env": "U", "secret_env": None}}
    config = monitor_type().model_validate({"receivers": settings})
    assert config.model_dump()["receivers"] == settings


def test_variables_are_found_by_the_type_of_their_fields():
    mail = Mail(kind="mail", user_env="USER_NAME", note="OTHER")
    assert mail.environment_names == ("USER_NAME",)
    mail = Mail(kind="mail", user_env="USER_NAME", password_env="PASSWORD")
    assert mail.environment_names == ("PASSWORD", "USER_NAME")
    mail = Mail(kind="mail", user_env="USER_NAME", servers=("ONE", "TWO"))
    assert mail.environment_names == ("ONE", "TWO", "USER_NAME")


def test_settings_without_a_kind_get_the_default_one():
    box = with_fields(Box, item=(union_of([Mail], "mail"), ...))
    assert box.model_validate({"item": {"user_env": "U"}}).item.kind == "mail"
    box = with_fields(Box, item=(union_of([Mail]), ...))
    with pytest.raises(ValidationError, match="kind: is missing"):
        box.model_validate({"item": {"user_env": "U"}})


def test_two_models_for_one_kind_are_a_programming_error():
    class Post(KindConfig):
        kind: Literal["mail"]

    with pytest.raises(TypeError, match="mail"):
        with_fields(Box, item=(union_of([Mail, Post]), ...))


def test_unchecked_settings_are_checked_when_a_receiver_is_built(monkeypatch):
    monkeypatch.setenv("U", "http://127.0.0.1:1")
    settings = {"a": {"kind": "console"}, "b": {"kind": "webhook", "url_env": "U"}}
    built = build_receivers(MonitorConfig.model_validate({"receivers": settings}))
    assert [type(r) for r in built.values()] == [ConsoleReceiver, WebhookReceiver]
    policy = RetrainingConfig.model_validate({"url_env": "U", "on": ["ticket"]})
    model = ModelConfig(model="m", features=FEATURES, retraining=policy)
    assert isinstance(build_retrainers([model])["default", "m"], RetrainReceiver)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "webhook"}, "receivers.r.url_env: is missing (a webhook receiver needs it)"),
        ({"kind": "pager"}, 'receivers.r.kind: "pager" is not allowed (write one of console,'),
        ({"kind": "console", "url_env": "U"}, "receivers.r.url_env: unknown setting"),
        ({"kind": "webhook", "url_env": "http://SECRET"}, "must be the NAME of an environment"),
    ],
)
def test_unchecked_settings_of_the_wrong_kind_build_nothing(settings, message):
    config = MonitorConfig.model_validate({"receivers": {"r": settings}})
    with pytest.raises(ConfigError) as caught:
        build_receivers(config)
    assert message in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_checked_settings_are_used_as_they_are():
    config = monitor_type()(receivers={"h": WebhookConfig(kind="webhook", url_env="U")})
    assert config.receivers["h"] == WebhookConfig(kind="webhook", url_env="U")


def test_every_kind_is_in_its_registry_once():
    kinds = [kind_of(config) for config in RECEIVERS]
    assert sorted(set(kinds)) == sorted(kinds)
