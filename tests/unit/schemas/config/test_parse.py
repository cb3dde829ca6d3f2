"""Config text: what is accepted, and how each mistake is named."""

from __future__ import annotations

import json
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from monitor.decode.decoder import Decoder
from monitor.notify.config_types import model_type, monitor_type
from monitor.notify.receivers.registry import RECEIVERS
from monitor.notify.retraining.registry import TARGETS
from schemas.baselines import Kind
from schemas.batch import ModelSchema
from schemas.config import parse
from schemas.config.model import ModelConfig
from schemas.config.monitor import MonitorConfig
from schemas.errors import ConfigError
from tests.support.repository import ROOT

EXAMPLES = ROOT / "deploy" / "examples"
parse_model = partial(parse.parse_model, config=model_type())
parse_monitor = partial(parse.parse_monitor, config=monitor_type())
MINIMAL = "model: m\nfeatures:\n  age: {kind: numeric}\n  land: {kind: categorical}\n"


def problems(text: str, parse=parse_model, name: str = "m.yaml") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, name)
    assert caught.value.exit_code == 2
    assert str(caught.value).splitlines() == list(caught.value.problems)
    return list(caught.value.problems)


def test_a_minimal_model_takes_the_designs_defaults():
    config = parse_model(MINIMAL, "m.yaml")
    assert config.schema_.variables == ("age", "land", "score")
    window = config.window
    assert (window.pane_us, window.length_us, window.bound_us) == (
        10_000_000,
        3_600_000_000,
        5_000_000,
    )
    assert (window.lateness_us, window.idle_us) == (60_000_000, 30_000_000)


def test_variables_are_numeric_then_categorical_whatever_the_order_in_the_file():
    text = "model: m\nfeatures: {z: {kind: categorical}, a: {kind: numeric}}"
    assert parse_model(text, "m.yaml").schema_.variables == ("a", "z", "score")


def test_text_stays_text_where_yaml_would_guess():
    text = MINIMAL + "positive: 1\ntenant: no\nretraining: {url_env: URL, on: [ticket]}\n"
    config = parse_model(text, "m.yaml")
    assert (config.positive, config.tenant) == ("1", "no")
    assert config.retraining is not None
    assert config.retraining.on == ("ticket",)


def test_durations_are_read_in_every_unit():
    text = MINIMAL + "window: {pane: 500ms, length: 1h 30m, lateness: 2d, bound: 0s, idle: 7us}"
    window = parse_model(text, "m.yaml").window
    assert (
        window.pane_us,
        window.length_us,
        window.lateness_us,
        window.bound_us,
        window.idle_us,
    ) == (
        500_000,
        5_400_000_000,
        172_800_000_000,
        0,
        7,
    )


def test_an_open_range_is_written_with_infinity():
    text = "model: m\nfeatures: {a: {kind: numeric, range: [0, .inf]}}"
    assert parse_model(text, "m.yaml").features["a"].range == (0.0, float("inf"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("latenes: 1s", "m.yaml:5: latenes: unknown setting (known here: model, tenant"),
        ("segmnts: [land]", "m.yaml:5: segmnts: unknown setting (did you mean segments?)"),
        ("tenant:", "m.yaml:5: tenant: is empty (give it a value, or remove the line)"),
        ("tenant: [a]", "m.yaml:5: tenant: a list is not text"),
        ("segments: land", 'm.yaml:5: segments: "land" is not a list (write [a, b], or one'),
        ("segments: [age]", "m.yaml:5: segments[0]: 'age' is a numeric feature, and a segment"),
        ("segments: [land, land]", "m.yaml:5: segments[1]: 'land' is listed twice (remove one)"),
        ("segments: ['a=b']", "m.yaml:5: segments[0]: 'a=b' cannot name a segment"),
        ("protected: [sex]\npositive: '1'", "m.yaml:5: protected[0]: 'sex' is not in segments"),
        ("protected: [land]\nsegments: [land]", "m.yaml:5: protected: rates of the positive"),
        ("task: binry", 'm.yaml:5: task: "binry" is not allowed (did you mean binary?'),
        ("task: multiclass", "m.yaml:5: task: a multiclass model has two or more classes"),
        ("classes: [a]\ntask: regression", "m.yaml:5: classes: a regression model has none"),
        ("classes: [a]\ntask: binary", "m.yaml:5: classes: a binary model has two"),
        ("classes: [a, a]", "m.yaml:5: classes[1]: 'a' is listed twice"),
        ("positive: c\nclasses: [a, b]", "m.yaml:5: positive: 'c' is not in classes"),
        ("window: {pane: 10}", 'm.yaml:5: window.pane: "10" is not a duration; write 10s, 5m'),
        ("window: {pane: 0s}", 'm.yaml:5: window.pane: "0s" is out of bounds (must be greater'),
        ("window: {pane: 9999999d}", 'm.yaml:5: window.pane: "9999999d" is too long'),
        ("window: {length: 25s}", "m.yaml:5: window.length: 25s is not a multiple of the pane"),
        ("window: 1h", 'm.yaml:5: window: "1h" is not a group of settings (write one `name:'),
        ("decision: {eps: .5}", 'decision.eps: ".5" is out of bounds (must be less than 0.5)'),
        ("decision: {eps: -1}", 'decision.eps: "-1" is out of bounds (must be at least 0'),
        ("decision: {eps: .nan}", 'decision.eps: "nan" is not a finite number'),
        ("decision: {eps: x}", 'decision.eps: "x" is not a number'),
        ("decision: {persistence: 2.5}", 'decision.persistence: "2.5" is not a whole number'),
        ("decision: {persistence: 9}", "decision.persistence: "),
        ("slices: {host: 7}", 'slices.host: "7" is not true or false (write true or false)'),
        ("routes: [{receivers: [a], severity: [pages]}]", "(did you mean page? One of page, t"),
        ("routes: [{}]", "m.yaml:5: routes[0].receivers: is missing (add it)"),
        ("retraining: {}", "m.yaml:5: retraining.url_env: is missing (add it)"),
        ("retraining: {url_env: A, chanel: C}", "m.yaml:5: retraining.chanel: unknown setting"),
        ("retraining: {url_env: A, kind: x}", 'retraining.kind: "x" is not allowed (write one of'),
        ("retraining: {url_env: A, on: [pag]}", 'retraining.on[0]: "pag" is not allowed (did you'),
        (
            "retraining: {url_env: A, features: [aeg]}",
            "m.yaml:5: retraining.features[0]: 'aeg' is not a feature of this model",
        ),
        ("model: again", "m.yaml:5: model: occurs twice, first in line 1 (remove one of them)"),
        ("positive: !secret x", "m.yaml:5: positive: tag !secret is not supported"),
        ("<<: {a: b}", "m.yaml:5: merge keys (<<) are not supported"),
        ("? [a, b]\n: c", "m.yaml:5: a key must be text"),
    ],
)
def test_a_mistake_is_named_by_file_line_and_field(line: str, message: str):
    found = problems(MINIMAL + line)
    assert len(found) == 1, found
    assert message in found[0]
    assert found[0].startswith("m.yaml:5: ")


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        ("{kind: numerical}", 'm.yaml:2: features.f.kind: "numerical" is not allowed (did you'),
        ("{}", "m.yaml:2: features.f.kind: is missing (add it: numeric or categorical)"),
        ("numeric", 'm.yaml:2: features.f: "numeric" is not a group of settings'),
        ("{kind: categorical, range: [0, 1]}", "features.f.range: only a numeric feature has a"),
        ("{kind: numeric, range: [2, 1]}", "features.f.range: [2, 1] is empty"),
        ("{kind: numeric, range: [.nan, 1]}", "features.f.range: [nan, 1] is empty"),
        ("{kind: numeric, range: [1]}", "features.f.range[1]: value 2 of the list is missing"),
        ("{kind: numeric, range: [1, 2, 3]}", "features.f.range: has 3 values (write exactly 2)"),
    ],
)
def test_a_mistake_in_a_feature_is_named(feature: str, message: str):
    found = problems(f"model: m\nfeatures: {{f: {feature}}}")
    assert len(found) == 1, found
    assert message in found[0]


def test_a_feature_called_score_is_refused():
    assert "cannot be called 'score'" in problems("model: m\nfeatures: {score: {kind: numeric}}")[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.yaml:1: the file is empty"),
        ("# only a comment", "f.yaml:1: the file is empty"),
        ("[1, 2]", "f.yaml:1: a list is not a group of settings"),
        ("a: [", "f.yaml:1: not valid YAML"),
        (
            "a:\n\tb: 1",
            "f.yaml:2: not valid YAML: found character '\\t' that cannot start any token "
            "(indent with spaces)",
        ),
        ('model: "m\n', "not valid YAML"),
        ("--- a\n--- b", "f.yaml:2: not valid YAML"),
        ("a\x00b", "f.yaml: not readable as YAML"),
        ("a: &x [*x]", "f.yaml:1: an alias contains itself"),
        ("[" * 5000, "f.yaml:1: nested too deeply"),
        ("model: m\nfeatures: {}", "f.yaml:2: features: is empty (needs at least 1)"),
    ],
)
def test_text_that_is_no_config_gets_one_clear_line(text: str, message: str):
    found = problems(text, name="f.yaml")
    assert len(found) == 1
    assert message in found[0]


def test_aliases_that_multiply_are_stopped():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    assert "aliases expand without end" in problems("\n".join(lines))[0]


def test_all_problems_come_at_once_in_the_order_of_their_lines():
    text = "model: m\ntenant:\nfeatures:\n  a: {kind: x}\n  b: {}\nsegments: 3\nfoo: 1\n"
    lines = [int(p.split(":")[1]) for p in problems(text)]
    assert lines == [2, 4, 5, 6, 7]


@pytest.mark.parametrize(
    "text",
    [
        "receivers: {r: {kind: webhook, url_env: 'https://hooks.example/T0P-SECRET'}}",
        "receivers: {r: {kind: slack, channel: c, token_env: xoxb-T0P-SECRET}}",
        "receivers: {r: {kind: slack, token: T0P-SECRET, token_env: T, channel: c}}",
        "store: https://user:T0P-SECRET@host:8443/db",
        "store: clickhouse://T0P-SECRET@host/db",
    ],
)
def test_a_secret_in_a_config_is_refused_and_never_repeated(text: str):
    found = problems(text, parse_monitor)
    assert len(found) == 1
    assert "SECRET" not in found[0].replace("DRIFTLINE_STORE", "")


@pytest.mark.parametrize("name", ["", "\ud800", "a\udfff\n"])
@pytest.mark.parametrize("place", ["feature", "of", "segment"])
def test_a_name_that_no_event_can_bring_is_refused_on_its_line(place, name):
    if place == "of" and not name:
        return  # an empty `of` is none
    quoted = json.dumps(name)
    text = (
        MINIMAL
        + {
            "feature": f"  {quoted}: {{kind: numeric}}\n",
            "of": f"  n: {{kind: numeric, derive: length, of: {quoted}}}\n",
            "segment": f"segments: [{quoted}]\n",
        }[place]
    )
    [problem] = problems(text)
    assert problem.startswith("m.yaml:5: ")
    assert problem.isprintable()


@given(st.text(max_size=12))
@settings(max_examples=300)
def test_the_config_accepts_exactly_the_names_that_the_decoder_takes(name):
    def accepts(make) -> bool:
        try:
            make()
        except ConfigError:
            return False
        return True

    is_taken = accepts(lambda: Decoder([ModelSchema("default", "m", (name,))])) and name
    escaped = "".join(f"\\U{ord(character):08x}" for character in name)
    text = f'model: m\nfeatures: {{"{escaped}": {{kind: numeric}}}}'
    assert accepts(lambda: parse_model(text, "m.yaml")) == bool(is_taken and name != "score")
    assert is_taken or not name


def test_a_receiver_says_what_its_kind_needs():
    found = problems("receivers:\n  s: {kind: slack}\n  w: {kind: webhook}\n", parse_monitor)
    assert found == [
        "m.yaml:2: receivers.s.token_env: is missing (a slack receiver needs it)",
        "m.yaml:2: receivers.s.channel: is missing (a slack receiver needs it)",
        "m.yaml:3: receivers.w.url_env: is missing (a webhook receiver needs it)",
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{}", ".kind: is missing (add it: console or slack or webhook)"),
        ("{kind: }", ".kind: is empty (give it a value, or remove the line)"),
        ("{kind: slak}", '.kind: "slak" is not allowed (did you mean slack? One of console, '),
        ("{kind: []}", ".kind: a list is not allowed (write one of console, slack, webhook)"),
        ("3", ': "3" is not a group of settings (write one `name: value` a line, indented)'),
        ("", ": is empty (give it a value, or remove the line)"),
        ("{kind: console, channel: C1}", ".channel: unknown setting (known here: kind)"),
        ("{kind: webhook, url_env: U, token_env: T}", ".token_env: unknown setting"),
        ("{kind: slack, token_env: T, channel: C, url_env: U}", ".url_env: unknown setting"),
        ("{kind: slack, token_env: T, channel: [C]}", ".channel: a list is not text"),
    ],
)
def test_a_mistake_in_a_receiver_is_named(settings: str, message: str):
    found = problems(f"receivers:\n  r: {settings}\n", parse_monitor)
    assert len(found) == 1, found
    assert found[0].startswith("m.yaml:2: receivers.r" + message)


def test_messages_speak_no_validator_jargon():
    text = (
        "model: 1\ntenant: {}\nfeatures: {a: 1, b: {kind: [], range: x}}\nslices: []\nroutes: 1\n"
    )
    text += "decision: {eps: [], phi: {}, persistence: []}\nwindow: {pane: [], length: {}}\n"
    for line in problems(text):
        for jargon in ("Input", "type=", "pydantic", "instance", "dictionary", "None", "Kind."):
            assert jargon not in line


def test_the_shipped_examples_are_valid():
    for file in sorted((EXAMPLES / "models").glob("*.yaml")):
        config = parse_model(file.read_text(), file.name)
        assert config.model == file.stem
    assert parse_monitor((EXAMPLES / "driftline.yaml").read_text(), "driftline.yaml").models
    employment = parse_model((EXAMPLES / "models/employment.yaml").read_text(), "e")
    assert sum(f.kind is Kind.CATEGORICAL for f in employment.features.values()) == 15


@pytest.mark.parametrize("config", [ModelConfig, MonitorConfig, *RECEIVERS, *TARGETS])
def test_every_setting_rejects_an_unknown_neighbour(config: type[BaseModel]):
    assert config.model_config["extra"] == "forbid"
